"""OpenAI's first form of tool calling (``functions``) in today's form, for APIs that never knew it.

Public surface: ``with_tools``. Requests logged with the first GPT-4 models are full of it.
"""

from __future__ import annotations

from typing import Any

from evaluations.providers.base import JSON, ParameterChange
from evaluations.providers.wirejson import items, obj, text


def with_tools(body: JSON, changes: list[ParameterChange]) -> None:
    """Rewrite ``functions``, ``function_call`` and the messages that go with them in ``body``, recording new names."""
    if "functions" in body:
        functions = items(body.pop("functions"))
        body.setdefault("tools", [{"type": "function", "function": function} for function in functions])
        changes.append(ParameterChange("functions", "renamed", "tools"))
    if "function_call" in body:
        chosen = body.pop("function_call")
        name = text(obj(chosen).get("name"))
        body.setdefault("tool_choice", {"type": "function", "function": {"name": name}} if name else chosen)
        changes.append(ParameterChange("function_call", "renamed", "tool_choice"))
    if any(map(_is_legacy, body["messages"])):
        body["messages"] = _messages(body["messages"])


def _is_legacy(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    return message.get("role") == "function" or isinstance(message.get("function_call"), dict)


def _messages(messages: Any) -> list[Any]:
    """A call had no id, because a turn held only one and its answer came next: it gets its number."""
    rewritten, number = [], 0
    for message in messages:
        if not _is_legacy(message):
            rewritten.append(message)
        elif message.get("role") == "function":
            rewritten.append({**message, "role": "tool", "tool_call_id": f"call_{number}"})
        else:
            number += 1
            call = {"id": f"call_{number}", "type": "function", "function": message["function_call"]}
            kept = {key: value for key, value in message.items() if key != "function_call"}
            rewritten.append({**kept, "tool_calls": [*items(kept.get("tool_calls")), call]})
    return rewritten
