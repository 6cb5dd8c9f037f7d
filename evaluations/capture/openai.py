"""OpenAI's own files: stored chat completions, and the input and output files of its batch API.

Public surface: ``OpenAIStored``, ``OpenAIBatch``, ``chat_response``. Formats: the API description in
``openai/openai-openapi``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.chat import (
    assistant_message,
    chat_request,
    instant,
    mapping,
    message_text,
    optional_text,
    recorded_usage,
)
from evaluations.capture.join import RequestIndex
from evaluations.capture.lines import FieldError, first_keys, read_values

# What a stored completion repeats of its request, in chat request names.
_STORED_PARAMETERS = (
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "max_completion_tokens",
    "max_tokens",
    "reasoning_effort",
)


class OpenAIStored:
    """Stored completions, one a line. Without ``input_messages`` a line is an answer whose prompt is elsewhere."""

    key = "openai_stored"
    version = "1"
    label = "OpenAI stored completions"

    def recognises(self, head: bytes, name: str) -> bool:
        return {"choices", "model", "created"} <= first_keys(head)

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        with RequestIndex.of(requests) as index:
            yield from read_values(path, lambda line, value: _stored(line, value, index))


class OpenAIBatch:
    """Batch input (prompts only) or output (answers only, in any order); ``requests`` joins them on ``custom_id``."""

    key = "openai_batch"
    version = "1"
    label = "OpenAI batch input or output"

    def recognises(self, head: bytes, name: str) -> bool:
        keys = first_keys(head)
        return "custom_id" in keys and ({"method", "url", "body"} <= keys or {"response", "error"} <= keys)

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        with RequestIndex.of(requests) as index:
            yield from read_values(path, lambda line, value: _batch(line, value, index))


def _stored(line: int, value: Any, index: RequestIndex) -> CapturedSample:
    row = mapping(value, "")
    external_id = optional_text(row.get("id"), "id")
    if row.get("input_messages") is None:
        request = index.get(external_id)
    else:
        body = {key: row[key] for key in _STORED_PARAMETERS if key in row}
        body["messages"] = row["input_messages"]
        request = chat_request(body, "input")
    metadata = mapping(row.get("metadata") or {}, "metadata")
    return CapturedSample(
        line=line,
        external_id=external_id,
        request=request,
        occurred_at=instant(row.get("created"), "created"),
        segments={key: item for key, item in metadata.items() if isinstance(item, str)},
        response=chat_response(row, ""),
    )


def _batch(line: int, value: Any, index: RequestIndex) -> CapturedSample:
    row = mapping(value, "")
    custom_id = optional_text(row.get("custom_id"), "custom_id")
    if "body" in row:
        return CapturedSample(line=line, external_id=custom_id, request=chat_request(row["body"], "body"))
    answer = row.get("response")
    body = mapping(mapping(answer, "response").get("body"), "response.body") if answer is not None else {}
    # A rejected or expired line has no choices: its prompt can be replayed, its answer is missing.
    return CapturedSample(
        line=line,
        external_id=custom_id,
        request=index.get(custom_id),
        occurred_at=instant(body.get("created"), "response.body.created"),
        response=chat_response(body, "response.body.") if "choices" in body else None,
    )


def chat_response(body: dict[str, Any], at: str) -> CapturedResponse:
    """The first choice of a ``chat.completion`` object; ``at`` prefixes the field path of errors."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise FieldError(f"{at}choices", "must be a list with at least one choice")
    choice = mapping(choices[0], f"{at}choices[0]")
    message = assistant_message(choice.get("message"), f"{at}choices[0].message")
    return CapturedResponse(
        text=message_text(message),
        message=message,
        model=optional_text(body.get("model"), f"{at}model"),
        usage=recorded_usage(body.get("usage"), f"{at}usage", service_tier=body.get("service_tier")),
        finish_reason=optional_text(choice.get("finish_reason"), f"{at}choices[0].finish_reason"),
    )
