"""Anthropic messages. Public surface: ``AnthropicMessages``.

Options: ``anthropic_version``, ``anthropic_beta``, ``auth``. In Foundry: base URL
``https://<resource>.services.ai.azure.com/anthropic``, with ``options.auth = "bearer"`` for an Entra token.
Source: anthropics/anthropic-sdk-python 0.121.0, ``types`` and ``lib/foundry.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

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
from evaluations.providers.wirejson import decode, obj, text

_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "function": "tool"}
_FOUNDRY = ".services.ai.azure.com/"
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_NATIVE = ("top_p", "top_k", "thinking")


class AnthropicMessages(HttpProvider):
    key = "anthropic_messages"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        translation = Translation(request, endpoint, limit_field="max_tokens")
        system, turns = split_system(conversation(translation.take("messages")))
        body: JSON = {"model": endpoint.wire_model, "messages": _messages(turns)}
        if system:
            body["system"] = system
        body["max_tokens"] = translation.take_output_limit()
        _add_sampling(translation, body)
        _add_tools(translation, body)
        _add_output_config(translation, body)
        changes = translation.finish("unknown to this vendor")
        if endpoint.stream:
            body["stream"] = True
        headers = {
            "anthropic-version": str(endpoint.options.get("anthropic_version", "2023-06-01")),
            **authorization(endpoint, "x-api-key"),
        }
        if "x-api-key" in headers and _FOUNDRY in endpoint.base_url:
            headers["api-key"] = headers["x-api-key"]  # as the vendor's own client does there
        if beta := endpoint.options.get("anthropic_beta"):
            headers["anthropic-beta"] = str(beta)
        url = f"{endpoint.base_url.rstrip('/')}/v1/messages"
        return post(url, headers, body, stream=endpoint.stream, changes=changes)

    def read_body(self, body: JSON) -> CompletionResult | None:
        if not isinstance(body.get("content"), list):
            return None
        blocks = [obj(block) for block in body["content"]]
        texts = [text(block.get("text")) or "" for block in blocks if block.get("type") == "text"]
        return answered(
            text="".join(texts),
            tool_calls=[
                tool_call(text(block.get("id")), text(block.get("name")), block.get("input", {}))
                for block in blocks
                if block.get("type") == "tool_use"
            ],
            finish_word=text(body.get("stop_reason")),
            served_model=body.get("model"),
            request_id=body.get("id"),
            usage=usage_from_raw(body.get("usage")),
        )

    def assembler(self) -> Assembler:
        return _MessageAssembler()


def _messages(turns: Iterable[Turn]) -> list[JSON]:
    """Turns with neighbours of the same role merged: the answers to parallel tool calls must share one message."""
    messages: list[JSON] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = list(_blocks(turn))
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})
    return messages


def _blocks(turn: Turn) -> Iterable[JSON]:
    parts: list[JSON] = [{"type": "text", "text": p} if isinstance(p, str) else _media(p) for p in turn.parts]
    if turn.role == "tool":
        yield {"type": "tool_result", "tool_use_id": _tool_id(turn.tool_call_id), "content": parts}
        return
    yield from parts
    for call in turn.calls:
        yield {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": call.parsed()}


def _tool_id(value: str) -> str:
    """Other vendors' ids hold characters that this one refuses."""
    return _NOT_IN_AN_ID.sub("_", value)


def _media(media: Media) -> JSON:
    source: JSON = {"type": "url", "url": media.url}
    if media.data is not None:
        source = {"type": "base64", "media_type": media.mime_type, "data": media.data}
    return {"type": "image" if media.kind == "image" else "document", "source": source}


def _add_sampling(translation: Translation, body: JSON) -> None:
    temperature = translation.take("temperature")
    if isinstance(temperature, (int, float)) and temperature > 1:
        translation.record("temperature", "clamped", f"{temperature} to 1, this vendor's highest")
        temperature = 1
    if temperature is not None:
        body["temperature"] = temperature
    stop = stop_sequences(translation)
    if usable := [sequence for sequence in stop if sequence.strip()]:
        body["stop_sequences"] = usable
        translation.record("stop", "renamed", "stop_sequences")
    if len(usable) < len(stop):
        translation.record("stop", "dropped", f"{len(stop) - len(usable)} of white space only, which it refuses")
    if temperature is not None and translation.left.get("top_p") == 1:
        translation.take("top_p")
        translation.record("top_p", "dropped", "1 is no restriction; its newer models refuse it beside temperature")
    for parameter in _NATIVE:
        translation.move(parameter, body)


