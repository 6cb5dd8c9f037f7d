"""The providers by protocol name. Public surface: ``PROVIDERS``."""

from __future__ import annotations

from evaluations.plugins import Registry
from evaluations.providers.anthropic_messages import AnthropicMessages
from evaluations.providers.azure_openai import AzureOpenAI
from evaluations.providers.base import Provider
from evaluations.providers.gemini_generate import GeminiGenerate
from evaluations.providers.mai_chat import MAIChat
from evaluations.providers.openai_chat import OpenAIChat
from evaluations.providers.openai_responses import OpenAIResponses

PROVIDERS: Registry[Provider] = Registry(
    "evaluations.providers",
    (OpenAIChat(), OpenAIResponses(), AzureOpenAI(), MAIChat(), AnthropicMessages(), GeminiGenerate()),
)
