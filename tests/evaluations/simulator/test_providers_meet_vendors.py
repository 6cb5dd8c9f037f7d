"""The product's own providers against the simulated vendors, over real HTTP: answers, token counts and every fault.

Expected outcomes are those of the table of bad vendor inputs (B1 to B26) in the reliability specification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig
from evaluations.providers.egress import Egress, EgressPolicy
from evaluations.providers.registry import PROVIDERS
from evaluations.simulator.behaviours import FAULTS, ModelBehaviour
from evaluations.simulator.config import SimulatorConfig
from evaluations.simulator.server import SimulatedVendors

BASES = {
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "azure_openai": "/openai/v1",
    "mai_chat": "",
    "anthropic_messages": "",
    "gemini_generate": "",
}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is my order?"},
]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}

protocols = pytest.mark.parametrize("protocol", BASES)
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def vendors() -> Iterator[SimulatedVendors]:
    models = {fault: ModelBehaviour(faults={fault: 1.0}, retry_after="3") for fault in FAULTS}
    models["good"] = ModelBehaviour(reasoning_tokens=30, cached_input_share=0.5)
    with SimulatedVendors(SimulatorConfig(models=models, require_key=True)) as vendors:
        yield vendors


def complete(
    vendors: SimulatedVendors,
    protocol: str,
    model: str,
    *,
    stream: bool,
    deadline_seconds: float = 5.0,
    base: str | None = None,
    options: dict[str, str] | None = None,
    **body: object,
) -> CompletionResult:
    endpoint = EndpointConfig(
        slug="simulated",
        protocol=protocol,
        base_url=vendors.url + (BASES[protocol] if base is None else base),
        wire_model=model,
        credential="key",
        stream=stream,
        deadline_seconds=deadline_seconds,
        options=options or {},
    )
    policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": urlsplit(vendors.url).netloc})

    async def call() -> CompletionResult:
        async with Egress(policy) as transport:
            request = CompletionRequest({"messages": MESSAGES, **body})
            return await PROVIDERS.get(protocol).complete(request, endpoint=endpoint, transport=transport)

    return asyncio.run(call())


@protocols
@streams
def test_a_good_answer(vendors: SimulatedVendors, protocol: str, stream: bool) -> None:
    vendors.reset()
    result = complete(vendors, protocol, "good", stream=stream)
    assert (result.outcome, result.finish_reason, result.served_model) == (Outcome.OK, FinishReason.COMPLETE, "good")
    assert result.text
    bill = vendors.bill()["models"]["good"]
    usage = result.usage
    assert usage.input_uncached is not None
    assert usage.cache_read is not None
    assert usage.input_uncached + usage.cache_read + (usage.cache_write or 0) == bill["input_tokens"]
    assert usage.cache_read == bill["input_tokens"] // 2
    assert usage.output_total == bill["output_tokens"]
    assert usage.reasoning == (None if protocol == "mai_chat" else 30)
    assert result.timing is not None
    assert (result.timing.ttft_ms is not None) == stream


@protocols
@streams
def test_a_tool_call(vendors: SimulatedVendors, protocol: str, stream: bool) -> None:
    result = complete(vendors, protocol, "good", stream=stream, tools=[TOOL])
    assert (result.outcome, result.finish_reason) == (Outcome.OK, FinishReason.TOOL_CALL)
    assert result.message is not None
    assert [call["function"]["name"] for call in result.message["tool_calls"]] == ["weather"]


@protocols
def test_the_same_words_with_and_without_a_stream(vendors: SimulatedVendors, protocol: str) -> None:
    whole, streamed = (complete(vendors, protocol, "good", stream=stream) for stream in (False, True))
    assert (whole.text, whole.usage.output_total) == (streamed.text, streamed.usage.output_total)


IMAGE = {"type": "image_url", "image_url": {"url": "https://images.example.com/cat.png"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
WITH_A_TOOL = [
    {"role": "user", "content": [{"type": "text", "text": "What is the weather there?"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
]


@streams
@pytest.mark.parametrize(
    ("protocol", "base", "options"),
    [
        ("azure_openai", "", {}),
        ("azure_openai", "", {"api_version": "2024-10-21"}),
        ("azure_openai", "", {"auth": "bearer"}),
        ("openai_responses", "/openai/v1", {"auth": "api-key"}),
        ("mai_chat", "", {"auth": "bearer"}),
        ("anthropic_messages", "/anthropic", {}),
        ("anthropic_messages", "/anthropic/", {"auth": "bearer"}),
        ("gemini_generate", "", {"project": "p", "location": "europe-west4"}),
    ],
)
def test_every_other_route_takes_a_conversation_with_tool_and_image(
    vendors: SimulatedVendors, protocol: str, base: str, options: dict[str, str], stream: bool
) -> None:
    """Azure's two, its Responses API, Claude in Foundry, Gemini at Vertex: with keys and with tokens."""
    result = complete(vendors, protocol, "good", stream=stream, base=base, options=options, messages=WITH_A_TOOL)
    assert (result.outcome, result.served_model) == (Outcome.OK, "good")


