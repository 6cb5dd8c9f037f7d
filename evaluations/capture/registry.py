"""The known log formats. Public surface: ``READERS``, ``detect``."""

from __future__ import annotations

from pathlib import Path

from evaluations.capture.anthropic import AnthropicBatch
from evaluations.capture.azure import AzureDiagnostic
from evaluations.capture.base import CaptureError, Reader
from evaluations.capture.langfuse import Langfuse
from evaluations.capture.lines import head
from evaluations.capture.litellm import LiteLLM
from evaluations.capture.native_jsonl import NativeJsonl
from evaluations.capture.openai import OpenAIBatch, OpenAIStored
from evaluations.capture.otel_genai import OTelGenAI
from evaluations.capture.tabular import Tabular
from evaluations.plugins import Registry

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
    """The first reader that recognises the file's beginning; ``CaptureError`` naming the known formats if none does."""
    start = head(path)
    if not start.strip():
        raise CaptureError(f"{path.name}: the file is empty")
    for reader in READERS:
        if reader.recognises(start, path.name.lower().removesuffix(".gz")):
            return reader
    known = ", ".join(f"{reader.key} ({reader.label})" for reader in READERS)
    raise CaptureError(f"{path.name}: unknown format; known are {known}")