def _add_tools(translation: Translation, body: JSON) -> None:
    functions = function_tools(translation)
    kind, name = tool_choice(translation)
    parallel = translation.take("parallel_tool_calls")
    if not functions:
        return
    body["tools"] = [
        {
            "name": function.name,
            "input_schema": function.parameters,
            **({"description": function.description} if function.description else {}),
            **({"strict": True} if function.strict else {}),
        }
        for function in functions
    ]
    if kind is not None or parallel is False:
        choice: JSON = {"type": _CHOICES[kind or "auto"]}
        if kind == "function":
            choice["name"] = name
        if parallel is False and kind != "none":
            choice["disable_parallel_tool_use"] = True
        body["tool_choice"] = choice


def _add_output_config(translation: Translation, body: JSON) -> None:
    config: JSON = {}
    wanted = answer_format(translation)
    if wanted is not None and wanted.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
        translation.record("response_format", "renamed", "output_config.format")
    elif wanted is not None:
        translation.record("response_format", "dropped", "this vendor has no JSON mode without a schema")
    wanted_effort = translation.take("reasoning_effort")
    effort = text(wanted_effort)
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
        translation.record("reasoning_effort", "renamed", "thinking disabled")
    elif effort in _EFFORTS:
        config["effort"] = _EFFORTS[effort]
        action: Action = "renamed" if config["effort"] == effort else "clamped"
        translation.record("reasoning_effort", action, f"output_config.effort {config['effort']}")
    elif wanted_effort is not None:
        translation.record("reasoning_effort", "dropped", "a value that this vendor does not know")
    if config:
        body["output_config"] = config


class _MessageAssembler:
    """Puts the named events of a message together."""

    def __init__(self) -> None:
        self.visible = False
        self.complete = False
        self.error: JSON | None = None
        self._message: JSON = {"content": []}
        self._usage: JSON = {}
        self._blocks: dict[int, JSON] = {}
        self._pieces: dict[int, list[str]] = {}

    def feed(self, event: Event) -> None:
        try:
            data = obj(decode(event.data))
        except ValueError:
            return
        match data.get("type"):
            case "message_start":
                message = obj(data.get("message"))
                self._message = {key: message.get(key) for key in ("id", "model")}
                # Its output count is a placeholder until message_delta brings the real one.
                self._usage = {k: v for k, v in obj(message.get("usage")).items() if k != "output_tokens"}
            case "content_block_start":
                self._start(_index(data), obj(data.get("content_block")))
            case "content_block_delta":
                self._delta(_index(data), obj(data.get("delta")))
            case "message_delta":
                reason = text(obj(data.get("delta")).get("stop_reason"))
                self._message["stop_reason"] = reason
                self._usage |= {key: value for key, value in obj(data.get("usage")).items() if value is not None}
                self.complete = self.complete or reason is not None
            case "message_stop":
                self.complete = True
            case "error":
                self.error = data

    def _start(self, index: int, block: JSON) -> None:
        self._blocks[index] = block
        self._pieces[index] = []
        self.visible = self.visible or block.get("type") == "tool_use" or bool(text(block.get("text")))

    def _delta(self, index: int, delta: JSON) -> None:
        kinds = {"text_delta": "text", "input_json_delta": "partial_json"}
        piece = text(delta.get(kinds.get(str(delta.get("type")), "")))
        if piece and index in self._pieces:
            self._pieces[index].append(piece)
            self.visible = True

    def body(self) -> JSON:
        return {**self._message, "usage": self._usage, "content": [self._block(i) for i in sorted(self._blocks)]}

    def _block(self, index: int) -> JSON:
        block, written = self._blocks[index], "".join(self._pieces[index])
        if block.get("type") == "text":
            return {"type": "text", "text": (text(block.get("text")) or "") + written}
        if block.get("type") == "tool_use" and written:
            return {**block, "input": written}
        return block


def _index(data: JSON) -> int:
    index: Any = data.get("index")
    return index if isinstance(index, int) else 0
