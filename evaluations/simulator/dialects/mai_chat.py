"""Microsoft MAI through Foundry. Public surface: ``MAIChat``.

Facts: MicrosoftDocs/azure-ai-docs ``use-foundry-models-mai-thinking.md``: ``max_tokens`` is refused and other unknown
parameters are ignored, usage has no reasoning count, ``finish_reason`` is "stop" beside tool calls too, no rate headers
and no Retry-After, a safety stop is an HTTP 400 or an error event in the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from evaluations.simulator.dialects.base import (
    JSON,
    BadRequest,
    Call,
    Failure,
    RateLimit,
    Reply,
    spoiled,
    sse,
)
from evaluations.simulator.dialects.openai_chat import AzureChat, chunk_head, deltas


class MAIChat(AzureChat):
    """``/mai/v1/chat/completions``."""

    name = "mai_chat"
    tells_wait = False

    def known(self, body: JSON) -> None:
        if "max_tokens" in body:
            raise BadRequest("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")

    def usage(self, reply: Reply) -> JSON | None:
        usage = {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
        }
        return spoiled(usage, reply.usage_fault)

    def finish_reason(self, reply: Reply) -> str:
        return "length" if reply.finish == "length" else "stop"

    def message(self, call: Call, reply: Reply) -> JSON:
        return {**super().message(call, reply), **_sealed(call, reply)}

    def answer(self, call: Call, reply: Reply) -> JSON | Failure:
        return Failure("content_filter") if reply.finish == "content_filter" else super().answer(call, reply)

    def events(self, call: Call, reply: Reply) -> Iterator[bytes]:
        head = {**chunk_head(reply), "usage": None}
        if reply.finish == "content_filter":
            for piece in islice(reply.text.split(), 3):
                yield sse({**head, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            error = {"type": "SafetyBlockedError", "code": "content_filter", "message": "Stopped for safety."}
            yield sse({"error": error}, event="error")
        else:
            for delta in deltas(reply):
                yield sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            last = {"index": 0, "delta": _sealed(call, reply), "finish_reason": self.finish_reason(reply)}
            yield sse({**head, "choices": [last], "usage": self.usage(reply)})
        yield sse("[DONE]")

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        return {"apim-request-id": request_id}


def _sealed(call: Call, reply: Reply) -> JSON:
    return {"reasoning": {"encrypted_content": f"sealed-{reply.id}"}} if call.encrypted_reasoning else {}
