"""The product's own sample format: one JSON object a line. Public surface: ``NativeJsonl``.

Fields: ``id, occurred_at, cluster, segments, request, reference, response``; only ``request`` is required. An unknown
field is an error, so that a misspelt ``reference`` cannot be lost in silence.
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
    optional_ms,
    optional_text,
    recorded_usage,
)
from evaluations.capture.lines import FieldError, first_keys, read_values

FIELDS = frozenset({"id", "occurred_at", "cluster", "segments", "request", "reference", "response"})
RESPONSE_FIELDS = frozenset({"text", "message", "model", "usage", "latency_ms", "finish_reason"})


class NativeJsonl:
    key = "native"
    version = "1"
    label = "Native samples (JSON lines)"

    def recognises(self, head: bytes, name: str) -> bool:
        return "request" in (keys := first_keys(head)) and keys <= FIELDS

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        return read_values(path, _sample)


def _sample(line: int, value: Any) -> CapturedSample:
    row = _known(mapping(value, ""), FIELDS, "")
    return CapturedSample(
        line=line,
        external_id=_label(row.get("id"), "id"),
        request=chat_request(row.get("request")),
        occurred_at=instant(row.get("occurred_at"), "occurred_at"),
        cluster=_label(row.get("cluster"), "cluster"),
        segments=_segments(row.get("segments")),
        reference=row.get("reference"),
        response=None if row.get("response") is None else _response(row["response"]),
    )


def _response(value: Any) -> CapturedResponse:
    row = _known(mapping(value, "response"), RESPONSE_FIELDS, "response.")
    text = optional_text(row.get("text"), "response.text")
    message = None if row.get("message") is None else assistant_message(row["message"], "response.message")
    if text is None and message is None:
        raise FieldError("response", "needs text or message")
    if text is None and message is not None:
        text = message_text(message)
    return CapturedResponse(
        text=text,
        message=message,
        model=optional_text(row.get("model"), "response.model"),
        usage=recorded_usage(row.get("usage"), "response.usage"),
        latency_ms=optional_ms(row.get("latency_ms"), "response.latency_ms"),
        finish_reason=optional_text(row.get("finish_reason"), "response.finish_reason"),
    )


def _known(row: dict[str, Any], fields: frozenset[str], at: str) -> dict[str, Any]:
    if not row.keys() <= fields:
        unknown = next(key for key in row if key not in fields)
        raise FieldError(f"{at}{unknown}", f"is not a field of this format (known: {', '.join(sorted(fields))})")
    return row


def _label(value: Any, at: str) -> str | None:
    """Ids and clusters are text; whole numbers are taken as their digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return optional_text(value, at) or None


def _segments(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    segments = mapping(value, "segments")
    for key, item in segments.items():
        if not isinstance(item, str):
            raise FieldError(f"segments.{key}", "must be text")
    return segments
