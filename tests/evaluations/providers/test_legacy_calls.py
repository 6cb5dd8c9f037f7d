"""Requests from the first form of tool calling, as logged with ``gpt-4-0613``."""

from __future__ import annotations

import json
from typing import Any

from evaluations.providers.base import CompletionRequest, EndpointConfig, ParameterChange
from evaluations.providers.registry import PROVIDERS

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
LEGACY = {
    "messages": [
        {"role": "user", "content": "Weather in Rome?"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Rome"}'}},
        {"role": "function", "name": "weather", "content": "sunny"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "And in Oslo?"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
        {"role": "function", "name": "weather", "content": "rain"},
    ],
    "functions": [WEATHER],
    "function_call": {"name": "weather"},
    "max_tokens": 9,
}


def _prepared(key: str, body: dict[str, Any]) -> tuple[dict[str, Any], tuple[ParameterChange, ...]]:
    endpoint = EndpointConfig("e", key, "https://vendor.example.com", "m")
    wire = PROVIDERS.get(key).prepare(CompletionRequest(body), endpoint)
    return json.loads(wire.body), wire.changes


def _today(number: int, city: str, answer: str) -> list[dict[str, Any]]:
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "weather", "content": answer, "tool_call_id": f"call_{number}"},
    ]


MODERN = {
    "messages": [
        LEGACY["messages"][0],
        *_today(1, "Rome", "sunny"),
        *LEGACY["messages"][3:5],
        *_today(2, "Oslo", "rain"),
    ],
    "tools": [{"type": "function", "function": WEATHER}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "max_tokens": 9,
}


def test_vendors_that_never_knew_it_get_todays_form() -> None:
    for key in ("openai_responses", "anthropic_messages", "gemini_generate", "mai_chat"):
        legacy, changes = _prepared(key, LEGACY)
        assert legacy == _prepared(key, MODERN)[0], key
        assert changes[:2] == (
            ParameterChange("functions", "renamed", "tools"),
            ParameterChange("function_call", "renamed", "tool_choice"),
        )


def test_the_choice_may_be_a_word() -> None:
    for word in ("auto", "none"):
        legacy, _ = _prepared("anthropic_messages", LEGACY | {"function_call": word})
        assert legacy["tool_choice"] == {"type": word}


def test_openai_still_knows_it() -> None:
    body, changes = _prepared("openai_chat", LEGACY)
    assert body == {**LEGACY, "model": "m"}
    assert changes == ()
