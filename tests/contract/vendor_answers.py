"""How each dialect says the same things, whole and as a stream. Shapes: VENDORS.md 4.1 to 4.4."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """``body`` is the whole response, ``events`` the stream that says the same, ``error`` an error in mid-stream."""

    body: Callable[[JSON], JSON]
    events: Callable[[JSON], list[bytes]]
    error: bytes
    error_outcome: str


# What is to be said: text pieces, tool calls as (id, name, arguments), and how it ended.
SITUATIONS: dict[str, JSON] = {
    "text": {"pieces": ["Hel", "lo ", "wörld"], "end": "stop"},
    "tool call": {"pieces": [], "calls": [("c1", "f", '{"x": 1}'), ("c2", "g", "{}")], "end": "tool"},
    "text and tool call": {"pieces": ["One moment."], "calls": [("c1", "f", '{"x": 1}')], "end": "tool"},
    "truncated": {"pieces": ["Hal"], "end": "length"},
    "truncated in thought": {"pieces": [], "end": "length"},
    "empty": {"pieces": [], "end": "stop"},
    "filtered": {"pieces": ["Half a"], "end": "filter"},
}
EXPECTED = {
    "text": ("ok", "complete"),
    "tool call": ("ok", "tool_call"),
    "text and tool call": ("ok", "tool_call"),
    "truncated": ("truncated", "length"),
    "truncated in thought": ("truncated", "length"),
    "empty": ("empty", "complete"),
    "filtered": ("content_filtered", "content_filter"),
}
IN, CACHED, OUT = 20, 5, 7  # total input (cached included), cache reads, total output


def _sse(data: Any, name: str = "") -> bytes:
    written = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {written}\n\n".encode()


_CHAT_ENDS = {"stop": "stop", "tool": "tool_calls", "length": "length", "filter": "content_filter"}
_CHAT_USAGE = {"prompt_tokens": IN, "completion_tokens": OUT, "prompt_tokens_details": {"cached_tokens": CACHED}}


def _chat_body(said: JSON) -> JSON:
    message: JSON = {"role": "assistant", "content": "".join(said["pieces"]) or None, "refusal": None}
    if said.get("calls"):
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in said["calls"]
        ]
    choice = {"index": 0, "message": message, "finish_reason": _CHAT_ENDS[said["end"]]}
    return {"id": "r-1", "model": "served-1", "choices": [choice], "usage": _CHAT_USAGE}


def _chat_events(said: JSON) -> list[bytes]:
    def chunk(delta: JSON, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _sse({"id": "r-1", "model": "served-1", "choices": [choice], "usage": None})

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in said["pieces"]]
    for index, (call_id, name, arguments) in enumerate(said.get("calls", ())):
        head = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(chunk({"tool_calls": [head]}))
        events += [chunk({"tool_calls": [{"index": index, "function": {"arguments": c}}]}) for c in arguments]
    events.append(chunk({}, _CHAT_ENDS[said["end"]]))
    return [*events, _sse({"id": "r-1", "model": "served-1", "choices": [], "usage": _CHAT_USAGE}), _sse("[DONE]")]


_CHAT = Dialect(
    _chat_body, _chat_events, _sse({"error": {"type": "SafetyBlockedError", "message": "no"}}), "content_filtered"
)

_CLAUDE_ENDS = {"stop": "end_turn", "tool": "tool_use", "length": "max_tokens", "filter": "content_filter"}
_CLAUDE_USAGE = {"input_tokens": IN - CACHED, "cache_read_input_tokens": CACHED, "cache_creation_input_tokens": 0}


def _claude_blocks(said: JSON) -> list[JSON]:
    blocks: list[JSON] = [{"type": "text", "text": "".join(said["pieces"])}] if said["pieces"] else []
    return blocks + [
        {"type": "tool_use", "id": i, "name": n, "input": json.loads(a)} for i, n, a in said.get("calls", ())
    ]


def _claude_body(said: JSON) -> JSON:
    head = {"id": "r-1", "type": "message", "role": "assistant", "model": "served-1"}
    usage = _CLAUDE_USAGE | {"output_tokens": OUT}
    return head | {"content": _claude_blocks(said), "stop_reason": _CLAUDE_ENDS[said["end"]], "usage": usage}


def _claude_events(said: JSON) -> list[bytes]:
    head = {"id": "r-1", "model": "served-1", "content": [], "usage": _CLAUDE_USAGE | {"output_tokens": 1}}
    stream = [{"type": "message_start", "message": head}, {"type": "ping"}]
    for index, block in enumerate(_claude_blocks(said)):
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        stream.append({"type": "content_block_start", "index": index, "content_block": empty})
        if block["type"] == "text":
            deltas = [{"type": "text_delta", "text": piece} for piece in said["pieces"]]
        else:
            deltas = [{"type": "input_json_delta", "partial_json": c} for c in json.dumps(block["input"])]
        stream += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        stream.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": _CLAUDE_ENDS[said["end"]], "stop_sequence": None}
    stream += [{"type": "message_delta", "delta": stop, "usage": {"output_tokens": OUT}}, {"type": "message_stop"}]
    return [_sse(event, str(event["type"])) for event in stream]


_CLAUDE_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

_GEMINI_ENDS = {"stop": "STOP", "tool": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}
_GEMINI_USAGE = {
    "promptTokenCount": IN,
    "cachedContentTokenCount": CACHED,
    "candidatesTokenCount": OUT - 3,
    "thoughtsTokenCount": 3,
}


def _gemini(parts: list[JSON], end: str | None) -> JSON:
    candidate: JSON = {"content": {"role": "model", "parts": parts}, "index": 0}
    if end:
        candidate["finishReason"] = end
    head = {"modelVersion": "served-1", "responseId": "r-1", "usageMetadata": _GEMINI_USAGE}
    return head | {"candidates": [candidate]}


def _gemini_parts(said: JSON) -> list[JSON]:
    calls = [{"functionCall": {"id": i, "name": n, "args": json.loads(a)}} for i, n, a in said.get("calls", ())]
    return [{"text": piece} for piece in said["pieces"]] + calls


def _gemini_body(said: JSON) -> JSON:
    return _gemini([{"text": "hm", "thought": True}, *_gemini_parts(said)], _GEMINI_ENDS[said["end"]])


def _gemini_events(said: JSON) -> list[bytes]:
    parts = [{"text": "hm", "thought": True}, *_gemini_parts(said)]
    return [_sse(_gemini([part], None)) for part in parts] + [_sse(_gemini([], _GEMINI_ENDS[said["end"]]))]


_GEMINI_ERROR = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}

_RESPONSES_USAGE = {"input_tokens": IN, "input_tokens_details": {"cached_tokens": CACHED}, "output_tokens": OUT}


def _responses_body(said: JSON) -> JSON:
    output: list[JSON] = [{"type": "reasoning", "summary": []}]
    if said["pieces"]:
        content = [{"type": "output_text", "text": "".join(said["pieces"])}]
        output.append({"type": "message", "role": "assistant", "content": content})
    output += [{"type": "function_call", "call_id": i, "name": n, "arguments": a} for i, n, a in said.get("calls", ())]
    reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(said["end"])
    head = {"id": "r-1", "object": "response", "model": "served-1", "error": None, "usage": _RESPONSES_USAGE}
    details = {"reason": reason} if reason else None
    status = "incomplete" if reason else "completed"
    return head | {"status": status, "incomplete_details": details, "output": output}


def _responses_events(said: JSON) -> list[bytes]:
    whole = _responses_body(said)
    started = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    stream: list[JSON] = [{"type": "response.created", "response": started}]
    stream += [{"type": "response.output_text.delta", "delta": piece} for piece in said["pieces"]]
    for _, _, arguments in said.get("calls", ()):
        stream += [{"type": "response.function_call_arguments.delta", "delta": c} for c in arguments]
    stream.append({"type": f"response.{whole['status']}", "response": whole})
    return [_sse(event, str(event["type"])) for event in stream]


_RESPONSES_ERROR = {"type": "error", "code": "server_error", "message": "The server had an error"}

DIALECTS: dict[str, Dialect] = {
    "openai_chat": _CHAT,
    "azure_openai": _CHAT,
    "mai_chat": _CHAT,
    "anthropic_messages": Dialect(_claude_body, _claude_events, _sse(_CLAUDE_ERROR, "error"), "overloaded"),
    "gemini_generate": Dialect(_gemini_body, _gemini_events, _sse(_GEMINI_ERROR), "vendor_error"),
    "openai_responses": Dialect(_responses_body, _responses_events, _sse(_RESPONSES_ERROR, "error"), "vendor_error"),
}
