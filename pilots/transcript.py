"""A chat request as turns of plain text, and an answer without what would name its maker.

Public surface: ``Turn``, ``turns``, ``plain``, ``answer_turn``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    text: str
    is_code: bool = False  # structure, not language


def turns(request: Any) -> tuple[Turn, ...]:
    """The turns of a request in OpenAI chat form; what is not text is named, tools come last. Anything else: JSON."""
    if not isinstance(request, Mapping) or not isinstance(request.get("messages"), list):
        return (Turn("request", plain(request), True),) if request is not None else ()
    found = [_turn(message) for message in request["messages"]]
    rest = {key: value for key, value in request.items() if key != "messages"}
    if rest:
        found.append(Turn("settings", plain(rest), True))
    return tuple(found)


def _turn(message: Any) -> Turn:
    if not isinstance(message, Mapping):
        return Turn("message", plain(message), True)
    parts = message.get("content")
    texts = [_part(part) for part in parts] if isinstance(parts, list) else [] if parts is None else [plain(parts)]
    if message.get("tool_calls"):
        texts.append(plain(message["tool_calls"]))
    return Turn(str(message.get("role", "message")), "\n".join(texts), bool(message.get("tool_calls")))


def _part(part: Any) -> str:
    if isinstance(part, Mapping):
        if isinstance(part.get("text"), str):
            return str(part["text"])
        return f"[{part.get('type', 'part')}]"
    return plain(part)


def plain(value: Any) -> str:
    """Text as it is, everything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def answer_turn(text: str | None, message: Any, *, sort_keys: bool = False) -> Turn | None:
    """What was answered, as somebody reads it who must not know by whom: JSON indented, of calls to tools name and
    arguments (their ids are written as each vendor does). None: there is nothing to read.
    """
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    parts = [_indented(text, sort_keys=sort_keys)] if text else []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            arguments, _ = _indented(str(function.get("arguments", "")), sort_keys=sort_keys)
            parts.append((f"{function.get('name', 'tool')}({arguments})", True))
    if not parts:
        return None
    return Turn("answer", "\n\n".join(part for part, _ in parts), all(is_code for _, is_code in parts))


def _indented(text: str, *, sort_keys: bool) -> tuple[str, bool]:
    """A JSON object or list with one value a line, so that two can be compared; anything else as it is."""
    if text.lstrip()[:1] not in ("{", "["):
        return text, False
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False, sort_keys=sort_keys), True
    except (ValueError, RecursionError):
        return text, False
