"""Azure OpenAI chat completions, both routes. Public surface: ``AzureOpenAI``.

``base_url`` is the resource, ``wire_model`` the deployment. With ``options.api_version`` the legacy deployment route is
called, without it the v1 route. ``options.auth = "bearer"`` sends an Entra token instead of a key; API versions before
``max_completion_tokens`` need ``options.output_limit_field = "max_tokens"``.
Source: openai/openai-python 3.3.1, ``lib/azure.py``; MicrosoftDocs/azure-ai-docs, ``concepts-endpoints-2.md``.
"""

from __future__ import annotations

from urllib.parse import quote

from evaluations.providers.base import CompletionRequest, EndpointConfig, WireRequest
from evaluations.providers.openai_chat import OpenAIChat, chat_body
from evaluations.providers.requests import authorization, post

_V1 = "/openai/v1"


class AzureOpenAI(OpenAIChat):
    key = "azure_openai"
    version = "1"

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        body, changes = chat_body(request, endpoint, limit_field="max_completion_tokens", only=False)
        resource = endpoint.base_url.rstrip("/").removesuffix(_V1)
        url = f"{resource}{_V1}/chat/completions"
        if (version := endpoint.options.get("api_version")) is not None:
            deployment = quote(str(body.pop("model")), safe="")
            query = quote(str(version), safe="")
            url = f"{resource}/openai/deployments/{deployment}/chat/completions?api-version={query}"
        return post(url, authorization(endpoint, "api-key"), body, stream=endpoint.stream, changes=changes)
