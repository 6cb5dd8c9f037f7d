"""Google Gemini ``generateContent``, at the Gemini API or at Vertex. Public surface: ``GeminiGenerate``.

Options: ``project`` and ``location`` call Vertex, with a bearer token; ``quota_project`` names the project that pays
there, if it is another; ``api_version`` (default ``v1beta``, at Vertex ``v1beta1``); ``thought_signature``, sent with
earlier tool calls for models that refuse calls without one. Source: googleapis/python-genai 2.19.0, ``types.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from evaluations.enums import FinishReason
from evaluations.providers.answers import answered, tool_call
from evaluations.providers.base import JSON, Action, CompletionRequest, CompletionResult, EndpointConfig, WireRequest
from evaluations.providers.conversation import (
    Media,
    Turn,
    answer_format,
    conversation,
    function_tools,
    split_system,
    stop_sequences,
    tool_choice,
)
from evaluations.providers.http import Assembler, HttpProvider
from evaluations.providers.requests import Translation, authorization, post
from evaluations.providers.sse import Event
from evaluations.providers.usage import usage_from_raw
from evaluations.providers.wirejson import decode, items, obj, text

_GENERATION = {
    "temperature": None,
    "seed": None,
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "function": "ANY"}


class GeminiGenerate(HttpProvider):
    key = "gemini_generate"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        translation = Translation(request, endpoint, limit_field="maxOutputTokens")
        system, turns = split_system(conversation(translation.take("messages")))
        vertex = "project" in endpoint.options
        # Vertex has no field for the id of a call.
        writer = _Writer(with_ids=not vertex, signature=endpoint.options.get("thought_signature"))
        body: JSON = {"contents": writer.contents(turns)}
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        body["generationConfig"] = _generation(translation)
        _add_tools(translation, body)
        changes = translation.finish("unknown to this vendor")
        headers = authorization(endpoint, "bearer" if vertex else "x-goog-api-key")
        if payer := endpoint.options.get("quota_project"):
            headers["x-goog-user-project"] = str(payer)
        return post(_url(endpoint, vertex), headers, body, stream=endpoint.stream, changes=changes)

    def read_body(self, body: JSON) -> CompletionResult | None:
        if "candidates" not in body and "promptFeedback" not in body and "usageMetadata" not in body:
            return None
        candidate = obj(next(iter(items(body.get("candidates"))), None))
        blocked = text(obj(body.get("promptFeedback")).get("blockReason")) if not candidate else None
        parts = [obj(part) for part in items(obj(candidate.get("content")).get("parts"))]
        texts = [text(part["text"]) or "" for part in parts if "text" in part and not part.get("thought")]
        calls = [obj(part["functionCall"]) for part in parts if isinstance(part.get("functionCall"), dict)]
        return answered(
            text="".join(texts),
            tool_calls=[
                tool_call(text(call.get("id")) or f"call_{number}", text(call.get("name")), call.get("args", {}))
                for number, call in enumerate(calls, start=1)
            ],
            finish_word=blocked or text(candidate.get("finishReason")),
            finish=FinishReason.BLOCKED_PROMPT if blocked else None,
            served_model=body.get("modelVersion"),
            request_id=body.get("responseId"),
            usage=usage_from_raw(body.get("usageMetadata")),
        )

    def assembler(self) -> Assembler:
        return _ChunkAssembler()


def _url(endpoint: EndpointConfig, vertex: bool) -> str:
    model = quote(endpoint.wire_model.removeprefix("models/"), safe="")
    path = f"models/{model}"
    if vertex:
        project = quote(str(endpoint.options["project"]), safe="")
        location = quote(str(endpoint.options.get("location", endpoint.region or "global")), safe="")
        path = f"projects/{project}/locations/{location}/publishers/google/{path}"
    version = endpoint.options.get("api_version", "v1beta1" if vertex else "v1beta")
    verb = "streamGenerateContent?alt=sse" if endpoint.stream else "generateContent"
    return f"{endpoint.base_url.rstrip('/')}/{version}/{path}:{verb}"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes turns; ``signature`` goes with earlier tool calls, where a model refuses calls without one."""

    with_ids: bool
    signature: Any

    def contents(self, turns: Iterable[Turn]) -> list[JSON]:
        contents: list[JSON] = []
        for turn in turns:
            role = "model" if turn.role == "assistant" else "user"
            parts = list(self._parts(turn))
            if contents and contents[-1]["role"] == role:
                contents[-1]["parts"] += parts
            elif parts:
                contents.append({"role": role, "parts": parts})
        return contents

    def _parts(self, turn: Turn) -> Iterable[JSON]:
        if turn.role == "tool":
            answer = {"name": turn.tool_name, "response": _tool_answer(turn.text)}
            yield {"functionResponse": answer | self._id(turn.tool_call_id)}
            yield from (_media(part) for part in turn.parts if isinstance(part, Media))
            return
        for part in turn.parts:
            yield {"text": part} if isinstance(part, str) else _media(part)
        for call in turn.calls:
            written = {"name": call.name, "args": call.parsed()} | self._id(call.id)
            yield {"functionCall": written, **({"thoughtSignature": self.signature} if self.signature else {})}

    def _id(self, value: str) -> JSON:
        return {"id": value} if value and self.with_ids else {}


