"""Conversations across dialects: what one vendor answered, every other can be asked to go on with.

``TEXTS``, ``calls_of`` and ``results_of`` read a dialect's request without the code under test (shapes: VENDORS.md 4.1
to 4.4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from evaluations.capture.anthropic import AnthropicBatch
from evaluations.capture.base import CapturedSample
from evaluations.enums import FinishReason
from evaluations.providers.base import CompletionRequest, EndpointConfig, WireResponse
from evaluations.providers.recorded import result_from_recording
from evaluations.providers.registry import PROVIDERS
from tests.contract.vendor_answers import DIALECTS, EXPECTED, SITUATIONS

JSON = dict[str, Any]
Pair = tuple[str, Any]

dialects = pytest.mark.parametrize("key", DIALECTS)


def _wire(key: str, body: JSON, **options: Any) -> JSON:
    endpoint = EndpointConfig("e", key, "https://vendor.example.com", "m", options=options)
    written: JSON = json.loads(PROVIDERS.get(key).prepare(CompletionRequest(body), endpoint).body)
    return written


def _parts(body: JSON) -> Iterable[JSON]:
    for content in body.get("contents", ()):
        yield from content["parts"]
    for message in body.get("messages", ()):
        if isinstance(message.get("content"), list):
            yield from message["content"]


def calls_of(body: JSON) -> list[tuple[str, str, Any]]:
    """Id, name and arguments of every tool call in a request."""
    chat = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for message in body.get("messages", ())
        for call in message.get("tool_calls") or ()
    ]
    claude = [(p["id"], p["name"], p["input"]) for p in _parts(body) if p.get("type") == "tool_use"]
    calls = [part["functionCall"] for part in _parts(body) if "functionCall" in part]
    gemini = [(call["id"], call["name"], call["args"]) for call in calls]
    responses = [
        (item["call_id"], item["name"], json.loads(item["arguments"]))
        for item in body.get("input", ())
        if item.get("type") == "function_call"
    ]
    return chat + claude + gemini + responses


def results_of(body: JSON) -> list[Pair]:
    """Id and result of every tool answer in a request."""
    chat = [(m["tool_call_id"], m["content"]) for m in body.get("messages", ()) if m["role"] == "tool"]
    claude = [(p["tool_use_id"], p["content"][0]["text"]) for p in _parts(body) if p.get("type") == "tool_result"]
    answers = [part["functionResponse"] for part in _parts(body) if "functionResponse" in part]
    gemini = [(answer["id"], answer["response"]["result"]) for answer in answers]
    items = body.get("input", ())
    responses = [(i["call_id"], i["output"]) for i in items if i.get("type") == "function_call_output"]
    return chat + claude + gemini + responses


@dialects
@pytest.mark.parametrize("answering", DIALECTS)
def test_a_tool_call_of_any_vendor_goes_on_with_every_other(answering: str, key: str) -> None:
    said = SITUATIONS["tool call"]
    written = json.dumps(DIALECTS[answering].body(said)).encode()
    message = PROVIDERS.get(answering).parse(WireResponse(200, {}, written)).message
    assert message is not None
    results = [{"role": "tool", "tool_call_id": call_id, "content": f"r-{call_id}"} for call_id, _, _ in said["calls"]]
    body = _wire(key, {"messages": [{"role": "user", "content": "Go"}, message, *results], "max_tokens": 9})
    assert calls_of(body) == [(call_id, name, json.loads(given)) for call_id, name, given in said["calls"]]
    assert results_of(body) == [(call_id, f"r-{call_id}") for call_id, _, _ in said["calls"]]


MULTI_TURN: JSON = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "image_url", "image_url": {"url": "https://images.example.com/1.png"}},
            ],
        },
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Which breed?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Manx"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "tool_choice": "auto",
    "temperature": 0.5,
    "stop": ["END"],
    "max_completion_tokens": 9,
}


@dialects
def test_every_turn_and_image_arrives_in_order(key: str) -> None:
    """Texts, images and calls stand in the written request in the order in which they were said."""
    written = json.dumps(_wire(key, MULTI_TURN))
    told = ["What is this?", "QUJD", "https://images.example.com/1.png", "A cat.", "Which breed?", "c1", "Manx"]
    places = [written.index(piece) for piece in told]
    assert places == sorted(places)
    assert written.count("Be brief.") == 1


def test_the_way_to_anthropic_and_back_loses_nothing(tmp_path: Path) -> None:
    """Their batch format holds the very body that is sent: our reader of it must find what our writer was given."""
    line = {"custom_id": "1", "params": _wire("anthropic_messages", MULTI_TURN)}
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps(line))
    [sample] = AnthropicBatch().read(path)
    assert isinstance(sample, CapturedSample)
    assert sample.request == MULTI_TURN


@dialects
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_recorded_answer_is_judged_as_a_live_one(key: str, situation: str) -> None:
    """``recorded``: the message, usage and stop reason of a live answer, logged and read again."""
    live = PROVIDERS.get(key).parse(
        WireResponse(200, {}, json.dumps(DIALECTS[key].body(SITUATIONS[situation])).encode())
    )
    recorded = result_from_recording(
        message=live.message,
        usage=live.usage.raw,
        model=live.served_model,
        latency_ms=250.0,
        finish_reason=live.vendor_finish_reason,
    )
    assert (recorded.outcome, recorded.finish_reason) == EXPECTED[situation]
    assert (recorded.text, recorded.message, recorded.usage) == (live.text, live.message, live.usage)
    assert (recorded.served_model, recorded.vendor_finish_reason) == (live.served_model, live.vendor_finish_reason)
    assert recorded.timing is not None
    assert (recorded.timing.latency_ms, recorded.timing.ttft_ms) == (250.0, None)
    assert recorded.finish_reason is not FinishReason.UNKNOWN
