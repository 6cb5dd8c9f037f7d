"""The neutral request, read once for the dialects that are not OpenAI chat.

Public surface: ``conversation``, ``Turn``, ``ToolCall``, ``Media``, ``split_system``, ``function_tools``, ``Function``,
``tool_choice``, ``answer_format``, ``AnswerFormat``, ``stop_sequences``. What cannot be read raises ``Untranslatable``.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from evaluations.providers.base import JSON
from evaluations.providers.requests import Translation, Untranslatable
from evaluations.providers.wirejson import items, obj, text

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_DATA_URL = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+);base64,(?P<data>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Media:
    """An image or file: ``data`` (base64, with its type), or the ``url`` of an image, with the type its name tells."""

    kind: Literal["image", "file"]
    mime_type: str | None = None
    data: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant made earlier in the conversation."""

    id: str
    name: str
    arguments: str  # JSON text, as the model wrote it

    def parsed(self) -> JSON:
        """The arguments as an object; what is not one is passed on under ``arguments``."""
        try:
            value = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            value = self.arguments
        return value if isinstance(value, dict) else {"arguments": value}


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    parts: tuple[str | Media, ...] = ()  # never an empty text
    calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""  # of a tool's answer
    tool_name: str = ""  # of a tool's answer: the function whose call it answers

    @property
    def text(self) -> str:
        return "\n".join(part for part in self.parts if isinstance(part, str))


def conversation(messages: Any) -> list[Turn]:
    """The messages in their order."""
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for number, value in enumerate(messages, start=1):
        message = obj(value)
        role = _ROLES.get(text(message.get("role")) or "")
        if role is None:
            raise Untranslatable(f"message {number} has the role {message.get('role')!r}")
        calls = tuple(_call(call) for call in items(message.get("tool_calls")))
        names |= {call.id: call.name for call in calls}
        answers = text(message.get("tool_call_id")) or ""
        parts = tuple(_parts(message.get("content"), number))
        turns.append(Turn(role, parts, calls, answers, names.get(answers, text(message.get("name")) or "")))
    return turns


def split_system(turns: Iterable[Turn]) -> tuple[str | None, list[Turn]]:
    """All system texts as one, for dialects that keep it outside the conversation, and the other turns."""
    system, others = [], []
    for turn in turns:
        if turn.role == "system":
            system.append(turn.text)
        else:
            others.append(turn)
    return "\n\n".join(part for part in system if part) or None, others


def _call(value: Any) -> ToolCall:
    function = obj(obj(value).get("function"))
    return ToolCall(
        text(obj(value).get("id")) or "", text(function.get("name")) or "", text(function.get("arguments")) or ""
    )


def _parts(content: Any, number: int) -> Iterable[str | Media]:
    if content is None or isinstance(content, str):
        if content:
            yield content
        return
    for value in items(content) or [content]:
        part = obj(value)
        match part.get("type"):
            case "text" | "input_text" | "output_text" | "refusal":
                if written := text(part.get("text")) or text(part.get("refusal")):
                    yield written
            case "image_url" | "input_image":
                image = part.get("image_url")
                yield _media("image", text(image) or text(obj(image).get("url")), number)
            case "file" | "input_file":
                yield _media(
                    "file", text(obj(part.get("file")).get("file_data")) or text(part.get("file_data")), number
                )
            case kind:
                raise Untranslatable(f"message {number} holds a part of type {kind!r}")


def _media(kind: Literal["image", "file"], url: str | None, number: int) -> Media:
    if not url:
        raise Untranslatable(f"message {number} holds a {kind} without data or address")
    if found := _DATA_URL.fullmatch(url):
        return Media(kind, found["mime"], found["data"])
    if kind == "image" and url.startswith(("https://", "http://")):
        return Media(kind, mimetypes.guess_type(urlsplit(url).path)[0], url=url)
    raise Untranslatable(f"message {number} holds a {kind} that is neither base64 data nor an image's address")


@dataclass(frozen=True, slots=True)
class Function:
    """A function tool."""

    name: str
    description: str | None
    parameters: JSON  # a JSON schema
    strict: bool | None


def function_tools(translation: Translation) -> list[Function]:
    """The function tools; tools of other kinds exist at one vendor only, are dropped and recorded."""
    tools = items(translation.take("tools"))
    functions = [obj(obj(tool).get("function")) for tool in tools if obj(tool).get("type") == "function"]
    if len(functions) < len(tools):
        translation.record("tools", "dropped", f"{len(tools) - len(functions)} that are not functions")
    return [
        Function(
            name=text(function.get("name")) or "",
            description=text(function.get("description")),
            parameters=obj(function.get("parameters")) or {"type": "object", "properties": {}},
            strict=function.get("strict") if isinstance(function.get("strict"), bool) else None,
        )
        for function in functions
    ]


def tool_choice(translation: Translation) -> tuple[Literal["auto", "none", "required", "function"] | None, str]:
    """How tools are to be chosen, and the function's name where one is demanded."""
    choice = translation.take("tool_choice")
    match choice:
        case None:
            return None, ""
        case "auto" | "none" | "required":
            return choice, ""
        case {"function": {"name": str(name)}}:
            return "function", name
    raise Untranslatable(f"the tool choice {choice!r} exists at one vendor only")


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    kind: Literal["text", "json_object", "json_schema"]
    schema: JSON
    name: str = "answer"
    strict: bool | None = None


def answer_format(translation: Translation) -> AnswerFormat | None:
    """What ``response_format`` asks for; ``None`` for plain text."""
    wanted = obj(translation.take("response_format"))
    if wanted.get("type") == "json_object":
        return AnswerFormat("json_object", {})
    if wanted.get("type") == "json_schema":
        inner = obj(wanted.get("json_schema"))
        strict = inner.get("strict") if isinstance(inner.get("strict"), bool) else None
        return AnswerFormat("json_schema", obj(inner.get("schema")), text(inner.get("name")) or "answer", strict)
    return None


def stop_sequences(translation: Translation) -> list[str]:
    """``stop`` as a list."""
    stop = translation.take("stop")
    values: Sequence[Any] = [stop] if isinstance(stop, str) else items(stop)
    return [value for value in values if isinstance(value, str)]
