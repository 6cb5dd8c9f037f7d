"""Anthropic messages. Public surface: ``AnthropicMessages``.

Facts: anthropics/anthropic-sdk-python types and recorded exchanges: input_tokens leaves out what the cache served, the
stream is a series of named events with cumulative usage at its end, errors carry ``type: error``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from evaluations.simulator.dialects.base import (
    JSON,
    BadRequest,
    Call,
    Failure,
    RateLimit,
    Reply,
    Tool,
    bearer,
    conversation,
    dumps,
    pieces,
    refuse_unknown,
    spoiled,
    sse,
    text_of,
    the_list,
    whole_number,
    words,
)

_KNOWN = words(
    "model max_tokens messages system temperature top_p top_k stop_sequences tools tool_choice thinking output_config "
    "service_tier metadata cache_control inference_geo stream"
)

_ERRORS: Mapping[str, tuple[int, str, str]] = {
    "rate_limited": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "quota_exhausted": (429, "rate_limit_error", "You have reached your monthly spend limit."),
    "server_error": (500, "api_error", "Internal server error"),
    "unavailable": (503, "api_error", "Service unavailable"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "forbidden": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "model_not_found": (404, "not_found_error", "model not found"),
    "context_length": (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "content_filter": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "bad_request": (400, "invalid_request_error", "Invalid request."),
}
_STOP_REASONS = {"length": "max_tokens", "refusal": "refusal", "content_filter": "refusal", "blocked_prompt": "refusal"}


class AnthropicMessages:
    """``/v1/messages``."""

    name = "anthropic_messages"
    tells_wait = True

    def authorised(self, headers: Mapping[str, str]) -> bool:
        return bool(headers.get("x-api-key")) or bearer(headers)

    def read(self, body: JSON, *, model: str | None, stream: bool) -> Call:
        refuse_unknown(body, _KNOWN, "{key}: Extra inputs are not permitted")
        limit = whole_number(body, "max_tokens")
        if limit is None:
            raise BadRequest("max_tokens: Field required")
        messages = the_list(body, "messages")
        if any(message.get("role") not in ("user", "assistant") for message in messages):
            raise BadRequest(
                "messages: roles must be 'user' or 'assistant'; system text goes into the top-level 'system'"
            )
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise BadRequest("model: Field required")
        turns = [("system", text_of(body.get("system")))]
        for message in messages:
            turns.extend(_turns(message))
        return Call(
            model=name,
            conversation=conversation(turns),
            stream=body.get("stream") is True,
            max_output_tokens=limit,
            tool=_chosen_tool(body, turns[-1][0]),
            schema=((body.get("output_config") or {}).get("format") or {}).get("schema"),
        )

    def usage(self, reply: Reply) -> JSON:
        usage: JSON = {
            "input_tokens": max(0, reply.input_tokens - reply.cached_tokens),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": reply.cached_tokens,
            "output_tokens": reply.output_tokens,
        }
        if reply.reasoning_tokens:
            usage["output_tokens_details"] = {"thinking_tokens": reply.reasoning_tokens}
        return usage

    def answer(self, call: Call, reply: Reply) -> JSON | Failure:
        body = {**_head(reply), "content": _blocks(reply), "stop_reason": _stop_reason(reply), "stop_sequence": None}
        usage = spoiled(self.usage(reply), reply.usage_fault)
        return body if usage is None else {**body, "usage": usage}

    def events(self, call: Call, reply: Reply) -> Iterator[bytes]:
        opening: JSON = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = spoiled(self.usage(reply), reply.usage_fault)
        first: JSON = {} if usage is None else {"usage": {**usage, "output_tokens": 1}}
        yield sse({"type": "message_start", "message": {**_head(reply), **opening, **first}}, "message_start")
        for index, block in enumerate(_blocks(reply)):
            start = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
            yield _event("content_block_start", index=index, content_block=start)
            if index == 0:
                yield sse({"type": "ping"}, "ping")
            if block["type"] == "text":
                for piece in pieces(block["text"]):
                    yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
            else:
                for piece in pieces(dumps(block["input"]), most=4):
                    delta = {"type": "input_json_delta", "partial_json": piece}
                    yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        last: JSON = {} if usage is None else {"usage": usage}
        yield _event("message_delta", delta={"stop_reason": _stop_reason(reply), "stop_sequence": None}, **last)
        yield _event("message_stop")

    def failure(self, failure: Failure, request_id: str) -> tuple[int, dict[str, str], JSON]:
        status, kind, message = _ERRORS[failure.kind]
        error: JSON = {"type": kind, "message": failure.message or message}
        if failure.kind == "quota_exhausted":
            error["details"] = {"error_code": "enforced_spend_limit_reached"}
        headers = {"request-id": request_id}
        if failure.retry_after is not None:
            headers["retry-after"] = failure.retry_after
        return status, headers, {"type": "error", "error": error, "request_id": request_id}

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        headers = {"request-id": request_id}
        if limit is not None:
            reset = datetime.fromtimestamp(datetime.now(UTC).timestamp() + limit.reset_seconds, UTC)
            headers["anthropic-ratelimit-requests-limit"] = str(limit.limit)
            headers["anthropic-ratelimit-requests-remaining"] = str(limit.remaining)
            headers["anthropic-ratelimit-requests-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
        return headers


def _turns(message: JSON) -> Iterator[tuple[str, str]]:
    content = message.get("content")
    if isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and block.get("type") == "tool_result":
                yield "tool", text_of(block.get("content"))
    text = text_of(content)
    if text or not isinstance(content, list):
        yield str(message["role"]), text


def _chosen_tool(body: JSON, last_role: str) -> Tool | None:
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "none" or last_role != "user":
        return None
    tools = [tool for tool in body.get("tools") or () if choice.get("type") != "tool" or tool["name"] == choice["name"]]
    return Tool(str(tools[0].get("name", "")), tools[0].get("input_schema") or {}) if tools else None


def _head(reply: Reply) -> JSON:
    return {"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "model": reply.model}


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.tool_calls else _STOP_REASONS.get(reply.finish, "end_turn")


def _blocks(reply: Reply) -> list[JSON]:
    blocks: list[JSON] = [
        {"type": "tool_use", "id": f"toolu_{reply.id[:20]}{index}", "name": call.name, "input": call.arguments}
        for index, call in enumerate(reply.tool_calls)
    ]
    return [{"type": "text", "text": reply.visible}] if reply.visible else blocks


def _event(name: str, **fields: object) -> bytes:
    return sse({"type": name, **fields}, name)