OUTCOMES = {
    "rate_limit": Outcome.RATE_LIMITED,
    "quota": Outcome.QUOTA_EXHAUSTED,
    "server_error": Outcome.SERVER_ERROR,
    "unavailable": {Outcome.SERVER_ERROR, Outcome.OVERLOADED},
    "overloaded": {Outcome.SERVER_ERROR, Outcome.OVERLOADED},
    "bad_gateway": Outcome.SERVER_ERROR,
    "auth": Outcome.AUTH,
    "forbidden": Outcome.AUTH,
    "model_gone": Outcome.MODEL_GONE,
    "context_length": Outcome.REJECTED_INPUT,
    "bad_request": Outcome.REJECTED_INPUT,
    "length": Outcome.TRUNCATED,
    "refusal": {Outcome.REFUSED, Outcome.CONTENT_FILTERED},  # Gemini has no other word than SAFETY
    "content_filter": {Outcome.REFUSED, Outcome.CONTENT_FILTERED},  # Anthropic has no other word than refusal
    "blocked_prompt": {Outcome.REFUSED, Outcome.CONTENT_FILTERED},
    "empty": Outcome.EMPTY,
    "odd_text": Outcome.OK,
    "other_model": Outcome.OK,
    "cached_above_input": Outcome.OK,
    "usage_missing": Outcome.OK,
    "usage_zero": Outcome.OK,
    "usage_negative": Outcome.OK,
    "usage_text": Outcome.OK,
    "usage_huge": Outcome.OK,
    "negative_rate_headers": Outcome.OK,
    "reset": Outcome.UNREACHABLE,
    "hang": Outcome.TIMEOUT,
    "drip": Outcome.TIMEOUT,
    "cut_body": {Outcome.BAD_RESPONSE, Outcome.STREAM_CUT},
    "stream_cut": {Outcome.BAD_RESPONSE, Outcome.STREAM_CUT},
    "html_page": Outcome.BAD_RESPONSE,
    "error_in_200": {Outcome.VENDOR_ERROR, Outcome.SERVER_ERROR, Outcome.OVERLOADED},
    "broken_json": {Outcome.BAD_RESPONSE, Outcome.STREAM_CUT},
    "invalid_utf8": {Outcome.OK, Outcome.BAD_RESPONSE},
    "huge_body": Outcome.TOO_LARGE,
    "gzip_bomb": Outcome.TOO_LARGE,
    "redirect": {Outcome.VENDOR_ERROR, Outcome.BAD_RESPONSE},
}


@protocols
@streams
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_has_its_one_outcome(vendors: SimulatedVendors, protocol: str, stream: bool, fault: str) -> None:
    deadline_seconds = 0.3 if fault in ("hang", "drip") else 5.0
    result = complete(vendors, protocol, fault, stream=stream, deadline_seconds=deadline_seconds)
    expected = OUTCOMES[fault]
    assert result.outcome in (expected if isinstance(expected, set) else {expected})
    counts = (result.usage.input_uncached, result.usage.cache_read, result.usage.output_total)
    assert [count for count in counts if count is not None and count < 0] == []
    if fault == "rate_limit":
        assert result.retry_after_seconds == (None if protocol == "mai_chat" else 3)
    if fault in ("usage_missing", "usage_text", "usage_negative"):
        assert counts == (None, None, None)
    if fault == "other_model":
        assert result.served_model == "other_model-other"


def test_the_table_names_every_fault() -> None:
    assert set(OUTCOMES) == FAULTS
