"""Langfuse exports: a trace with its observations a line, or an observation a line. Public surface: ``Langfuse``.

Only observations of type GENERATION are model calls. What integrations log as input differs widely; an input that is
not a list of messages or a bare text is counted but cannot be replayed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.chat import instant, mapping, optional_text
from evaluations.capture.lines import FieldError, first_keys, read_groups
from evaluations.capture.messages import answer, chat_tools, replayable
from evaluations.providers.base import Usage

# A conversation flattened to one text is not what the model was sent.
_TRANSCRIPT = re.compile(r"(?:system|developer|user|assistant): ")
_PARAMETERS = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed")


class Langfuse:
    key = "langfuse"
    version = "1"
    label = "Langfuse traces or observations"

    def recognises(self, head: bytes, name: str) -> bool:
        keys = first_keys(head)
        # A trace is often longer than the head, so that its other keys are not seen.
        nested = bool({"trace", "observations"} & keys) and b'"traceId"' in head
        return nested or {"traceId", "type", "input", "output"} <= keys

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        return read_groups(path, _samples)


def _samples(line: int, value: Any) -> Iterator[CapturedSample | BadLine]:
    row = mapping(value, "")
    trace = mapping(row.get("trace") or {}, "trace")
    observations = row.get("observations", [row])
    if not isinstance(observations, list):
        raise FieldError("observations", "must be a list")
    for at, observation in enumerate(observations):
        where = f"observations[{at}]" if "observations" in row else ""
        try:
            if mapping(observation, where).get("type") == "GENERATION":
                yield _sample(line, observation, trace)
        except FieldError as error:
            yield BadLine(line, ".".join(part for part in (where, error.field) if part), error.reason)


def _sample(line: int, row: dict[str, Any], trace: dict[str, Any]) -> CapturedSample:
    started, ended = instant(row.get("startTime"), "startTime"), instant(row.get("endTime"), "endTime")
    text, message, finish = answer(row.get("output"))
    output = row["output"] if isinstance(row.get("output"), dict) else {}
    environment = row.get("environment")
    response = CapturedResponse(
        text=text,
        message=message,
        model=optional_text(output.get("model") or row.get("model"), "model"),
        usage=_usage(row.get("usageDetails")),
        latency_ms=(ended - started).total_seconds() * 1000 if started and ended and ended >= started else None,
        finish_reason=finish,
    )
    return CapturedSample(
        line=line,
        external_id=optional_text(row.get("id"), "id"),
        request=_request(row.get("input"), row.get("modelParameters"), output),
        occurred_at=started,
        cluster=optional_text(trace.get("sessionId") or row.get("traceId"), "traceId"),
        segments={"environment": environment} if isinstance(environment, str) else {},
        response=None if text is None and message is None else response,
    )


def _request(logged: Any, parameters: Any, output: dict[str, Any]) -> dict[str, Any] | None:
    body = dict(logged) if isinstance(logged, dict) else {"messages": logged}
    if isinstance(body.get("contents"), str) and "messages" not in body:
        body = {"messages": body["contents"]}
    if isinstance(body.get("messages"), str) and _TRANSCRIPT.match(body["messages"]):
        return None
    given = parameters if isinstance(parameters, dict) else {}
    # Negative limits are how some integrations write 'not set'.
    known = {key: given[key] for key in _PARAMETERS if isinstance(given.get(key), int | float) and given[key] >= 0}
    if output.get("object") == "response" and isinstance(body.get("messages"), list):
        # OpenAI's Responses API repeats in its answer what else it was sent.
        if isinstance(output.get("instructions"), str):
            body["messages"] = [{"role": "system", "content": output["instructions"]}, *body["messages"]]
        body["tools"] = chat_tools(output.get("tools"))
    return replayable(known | body)


def _usage(details: Any) -> Usage:
    """``input`` excludes ``input_cached_tokens`` but includes ``prompt_details.cache_read``."""
    if not isinstance(details, dict):
        return Usage()

    def count(*names: str) -> int | None:
        found = [details[name] for name in names if type(details.get(name)) is int and details[name] >= 0]
        return found[0] if found else None

    total, inside = count("input"), count("prompt_details.cache_read")
    return Usage(
        input_uncached=total if total is None or inside is None else max(total - inside, 0),
        cache_read=inside if inside is not None else count("input_cached_tokens", "input_cache_read"),
        cache_write=count("input_cache_creation"),
        output_total=count("output"),
        reasoning=count("completion_details.reasoning", "output_reasoning_tokens", "output_reasoning"),
        raw=details,
    )
