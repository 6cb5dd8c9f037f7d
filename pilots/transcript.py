"""A chat request as turns of plain text. Public surface: ``Turn``, ``turns``, ``plain``."""

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
