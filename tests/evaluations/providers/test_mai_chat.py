"""MAI: documented fields only (VENDORS.md 4.4)."""

from __future__ import annotations

import json
from typing import Any

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import CompletionRequest, EndpointConfig, ParameterChange, WireRequest, WireResponse
from evaluations.providers.mai_chat import MAIChat

MESSAGES = [{"role": "user", "content": "Hi"}]
BODY = {"messages": MESSAGES, "max_completion_tokens": 5}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def _prepare(body: dict[str, Any], **more: Any) -> WireRequest:
    endpoint = EndpointConfig(
        slug="e", protocol="mai_chat", base_url="https://r.services.ai.azure.com", wire_model="mai", **more
    )
    return MAIChat().prepare(
        CompletionRequest((BODY if "max_tokens" not in body else {"messages": MESSAGES}) | body), endpoint
    )


def test_documented_fields_pass_and_others_are_dropped_and_recorded() -> None:
    wire = _prepare(
        {"max_tokens": 9, "temperature": 0, "top_p": 1, "seed": 1, "reasoning_effort": "low", "tools": [FUNCTION]}
        | {"response_format": {"type": "json_object"}, "tool_choice": "auto", "reasoning_display": "encrypted"}
    )
    assert json.loads(wire.body) == {
        "model": "mai",
        "messages": MESSAGES,
        "max_completion_tokens": 9,
        "tools": [FUNCTION],
        "reasoning_display": "encrypted",
    }
    assert wire.changes[0] == ParameterChange("max_tokens", "renamed", "max_completion_tokens")
    assert [(change.parameter, change.action) for change in wire.changes[1:]] == [
        ("reasoning_effort", "dropped"),
        ("response_format", "dropped"),
        ("seed", "dropped"),
        ("temperature", "dropped"),
        ("tool_choice", "dropped"),
        ("top_p", "dropped"),
    ]


def test_only_function_tools_pass() -> None:
    wire = _prepare({"tools": [FUNCTION, {"type": "web_search"}]})
    assert json.loads(wire.body)["tools"] == [FUNCTION]
    assert [(change.parameter, change.action) for change in wire.changes] == [("tools", "dropped")]
    assert "tools" not in json.loads(_prepare({"tools": [{"type": "web_search"}]}).body)


def test_address_key_and_stream() -> None:
    wire = _prepare({}, credential="k", stream=True)
    assert wire.url == "https://r.services.ai.azure.com/mai/v1/chat/completions"
    assert (wire.headers["api-key"], "Authorization" in wire.headers) == ("k", False)
    assert json.loads(wire.body) == BODY | {"model": "mai", "stream": True}
    entra = _prepare({}, credential="k", options={"auth": "bearer"})
    assert (entra.headers["Authorization"], "api-key" in entra.headers) == ("Bearer k", False)


def test_stop_with_tool_calls_is_a_tool_call_and_encrypted_reasoning_is_not_kept() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": None, "tool_calls": [call], "reasoning": {"encrypted_content": "SEALED"}}
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    result = MAIChat().parse(WireResponse(200, {}, json.dumps(body).encode()))
    assert (result.outcome, result.finish_reason, result.vendor_finish_reason) == (
        Outcome.OK,
        FinishReason.TOOL_CALL,
        "stop",
    )
    assert "SEALED" not in repr(result)


def test_a_safety_stop_is_a_content_filter_also_as_http_400() -> None:
    body = {"error": {"type": "SafetyBlockedError", "message": "Blocked."}}
    result = MAIChat().parse(WireResponse(400, {}, json.dumps(body).encode()))
    assert result.outcome is Outcome.CONTENT_FILTERED
