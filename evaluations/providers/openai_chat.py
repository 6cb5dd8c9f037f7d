"""OpenAI chat completions, and every server that speaks it. Public surface: ``OpenAIChat``.

OpenAI gets the output limit as ``max_completion_tokens``, because its newer models refuse the old name. Other servers
get it under the name it was captured with, and as ``max_tokens``, which all of them know, where none was.
``options.output_limit_field`` names the one that a server knows: Ollama ignores ``max_completion_tokens``.
Source: openai/openai-python 3.3.1, ``types/chat``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from evaluations.providers.answers import answered, tool_call
from evaluations.providers.base import (
    JSON,
    CompletionRequest,
    CompletionResult,
    EndpointConfig,
    ParameterChange,
    WireRequest,
)
from evaluations.providers.http import Assembler, HttpProvider
from evaluations.providers.requests import OUTPUT_LIMITS, authorization, merged_body, post
from evaluations.providers.sse import Event
from evaluations.providers.usage import usage_of_body
from evaluations.providers.wirejson import decode, items, obj, text


class OpenAIChat(HttpProvider):
    key = "openai_chat"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        at_openai = _is_openai(endpoint.base_url)
        body, changes = chat_body(
            request, endpoint, limit_field="max_completion_tokens" if at_openai else "max_tokens", only=at_openai
        )
        url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
        return post(url, authorization(endpoint), body, stream=endpoint.stream, changes=changes)

    def read_body(self, body: JSON) -> CompletionResult | None:
        return read_chat(body)

    def assembler(self) -> Assembler:
        return ChatAssembler()


@lru_cache(maxsize=1024)
def _is_openai(base_url: str) -> bool:
    return (urlsplit(base_url).hostname or "").endswith("api.openai.com")


def chat_body(
    request: CompletionRequest, endpoint: EndpointConfig, *, limit_field: str, only: bool
) -> tuple[JSON, list[ParameterChange]]:
    """The request as this API takes it: nearly as it was captured.

    ``limit_field`` is what the server calls the output limit; with ``only`` it knows no other name.
    """
    if (named := endpoint.options.get("output_limit_field")) is not None:
        limit_field, only = str(named), True
    body, changes = merged_body(request, endpoint, limit_field)
    rename_output_limit(body, changes, limit_field, OUTPUT_LIMITS if only else ("max_output_tokens",))
    body["model"] = endpoint.wire_model
    if endpoint.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body, changes


def rename_output_limit(
    body: JSON, changes: list[ParameterChange], field: str, names: Iterable[str] = OUTPUT_LIMITS
) -> None:
    """Send the output limit as ``field`` where it was captured under another of ``names``."""
    for name in names:
        if name != field and name in body:
            value = body.pop(name)
            if field not in body:
                body[field] = value
                changes.append(ParameterChange(name, "renamed", field))
            elif body[field] != value:
                changes.append(ParameterChange(name, "dropped", f"{field} is set too"))


def read_chat(body: JSON) -> CompletionResult | None:
    """A chat completion; ``None`` without a choice. Reasoning fields are left out, shown or encrypted."""
    choices = items(body.get("choices"))
    if not choices:
        return None
    choice = obj(choices[0])
    message = obj(choice.get("message"))
    calls = [_call(call) for call in items(message.get("tool_calls"))]
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [_call({"function": message["function_call"]})]
    return answered(
        text=_content(message.get("content")),
        tool_calls=calls,
        refusal=text(message.get("refusal")),
        finish_word=text(choice.get("finish_reason")),
        served_model=body.get("model"),
        request_id=body.get("id"),
        usage=usage_of_body(body),
    )


def _content(value: Any) -> str | None:
    """Some servers answer with a list of parts; its text parts are the visible text."""
    if isinstance(value, list):
        return "".join(text(obj(part).get("text")) or "" for part in value)
    return text(value)


def _call(value: Any) -> JSON:
    function = obj(obj(value).get("function"))
    arguments = function.get("arguments")
    return tool_call(text(obj(value).get("id")), text(function.get("name")), "" if arguments is None else arguments)


@dataclass(slots=True)
class _StreamedCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ChatAssembler:
    """Puts ``chat.completion.chunk`` events together."""

    def __init__(self) -> None:
        self.visible = False
        self.complete = False
        self.error: JSON | None = None
        self._head: JSON = {}
        self._usage: Any = None
        self._finish: str | None = None
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _StreamedCall] = {}
        self._key_of: dict[int, int] = {}  # of an index that was given to more than one call

    def feed(self, event: Event) -> None:
        if event.data.strip() == b"[DONE]":
            self.complete = True
            return
        try:
            chunk = obj(decode(event.data))
        except ValueError:
            return
        if chunk.get("error") or chunk.get("object") == "error" or event.name == "error":
            self.error = chunk
            return
        self._head |= {key: chunk[key] for key in ("id", "model", "service_tier") if chunk.get(key)}
        self._usage = chunk.get("usage") or self._usage
        for choice in items(chunk.get("choices"))[:1]:
            self._delta(obj(obj(choice).get("delta")))
            if word := text(obj(choice).get("finish_reason")):
                self._finish, self.complete = word, True

    def _delta(self, delta: JSON) -> None:
        for parts, piece in ((self._text, _content(delta.get("content"))), (self._refusal, text(delta.get("refusal")))):
            if piece:
                parts.append(piece)
                self.visible = True
        if isinstance(delta.get("function_call"), dict):
            self._call({"index": 0, "function": delta["function_call"]}, 0)
        for position, value in enumerate(items(delta.get("tool_calls"))):
            self._call(obj(value), position)

    def _call(self, piece: JSON, position: int) -> None:
        self.visible = True
        given, function = text(piece.get("id")) or "", obj(piece.get("function"))
        index = piece["index"] if isinstance(piece.get("index"), int) else position
        key = self._key_of.get(index, index)
        known = self._calls.get(key)
        if known is not None and given and known.id not in ("", given):
            # Some servers give every call the index 0: another id is another call.
            key = self._key_of[index] = max(self._calls) + 1
        call = self._calls.setdefault(key, _StreamedCall())
        call.id = given or call.id
        name, arguments = text(function.get("name")) or "", function.get("arguments")
        if name != call.name:  # some servers repeat it in every piece
            call.name += name
        if arguments is not None:
            call.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def body(self) -> JSON:
        calls = [
            {"id": call.id, "function": {"name": call.name, "arguments": "".join(call.arguments)}}
            for _, call in sorted(self._calls.items())
        ]
        message: JSON = {"content": "".join(self._text) if self._text else None, "tool_calls": calls}
        message["refusal"] = "".join(self._refusal) or None
        choice = {"message": message, "finish_reason": self._finish}
        return {**self._head, "choices": [choice], "usage": self._usage}
