"""Exchanges really recorded with the vendors, and documented error shapes (shared data ``vendor_http``, ``prices``).

Sources and definitions: the READMEs beside the data. Recordings: pydantic/pydantic-ai; usage: pydantic/genai-prices.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from functools import cache
from typing import Any

import pytest

from evaluations.enums import RETRIED, FinishReason, Outcome
from evaluations.pricing import total_input
from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig, Usage, WireResponse
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.requests import Untranslatable
from evaluations.providers.usage import usage_from_raw
from tests.evaluations.providers.loopback import HELLO, CannedStream
from tests.shared_data import shared_data

JSON = dict[str, Any]

PROTOCOL = {
    "chat.completions": "openai_chat",
    "messages": "anthropic_messages",
    "generateContent": "gemini_generate",
    "streamGenerateContent": "gemini_generate",
    "responses": "openai_responses",
}
# error_shapes.jsonl.gz: the class a client must give, in our words.
OUTCOME = {
    "rate_limited": Outcome.RATE_LIMITED,
    "quota_exhausted": Outcome.QUOTA_EXHAUSTED,
    "overloaded": Outcome.OVERLOADED,
    "context_length": Outcome.REJECTED_INPUT,
    "bad_request": Outcome.REJECTED_INPUT,
    "auth": Outcome.AUTH,
    "server_error": Outcome.SERVER_ERROR,
    "refusal": Outcome.REFUSED,
    "truncated": Outcome.TRUNCATED,
    "content_filter": Outcome.CONTENT_FILTERED,
}
VENDOR_PROTOCOL = {
    "openai": "openai_chat",
    "azure-openai": "azure_openai",
    "anthropic": "anthropic_messages",
    "google": "gemini_generate",
}


@cache
def _rows(*parts: str) -> tuple[JSON, ...]:
    with gzip.open(shared_data(*parts), "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


@cache
def _exchanges(api: str) -> tuple[JSON, ...]:
    return tuple(row for row in _rows("vendor_http", "exchanges.jsonl.gz") if row["api"] == api)


def _read(row: JSON) -> CompletionResult:
    """The result of one exchange, through the same code that reads live ones."""
    provider = PROVIDERS.get(PROTOCOL[row["api"]])
    headers = {name.lower(): value for name, value in row["response_headers"].items()}
    written = (row.get("response_text") or json.dumps(row.get("response"))).encode()
    if "event-stream" not in headers["content-type"]:
        return provider.parse(WireResponse(row["status"], headers, written))
    chunks = [written[start : start + 777] for start in range(0, len(written), 777)]
    endpoint = EndpointConfig("e", provider.key, "https://vendor.example.com", "m", stream=True)
    return asyncio.run(provider.complete(HELLO, endpoint=endpoint, transport=CannedStream(chunks)))


def _input(usage: Usage) -> int | None:
    """As the recordings count it: with the caches, without what Gemini's own tools put before the model."""
    parts = (usage.input_uncached, usage.cache_read, usage.cache_write)
    return None if usage.input_uncached is None else sum(part or 0 for part in parts)


@pytest.mark.parametrize("api", PROTOCOL)
def test_usage_end_reason_and_served_model_are_read_exactly(api: str) -> None:
    rows = [row for row in _exchanges(api) if "response" in row]
    for row in rows:
        result, expected = _read(row), row["expected"]
        assert result.served_model == expected["served_model"], row["id"]
        assert result.vendor_finish_reason == expected["finish"], row["id"]
        counts = expected["usage"] or {"input_tokens_total": None, "output_tokens_total": None}
        assert _input(result.usage) == counts["input_tokens_total"], row["id"]
        assert result.usage.output_total == counts["output_tokens_total"], row["id"]
    assert len(rows) == {"chat.completions": 59, "messages": 153, "generateContent": 117, "responses": 138}.get(api, 0)


@pytest.mark.parametrize(
    ("api", "outcomes"),
    [
        ("chat.completions", {"ok": 74, "rejected_input": 1}),
        ("messages", {"ok": 155}),
        ("generateContent", {"ok": 118}),
        ("streamGenerateContent", {"ok": 8}),
        # Three compactions and tool searches hold no answer, four background responses were not finished, and two
        # exchanges are token counts, not responses.
        ("responses", {"ok": 138, "empty": 4, "vendor_error": 4, "bad_response": 2, "rejected_input": 1}),
    ],
)
def test_how_the_recorded_calls_ended(api: str, outcomes: dict[str, int]) -> None:
    assert Counter(_read(row).outcome for row in _exchanges(api)) == outcomes


@pytest.mark.parametrize("api", PROTOCOL)
def test_every_tool_call_of_the_recordings_is_found(api: str) -> None:
    for row in _exchanges(api):
        if "response" in row and _read(row).outcome is Outcome.OK:
            result = _read(row)
            assert result.message is not None
            names = [call["function"]["name"] for call in result.message.get("tool_calls", [])]
            assert names == _called(row["response"]), row["id"]
            assert (result.finish_reason is FinishReason.TOOL_CALL) == bool(names), row["id"]


