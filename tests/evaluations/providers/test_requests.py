"""What every dialect shares when it prepares a request: above all that the limit which a cap counts with is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.conf import DEFAULTS
from evaluations.providers.base import CompletionRequest, EndpointConfig, ParameterChange, Provider
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.requests import OUTPUT_LIMITS, limit_to_send, output_limit

MESSAGES = [{"role": "user", "content": "Hi"}]
WHY = "no limit was captured; the cap needs one"
EVERY = [pytest.param(provider, id=provider.key) for provider in PROVIDERS]
# The name under which each API takes the output limit (VENDORS.md, 4.0); OpenAI's also under its old one.
FIELD = {
    "openai_chat": "max_tokens",
    "openai_responses": "max_output_tokens",
    "azure_openai": "max_completion_tokens",
    "mai_chat": "max_completion_tokens",
    "anthropic_messages": "max_tokens",
    "gemini_generate": "maxOutputTokens",
}


def _endpoint(key: str, **more: Any) -> EndpointConfig:
    return EndpointConfig("e", key, "https://vendor.example.com", "m", **more)


def _sent(provider: Provider, body: dict[str, Any], **more: Any) -> tuple[dict[str, Any], list[ParameterChange]]:
    """The limits on the wire by name, and the changes."""
    wire = provider.prepare(CompletionRequest({"messages": MESSAGES} | body), _endpoint(provider.key, **more))
    written = json.loads(wire.body)
    written |= written.get("generationConfig", {})
    return {name: written[name] for name in (*OUTPUT_LIMITS, "maxOutputTokens") if name in written}, list(wire.changes)


@pytest.mark.parametrize("provider", EVERY)
def test_a_request_without_a_limit_gets_one_that_is_recorded(provider: Provider) -> None:
    field = FIELD[provider.key]
    limits, changes = _sent(provider, {})
    assert limits == {field: 4096}
    assert changes == [ParameterChange(field, "added", f"4096: {WHY}")]
    assert _sent(provider, {}, output_limit=77)[0] == {field: 77}
    assert _sent(provider, {"max_completion_tokens": 5}, output_limit=77)[0].popitem()[1] == 5
    assert _sent(provider, {}, output_limit=77, parameters={"max_tokens": 6})[0].popitem()[1] == 6


@pytest.mark.parametrize("provider", EVERY)
@pytest.mark.parametrize("limit", [-5, 0, True, "100", [7]])
def test_a_limit_that_is_no_number_above_zero_is_replaced(provider: Provider, limit: Any) -> None:
    limits, changes = _sent(provider, {"max_tokens": limit})
    field = FIELD[provider.key]
    assert limits == {field: 4096}
    assert changes == [
        ParameterChange("max_tokens", "dropped", "no number of tokens"),
        ParameterChange(field, "added", f"4096: {WHY}"),
    ]


_limits = st.dictionaries(
    st.sampled_from(OUTPUT_LIMITS), st.sampled_from([None, -1, 0, 1, 50, 7000, 20.5, True, "9", [1]]), max_size=3
)


@pytest.mark.parametrize("provider", EVERY)
@given(captured=_limits, parameters=_limits)
def test_no_limit_on_the_wire_is_above_the_one_that_is_reserved(
    provider: Provider, captured: dict[str, Any], parameters: dict[str, Any]
) -> None:
    limits, _ = _sent(provider, captured, parameters=parameters, output_limit=300)
    reserved = limit_to_send(captured, parameters, 300)
    assert limits
    assert max(limits.values()) <= reserved
    if len(captured) + len(parameters) < 2:
        assert output_limit({"max_tokens": max(limits.values())}) == reserved


def test_the_site_and_the_providers_agree_on_the_limit() -> None:
    assert _endpoint("openai_chat").output_limit == DEFAULTS["DEFAULT_OUTPUT_LIMIT"]


def test_the_largest_limit_counts() -> None:
    assert output_limit({"max_tokens": 10, "max_completion_tokens": 20.5}) == 21
    assert output_limit({"max_tokens": float("nan"), "max_output_tokens": float("inf")}) == 0


@pytest.mark.parametrize(
    ("base_url", "field", "captured"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens", "max_completion_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens", "max_tokens"),
    ],
)
def test_openais_own_servers_get_the_new_name_and_all_others_the_one_that_was_captured(
    base_url: str, field: str, captured: str
) -> None:
    def sent(body: dict[str, Any]) -> tuple[Any, list[tuple[str, str]]]:
        endpoint = EndpointConfig("e", "openai_chat", base_url, "m")
        wire = PROVIDERS.get("openai_chat").prepare(CompletionRequest({"messages": MESSAGES} | body), endpoint)
        return json.loads(wire.body), [(change.parameter, change.action) for change in wire.changes]

    assert sent({})[0][field] == 4096
    body, changes = sent({"max_tokens": 5})
    assert body[captured] == 5
    assert changes == ([("max_tokens", "renamed")] if captured != "max_tokens" else [])
    assert sent({"max_completion_tokens": 5}) == (
        {"messages": MESSAGES, "model": "m", "max_completion_tokens": 5},
        [],
    )


@pytest.mark.parametrize("provider", EVERY)
def test_an_endpoint_parameter_of_none_takes_the_parameter_out(provider: Provider) -> None:
    """Newer models refuse parameters that older ones were called with."""
    body = {"messages": MESSAGES, "temperature": 0, "max_tokens": 5}
    wire = provider.prepare(
        CompletionRequest(body), _endpoint(provider.key, parameters={"temperature": None, "seed": None})
    )
    assert "temperature" not in wire.body.decode()
    assert ParameterChange("temperature", "dropped", "endpoint parameter") in wire.changes


@pytest.mark.parametrize("provider", EVERY)
def test_what_is_billed_apart_from_tokens_is_not_bought(provider: Provider) -> None:
    body = {"messages": MESSAGES, "max_tokens": 5, "web_search_options": {}}
    wire = provider.prepare(CompletionRequest(body), _endpoint(provider.key))
    assert "web_search_options" not in wire.body.decode()
    assert ParameterChange("web_search_options", "dropped", "billed apart from tokens") in wire.changes
