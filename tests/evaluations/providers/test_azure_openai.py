"""Azure OpenAI: both routes (VENDORS.md 4.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluations.providers.azure_openai import AzureOpenAI
from evaluations.providers.base import CompletionRequest, EndpointConfig, WireRequest

BODY = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}


def _wire(**more: Any) -> WireRequest:
    values = {"slug": "e", "protocol": "azure_openai", "base_url": "https://r.openai.azure.com", "wire_model": "my gpt"}
    return AzureOpenAI().prepare(CompletionRequest(BODY), EndpointConfig(**(values | more)))


def test_the_legacy_route_names_the_deployment_in_the_path() -> None:
    wire = _wire(options={"api_version": "2024-10-21"}, credential="k")
    assert wire.url == (
        "https://r.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
    )
    assert json.loads(wire.body) == BODY
    assert wire.headers["api-key"] == "k"


@pytest.mark.parametrize("base", ["https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/"])
def test_the_v1_route_names_it_in_the_body(base: str) -> None:
    wire = _wire(base_url=base, credential="k", options={"auth": "bearer"})
    assert wire.url == "https://r.openai.azure.com/openai/v1/chat/completions"
    assert json.loads(wire.body) == BODY | {"model": "my gpt"}
    assert wire.headers["Authorization"] == "Bearer k"
