"""Google Gemini generateContent. Public surface: ``GeminiGenerate``, ``VertexGenerate``.

Facts: googleapis/python-genai types and recorded exchanges: thoughts are counted beside candidates, a blocked prompt
has no candidates, a tool call is a part and ends with STOP, a 429 tells its wait in ``details`` and not in a header.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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

_KNOWN = words("contents systemInstruction generationConfig tools toolConfig safetySettings cachedContent labels")
_KNOWN_GENERATION = words(
    "temperature topP topK maxOutputTokens stopSequences seed candidateCount responseMimeType responseSchema "
    "responseJsonSchema thinkingConfig presencePenalty frequencyPenalty responseLogprobs logprobs responseModalities "
    "mediaResolution speechConfig"
)

_ERRORS: Mapping[str, tuple[int, str, str]] = {
    "rate_limited": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "quota_exhausted": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "server_error": (500, "INTERNAL", "An internal error has occurred."),
    "unavailable": (503, "UNAVAILABLE", "The service is currently unavailable."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "auth": (401, "UNAUTHENTICATED", "API key not valid. Please pass a valid API key."),
    "forbidden": (403, "PERMISSION_DENIED", "The caller does not have permission."),
    "model_not_found": (404, "NOT_FOUND", "The model is not found, or is not supported for generateContent."),
    "context_length": (400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed."),
    "content_filter": (400, "INVALID_ARGUMENT", "The prompt was blocked."),
    "bad_request": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
}
_QUOTAS = {
    "rate_limited": "GenerateRequestsPerMinutePerProjectPerModel",
    "quota_exhausted": "GenerateRequestsPerDayPerProjectPerModel",
}


class GeminiGenerate:
    """``/v1beta/models/{model}:generateContent`` and ``:streamGenerateContent?alt=sse``."""

    name = "gemini_generate"
    tells_wait = True

    def authorised(self, headers: Mapping[str, str]) -> bool:
        return bool(headers.get("x-goog-api-key")) or bearer(headers)

    def read(self, body: JSON, *, model: str | None, stream: bool) -> Call:
        unknown = 'Invalid JSON payload received. Unknown name "{key}": Cannot find field.'
        refuse_unknown(body, _KNOWN, unknown)
        generation = body.get("generationConfig") or {}
        refuse_unknown(generation, _KNOWN_GENERATION, unknown)
        contents = the_list(body, "contents")
        if any(content.get("role", "user") not in ("user", "model") for content in contents):
            raise BadRequest("Please use a valid role: user, model.")
        turns = [("system", text_of((body.get("systemInstruction") or {}).get("parts")))]
        for content in contents:
            turns.extend(_turns(content))
        schema = generation.get("responseJsonSchema") or generation.get("responseSchema")
        if schema is None and generation.get("responseMimeType") == "application/json":
            schema = {"type": "object"}
        return Call(
            model=model or "",
            conversation=conversation(turns),
            stream=stream,
            max_output_tokens=whole_number(generation, "maxOutputTokens"),
            tool=_chosen_tool(body, turns[-1][0]),
            schema=schema,
        )

    def usage(self, reply: Reply) -> JSON:
        usage: JSON = {
            "promptTokenCount": reply.input_tokens,
            "candidatesTokenCount": reply.output_tokens - reply.reasoning_tokens,
            "totalTokenCount": reply.input_tokens + reply.output_tokens,
        }
        if reply.reasoning_tokens:
            usage["thoughtsTokenCount"] = reply.reasoning_tokens
        if reply.cached_tokens:
            usage["cachedContentTokenCount"] = reply.cached_tokens
        return usage

    def _body(self, reply: Reply, candidate: JSON | None) -> JSON:
        tail: JSON = {"modelVersion": reply.model, "responseId": reply.id}
        usage = spoiled(self.usage(reply), reply.usage_fault)
        if usage is not None:
            tail = {"usageMetadata": usage, **tail}
        if candidate is None:
            rating = {"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH"}
            return {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": [rating]}, **tail}
        return {"candidates": [{**candidate, "index": 0}], **tail}

    def answer(self, call: Call, reply: Reply) -> JSON | Failure:
        if reply.finish == "blocked_prompt":
            return self._body(reply, None)
        parts = _parts(reply)
        content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        return self._body(reply, {"content": content, "finishReason": _finish_reason(reply)})

    def events(self, call: Call, reply: Reply) -> Iterator[bytes]:
        if reply.finish == "blocked_prompt":
            yield sse(self._body(reply, None))
            return
        parts = [{"text": piece} for piece in pieces(reply.visible or "")] or _parts(reply) or [{"text": ""}]
        for part in parts[:-1]:
            yield sse(self._body(reply, {"content": {"parts": [part], "role": "model"}}))
        last = {"content": {"parts": parts[-1:], "role": "model"}, "finishReason": _finish_reason(reply)}
        yield sse(self._body(reply, last))

    def failure(self, failure: Failure, request_id: str) -> tuple[int, dict[str, str], JSON]:
        status, word, message = _ERRORS[failure.kind]
        error: JSON = {"code": status, "message": failure.message or message, "status": word}
        if failure.kind in _QUOTAS:
            violation = {"quotaId": _QUOTAS[failure.kind]}
            details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]
            if failure.retry_after is not None:
                retry: JSON = {"@type": "type.googleapis.com/google.rpc.RetryInfo"}
                details.append({**retry, "retryDelay": f"{failure.retry_after}s"})
            error["details"] = details
        return status, {}, {"error": error}

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        return {}


class VertexGenerate(GeminiGenerate):
    """The same at Vertex, ``.../publishers/google/models/{model}:generateContent``: stricter in what it takes."""

    def authorised(self, headers: Mapping[str, str]) -> bool:
        return bearer(headers)

    def read(self, body: JSON, *, model: str | None, stream: bool) -> Call:
        call = super().read(body, model=model, stream=stream)
        parts = [part for content in body["contents"] for part in content.get("parts") or ()]
        if any("id" in part.get(kind, ()) for part in parts for kind in ("functionCall", "functionResponse")):
            raise BadRequest('Invalid JSON payload received. Unknown name "id": Cannot find field.')
        if any("mimeType" not in part["fileData"] for part in parts if "fileData" in part):
            raise BadRequest("The fileData must have a mimeType.")
        return call


def _turns(content: JSON) -> Iterator[tuple[str, str]]:
    parts = [part for part in content.get("parts") or () if isinstance(part, dict)]
    for part in parts:
        if "functionResponse" in part:
            response = part["functionResponse"].get("response")
            only = list(response.values()) if isinstance(response, dict) else []
            yield "tool", only[0] if len(only) == 1 and isinstance(only[0], str) else dumps(response)
    text = text_of(parts)
    if text:
        yield str(content.get("role", "user")), text


def _chosen_tool(body: JSON, last_role: str) -> Tool | None:
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") == "NONE" or last_role != "user":
        return None
    allowed = calling.get("allowedFunctionNames")
    for tools in body.get("tools") or ():
        for function in tools.get("functionDeclarations") or ():
            if not allowed or function.get("name") in allowed:
                schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
                return Tool(str(function.get("name", "")), schema)
    return None


def _finish_reason(reply: Reply) -> str:
    return {"length": "MAX_TOKENS", "refusal": "SAFETY", "content_filter": "SAFETY"}.get(reply.finish, "STOP")


def _parts(reply: Reply) -> list[JSON]:
    if reply.tool_calls:
        return [{"functionCall": {"name": call.name, "args": call.arguments}} for call in reply.tool_calls]
    return [{"text": reply.visible}] if reply.visible else []
