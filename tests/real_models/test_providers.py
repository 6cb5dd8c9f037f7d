"""Three dialects against a real server and model: what it counts, says and streams is read as it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig
from evaluations.providers.egress import Egress, EgressPolicy
from evaluations.providers.registry import PROVIDERS
from tests.real_models.server import CONTEXT_TOKENS, KEY, MODEL, RealServer

PATHS = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic_messages": ""}
QUESTION = [{"role": "user", "content": "What is 2+2?"}]

dialects = pytest.mark.parametrize("protocol", PATHS)
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def _complete(
    server: RealServer, protocol: str, body: dict[str, Any], *, stream: bool = False, **more: Any
) -> CompletionResult:
    endpoint = EndpointConfig(
        **{
            "slug": "real",
            "protocol": protocol,
            "base_url": server.url + PATHS[protocol],
            "wire_model": MODEL,
            "credential": KEY,
            "stream": stream,
            "parameters": {"temperature": 0},
            **more,
        }
    )

    async def call() -> CompletionResult:
        async with Egress(EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": server.door})) as transport:
            request = CompletionRequest({"messages": QUESTION, "max_tokens": 60, **body})
            return await PROVIDERS.get(protocol).complete(request, endpoint=endpoint, transport=transport)

    return asyncio.run(call())


@dialects
@streams
def test_an_answer_its_tokens_and_its_time(server: RealServer, protocol: str, stream: bool) -> None:
    before = server.bill()
    result = _complete(server, protocol, {}, stream=stream)
    billed = {name: count - before[name] for name, count in server.bill().items()}
    assert (result.outcome, result.finish_reason, result.served_model) == (Outcome.OK, FinishReason.COMPLETE, MODEL)
    assert "4" in str(result.text)
    usage = result.usage
    assert {name: getattr(usage, name) or 0 for name in billed} == billed
    assert sum((usage.input_uncached or 0, usage.cache_read or 0)) == server.prompt_tokens(QUESTION)
    # One more than its text: the token that ends an answer is generated too.
    assert usage.output_total == server.tokens(str(result.text)) + 1
    assert result.timing is not None
    assert (result.timing.ttft_ms is not None) == stream
    if result.timing.ttft_ms is not None:
        assert 0 < result.timing.ttft_ms < result.timing.latency_ms


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic_messages"])  # its responses API calls a cut complete
@streams
def test_the_limit_that_is_sent_is_kept(server: RealServer, protocol: str, stream: bool) -> None:
    result = _complete(server, protocol, {"max_tokens": None}, output_limit=3, stream=stream)
    assert (result.outcome, result.usage.output_total) == (Outcome.TRUNCATED, 3)
    assert [(change.parameter, change.action) for change in result.changes] == [("max_tokens", "added")]


@streams
def test_output_after_a_json_schema(server: RealServer, stream: bool) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    result = _complete(server, "openai_chat", {"response_format": wanted}, stream=stream)
    assert result.outcome is Outcome.OK
    assert list(json.loads(str(result.text))) == ["city"]


@dialects
def test_what_it_refuses_is_named(server: RealServer, protocol: str) -> None:
    assert _complete(server, protocol, {}, credential="wrong").outcome is Outcome.AUTH
    long = [{"role": "user", "content": "word " * (CONTEXT_TOKENS + 100)}]
    result = _complete(server, protocol, {"messages": long})
    assert (result.outcome, result.http_status) == (Outcome.REJECTED_INPUT, 400)
    assert "context" in str(result.error)
