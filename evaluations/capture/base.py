"""What a reader yields.

Public surface: ``CapturedSample``, ``CapturedResponse``, ``BadLine``, ``Reader``, ``CaptureError``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from evaluations.providers.base import Usage


class CaptureError(ValueError):
    """The file as a whole cannot be read; the message names file, line and field where they are known."""


@dataclass(frozen=True, slots=True)
class CapturedResponse:
    """What production answered at the time."""

    text: str | None
    message: Mapping[str, Any] | None = None  # assistant message in OpenAI chat form
    model: str | None = None  # as named in the log
    usage: Usage = field(default_factory=Usage)
    latency_ms: float | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class CapturedSample:
    """One production request. ``request`` is ``None`` where the format logs answers without prompts."""

    line: int
    external_id: str | None
    request: Mapping[str, Any] | None  # OpenAI chat form without model and stream
    occurred_at: datetime | None = None  # aware, UTC
    cluster: str | None = None  # conversation, document or customer that samples share
    segments: Mapping[str, str] = field(default_factory=dict)
    reference: Any = None
    response: CapturedResponse | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read: 1-based number, the field at fault (or ''), and why."""

    line: int
    field: str
    reason: str


class Reader(Protocol):
    """One log format. ``read`` streams: memory does not grow with the file."""

    key: str
    version: str
    label: str

    def recognises(self, head: bytes, name: str) -> bool:
        """Whether the first (decompressed) kilobytes and the file name look like this format."""

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]: ...
