"""OpenAI responses: translation of the neutral request. Wire facts: VENDORS.md 4.1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import CompletionRequest, EndpointConfig, WireRequest, WireResponse
from evaluations.providers.openai_responses import OpenAIResponses

USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object"}


def _wire(body: dict[str, Any], **more: Any) -> WireRequest:
    endpoint = EndpointConfig(
        **({"slug": "e", "protocol": "openai_responses", "base_url": "https://h/v1", "wire_model": "m"} | more)
    )
    return OpenAIResponses().prepare(CompletionRequest({"messages": [USER]} | body), endpoint)


def test_a_conversation() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    wire = _wire(
        {
            "messages": [
                {"role": "system", "content": "S"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                    ],
                },
                {"role": "assistant", "content": "calling", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "17"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "max_completion_tokens": 9,
        },
        credential="k",
        stream=True,
    )
    assert (wire.url, wire.headers["Authorization"]) == ("https://h/v1/responses", "Bearer k")
    assert json.loads(wire.body) == {
        "model": "m",
        "store": False,
        "stream": True,
        "max_output_tokens": 9,
        "input": [
            {"role": "system", "content": [{"type": "input_text", "text": "S"}]},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "look"},
                    {"type": "input_image", "image_url": "data:image/png;base64,QUJD"},
                ],
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "calling"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "17"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}],
        "tool_choice": {"type": "function", "name": "f"},
    }


def test_parameters() -> None:
    wire = _wire(
        {
            "max_tokens": 5,
            "temperature": 0,
            "reasoning_effort": "low",
            "verbosity": "low",
            "stop": "x",
            "seed": 1,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        }
    )
    body = json.loads(wire.body)
    del body["input"]
    assert body == {
        "model": "m",
        "store": False,
        "max_output_tokens": 5,
        "temperature": 0,
        "reasoning": {"effort": "low"},
        "text": {
            "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
            "verbosity": "low",
        },
    }
    assert [(change.parameter, change.action) for change in wire.changes] == [
        ("max_tokens", "renamed"),
        ("reasoning_effort", "renamed"),
        ("response_format", "renamed"),
        ("verbosity", "renamed"),
        ("seed", "dropped"),
        ("stop", "dropped"),
    ]


def test_what_a_tool_showed_and_files_are_passed_on() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "https://h/i.png"}}
    document = {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}}
    shown = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "Seen:"}, image]}
    asked = {"role": "user", "content": [document]}
    written = json.loads(_wire({"messages": [USER, {"role": "assistant", "tool_calls": [call]}, shown, asked]}).body)
    assert written["input"][2]["output"] == [
        {"type": "input_text", "text": "Seen:"},
        {"type": "input_image", "image_url": "https://h/i.png"},
    ]
    assert written["input"][3]["content"] == [
        {"type": "input_file", "filename": "file.pdf", "file_data": "data:application/pdf;base64,QUJD"}
    ]


@pytest.mark.parametrize(
    ("body", "outcome", "finish"),
    [
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
            Outcome.TRUNCATED,
            FinishReason.LENGTH,
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
            Outcome.CONTENT_FILTERED,
            FinishReason.CONTENT_FILTER,
        ),
        ({"status": "queued", "output": []}, Outcome.VENDOR_ERROR, FinishReason.UNKNOWN),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "x"}, "output": []},
            Outcome.VENDOR_ERROR,
            None,
        ),
        ({"status": "failed", "error": {"code": "rate_limit_exceeded"}, "output": []}, Outcome.RATE_LIMITED, None),
    ],
)
def test_responses_without_an_answer(body: dict[str, Any], outcome: Outcome, finish: FinishReason | None) -> None:
    result = OpenAIResponses().parse(WireResponse(200, {}, json.dumps(body).encode()))
    assert (result.outcome, result.finish_reason) == (outcome, finish)
