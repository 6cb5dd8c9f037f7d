"""The known log formats. Public surface: ``READERS``, ``detect``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evaluations.capture.anthropic import AnthropicBatch
from evaluations.capture.azure import AzureDiagnostic
from evaluations.capture.base import CaptureError, Reader
from evaluations.capture.langfuse import Langfuse
from evaluations.capture.lines import first_keys, head
from evaluations.capture.litellm import LiteLLM
from evaluations.capture.native_jsonl import NativeJsonl
from evaluations.capture.openai import OpenAIBatch, OpenAIStored
from evaluations.capture.otel_genai import OTelGenAI
from evaluations.capture.tabular import Tabular
from evaluations.plugins import Registry

_LINES_LOOKED_AT = 20

READERS: Registry[Reader] = Registry(
    "evaluations.readers",
    (
        NativeJsonl(),
        OpenAIStored(),
        OpenAIBatch(),
        AnthropicBatch(),
        LiteLLM(),
        Langfuse(),
        OTelGenAI(),
        AzureDiagnostic(),
        Tabular(),
    ),
)


def detect(path: Path) -> Reader:
    """The first reader that recognises the file's beginning; ``CaptureError`` naming the known formats if none does.

    A bad first line hides no format: the next lines are looked at too, and the reader names what is wrong.
    """
    start = head(path)
    if not start.strip():
        raise CaptureError(f"{path.name}: the file is empty")
    name = path.name.lower().removesuffix(".gz")
    for part in _beginnings(start):
        for reader in READERS:
            if reader.recognises(part, name):
                return reader
    if {"request", "reference"} & first_keys(start):  # ours with a misspelt or missing field
        return READERS.get(NativeJsonl.key)
    known = ", ".join(f"{reader.key} ({reader.label})" for reader in READERS)
    raise CaptureError(f"{path.name}: unknown format; known are {known}")


def _beginnings(start: bytes) -> Iterator[bytes]:
    """The file's beginning, then that of each of the next lines that hold a JSON object."""
    yield start
    at = start.find(b"\n")
    for _ in range(_LINES_LOOKED_AT):
        if at < 0:
            return
        if start[at + 1 : at + 2] == b"{":
            yield start[at + 1 :]
        at = start.find(b"\n", at + 1)
