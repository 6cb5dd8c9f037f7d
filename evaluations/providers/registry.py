"""The providers by protocol name. Public surface: ``PROVIDERS``."""

from __future__ import annotations

from evaluations.plugins import Registry
from evaluations.providers.base import Provider
from evaluations.providers.mai_chat import MAIChat
from evaluations.providers.openai_chat import OpenAIChat

PROVIDERS: Registry[Provider] = Registry("evaluations.providers", (OpenAIChat(), MAIChat()))