def _called(response: JSON) -> list[str]:
    chat = [
        call["function"]["name"] for c in response.get("choices", ()) for call in c["message"].get("tool_calls", ())
    ]
    claude = [block["name"] for block in response.get("content", ()) if block["type"] == "tool_use"]
    parts = [part for c in response.get("candidates", ()) for part in c.get("content", {}).get("parts", ())]
    gemini = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    items = [item["name"] for item in response.get("output", ()) if item["type"] == "function_call"]
    return chat + claude + gemini + items


def _said_in_stream(row: JSON) -> tuple[Any, ...]:
    """Input, output, end reason and model as the events of a stream say them, read without the code under test.

    The recordings come without expectations for streams; the rules are the README's for whole responses.
    """
    lines = row["response_text"].splitlines()
    events = [json.loads(line[5:]) for line in lines if line.startswith("data:") and line[5:].strip() != "[DONE]"]
    if row["api"] == "chat.completions":
        usage = next(event["usage"] for event in reversed(events) if event.get("usage"))
        ends = [c["finish_reason"] for event in events for c in event["choices"] if c["finish_reason"]]
        return usage["prompt_tokens"], usage["completion_tokens"], ends[-1], events[-1]["model"]
    if row["api"] == "responses":
        last = events[-1]["response"]
        return last["usage"]["input_tokens"], last["usage"]["output_tokens"], last["status"], last["model"]
    if row["api"] == "messages":
        start = next(event["message"] for event in events if event["type"] == "message_start")
        end = next(event for event in events if event["type"] == "message_delta")
        usage = start["usage"] | {key: value for key, value in end["usage"].items() if value is not None}
        parts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        total = sum(usage.get(part) or 0 for part in parts)
        return total, usage["output_tokens"], end["delta"]["stop_reason"], start["model"]
    usage = events[-1]["usageMetadata"]
    ends = [c["finishReason"] for event in events for c in event["candidates"] if "finishReason" in c]
    total = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    return usage["promptTokenCount"], total, ends[-1], events[-1]["modelVersion"]


def test_recorded_streams_are_read_exactly() -> None:
    streams = [
        row for api in PROTOCOL for row in _exchanges(api) if "event-stream" in row["response_headers"]["content-type"]
    ]
    assert len(streams) == 37  # the README's count
    for row in streams:
        result = _read(row)
        usage = result.usage
        said = _input(usage), usage.output_total, result.vendor_finish_reason, result.served_model
        assert said == _said_in_stream(row), row["id"]


def test_reasoning_never_reaches_the_result() -> None:
    """The redacted thinking of a recorded Claude stream, and every recorded thought of Gemini."""
    for row in _exchanges("messages") + _exchanges("streamGenerateContent"):
        result = _read(row)
        shown = repr((result.text, result.message))
        assert "redacted_thinking" not in shown
        assert "thoughtSignature" not in shown
        assert "**Clarifying User Goals**" not in shown


@pytest.mark.parametrize("number", range(23))
def test_error_shapes(number: int) -> None:
    row = _rows("vendor_http", "error_shapes.jsonl.gz")[number]
    provider = PROVIDERS.get(VENDOR_PROTOCOL[row["vendor"]])
    result = provider.parse(WireResponse(row["status"], row["response_headers"], json.dumps(row["response"]).encode()))
    expected = row["expected"]
    assert result.outcome is OUTCOME[expected["kind"]]
    assert result.retry_after_seconds == expected["retry_after_s"]
    assert (result.outcome in RETRIED) == expected["retryable"]


def test_there_are_no_more_error_shapes() -> None:
    assert len(_rows("vendor_http", "error_shapes.jsonl.gz")) == 23


def test_real_usage_blocks_of_seven_vendors_are_counted_as_they_are_billed() -> None:
    """827 usage blocks with the counts their published price was computed from."""
    counted = 0
    for case in _rows("prices", "usage_cost_cases.jsonl.gz"):
        body, billed = case["response_body"], case["normalised_usage"]
        usage = usage_from_raw(body.get("usage") or body.get("usageMetadata"))
        assert total_input(usage) == billed["input_tokens"], case["case_id"]
        counted += 1
        if case["api_flavor"] == "embeddings":
            continue  # read by the reference for its input only
        assert (usage.output_total or 0) == billed.get("output_tokens", 0), case["case_id"]
        assert (usage.cache_read or 0) == billed.get("cache_read_tokens", 0), case["case_id"]
        if case["provider"] != "aws":  # whose reference leaves the detail out
            assert (usage.reasoning or 0) == billed.get("output_reasoning_tokens", 0), case["case_id"]
    assert counted == 827


def test_recorded_requests_can_be_said_in_every_dialect() -> None:
    refused: Counter[str] = Counter()
    for row in _exchanges("chat.completions"):
        for key in (*VENDOR_PROTOCOL.values(), "mai_chat", "openai_responses"):
            endpoint = EndpointConfig("e", key, "https://vendor.example.com", "m")
            try:
                wire = PROVIDERS.get(key).prepare(CompletionRequest(row["request"]), endpoint)
            except Untranslatable as error:
                refused[f"{key}: {error}"] += 1
            else:
                assert json.loads(wire.body)
    # One request names a file that lies at its own vendor.
    reason = "message 4 holds a file without data or address"
    assert refused == {f"{key}: {reason}": 1 for key in ("anthropic_messages", "gemini_generate", "openai_responses")}
