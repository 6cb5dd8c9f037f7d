"""The answer that production gave at the time, as a result without a call.

Public surface: ``RECORDED_KEY``, ``RECORDED_VERSION``, ``result_from_recording`` and, from ``usage``,
``usage_from_raw``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evaluations.enums import Outcome
from evaluations.providers.answers import answered
from evaluations.providers.base import CompletionResult, Timing, Usage
from evaluations.providers.openai_chat import read_chat
from evaluations.providers.usage import usage_from_raw

__all__ = ["RECORDED_KEY", "RECORDED_VERSION", "result_from_recording", "usage_from_raw"]

RECORDED_KEY = "recorded"
RECORDED_VERSION = "1"


def result_from_recording(
    *,
    text: str | None = None,
    message: Mapping[str, Any] | None = None,
    usage: Usage | Mapping[str, Any] | None = None,
    model: str | None = None,
    latency_ms: float | None = None,
    finish_reason: str | None = None,
) -> CompletionResult:
    """What was logged, judged by the rules that live answers are judged by.

    ``message`` (OpenAI chat form) wins over ``text``; ``usage`` may be in any vendor's spelling. With neither text nor
    message the outcome is ``missing``. There is no time to first token: logs do not hold one.
    """
    counts = usage if isinstance(usage, Usage) else usage_from_raw(usage)
    timing = None if latency_ms is None else Timing(latency_ms=latency_ms)
    if text is None and message is None:
        return CompletionResult(
            Outcome.MISSING, served_model=model, usage=counts, timing=timing, error="no recorded answer"
        )
    if message is None:
        result = answered(text=text, finish_word=finish_reason, served_model=model, usage=counts)
    else:
        body = {"choices": [{"message": dict(message), "finish_reason": finish_reason}], "model": model}
        result = read_chat(body) or CompletionResult(Outcome.MISSING)
    return replace(result, usage=counts, timing=timing)
