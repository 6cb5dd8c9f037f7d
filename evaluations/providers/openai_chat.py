"""OpenAI chat completions, and every server that speaks it. Public surface: ``OpenAIChat``.

``options.output_limit_field`` (``max_tokens`` or ``max_completion_tokens``) renames the output limit for servers that
know only one of the two; by default it is sent under the name it was captured with.
Source: openai/openai-python 3.3.1, ``types/chat``.
"""

from __future__ import annotations

from typing import Any

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
from evaluations.providers.requests import authorization, merged_body, post
from evaluations.providers.sse import Event
from evaluations.providers.usage import usage_of_body
from evaluations.providers.wirejson import decode, items, obj, text


class OpenAIChat(HttpProvider):
    key = "openai_chat"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        body, changes = chat_body(request, endpoint)
        url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
        return post(url, authorization(endpoint), body, stream=endpoint.stream, changes=changes)

    def read_body(self, body: JSON) -> CompletionResult | None:
        return read_chat(body)

    def assembler(self) -> Assembler:
        return ChatAssembler()


def chat_body(request: CompletionRequest, endpoint: EndpointConfig) -> tuple[JSON, list[ParameterChange]]:
    """The request as this API takes it: nearly as it was captured."""
    body, changes = merged_body(request, endpoint)
    if (field := endpoint.options.get("output_limit_field")) is not None:
        rename_output_limit(body, changes, field)
    body["model"] = endpoint.wire_model
    if endpoint.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body, changes


def rename_output_limit(body: JSON, changes: list[ParameterChange], field: str) -> None:
    """Send the output limit as ``field``, whichever of its names it was captured under."""
    for name in ("max_tokens", "max_completion_tokens"):
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
        self._calls: dict[int, dict[str, list[str]]] = {}

    def feed(self, event: Event) -> None:
        if event.data.strip() == b"[DONE]":
            self.complete = True
            return
        try:
            chunk = obj(decode(event.data))
        except ValueError:
            return
        if chunk.get("error") or event.name == "error":
            self.error = chunk
            return
        self._head |= {key: chunk[key] for key in ("id", "model", "service_tier") if chunk.get(key)}
        self._usage = chunk.get("usage") or self._usage
        for choice in items(chunk.get("choices"))[:1]:
            self._delta(obj(obj(choice).get("delta")))
            if (word := text(obj(choice).get("finish_reason"))) is not None:
                self._finish, self.complete = word, True

    def _delta(self, delta: JSON) -> None:
        for parts, piece in ((self._text, _content(delta.get("content"))), (self._refusal, text(delta.get("refusal")))):
            if piece:
                parts.append(piece)
                self.visible = True
        for position, value in enumerate(items(delta.get("tool_calls"))):
            index = obj(value).get("index")
            call = self._calls.setdefault(
                index if isinstance(index, int) else position, {"id": [], "name": [], "arguments": []}
            )
            self.visible = True
            function = obj(obj(value).get("function"))
            for key, piece in (
                ("id", obj(value).get("id")),
                *((key, function.get(key)) for key in ("name", "arguments")),
            ):
                if isinstance(piece, str):
                    call[key].append(piece)

    def body(self) -> JSON:
        calls = [
            {"id": "".join(call["id"]), "function": {key: "".join(call[key]) for key in ("name", "arguments")}}
            for _, call in sorted(self._calls.items())
        ]
        message: JSON = {"content": "".join(self._text) if self._text else None, "tool_calls": calls}
        message["refusal"] = "".join(self._refusal) or None
        choice = {"message": message, "finish_reason": self._finish}
        return {**self._head, "choices": [choice], "usage": self._usage}
