"""OpenAI chat: the request stays nearly as it was captured. Wire facts: VENDORS.md 4.1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluations.providers.base import CompletionRequest, EndpointConfig, ParameterChange
from evaluations.providers.openai_chat import OpenAIChat
from evaluations.providers.requests import Untranslatable

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]

SENT = {"messages": MESSAGES, "model": "m", "max_tokens": 5}


def _endpoint(**more: Any) -> EndpointConfig:
    return EndpointConfig(
        **({"slug": "e", "protocol": "openai_chat", "base_url": "https://h/v1", "wire_model": "m"} | more)
    )


def _prepare(body: dict[str, Any], **more: Any) -> tuple[Any, tuple[ParameterChange, ...]]:
    limit = {} if any("max" in parameter for parameter in body) else {"max_tokens": 5}
    wire = OpenAIChat().prepare(CompletionRequest({"messages": MESSAGES} | limit | body), _endpoint(**more))
    return json.loads(wire.body), wire.changes


def test_a_request_goes_out_as_it_was_captured() -> None:
    given = {"temperature": 0, "max_tokens": 5, "stop": "x", "seed": 1, "tools": [{"type": "web_search"}], "n": 1}
    body, changes = _prepare(given)
    assert body == {"messages": MESSAGES, "model": "m", **{k: v for k, v in given.items() if k != "n"}}
    assert changes == ()


def test_address_and_key() -> None:
    wire = OpenAIChat().prepare(CompletionRequest({"messages": MESSAGES}), _endpoint(credential="k"))
    assert (wire.method, wire.url) == ("POST", "https://h/v1/chat/completions")
    assert dict(wire.headers) == {"Content-Type": "application/json", "Authorization": "Bearer k"}
    wire = OpenAIChat().prepare(CompletionRequest({"messages": MESSAGES}), _endpoint(base_url="https://h/v1/"))
    assert wire.url == "https://h/v1/chat/completions"
    assert dict(wire.headers) == {"Content-Type": "application/json"}
    wire = OpenAIChat().prepare(
        CompletionRequest({"messages": MESSAGES}), _endpoint(credential="k", options={"auth": "api-key"})
    )
    assert wire.headers["api-key"] == "k"
    assert "Authorization" not in wire.headers


def test_a_stream_asks_for_usage() -> None:
    body, _ = _prepare({"stream": False, "model": "other"}, stream=True)
    assert body == SENT | {"stream": True, "stream_options": {"include_usage": True}}


def test_the_endpoints_parameters_win_and_a_different_value_is_recorded() -> None:
    body, changes = _prepare(
        {"temperature": 1, "seed": 7, "max_tokens": 100},
        parameters={"temperature": 0, "seed": 7, "top_p": 0.5, "max_completion_tokens": 50},
    )
    assert body == {
        "messages": MESSAGES,
        "model": "m",
        "temperature": 0,
        "seed": 7,
        "top_p": 0.5,
        "max_completion_tokens": 50,
    }
    assert [(change.parameter, change.action) for change in changes] == [
        ("temperature", "replaced"),
        ("max_tokens", "replaced"),
    ]


def test_what_a_replay_does_not_repeat_is_dropped_and_recorded() -> None:
    body, changes = _prepare({"n": 3, "store": True, "metadata": {"a": "b"}})
    assert body == SENT
    assert [(change.parameter, change.action) for change in changes] == [
        ("n", "dropped"),
        ("store", "dropped"),
        ("metadata", "dropped"),
    ]


@pytest.mark.parametrize(
    ("given", "limit", "actions"),
    [
        ({"max_tokens": 5}, 5, ["renamed"]),
        ({"max_completion_tokens": 5}, 5, []),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6, ["dropped"]),
        ({"max_tokens": 6, "max_completion_tokens": 6}, 6, []),
    ],
)
def test_the_output_limit_takes_the_servers_name(given: dict[str, int], limit: int, actions: list[str]) -> None:
    body, changes = _prepare(given, options={"output_limit_field": "max_completion_tokens"})
    assert (body["max_completion_tokens"], "max_tokens" in body) == (limit, False)
    assert [change.action for change in changes] == actions


@pytest.mark.parametrize("messages", [None, [], "hello", 5])
def test_a_request_without_messages_cannot_be_said(messages: Any) -> None:
    with pytest.raises(Untranslatable, match="no messages"):
        _prepare({"messages": messages})


def test_a_lone_surrogate_cannot_be_said() -> None:
    with pytest.raises(Untranslatable, match="JSON"):
        _prepare({"messages": [{"role": "user", "content": "\ud800"}]})
