"""Anthropic messages: translation of the neutral request. Wire facts: VENDORS.md 4.2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluations.providers.anthropic_messages import AnthropicMessages
from evaluations.providers.base import CompletionRequest, EndpointConfig, WireRequest
from evaluations.providers.requests import Untranslatable

USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


def _wire(body: dict[str, Any], **more: Any) -> WireRequest:
    endpoint = EndpointConfig(
        **({"slug": "e", "protocol": "anthropic_messages", "base_url": "https://h", "wire_model": "claude"} | more)
    )
    return AnthropicMessages().prepare(CompletionRequest({"messages": [USER], "max_tokens": 10} | body), endpoint)


def _prepare(body: dict[str, Any], **more: Any) -> tuple[Any, list[tuple[str, str]]]:
    wire = _wire(body, **more)
    return json.loads(wire.body), [(change.parameter, change.action) for change in wire.changes]


def test_address_and_headers() -> None:
    wire = _wire({}, credential="k", options={"anthropic_beta": "b-1"})
    assert wire.url == "https://h/v1/messages"
    assert dict(wire.headers) == {
        "Content-Type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "k",
        "anthropic-beta": "b-1",
    }


def test_system_texts_move_out_and_neighbours_merge() -> None:
    body, changes = _prepare(
        {
            "messages": [
                {"role": "system", "content": "A"},
                {"role": "developer", "content": [{"type": "text", "text": "B"}]},
                USER,
                {"role": "user", "content": [{"type": "text", "text": "again"}, {"type": "text", "text": ""}]},
                {"role": "assistant", "content": "Hello"},
                USER,
            ]
        }
    )
    assert body == {
        "model": "claude",
        "max_tokens": 10,
        "system": "A\n\nB",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "again"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
    }
    assert changes == []


def test_tools_calls_and_their_answers() -> None:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "not json"}},
    ]
    body, changes = _prepare(
        {
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": calls},
                {"role": "tool", "tool_call_id": "c1", "content": "one"},
                {"role": "tool", "tool_call_id": "c2", "content": ""},
                USER,
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "description": "F", "parameters": SCHEMA, "strict": True},
                },
                {"type": "function", "function": {"name": "g"}},
                {"type": "web_search"},
            ],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
        }
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "c2", "name": "f", "input": {"arguments": "not json"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "one"}]},
                {"type": "tool_result", "tool_use_id": "c2", "content": []},
                {"type": "text", "text": "Hi"},
            ],
        },
    ]
    assert body["tools"] == [
        {"name": "f", "description": "F", "input_schema": SCHEMA, "strict": True},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    assert changes == [("tools", "dropped")]


@pytest.mark.parametrize(("choice", "expected"), [("auto", "auto"), ("none", "none"), ("required", "any")])
def test_tool_choices(choice: str, expected: str) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert _prepare({"tools": tools, "tool_choice": choice})[0]["tool_choice"] == {"type": expected}
    assert "tool_choice" not in _prepare({"tool_choice": choice})[0]


def test_images_and_files() -> None:
    body, _ = _prepare(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                        {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
                        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
                    ],
                }
            ]
        }
    )
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        {"type": "image", "source": {"type": "url", "url": "https://h/i.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
        {"role": "user", "content": [{"type": "image_url"}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "https://h/a.pdf"}}]},
        {"role": "critic", "content": "x"},
        "Hi",
    ],
)
def test_what_cannot_be_said_is_refused_by_message_number(message: Any) -> None:
    with pytest.raises(Untranslatable, match="message 2"):
        _prepare({"messages": [USER, message]})


def test_parameters() -> None:
    body, changes = _prepare(
        {
            "temperature": 1.5,
            "top_p": 0.9,
            "stop": ["a", "b"],
            "seed": 1,
            "logit_bias": {},
            "reasoning_effort": "minimal",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        },
        stream=True,
    )
    del body["messages"]
    assert body == {
        "model": "claude",
        "max_tokens": 10,
        "temperature": 1,
        "top_p": 0.9,
        "stop_sequences": ["a", "b"],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
        "stream": True,
    }
    assert changes == [
        ("temperature", "clamped"),
        ("stop", "renamed"),
        ("response_format", "renamed"),
        ("reasoning_effort", "clamped"),
        ("logit_bias", "dropped"),
        ("seed", "dropped"),
    ]


def test_what_this_vendor_has_no_word_for_is_recorded() -> None:
    body, changes = _prepare({"response_format": {"type": "json_object"}, "reasoning_effort": "none"})
    assert (body["thinking"], "output_config" in body) == ({"type": "disabled"}, False)
    assert changes == [("response_format", "dropped"), ("reasoning_effort", "renamed")]
    assert _prepare({"reasoning_effort": "enormous"})[1] == [("reasoning_effort", "dropped")]


def test_the_output_limit_has_one_name() -> None:
    body, changes = _prepare({"max_tokens": None, "max_completion_tokens": 7})
    assert (body["max_tokens"], changes) == (7, [("max_completion_tokens", "renamed")])


def test_a_neutral_top_p_goes_where_a_temperature_is_set() -> None:
    """Its newer models refuse the two together; captured requests often hold both, one of them at its default."""
    assert _prepare({"temperature": 0, "top_p": 1})[1] == [("top_p", "dropped")]
    body, changes = _prepare({"top_p": 1})
    assert (body["top_p"], changes) == (1, [])


def test_stop_sequences_of_white_space_are_dropped() -> None:
    body, changes = _prepare({"stop": ["\n", "END"]})
    assert (body["stop_sequences"], changes) == (["END"], [("stop", "renamed"), ("stop", "dropped")])
    body, changes = _prepare({"stop": "\n\n"})
    assert ("stop_sequences" in body, changes) == (False, [("stop", "dropped")])


def test_ids_of_other_vendors_calls_are_written_with_the_characters_it_takes() -> None:
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {"role": "tool", "tool_call_id": "functions.f:0", "content": "1"}
    body, _ = _prepare({"messages": [USER, {"role": "assistant", "tool_calls": [call]}, answer]})
    assert body["messages"][1]["content"][0]["id"] == "functions_f_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_claude_in_foundry() -> None:
    """VENDORS.md 4.2: the resource's /anthropic/ folder, with the key or with an Entra token."""
    base = {"base_url": "https://r.services.ai.azure.com/anthropic/", "credential": "k"}
    assert _wire({}, **base).url == "https://r.services.ai.azure.com/anthropic/v1/messages"
    keyed = _wire({}, **base).headers
    assert (keyed["x-api-key"], keyed["api-key"]) == ("k", "k")
    entra = _wire({}, **base, options={"auth": "bearer"}).headers
    assert (entra["Authorization"], "x-api-key" in entra, "api-key" in entra) == ("Bearer k", False, False)


def test_thinking_may_be_asked_for_by_the_endpoint() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert _prepare({}, parameters={"thinking": thinking}) == (
        {
            "model": "claude",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "max_tokens": 10,
            "thinking": thinking,
        },
        [],
    )
