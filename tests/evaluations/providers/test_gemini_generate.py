"""Gemini generateContent: translation of the neutral request. Wire facts: VENDORS.md 4.3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import CompletionRequest, EndpointConfig, WireRequest, WireResponse
from evaluations.providers.gemini_generate import GeminiGenerate

USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOLS = [{"type": "function", "function": {"name": "f", "description": "F", "parameters": SCHEMA}}]


def _wire(body: dict[str, Any], **more: Any) -> WireRequest:
    endpoint = EndpointConfig(
        **({"slug": "e", "protocol": "gemini_generate", "base_url": "https://h", "wire_model": "gemini-2.5-pro"} | more)
    )
    return GeminiGenerate().prepare(CompletionRequest({"messages": [USER]} | body), endpoint)


def _prepare(body: dict[str, Any], **more: Any) -> tuple[Any, list[tuple[str, str]]]:
    wire = _wire(body, **more)
    return json.loads(wire.body), [(change.parameter, change.action) for change in wire.changes]


def test_the_gemini_api() -> None:
    wire = _wire({}, credential="k")
    assert wire.url == "https://h/v1beta/models/gemini-2.5-pro:generateContent"
    assert (wire.headers["x-goog-api-key"], "Authorization" in wire.headers) == ("k", False)
    assert _wire({}, stream=True).url == "https://h/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert _wire({}, wire_model="models/a/../b?x").url == "https://h/v1beta/models/a%2F..%2Fb%3Fx:generateContent"


def test_vertex() -> None:
    wire = _wire({}, credential="k", options={"project": "p", "location": "europe-west4"})
    assert wire.url == (
        "https://h/v1beta1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-pro:generateContent"
    )
    assert (wire.headers["Authorization"], "x-goog-api-key" in wire.headers) == ("Bearer k", False)
    paid = _wire({}, credential="k", options={"project": "p", "quota_project": "q"}, region="global", stream=True)
    assert paid.headers["x-goog-user-project"] == "q"
    assert paid.url.endswith("/locations/global/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse")


def test_vertex_has_no_ids_of_calls() -> None:
    """It refuses the whole request: Unknown name "id" at 'contents[1].parts[0].function_call'."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {"role": "tool", "tool_call_id": "c1", "content": "1"}
    messages = [USER, {"role": "assistant", "tool_calls": [call]}, answer]
    body, _ = _prepare({"messages": messages}, options={"project": "p"})
    assert body["contents"][1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert body["contents"][2]["parts"] == [{"functionResponse": {"name": "f", "response": {"result": 1}}}]


def test_a_conversation_with_tools_and_an_image() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    body, changes = _prepare(
        {
            "messages": [
                {"role": "system", "content": "S"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                        {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
                    ],
                },
                {"role": "assistant", "content": "calling", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "17"},
                {"role": "tool", "tool_call_id": "c1", "content": '{"y": 2}'},
                USER,
            ],
            "tools": TOOLS,
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "max_tokens": 9,
        },
        options={"thought_signature": "s"},
    )
    assert body == {
        "systemInstruction": {"parts": [{"text": "S"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "look"},
                    {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
                    {"fileData": {"fileUri": "https://h/i.png", "mimeType": "image/png"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "calling"},
                    {"functionCall": {"name": "f", "args": {"x": 1}, "id": "c1"}, "thoughtSignature": "s"},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"result": 17}, "id": "c1"}},
                    {"functionResponse": {"name": "f", "response": {"y": 2}, "id": "c1"}},
                    {"text": "Hi"},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "F", "parametersJsonSchema": SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 9},
    }
    assert changes == [("max_tokens", "renamed")]


@pytest.mark.parametrize(("choice", "mode"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")])
def test_tool_choices(choice: str, mode: str) -> None:
    body, _ = _prepare({"tools": TOOLS, "tool_choice": choice})
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


def test_parameters() -> None:
    body, changes = _prepare(
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "max_completion_tokens": 8,
            "stop": "x",
            "reasoning_effort": "max",
            "logprobs": True,
            "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        }
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "seed": 3,
        "topP": 0.9,
        "maxOutputTokens": 8,
        "stopSequences": ["x"],
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"thinkingLevel": "HIGH"},
    }
    assert changes == [
        ("top_p", "renamed"),
        ("max_completion_tokens", "renamed"),
        ("stop", "renamed"),
        ("response_format", "renamed"),
        ("reasoning_effort", "clamped"),
        ("logprobs", "dropped"),
    ]
    body, _ = _prepare({"response_format": {"type": "json_object"}, "reasoning_effort": "none", "max_tokens": 8})
    assert body["generationConfig"] == {
        "maxOutputTokens": 8,
        "responseMimeType": "application/json",
        "thinkingConfig": {"thinkingBudget": 0},
    }
    assert _prepare({"reasoning_effort": "enormous"})[1][1:] == [("reasoning_effort", "dropped")]


def test_thoughts_are_not_visible_text() -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "Yes"}, {"text": "."}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    result = GeminiGenerate().parse(WireResponse(200, {}, json.dumps(body).encode()))
    assert (result.outcome, result.text) == (Outcome.OK, "Yes.")
    assert "hm" not in repr(result.message)


@pytest.mark.parametrize(
    ("body", "outcome", "finish"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, Outcome.CONTENT_FILTERED, FinishReason.BLOCKED_PROMPT),
        ({"candidates": [], "usageMetadata": {"promptTokenCount": 1}}, Outcome.EMPTY, None),
        (
            {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]},
            Outcome.MALFORMED_TOOL_CALL,
            "malformed_tool_call",
        ),
        ({"candidates": [{"finishReason": "SOMETHING_NEW"}]}, Outcome.EMPTY, FinishReason.UNKNOWN),
    ],
)
def test_answers_without_text(body: dict[str, Any], outcome: Outcome, finish: str | None) -> None:
    result = GeminiGenerate().parse(WireResponse(200, {}, json.dumps(body).encode()))
    assert (result.outcome, result.finish_reason) == (outcome, finish)
