"""OpenAI responses. Public surface: ``OpenAIResponses``.

``store`` is always sent as false: a replay leaves nothing at the vendor. At Azure: base URL
``https://<resource>.openai.azure.com/openai/v1`` with ``options.auth = "api-key"``.
Source: openai/openai-python 3.3.1, ``types/responses``.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from dataclasses import replace

from evaluations.enums import Outcome
from evaluations.providers.answers import answered, tool_call
from evaluations.providers.base import JSON, CompletionRequest, CompletionResult, EndpointConfig, WireRequest
from evaluations.providers.conversation import (
    Media,
    Turn,
    answer_format,
    conversation,
    function_tools,
    tool_choice,
)
from evaluations.providers.http import Assembler, HttpProvider
from evaluations.providers.requests import Translation, authorization, post
from evaluations.providers.sse import Event
from evaluations.providers.usage import usage_of_body
from evaluations.providers.wirejson import decode, items, obj, text

_SAME_NAME = ("temperature", "top_p", "parallel_tool_calls", "service_tier", "prompt_cache_key", "safety_identifier")
_UNFINISHED = frozenset({"queued", "in_progress", "cancelled", "failed"})
_VISIBLE_EVENTS = frozenset(
    {"response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta"}
)
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class OpenAIResponses(HttpProvider):
    key = "openai_responses"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        translation = Translation(request, endpoint, limit_field="max_output_tokens")
        turns = conversation(translation.take("messages"))
        body: JSON = {"model": endpoint.wire_model, "input": list(_input(turns)), "store": False}
        body["max_output_tokens"] = translation.take_output_limit()
        for parameter in _SAME_NAME:
            translation.move(parameter, body)
        if (effort := translation.take("reasoning_effort")) is not None:
            body["reasoning"] = {"effort": effort}
            translation.record("reasoning_effort", "renamed", "reasoning.effort")
        _add_text(translation, body)
        _add_tools(translation, body)
        changes = translation.finish("unknown to this API")
        if endpoint.stream:
            body["stream"] = True
        url = f"{endpoint.base_url.rstrip('/')}/responses"
        return post(url, authorization(endpoint), body, stream=endpoint.stream, changes=changes)

    def read_body(self, body: JSON) -> CompletionResult | None:
        if not isinstance(body.get("output"), list):
            return None
        output = [obj(item) for item in body["output"]]
        parts = [obj(p) for item in output if item.get("type") == "message" for p in items(item.get("content"))]
        texts = [text(part.get("text")) or "" for part in parts if part.get("type") == "output_text"]
        refusals = [text(part.get("refusal")) or "" for part in parts if part.get("type") == "refusal"]
        status = text(body.get("status"))
        reason = text(obj(body.get("incomplete_details")).get("reason")) if status == "incomplete" else None
        result = answered(
            text="".join(texts),
            tool_calls=[
                tool_call(text(item.get("call_id")), text(item.get("name")), item.get("arguments", ""))
                for item in output
                if item.get("type") == "function_call"
            ],
            refusal="".join(refusals),
            finish_word=reason or status,
            served_model=body.get("model"),
            request_id=body.get("id"),
            usage=usage_of_body(body),
        )
        if status in _UNFINISHED:
            return replace(result, outcome=Outcome.VENDOR_ERROR, error=f"the response is {status}")
        return result

    def assembler(self) -> Assembler:
        return _ResponseAssembler()


def _input(turns: Iterable[Turn]) -> Iterable[JSON]:
    for turn in turns:
        if turn.role == "tool":
            seen = any(isinstance(part, Media) for part in turn.parts)
            output = _content(turn, "input_text") if seen else turn.text
            yield {"type": "function_call_output", "call_id": turn.tool_call_id, "output": output}
            continue
        if turn.parts:
            kind = "output_text" if turn.role == "assistant" else "input_text"
            yield {"role": turn.role, "content": _content(turn, kind)}
        for call in turn.calls:
            yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _content(turn: Turn, kind: str) -> list[JSON]:
    return [{"type": kind, "text": part} if isinstance(part, str) else _media(part) for part in turn.parts]


def _media(media: Media) -> JSON:
    address = media.url if media.data is None else f"data:{media.mime_type};base64,{media.data}"
    if media.kind == "image":
        return {"type": "input_image", "image_url": address}
    name = f"file{mimetypes.guess_extension(media.mime_type or '') or ''}"
    return {"type": "input_file", "filename": name, "file_data": address}


def _add_text(translation: Translation, body: JSON) -> None:
    config: JSON = {}
    if (wanted := answer_format(translation)) is not None:
        config["format"] = {"type": wanted.kind}
        if wanted.kind == "json_schema":
            config["format"] |= {"name": wanted.name, "schema": wanted.schema}
            if wanted.strict is not None:
                config["format"]["strict"] = wanted.strict
        translation.record("response_format", "renamed", "text.format")
    if (verbosity := translation.take("verbosity")) is not None:
        config["verbosity"] = verbosity
        translation.record("verbosity", "renamed", "text.verbosity")
    if config:
        body["text"] = config


def _add_tools(translation: Translation, body: JSON) -> None:
    functions = function_tools(translation)
    kind, name = tool_choice(translation)
    if not functions:
        return
    body["tools"] = [
        {
            "type": "function",
            "name": function.name,
            "parameters": function.parameters,
            # The chat API's default; this API's own default is true.
            "strict": bool(function.strict),
            **({"description": function.description} if function.description else {}),
        }
        for function in functions
    ]
    if kind is not None:
        body["tool_choice"] = {"type": "function", "name": name} if kind == "function" else kind


class _ResponseAssembler:
    """The last event brings the whole response; until then only the pieces are there."""

    def __init__(self) -> None:
        self.visible = False
        self.complete = False
        self.error: JSON | None = None
        self._response: JSON = {}
        self._text: list[str] = []

    def feed(self, event: Event) -> None:
        try:
            data = obj(decode(event.data))
        except ValueError:
            return
        kind = text(data.get("type"))
        if kind in _VISIBLE_EVENTS and data.get("delta"):
            self.visible = True
        if kind == "response.output_text.delta":
            self._text.append(text(data.get("delta")) or "")
        elif kind == "response.created":
            self._response = {key: obj(data.get("response")).get(key) for key in ("id", "model")}
        elif kind in _LAST_EVENTS:
            self._response, self.complete = obj(data.get("response")), True
            if self._response.get("error"):
                self.error = self._response
        elif kind == "error" or data.get("error"):
            self.error = data

    def body(self) -> JSON:
        if self.complete:
            return self._response
        parts = [{"type": "output_text", "text": "".join(self._text)}] if self._text else []
        return {**self._response, "output": [{"type": "message", "content": parts}]}
