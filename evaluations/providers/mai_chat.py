"""Microsoft MAI models through Foundry. Public surface: ``MAIChat``.

The dialect is OpenAI chat reduced to the fields of its documentation; everything else is dropped and recorded.
Encrypted reasoning is never kept. ``options.auth = "bearer"`` sends an Entra token instead of a key.
Source: MicrosoftDocs/azure-ai-docs, ``use-foundry-models-mai-thinking.md`` (2026-08-04).
"""

from __future__ import annotations

from evaluations.providers.base import (
    JSON,
    CompletionRequest,
    CompletionResult,
    EndpointConfig,
    ParameterChange,
    WireRequest,
)
from evaluations.providers.http import Assembler, HttpProvider
from evaluations.providers.legacy_calls import with_tools
from evaluations.providers.openai_chat import ChatAssembler, read_chat, rename_output_limit
from evaluations.providers.requests import authorization, drop, merged_body, post
from evaluations.providers.wirejson import items, obj

_DOCUMENTED = frozenset({"messages", "max_completion_tokens", "tools", "reasoning_display"})


class MAIChat(HttpProvider):
    key = "mai_chat"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        body, changes = merged_body(request, endpoint, "max_completion_tokens")
        with_tools(body, changes)
        rename_output_limit(body, changes, "max_completion_tokens")
        changes += drop(body, sorted(body.keys() - _DOCUMENTED), "not documented for this model")
        _keep_function_tools(body, changes)
        body["model"] = endpoint.wire_model
        if endpoint.stream:
            body["stream"] = True
        url = f"{endpoint.base_url.rstrip('/')}/mai/v1/chat/completions"
        return post(url, authorization(endpoint, "api-key"), body, stream=endpoint.stream, changes=changes)

    def read_body(self, body: JSON) -> CompletionResult | None:
        return read_chat(body)

    def assembler(self) -> Assembler:
        return ChatAssembler()


def _keep_function_tools(body: JSON, changes: list[ParameterChange]) -> None:
    tools = items(body.get("tools"))
    kept = [tool for tool in tools if obj(tool).get("type") == "function"]
    if len(kept) == len(tools):
        return
    changes.append(ParameterChange("tools", "dropped", f"{len(tools) - len(kept)} that are not functions"))
    body["tools"] = kept
    if not kept:
        del body["tools"]