def _tool_answer(written: str) -> JSON:
    """The vendor wants an object: a tool that answered with anything else has it put under ``result``."""
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        value = written
    return value if isinstance(value, dict) else {"result": value}


def _media(media: Media) -> JSON:
    if media.data is not None:
        return {"inlineData": {"mimeType": media.mime_type, "data": media.data}}
    return {"fileData": {"fileUri": media.url, **({"mimeType": media.mime_type} if media.mime_type else {})}}


def _generation(translation: Translation) -> JSON:
    config: JSON = {}
    for parameter, name in _GENERATION.items():
        translation.move(parameter, config, name)
    config["maxOutputTokens"] = translation.take_output_limit()
    if stop := stop_sequences(translation):
        config["stopSequences"] = stop
        translation.record("stop", "renamed", "stopSequences")
    if (wanted := answer_format(translation)) is not None:
        config["responseMimeType"] = "application/json"
        if wanted.kind == "json_schema":
            config["responseJsonSchema"] = wanted.schema
        translation.record("response_format", "renamed", "responseMimeType")
    wanted_effort = translation.take("reasoning_effort")
    effort = text(wanted_effort)
    if effort == "none":
        config["thinkingConfig"] = {"thinkingBudget": 0}
        translation.record("reasoning_effort", "renamed", "thinkingConfig.thinkingBudget 0")
    elif effort in _LEVELS:
        level = _LEVELS[effort]
        config["thinkingConfig"] = {"thinkingLevel": level}
        action: Action = "renamed" if level.lower() == effort else "clamped"
        translation.record("reasoning_effort", action, f"thinkingConfig.thinkingLevel {level}")
    elif wanted_effort is not None:
        translation.record("reasoning_effort", "dropped", "a value that this vendor does not know")
    return config


def _add_tools(translation: Translation, body: JSON) -> None:
    functions = function_tools(translation)
    kind, name = tool_choice(translation)
    if not functions:
        return
    declarations: list[JSON] = []
    for function in functions:
        declaration: JSON = {"name": function.name, "parametersJsonSchema": function.parameters}
        if function.description:
            declaration["description"] = function.description
        declarations.append(declaration)
    body["tools"] = [{"functionDeclarations": declarations}]
    if kind is not None:
        calling: JSON = {"mode": _MODES[kind]}
        if kind == "function":
            calling["allowedFunctionNames"] = [name]
        body["toolConfig"] = {"functionCallingConfig": calling}


class _ChunkAssembler:
    """Puts the chunks together: parts add up, everything else is its newest value."""

    def __init__(self) -> None:
        self.visible = False
        self.complete = False
        self.error: JSON | None = None
        self._body: JSON = {}
        self._candidate: JSON = {}
        self._parts: list[Any] = []

    def feed(self, event: Event) -> None:
        try:
            chunk = obj(decode(event.data))
        except ValueError:
            return
        if chunk.get("error"):
            self.error = chunk
            return
        self._body |= {key: value for key, value in chunk.items() if key != "candidates" and value is not None}
        if obj(chunk.get("promptFeedback")).get("blockReason"):
            self.complete = True
        for value in items(chunk.get("candidates"))[:1]:
            candidate = obj(value)
            parts = items(obj(candidate.get("content")).get("parts"))
            self._parts += parts
            self.visible = self.visible or any(map(_is_visible, parts))
            if text(candidate.get("finishReason")) is not None:
                self._candidate["finishReason"] = candidate["finishReason"]
                self.complete = True

    def body(self) -> JSON:
        candidate = {**self._candidate, "content": {"parts": self._parts}}
        return {**self._body, "candidates": [candidate] if self._candidate or self._parts else []}


def _is_visible(value: Any) -> bool:
    part = obj(value)
    return bool(part.get("text") and not part.get("thought")) or "functionCall" in part
