"""Anthropic's message batches: requests and results. Public surface: ``AnthropicBatch``.

Formats: ``types/messages/batch_create_params.py`` and ``types/messages/message_batch_individual_response.py`` of
``anthropics/anthropic-sdk-python``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.chat import (
    assistant_message,
    chat_request,
    mapping,
    message_text,
    optional_text,
    recorded_usage,
)
from evaluations.capture.join import RequestIndex
from evaluations.capture.lines import FieldError, first_keys, read_values

_SAME_NAME = ("temperature", "top_p")
_TOOL_CHOICE = {"auto": "auto", "any": "required", "none": "none"}


class AnthropicBatch:
    """Batch requests (prompts only) or results (answers only, in any order); ``requests`` joins on ``custom_id``."""

    key = "anthropic_batch"
    version = "1"
    label = "Anthropic message batch requests or results"

    def recognises(self, head: bytes, name: str) -> bool:
        keys = first_keys(head)
        return "custom_id" in keys and bool({"params", "result"} & keys)

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        with RequestIndex.of(requests) as index:
            yield from read_values(path, lambda line, value: _sample(line, value, index))


def _sample(line: int, value: Any, index: RequestIndex) -> CapturedSample:
    row = mapping(value, "")
    custom_id = optional_text(row.get("custom_id"), "custom_id")
    if "params" in row:
        return CapturedSample(line=line, external_id=custom_id, request=_request(mapping(row["params"], "params")))
    result = mapping(row.get("result"), "result")
    # An errored, cancelled or expired line has no message: its prompt can be replayed, its answer is missing.
    response = _response(mapping(result.get("message"), "result.message")) if "message" in result else None
    return CapturedSample(line=line, external_id=custom_id, request=index.get(custom_id), response=response)


def _response(body: dict[str, Any]) -> CapturedResponse:
    content = _blocks(body.get("content"), "result.message.content")
    message = assistant_message(_assistant(content), "result.message")
    return CapturedResponse(
        text=message_text(message),
        message=message,
        model=optional_text(body.get("model"), "result.message.model"),
        usage=recorded_usage(body.get("usage"), "result.message.usage"),
        finish_reason=optional_text(body.get("stop_reason"), "result.message.stop_reason"),
    )


def _request(params: dict[str, Any]) -> dict[str, Any]:
    turns = params.get("messages")
    if not isinstance(turns, list):
        raise FieldError("params.messages", "must be a list with at least one message")
    system = _plain(_blocks(params.get("system", []), "params.system"))
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for at, item in enumerate(turns):
        turn = mapping(item, f"params.messages[{at}]")
        content = _blocks(turn.get("content"), f"params.messages[{at}].content")
        messages += [_assistant(content)] if turn.get("role") == "assistant" else _user(content)
    body: dict[str, Any] = {key: params[key] for key in _SAME_NAME if key in params} | {"messages": messages}
    body["max_completion_tokens"] = params.get("max_tokens")
    body["stop"] = params.get("stop_sequences") or None
    if params.get("tools"):
        body["tools"] = [_tool(tool) for tool in params["tools"] if isinstance(tool, dict) and "input_schema" in tool]
    choice = params.get("tool_choice")
    if isinstance(choice, dict):
        named = {"type": "function", "function": {"name": choice.get("name")}}
        body["tool_choice"] = _TOOL_CHOICE.get(str(choice.get("type")), named)
    return chat_request(body, "params")


def _blocks(value: Any, at: str) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"type": "text", "text": value}] if value else []
    if not isinstance(value, list):
        raise FieldError(at, "must be text or a list of blocks")
    return [mapping(block, f"{at}[{index}]") for index, block in enumerate(value)]


def _plain(blocks: list[dict[str, Any]]) -> str | None:
    return "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text") or None


def _assistant(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """Text and tool calls; thinking stays behind."""
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {"name": block.get("name"), "arguments": json.dumps(block.get("input"), ensure_ascii=False)},
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    return {"role": "assistant", "content": _plain(blocks)} | ({"tool_calls": calls} if calls else {})


def _user(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            text = _plain(_blocks(block.get("content") or "", "tool_result.content")) or ""
            messages.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text})
        elif block.get("type") == "image":
            parts.append({"type": "image_url", "image_url": {"url": _image_url(block.get("source"))}})
        else:
            parts.append({"type": block.get("type"), "text": block.get("text")})
    if parts and all(part["type"] == "text" for part in parts):
        messages.append({"role": "user", "content": "\n".join(str(part["text"]) for part in parts)})
    elif parts:
        messages.append({"role": "user", "content": parts})
    return messages


def _image_url(source: Any) -> str:
    where = source if isinstance(source, dict) else {}
    return str(where.get("url") or f"data:{where.get('media_type')};base64,{where.get('data')}")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {key: item for key, item in function.items() if item is not None}}
