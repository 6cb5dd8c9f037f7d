"""OpenTelemetry spans of model calls: OTLP JSON, or one span's attributes a line. Public surface: ``OTelGenAI``,
``model_calls``, ``nanoseconds``.

Attribute names: the GenAI semantic conventions of today (``gen_ai.input.messages``) and before (``gen_ai.prompt``), and
OpenInference's (``llm.input_messages.0.message.role``). Spans that are not model calls are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.chat import instant, mapping, optional_text, recorded_usage
from evaluations.capture.lines import FieldError, decode, first_keys, read_groups
from evaluations.capture.messages import answer, chat_tools, replayable

_CALLS = frozenset({"chat", "text_completion", "generate_content"})
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_completion_tokens",
    "seed": "seed",
    "stop_sequences": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
_STEP = re.compile(r"\d+")


class OTelGenAI:
    key = "otel_genai"
    version = "1"
    label = "OpenTelemetry GenAI or OpenInference spans (OTLP JSON)"

    def recognises(self, head: bytes, name: str) -> bool:
        keys = first_keys(head)
        return "resourceSpans" in keys or ("attributes" in keys and (b'"gen_ai.' in head or b'"llm.' in head))

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        return read_groups(path, _samples)


def _samples(line: int, value: Any) -> Iterator[CapturedSample | BadLine]:
    for where, span in _spans(mapping(value, "")):
        try:
            attributes = _attributes(span.get("attributes"), "attributes")
            if _is_call(attributes):
                yield _sample(line, span, attributes)
        except FieldError as error:
            yield BadLine(line, ".".join(part for part in (where, error.field) if part), error.reason)


Attributes = dict[str, Any]


def model_calls(row: dict[str, Any]) -> Iterator[tuple[str, Attributes, dict[str, Any], Attributes]]:
    """Where each model call stands, the attributes of who made it, its span, and the span's attributes."""
    for i, resource in _items(row, "resourceSpans", "") if "resourceSpans" in row else [("", {})]:
        maker = mapping(resource.get("resource") or {}, f"{i}.resource")
        maker = _attributes(maker.get("attributes") or [], f"{i}.resource.attributes")
        for where, span in _spans({"resourceSpans": [resource]} if resource else row):
            attributes = _attributes(span.get("attributes"), "attributes")
            if _is_call(attributes):
                yield where, maker, span, attributes


def _is_call(attributes: Attributes) -> bool:
    return attributes.get("gen_ai.operation.name") in _CALLS or attributes.get("openinference.span.kind") == "LLM"


