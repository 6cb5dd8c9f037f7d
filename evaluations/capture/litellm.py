"""LiteLLM's standard logging payload, one call a line. Public surface: ``LiteLLM``.

Format: ``StandardLoggingPayload`` in ``litellm/types/utils.py`` of ``BerriAI/litellm``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.chat import instant, mapping, optional_ms, optional_text, recorded_usage
from evaluations.capture.lines import first_keys, read_values
from evaluations.capture.messages import replayable
from evaluations.capture.openai import chat_response
from evaluations.providers.base import Usage


class LiteLLM:
    """Chat calls are replayable; other calls (embeddings, ...) and redacted messages are counted only."""

    key = "litellm"
    version = "1"
    label = "LiteLLM standard logging"

    def recognises(self, head: bytes, name: str) -> bool:
        return {"call_type", "messages", "response", "startTime"} <= first_keys(head)

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        return read_values(path, _sample)


def _sample(line: int, value: Any) -> CapturedSample:
    row = mapping(value, "")
    parameters = mapping(row.get("model_parameters") or {}, "model_parameters")
    is_chat = row.get("call_type") in ("completion", "acompletion") and isinstance(row.get("messages"), list)
    tags = row.get("request_tags") or []
    pairs = (tag.partition(":") for tag in tags if isinstance(tag, str))
    return CapturedSample(
        line=line,
        external_id=optional_text(row.get("id"), "id"),
        request=replayable({**parameters, "messages": row["messages"]}) if is_chat else None,
        occurred_at=instant(row.get("startTime"), "startTime"),
        cluster=optional_text(row.get("end_user"), "end_user") or None,
        segments={name: item for name, colon, item in pairs if colon and name and item},
        response=_response(row) if isinstance(row.get("response"), dict) else None,
    )


def _response(row: dict[str, Any]) -> CapturedResponse | None:
    body = row["response"]
    if row.get("status") == "failure" or "choices" not in body:
        return None
    response = chat_response(body, "response.")
    seconds = row.get("response_time")
    counts = {key: row.get(key) for key in ("prompt_tokens", "completion_tokens")}
    return replace(
        response,
        usage=recorded_usage(counts, "") if response.usage == Usage() else response.usage,
        latency_ms=optional_ms(seconds * 1000 if isinstance(seconds, int | float) else seconds, "response_time"),
    )
