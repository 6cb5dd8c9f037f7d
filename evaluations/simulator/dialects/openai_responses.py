"""OpenAI responses. Public surface: ``OpenAIResponses``, ``AzureResponses``.

Facts: openai/openai-python ``types/responses`` and recorded exchanges: the end reason is ``status`` with
``incomplete_details``, usage comes in ``response.completed`` (or ``response.incomplete``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluations.simulator.dialects.base import (
    JSON,
    BadRequest,
    Call,
    Failure,
    RateLimit,
    Reply,
    Tool,
    conversation,
    dumps,
    pieces,
    refuse_unknown,
    spoiled,
    sse,
    text_of,
    whole_number,
    words,
)
from evaluations.simulator.dialects.openai_chat import AzureChat, OpenAIChat

_KNOWN = words(
    "model input instructions max_output_tokens max_tool_calls reasoning tools tool_choice parallel_tool_calls text "
    "temperature top_p top_logprobs service_tier store metadata prompt_cache_key prompt_cache_retention include user "
    "safety_identifier stream stream_options truncation background previous_response_id conversation prompt"
)


class OpenAIResponses:
    """``/v1/responses``."""

    name = "openai_responses"
    tells_wait = True
    _errors: OpenAIChat = OpenAIChat()

    def authorised(self, headers: Mapping[str, str]) -> bool:
        return self._errors.authorised(headers)

    def failure(self, failure: Failure, request_id: str) -> tuple[int, dict[str, str], JSON]:
        return self._errors.failure(failure, request_id)

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        return self._errors.headers(request_id, limit)

    def read(self, body: JSON, *, model: str | None, stream: bool) -> Call:
        refuse_unknown(body, _KNOWN, "Unknown parameter: '{key}'.")
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise BadRequest("Missing required parameter: 'model'.")
        turns = [("system", text_of(body.get("instructions"))), *_turns(body.get("input"))]
        wished = (body.get("text") or {}).get("format") or {}
        return Call(
            model=name,
            conversation=conversation(turns),
            stream=body.get("stream") is True,
            max_output_tokens=whole_number(body, "max_output_tokens"),
            tool=_chosen_tool(body, turns[-1][0]),
            schema=wished.get("schema") or ({"type": "object"} if wished.get("type") == "json_object" else None),
        )

    def usage(self, reply: Reply) -> JSON | None:
        usage = {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cached_tokens": reply.cached_tokens},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
            "total_tokens": reply.input_tokens + reply.output_tokens,
        }
        return spoiled(usage, reply.usage_fault)

    def answer(self, call: Call, reply: Reply) -> JSON | Failure:
        if reply.finish == "blocked_prompt":
            return Failure("content_filter")
        reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
        reason = reasons.get(reply.finish)
        body = _head(reply, "incomplete" if reason else "completed", _output(reply))
        body["incomplete_details"] = {"reason": reason} if reason else None
        usage = self.usage(reply)
        return body if usage is None else {**body, "usage": usage}

    def events(self, call: Call, reply: Reply) -> Iterator[bytes]:
        for number, (name, fields) in enumerate(self._events(call, reply)):
            yield sse({"type": name, **fields, "sequence_number": number}, name)

    def _events(self, call: Call, reply: Reply) -> Iterator[tuple[str, JSON]]:
        begun = {**_head(reply, "in_progress", []), "usage": None}
        yield "response.created", {"response": begun}
        yield "response.in_progress", {"response": begun}
        for index, item in enumerate(_output(reply)):
            at: JSON = {"output_index": index, "item_id": item["id"]}
            if item["type"] == "function_call":
                yield "response.output_item.added", {"output_index": index, "item": {**item, "arguments": ""}}
                for piece in pieces(item["arguments"], most=4):
                    yield "response.function_call_arguments.delta", {**at, "delta": piece}
                yield "response.function_call_arguments.done", {**at, "arguments": item["arguments"]}
            else:
                yield "response.output_item.added", {"output_index": index, "item": {**item, "content": []}}
                for part_index, part in enumerate(item["content"]):
                    field = "refusal" if part["type"] == "refusal" else "text"
                    name = f"response.{'refusal' if field == 'refusal' else 'output_text'}"
                    here = {**at, "content_index": part_index}
                    yield "response.content_part.added", {**here, "part": {**part, field: ""}}
                    for piece in pieces(part[field]):
                        yield f"{name}.delta", {**here, "delta": piece}
                    yield f"{name}.done", {**here, field: part[field]}
                    yield "response.content_part.done", {**here, "part": part}
            yield "response.output_item.done", {"output_index": index, "item": item}
        final = self.answer(call, reply)
        if not isinstance(final, Failure):
            yield f"response.{final['status']}", {"response": final}


class AzureResponses(OpenAIResponses):
    """``/openai/v1/responses``."""

    name = "azure_responses"
    _errors = AzureChat()


def _turns(given: Any) -> list[tuple[str, str]]:
    if isinstance(given, str) and given:
        return [("user", given)]
    if not isinstance(given, list) or not given or not all(isinstance(item, dict) for item in given):
        raise BadRequest("Missing or invalid required parameter: 'input'.")
    turns = []
    for item in given:
        if item.get("type", "message") == "message":
            turns.append((str(item.get("role", "user")), text_of(item.get("content"))))
        elif item["type"] == "function_call_output":
            turns.append(("tool", text_of(item.get("output"))))
    return turns or [("user", "")]


def _chosen_tool(body: JSON, last_role: str) -> Tool | None:
    choice = body.get("tool_choice")
    if choice == "none" or last_role != "user":
        return None
    forced = choice.get("name") if isinstance(choice, dict) else None
    for tool in body.get("tools") or ():
        if tool.get("type") == "function" and (forced is None or tool.get("name") == forced):
            return Tool(str(tool.get("name", "")), tool.get("parameters") or {})
    return None


def _head(reply: Reply, status: str, output: list[JSON]) -> JSON:
    return {
        "id": f"resp_{reply.id}",
        "object": "response",
        "created_at": reply.created_at,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": output,
    }


def _output(reply: Reply) -> list[JSON]:
    calls: list[JSON] = [
        {
            "id": f"fc_{reply.id[:20]}{index}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{reply.id[:20]}{index}",
            "name": call.name,
            "arguments": dumps(call.arguments),
        }
        for index, call in enumerate(reply.tool_calls)
    ]
    part: JSON | None = None
    if reply.finish == "refusal":
        part = {"type": "refusal", "refusal": reply.text}
    elif reply.visible:
        part = {"type": "output_text", "text": reply.visible, "annotations": []}
    if part is None:
        return calls
    status = "incomplete" if reply.finish == "length" else "completed"
    return [{"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "status": status, "content": [part]}]
