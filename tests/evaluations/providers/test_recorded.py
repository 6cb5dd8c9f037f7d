"""Recorded answers are judged by the rules of live ones."""

from __future__ import annotations

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import Timing, Usage
from evaluations.providers.recorded import result_from_recording


def test_a_logged_text() -> None:
    result = result_from_recording(
        text="42",
        usage={"prompt_tokens": 3, "completion_tokens": 1},
        model="gpt-4",
        latency_ms=12.5,
        finish_reason="stop",
    )
    assert (result.outcome, result.text, result.served_model) == (Outcome.OK, "42", "gpt-4")
    assert result.message == {"role": "assistant", "content": "42"}
    assert (result.usage.input_uncached, result.usage.output_total) == (3, 1)
    assert result.timing == Timing(latency_ms=12.5, ttft_ms=None)
    assert result.finish_reason is FinishReason.COMPLETE


def test_a_logged_message_with_a_tool_call() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = result_from_recording(message={"role": "assistant", "content": None, "tool_calls": [call]})
    assert (result.outcome, result.text, result.timing) == (Outcome.OK, None, None)
    assert result.message is not None
    assert result.message["tool_calls"] == [call]


def test_counts_that_are_already_neutral_pass_through() -> None:
    usage = Usage(input_uncached=5, output_total=6)
    assert result_from_recording(text="x", usage=usage).usage is usage


def test_no_answer_is_missing() -> None:
    result = result_from_recording(usage={"prompt_tokens": 3}, latency_ms=1.0, model="gpt-4")
    assert (result.outcome, result.usage.input_uncached, result.served_model) == (Outcome.MISSING, 3, "gpt-4")


def test_the_outcome_rules_hold() -> None:
    assert result_from_recording(text="half", finish_reason="max_tokens").outcome is Outcome.TRUNCATED
    empty = result_from_recording(text="", finish_reason="stop")
    assert (empty.outcome, empty.text) == (Outcome.EMPTY, None)
    assert result_from_recording(text="", finish_reason="content_filter").outcome is Outcome.CONTENT_FILTERED
    assert result_from_recording(message={"content": None, "refusal": "No."}).outcome is Outcome.REFUSED
