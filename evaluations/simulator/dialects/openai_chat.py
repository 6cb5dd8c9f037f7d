"""OpenAI chat completions and its Azure form. Public surface: ``OpenAIChat``, ``AzureChat``, ``read_messages``.

Facts: openai/openai-openapi ``openapi.yaml`` and recorded exchanges, see the vendor page of the specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluations.simulator.dialects.base import (
    JSON,
    BadRequest,
    Call,
    Conversation,
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
    "model messages max_completion_tokens max_tokens temperature top_p stop seed n response_format tools tool_choice "
    "parallel_tool_calls reasoning_effort verbosity service_tier store metadata prompt_cache_key safety_identifier "
    "prompt_cache_retention stream stream_options frequency_penalty presence_penalty logit_bias logprobs top_logprobs "
    "user modalities audio prediction functions function_call web_search_options"
)

# kind: (status, type, code, message)
_ERRORS: Mapping[str, tuple[int, str | None, str | None, str]] = {
    "rate_limited": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "quota_exhausted": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    "unavailable": (503, "server_error", None, "The service is temporarily unavailable."),
    "overloaded": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "auth": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "permission_denied", "You do not have access to this model."),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is exceeded. Please reduce the length of the messages.",
    ),
    "content_filter": (400, None, "content_filter", "The prompt was filtered by the content management policy."),
    "bad_request": (400, "invalid_request_error", None, "Invalid request."),
}


def read_messages(messages: list[JSON]) -> Conversation:
    """Chat messages in the one form of ``conversation``."""
    return conversation((str(message.get("role", "")), text_of(message.get("content"))) for message in messages)


def chosen_tool(body: JSON, last_role: str) -> Tool | None:
    """The function to call: the forced one or else the first, unless the last word came from a tool already."""
    choice = body.get("tool_choice")
    if choice == "none" or last_role != "user":
        return None
    functions = [tool["function"] for tool in body.get("tools") or () if isinstance(tool.get("function"), dict)]
    if isinstance(choice, dict):
        forced = (choice.get("function") or {}).get("name")
        functions = [function for function in functions if function.get("name") == forced]
    if not functions:
        return None
    return Tool(str(functions[0].get("name", "")), functions[0].get("parameters") or {})


def json_schema(body: JSON) -> JSON | None:
    """The schema asked for by ``response_format``."""
    wished = body.get("response_format")
    if not isinstance(wished, dict) or wished.get("type") not in ("json_object", "json_schema"):
        return None
    schema = (wished.get("json_schema") or {}).get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}


def rate_headers(limit: RateLimit | None) -> dict[str, str]:
    """The request budget as OpenAI and Azure tell it."""
    if limit is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(limit.limit),
        "x-ratelimit-remaining-requests": str(limit.remaining),
        "x-ratelimit-reset-requests": f"{round(limit.reset_seconds * 1000)}ms",
    }


class OpenAIChat:
    """``/v1/chat/completions``."""

    name = "openai_chat"
    tells_wait = True

    def authorised(self, headers: Mapping[str, str]) -> bool:
        return bearer(headers)

    def known(self, body: JSON) -> None:
        refuse_unknown(body, _KNOWN, "Unrecognized request argument supplied: {key}")

    def read(self, body: JSON, *, model: str | None, stream: bool) -> Call:
        self.known(body)
        messages = the_list(body, "messages")
        name = model or body.get("model")
        if not isinstance(name, str) or not name:
            raise BadRequest("you must provide a model parameter")
        return Call(
            model=name,
            conversation=read_messages(messages),
            stream=body.get("stream") is True,
            usage_in_stream=bool((body.get("stream_options") or {}).get("include_usage")),
            max_output_tokens=whole_number(body, "max_completion_tokens") or whole_number(body, "max_tokens"),
            tool=chosen_tool(body, str(messages[-1].get("role"))),
            schema=json_schema(body),
            encrypted_reasoning=body.get("reasoning_display") == "encrypted",
        )

    def usage(self, reply: Reply) -> JSON | None:
        usage = {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        }
        return spoiled(usage, reply.usage_fault)

    def finish_reason(self, reply: Reply) -> str:
        if reply.finish in ("length", "content_filter"):
            return reply.finish
        return "tool_calls" if reply.tool_calls else "stop"

    def message(self, call: Call, reply: Reply) -> JSON:
        message: JSON = {
            "role": "assistant",
            "content": reply.visible,
            "refusal": reply.text if reply.finish == "refusal" else None,
        }
        if reply.tool_calls:
            message["tool_calls"] = _tool_calls(reply)
        return message

    def answer(self, call: Call, reply: Reply) -> JSON | Failure:
        if reply.finish == "blocked_prompt":
            return Failure("content_filter")
        choice = {"index": 0, "message": self.message(call, reply), "finish_reason": self.finish_reason(reply)}
        body = {**_head(reply, "chat.completion"), "choices": [{**choice, "logprobs": None}]}
        usage = self.usage(reply)
        return body if usage is None else {**body, "usage": usage}

    def events(self, call: Call, reply: Reply) -> Iterator[bytes]:
        head = chunk_head(reply)
        if call.usage_in_stream:
            head["usage"] = None
        for delta in deltas(reply):
            yield sse({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self.finish_reason(reply)}
        yield sse({**head, "choices": [last]})
        usage = self.usage(reply)
        if call.usage_in_stream and usage is not None:
            yield sse({**head, "choices": [], "usage": usage})
        yield sse("[DONE]")

    def failure(self, failure: Failure, request_id: str) -> tuple[int, dict[str, str], JSON]:
        status, kind, code, message = _ERRORS[failure.kind]
        headers = {"x-request-id": request_id}
        if failure.retry_after is not None:
            headers["Retry-After"] = failure.retry_after
        error = {"message": failure.message or message, "type": kind, "param": None, "code": code}
        return status, headers, {"error": error}

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        return {"x-request-id": request_id, **rate_headers(limit)}


class AzureChat(OpenAIChat):
    """Azure OpenAI: the same bodies, ``api-key`` allowed, errors with the status as code."""

    name = "azure_openai"

    def authorised(self, headers: Mapping[str, str]) -> bool:
        return bool(headers.get("api-key")) or bearer(headers)

    def failure(self, failure: Failure, request_id: str) -> tuple[int, dict[str, str], JSON]:
        status, _, code, message = _ERRORS[failure.kind]
        headers = {"apim-request-id": request_id}
        if failure.retry_after is not None:
            headers["Retry-After"] = failure.retry_after
        known = code if failure.kind in ("content_filter", "context_length") else str(status)
        if failure.kind == "model_not_found":
            known, message = "DeploymentNotFound", "The API deployment for this resource does not exist."
        return status, headers, {"error": {"code": known, "message": failure.message or message}}

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        return {"apim-request-id": request_id, **rate_headers(limit)}


def chunk_head(reply: Reply) -> JSON:
    """What every chunk of a stream repeats."""
    return _head(reply, "chat.completion.chunk")


def _head(reply: Reply, kind: str) -> JSON:
    return {"id": f"chatcmpl-{reply.id}", "object": kind, "created": reply.created_at, "model": reply.model}


def _tool_calls(reply: Reply) -> list[JSON]:
    return [
        {
            "id": f"call_{reply.id[:20]}{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": dumps(call.arguments)},
        }
        for index, call in enumerate(reply.tool_calls)
    ]


def deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    """The deltas of a chat stream before its last chunk; the first one carries only the role."""
    yield {"role": "assistant", "content": ""}
    if reply.finish == "refusal":
        yield from ({"refusal": piece} for piece in pieces(reply.text))
    for index, tool_call in enumerate(_tool_calls(reply)):
        arguments = tool_call["function"]["arguments"]
        opened = {**tool_call, "function": {**tool_call["function"], "arguments": ""}}
        yield {"tool_calls": [{"index": index, **opened}]}
        for piece in pieces(arguments, most=4):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    yield from ({"content": piece} for piece in pieces(reply.visible or ""))
