"""Messages of other tracing formats in OpenAI chat form.

Public surface: ``chat_messages``, ``chat_tools``, ``replayable``, ``answer``.

Understood: chat messages, messages made of ``parts`` (OpenTelemetry GenAI), items of OpenAI's Responses API, a bare
text. What was logged in a form that cannot be sent again gives ``None``: the line is counted, never replayed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evaluations.capture.chat import ROLES, assistant_message, chat_request, message_text
from evaluations.capture.lines import FieldError

_SENDABLE_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})


def replayable(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The checked chat request, or ``None`` where its messages could not be sent as they are."""
    messages = chat_messages(body.get("messages"))
    if messages is None:
        return None
    try:
        return chat_request({**body, "messages": messages})
    except FieldError:
        return None


def chat_messages(value: Any) -> list[dict[str, Any]] | None:
    if isinstance(value, str):
        return [{"role": "user", "content": value}] if value.strip() else None
    if not isinstance(value, list) or not value:
        return None
    messages: list[dict[str, Any]] = []
    for item in value:
        converted = _converted(item)
        if converted is None:
            return None
        messages += converted
    return messages


def _converted(item: Any) -> list[dict[str, Any]] | None:
    if not isinstance(item, dict):
        return None
    if item.get("type") == "function_call":
        return [{"role": "assistant", "content": None, "tool_calls": [_call(item, "call_id")]}]
    if item.get("type") == "function_call_output":
        return [{"role": "tool", "tool_call_id": item.get("call_id"), "content": _text_of(item.get("output"))}]
    role = _word(item, "role")
    if role not in ROLES:
        return None
    if isinstance(item.get("parts"), list):
        return _from_parts(role, item["parts"])
    content, calls = item.get("content"), item.get("tool_calls")
    if isinstance(content, list) and content and all(_word(part, "type") == "function" for part in content):
        content, calls = None, content  # some integrations log the calls of a turn as its content
    if isinstance(content, list):
        texts = [_responses_part(part) for part in content]
        if not all(_word(part, "type") in _SENDABLE_PARTS for part in texts):
            return None
        content = texts
    if role == "tool" and not (isinstance(item.get("tool_call_id"), str) and isinstance(content, str | list)):
        return None
    message = {key: item[key] for key in ("role", "name", "tool_call_id") if item.get(key) is not None}
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [_with_text_arguments(call) for call in calls]
    return [message | {"content": content}]


def _with_text_arguments(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    return {**call, "function": {**function, "arguments": _text_of(function.get("arguments", {}))}}


def chat_tools(value: Any) -> list[dict[str, Any]] | None:
    """Function tools in chat form, from chat form or from the flat form of the Responses API and OpenTelemetry."""
    tools = [tool for tool in value if isinstance(tool, dict)] if isinstance(value, list) else []
    flat = ("name", "description", "parameters", "strict")
    return [
        tool
        if "function" in tool
        else {"type": "function", "function": {key: tool[key] for key in flat if tool.get(key) is not None}}
        for tool in tools
        if "function" in tool or tool.get("type", "function") == "function"
    ] or None


def _responses_part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {}
    if part.get("type") in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text")}
    return part


def _from_parts(role: str, parts: list[Any]) -> list[dict[str, Any]] | None:
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("content"), str):
            texts.append(part["content"])
        elif kind == "tool_call":
            calls.append(_call(part, "id"))
        elif kind == "tool_call_response":
            result = next((part[key] for key in ("response", "result", "content") if key in part), None)
            results.append({"role": "tool", "tool_call_id": part.get("id"), "content": _text_of(result)})
        elif kind not in ("thinking", "reasoning"):
            return None
    messages = results
    if texts or calls:
        message: dict[str, Any] = {"role": role, "content": "\n".join(texts) if texts else None}
        messages = [message | ({"tool_calls": calls} if calls else {}), *results]
    return messages


def _call(item: Mapping[str, Any], id_key: str) -> dict[str, Any]:
    function = {"name": item.get("name"), "arguments": _text_of(item.get("arguments", {}))}
    return {"id": item.get(id_key), "type": "function", "function": function}


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def answer(value: Any) -> tuple[str | None, dict[str, Any] | None, str | None]:
    """Text, assistant message and finish reason of a logged output; text alone where its form is not known."""
    finish = None
    if isinstance(value, str):
        return value, None, None
    if isinstance(value, dict) and isinstance(value.get("choices"), list) and value["choices"]:
        finish = _word(value["choices"][0], "finish_reason")
        value = value["choices"][0].get("message")
    elif isinstance(value, dict) and value.get("object") == "response":
        value = value.get("output")
    elif isinstance(value, dict) and isinstance(value.get("candidates"), list) and value["candidates"]:
        finish = _word(value["candidates"][0], "finish_reason") or _word(value["candidates"][0], "finishReason")
        value = _gemini_text(value["candidates"][0])
        return value, None, finish
    items = [value] if isinstance(value, dict) else value
    if isinstance(items, list) and items:
        finish = finish or _word(items[-1], "finish_reason")
        messages = chat_messages([item for item in items if _word(item, "type") != "reasoning"])
        if messages and all(message["role"] == "assistant" for message in messages):
            return _joined(messages, finish)
    return (None if value is None else _text_of(value)), None, finish


def _gemini_text(candidate: Any) -> str | None:
    content = candidate.get("content") if isinstance(candidate, dict) else None
    parts = content.get("parts") if isinstance(content, dict) else None
    texts = [_word(part, "text") for part in parts or () if isinstance(part, dict) and not part.get("thought")]
    return "".join(text for text in texts if text) or None


def _joined(messages: list[dict[str, Any]], finish: str | None) -> tuple[str | None, dict[str, Any] | None, str | None]:
    """One turn that was logged as several items is one message."""
    texts = [text for text in map(message_text, messages) if text]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    message = {"content": "\n".join(texts) or None, "tool_calls": calls or None}
    return message["content"], assistant_message(message, "output"), finish  # type: ignore[return-value]


def _word(value: Any, key: str) -> str | None:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