def _spans(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "resourceSpans" not in row:
        yield "", row
        return
    for i, resource in _items(row, "resourceSpans", ""):
        for j, scope in _items(resource, "scopeSpans", f"{i}."):
            yield from _items(scope, "spans", f"{j}.")


def _items(row: dict[str, Any], key: str, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    items = row.get(key, [])
    if not isinstance(items, list):
        raise FieldError(f"{at}{key}", "must be a list")
    for index, item in enumerate(items):
        yield f"{at}{key}[{index}]", mapping(item, f"{at}{key}[{index}]")


def _attributes(value: Any, at: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise FieldError(at, "must be a list of attributes")
    pairs = (mapping(item, f"{at}[{index}]") for index, item in enumerate(value))
    return {str(pair.get("key")): _plain(pair.get("value")) for pair in pairs}


def _plain(value: Any) -> Any:
    """An OTLP ``AnyValue``: whole numbers arrive as text because JSON has no 64-bit integers."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, inner),) = value.items()
    if kind == "intValue":
        return int(inner) if re.fullmatch(r"-?\d{1,19}", str(inner)) else None
    if kind == "arrayValue" and isinstance(inner, dict):
        return [_plain(item) for item in inner.get("values", [])]
    return inner


def _sample(line: int, span: dict[str, Any], attributes: dict[str, Any]) -> CapturedSample:
    started, ended = nanoseconds(span, "startTimeUnixNano"), nanoseconds(span, "endTimeUnixNano")
    status = span.get("status")
    failed = isinstance(status, dict) and status.get("code") in (2, "STATUS_CODE_ERROR")
    latency = (ended - started) / 1e6 if started is not None and ended is not None and ended >= started else None
    return CapturedSample(
        line=line,
        external_id=optional_text(span.get("spanId") or attributes.get("gen_ai.response.id"), "spanId"),
        request=_request(attributes),
        occurred_at=None if started is None else instant(started / 1e9, "startTimeUnixNano"),
        cluster=optional_text(attributes.get("gen_ai.conversation.id") or attributes.get("session.id"), "cluster"),
        response=None if failed else _response(attributes, latency),
    )


def nanoseconds(span: dict[str, Any], key: str) -> int | None:
    value = str(span.get(key) or "")
    return int(value) if re.fullmatch(r"\d{1,19}", value) else None


def _request(attributes: dict[str, Any]) -> dict[str, Any] | None:
    body = {
        ours: attributes[f"gen_ai.request.{theirs}"]
        for theirs, ours in _PARAMETERS.items()
        if attributes.get(f"gen_ai.request.{theirs}") is not None
    }
    messages = _logged(attributes, "gen_ai.input.messages", "gen_ai.prompt")
    if messages is None and (numbered := _numbered(attributes, "llm.input_messages.")):
        messages, body = numbered, body | _invocation(attributes)
    elif messages is None:
        messages, body = _logged(attributes, "input.value"), body | _invocation(attributes)
    system = _logged(attributes, "gen_ai.system_instructions")
    if isinstance(system, list) and isinstance(messages, list):
        messages = [{"role": "system", "parts": system}, *messages]
    tools = chat_tools(_logged(attributes, "gen_ai.tool.definitions"))
    return replayable(body | {"messages": messages} | ({"tools": tools} if tools else {}))


def _invocation(attributes: dict[str, Any]) -> dict[str, Any]:
    value = _logged(attributes, "llm.invocation_parameters")
    return value if isinstance(value, dict) else {}


def _logged(attributes: dict[str, Any], *keys: str) -> Any:
    """The first of these attributes; JSON in text is read, other text stays text."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            return decode(value, key)
        if value is not None:
            return value
    return None


def _response(attributes: dict[str, Any], latency_ms: float | None) -> CapturedResponse | None:
    output = _logged(attributes, "gen_ai.output.messages", "gen_ai.completion")
    if output is None:
        output = _numbered(attributes, "llm.output_messages.") or _logged(attributes, "output.value")
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        output = output["text"]
    text, message, finish = answer(output)
    if text is None and message is None:
        return None
    reasons = attributes.get("gen_ai.response.finish_reasons")
    counts = {
        "prompt_tokens": attributes.get("gen_ai.usage.input_tokens", attributes.get("llm.token_count.prompt")),
        "completion_tokens": attributes.get("gen_ai.usage.output_tokens", attributes.get("llm.token_count.completion")),
    }
    model = attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")
    return CapturedResponse(
        text=text,
        message=message,
        model=optional_text(model or attributes.get("llm.model_name"), "model"),
        usage=recorded_usage(counts, "usage"),
        latency_ms=latency_ms,
        finish_reason=reasons[0] if isinstance(reasons, list) and reasons and isinstance(reasons[0], str) else finish,
    )


def _numbered(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """OpenInference's flattened messages: ``llm.input_messages.0.message.contents.0.message_content.text``."""
    tree: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith(prefix):
            *path, last = key.removeprefix(prefix).split(".")
            node = tree
            for step in path:
                child = node.setdefault(step, {})
                node = child if isinstance(child, dict) else {}
            node[last] = value
    return [_message(node.get("message", {})) for node in _ordered(tree)]


def _ordered(tree: Any) -> list[dict[str, Any]]:
    numbers = sorted((int(key) for key in tree if _STEP.fullmatch(key)) if isinstance(tree, dict) else ())
    return [tree[str(number)] for number in numbers if isinstance(tree[str(number)], dict)]


def _message(node: dict[str, Any]) -> dict[str, Any]:
    parts = [part.get("message_content", {}) for part in _ordered(node.get("contents"))]
    calls = [
        {
            "id": call.get("tool_call", {}).get("id"),
            "type": "function",
            "function": call.get("tool_call", {}).get("function", {}),
        }
        for call in _ordered(node.get("tool_calls"))
    ]
    content = node.get("content")
    if content is None and parts:
        content = [{"type": part.get("type"), "text": part.get("text")} for part in parts]
    message = {key: node[key] for key in ("role", "name", "tool_call_id") if key in node} | {"content": content}
    return message | ({"tool_calls": calls} if calls else {})
