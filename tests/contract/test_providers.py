"""One suite over every registered provider, built in or installed: what the engine relies on."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluations.enums import Outcome
from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig, Provider, WireResponse
from evaluations.providers.egress import Egress, EgressPolicy
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.requests import Untranslatable
from tests.contract.vendor_answers import CACHED, DIALECTS, EXPECTED, IN, OUT, SITUATIONS, Dialect
from tests.evaluations.providers.loopback import (
    HELLO,
    CannedStream,
    Handler,
    Received,
    Vendor,
    answering,
    streaming,
    vendor,
)

BUILT_IN = [pytest.param(PROVIDERS.get(key), dialect, id=key) for key, dialect in DIALECTS.items()]
EVERY = [pytest.param(provider, id=provider.key) for provider in PROVIDERS]
CANARY = "sk-canary-0123456789"


def _complete(
    provider: Provider, handler: Handler, request: CompletionRequest = HELLO, **endpoint: Any
) -> tuple[CompletionResult, Vendor]:
    async def run() -> tuple[CompletionResult, Vendor]:
        async with vendor(handler) as running, Egress(running.policy) as egress:
            where = running.endpoint(provider.key, **endpoint)
            return await provider.complete(request, endpoint=where, transport=egress), running

    return asyncio.run(run())


def _whole(dialect: Dialect, situation: str) -> bytes:
    return json.dumps(dialect.body(SITUATIONS[situation])).encode()


def test_the_protocols_of_the_portfolio_file_are_all_there() -> None:
    """CONTRACT.md, "Providers (protocol)"."""
    assert set(DIALECTS) == {
        *("openai_chat", "openai_responses", "azure_openai", "mai_chat", "anthropic_messages", "gemini_generate")
    }
    assert set(DIALECTS) <= set(PROVIDERS.keys())


@pytest.mark.parametrize("provider", EVERY)
def test_key_and_version_are_stable_text(provider: Provider) -> None:
    assert PROVIDERS.get(provider.key) is provider
    assert provider.version


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_an_answer_makes_the_whole_way(provider: Provider, dialect: Dialect, situation: str) -> None:
    result, running = _complete(
        provider, answering(200, _whole(dialect, situation), x_ratelimit_remaining_requests="9")
    )
    said = SITUATIONS[situation]
    assert (result.outcome, result.finish_reason) == EXPECTED[situation]
    assert result.text == ("".join(said["pieces"]) or None)
    assert result.message is not None
    calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in _calls(result)]
    assert calls == [(i, n, json.loads(a)) for i, n, a in said.get("calls", ())]
    assert (result.served_model, result.request_id, result.http_status) == ("served-1", "r-1", 200)
    usage = result.usage
    assert (usage.input_uncached, usage.cache_read, usage.output_total) == (IN - CACHED, CACHED, OUT)
    assert usage.raw
    assert result.timing is not None
    assert (result.timing.latency_ms > 0, result.timing.ttft_ms) == (True, None)
    assert result.rate is not None
    assert (result.rate.requests_remaining, result.error) == (9, None)
    assert len(running.received) == 1


def _calls(result: CompletionResult) -> list[Any]:
    assert result.message is not None
    return list(result.message.get("tool_calls", []))


def _facts(result: CompletionResult) -> tuple[Any, ...]:
    """What must not depend on streaming: everything but the spelling of arguments and the measured time."""
    calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in _calls(result)]
    usage = {key: getattr(result.usage, key) for key in ("input_uncached", "cache_read", "output_total", "reasoning")}
    return result.outcome, result.text, calls, result.finish_reason, result.served_model, usage


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_a_stream_gives_the_same_result(provider: Provider, dialect: Dialect, situation: str) -> None:
    events = dialect.events(SITUATIONS[situation])
    result, running = _complete(provider, streaming(*events), stream=True)
    assert _facts(result) == _facts(provider.parse(WireResponse(200, {}, _whole(dialect, situation))))
    said = SITUATIONS[situation]
    assert result.timing is not None
    assert (result.timing.ttft_ms is not None) == bool(said["pieces"] or said.get("calls"))
    assert len(running.received) == 1


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_the_first_token_is_the_first_visible_one(provider: Provider, dialect: Dialect) -> None:
    """Roles, pings, thoughts and message starts come early and do not count."""
    events = dialect.events(SITUATIONS["text"])
    first = next(number for number, event in enumerate(events) if b"Hel" in event)
    result, _ = _complete(provider, streaming(*events, pause_seconds=0.03), stream=True)
    assert result.timing is not None
    assert result.timing.ttft_ms is not None
    before, after = 28 * first, 28 * (len(events) - 1 - first)
    assert before <= result.timing.ttft_ms <= result.timing.latency_ms - after


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_a_stream_that_is_cut_keeps_what_had_come(provider: Provider, dialect: Dialect) -> None:
    events = dialect.events(SITUATIONS["text"])
    first = next(number for number, event in enumerate(events) if b"Hel" in event)
    result, _ = _complete(provider, streaming(*events[: first + 2]), stream=True)
    assert (result.outcome, result.text) == (Outcome.STREAM_CUT, "Hello ")
    assert (result.served_model, result.http_status) == ("served-1", 200)
    assert result.usage.output_total is None or provider.key == "gemini_generate"  # it counts in every chunk
    result, _ = _complete(provider, streaming(), stream=True)
    assert (result.outcome, result.text) == (Outcome.STREAM_CUT, None)


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_a_stream_that_stalls_ends_at_the_deadline_and_keeps_what_had_come(
    provider: Provider, dialect: Dialect
) -> None:
    events = dialect.events(SITUATIONS["text"])
    first = next(number for number, event in enumerate(events) if b"Hel" in event)
    stalling = streaming(b"".join(events[: first + 1]), b"", pause_seconds=5)
    result, _ = _complete(provider, stalling, stream=True, deadline_seconds=0.2)
    assert (result.outcome, result.text) == (Outcome.TIMEOUT, "Hel")


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_an_error_in_mid_stream_is_named(provider: Provider, dialect: Dialect) -> None:
    events = dialect.events(SITUATIONS["text"])
    first = next(number for number, event in enumerate(events) if b"Hel" in event)
    result, _ = _complete(provider, streaming(*events[: first + 1], dialect.error), stream=True)
    assert (result.outcome, result.text) == (dialect.error_outcome, "Hel")
    assert result.error


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_a_server_that_does_not_stream_is_read_all_the_same(provider: Provider, dialect: Dialect) -> None:
    result, _ = _complete(provider, answering(200, _whole(dialect, "text")), stream=True)
    assert (result.outcome, result.text) == (Outcome.OK, "Hello wörld")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", EVERY)
def test_errors_are_named_and_carry_no_key(provider: Provider, stream: bool) -> None:
    body = json.dumps({"error": {"message": f"Slow down, {CANARY}", "type": "rate_limit_error"}}).encode()
    result, running = _complete(provider, answering(429, body, retry_after="3"), stream=stream)
    assert (result.outcome, result.retry_after_seconds, result.http_status) == (Outcome.RATE_LIMITED, 3.0, 429)
    assert result.error == "Slow down, [removed]"
    assert CANARY in str(running.received[0].headers)
    assert CANARY not in repr(result)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", EVERY)
def test_what_is_no_answer_is_a_bad_response(provider: Provider, stream: bool) -> None:
    for body, kind in ((b"<html>Sign in</html>", "text/html"), (b'{"a":', "application/json"), (b"[]", "text/plain")):
        result, _ = _complete(provider, answering(200, body, content_type=kind), stream=stream)
        assert result.outcome is Outcome.BAD_RESPONSE
    result, _ = _complete(provider, answering(200, b'{"error": {"message": "no"}}'), stream=stream)
    assert (result.outcome, result.error) == (Outcome.VENDOR_ERROR, "no")
    result, _ = _complete(provider, answering(302, b"", location="http://169.254.169.254/"), stream=stream)
    assert (result.outcome, result.http_status) == (Outcome.BAD_RESPONSE, 302)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", EVERY)
def test_a_failed_connection_is_a_result(provider: Provider, stream: bool) -> None:
    async def run() -> CompletionResult:
        async with vendor(answering(200, b"{}")) as running, Egress(running.policy) as egress:
            where = running.endpoint(provider.key, stream=stream, base_url="http://169.254.169.254")
            return await provider.complete(HELLO, endpoint=where, transport=egress)

    result = asyncio.run(run())
    assert result.outcome is Outcome.UNREACHABLE
    assert "169.254.169.254" in str(result.error)
    assert result.timing is not None


@pytest.mark.parametrize("provider", EVERY)
def test_a_request_that_cannot_be_said_is_rejected_without_a_call(provider: Provider) -> None:
    result, running = _complete(provider, answering(200, b"{}"), CompletionRequest({"messages": []}))
    assert (result.outcome, result.timing, running.received) == (Outcome.REJECTED_INPUT, None, [])


@pytest.mark.parametrize("provider", EVERY)
def test_preparing_is_pure_and_keeps_the_key_in_the_headers(provider: Provider) -> None:
    endpoint = EndpointConfig("e", provider.key, "https://vendor.example.com", "model-1", credential=CANARY)
    body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 5, "n": 2}
    before = json.dumps(body)
    wire = provider.prepare(CompletionRequest(body), endpoint)
    assert provider.prepare(CompletionRequest(body), endpoint) == wire
    assert json.dumps(body) == before
    assert wire.url.startswith("https://vendor.example.com/")
    assert any(CANARY in value for value in wire.headers.values())
    assert CANARY not in repr(wire) + repr(endpoint) + wire.url + wire.body.decode()
    assert ("n", "dropped") in [(change.parameter, change.action) for change in wire.changes]


@pytest.mark.parametrize("provider", EVERY)
def test_the_output_limit_that_is_reserved_is_sent(provider: Provider) -> None:
    endpoint = EndpointConfig("e", provider.key, "https://vendor.example.com", "model-1", output_limit=7907)
    wire = provider.prepare(HELLO, endpoint)
    assert b"7907" in wire.body
    assert [change.detail[:5] for change in wire.changes if change.action == "added"] == ["7907:"]


# NUL, a lone surrogate, bytes that are no UTF-8, an ANSI escape and a right-to-left override (RELIABILITY.md, B26).
ODD = (b"a\\u0000b\\ud800c\xff\xfed\\u001b[31me\\u202ef", "a\\u0000b\\ud800c\\udcff\\udcfed\x1b[31me\u202ef")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_odd_characters_lose_nothing_and_break_no_database(provider: Provider, dialect: Dialect, stream: bool) -> None:
    sent, kept = ODD
    said = {**SITUATIONS["text"], "pieces": ["-odd-"]}
    if stream:
        handler = streaming(*(event.replace(b"-odd-", sent) for event in dialect.events(said)))
    else:
        handler = answering(200, json.dumps(dialect.body(said)).encode().replace(b"-odd-", sent))
    result, _ = _complete(provider, handler, stream=stream)
    assert (result.outcome, result.text) == (Outcome.OK, kept)
    assert kept.encode()  # no lone surrogate is left


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
def test_a_body_that_breaks_off_without_a_length_is_a_bad_response(provider: Provider, dialect: Dialect) -> None:
    """B16: the connection closes in the middle, and HTTP/1.0 has no way to tell."""
    body = _whole(dialect, "text")

    async def cut(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + body[: len(body) // 2])
        await writer.drain()

    result, _ = _complete(provider, cut)
    assert (result.outcome, result.text) == (Outcome.BAD_RESPONSE, None)


@pytest.mark.parametrize("provider", EVERY)
def test_a_redirect_gets_neither_request_nor_key(provider: Provider) -> None:
    """B24, to a host that the operator does permit."""

    async def run() -> tuple[CompletionResult, list[Received]]:
        async with vendor(answering(200, b"{}")) as other:
            answer = answering(307, b"", location=f"{other.url}/v1/chat/completions")
            async with vendor(answer) as running:
                policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": "127.0.0.0/8"})
                async with Egress(policy) as egress:
                    where = running.endpoint(provider.key)
                    return await provider.complete(HELLO, endpoint=where, transport=egress), other.received

    result, followed = asyncio.run(run())
    assert (result.outcome, result.http_status, followed) == (Outcome.BAD_RESPONSE, 307, [])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _mangled(value: Any, where: list[int], replacement: Any) -> Any:
    """``value`` with one place inside it replaced: close to a real answer, and wrong."""
    if where and isinstance(value, dict) and value:
        key = sorted(value)[where[0] % len(value)]
        return {**value, key: _mangled(value[key], where[1:], replacement)}
    if where and isinstance(value, list) and value:
        index = where[0] % len(value)
        return [*value[:index], _mangled(value[index], where[1:], replacement), *value[index + 1 :]]
    return replacement


@pytest.mark.parametrize("provider", EVERY)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # how busy the machine is proves nothing
@given(
    status=st.integers(100, 599), headers=st.dictionaries(st.text(max_size=9), st.text(max_size=9)), body=st.binary()
)
def test_any_bytes_give_a_result(provider: Provider, status: int, headers: dict[str, str], body: bytes) -> None:
    assert isinstance(provider.parse(WireResponse(status, headers, body)).outcome, Outcome)


REQUEST = {
    "messages": [
        {"role": "system", "content": "S"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "https://h/i"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "stop": ["x"],
    "temperature": 0,
    "reasoning_effort": "low",
    "max_completion_tokens": 5,
}


@pytest.mark.parametrize("provider", EVERY)
@settings(max_examples=120)
@given(where=st.lists(st.integers(0, 11), min_size=1, max_size=7), replacement=_JSON)
def test_a_mangled_request_is_prepared_or_refused_by_name(
    provider: Provider, where: list[int], replacement: Any
) -> None:
    endpoint = EndpointConfig("e", provider.key, "https://vendor.example.com", "m")
    try:
        wire = provider.prepare(CompletionRequest(_mangled(REQUEST, where, replacement)), endpoint)
    except Untranslatable:
        return
    assert isinstance(json.loads(wire.body), dict)


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
@settings(max_examples=120)
@given(situation=st.sampled_from(sorted(SITUATIONS)), where=st.lists(st.integers(0, 9), max_size=6), replacement=_JSON)
def test_a_mangled_answer_gives_a_result(
    provider: Provider, dialect: Dialect, situation: str, where: list[int], replacement: Any
) -> None:
    body = json.dumps(_mangled(dialect.body(SITUATIONS[situation]), where, replacement)).encode()
    result = provider.parse(WireResponse(200, {}, body))
    assert result.text is None or "\x00" not in result.text
    json.dumps(result.message).encode()


@pytest.mark.parametrize(("provider", "dialect"), BUILT_IN)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_mangled_stream_gives_a_result(provider: Provider, dialect: Dialect, data: st.DataObject) -> None:
    events = dialect.events(SITUATIONS[data.draw(st.sampled_from(sorted(SITUATIONS)))])
    victim = data.draw(st.integers(0, len(events) - 1))
    head, found, written = events[victim].rpartition(b"data: ")
    if found and written.startswith(b"{"):
        where, replacement = data.draw(st.lists(st.integers(0, 9), max_size=6)), data.draw(_JSON)
        events[victim] = head + found + json.dumps(_mangled(json.loads(written), where, replacement)).encode() + b"\n\n"
    stream = b"".join(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    chunks = [
        stream[a:b] for a, b in pairwise([0, *cuts, data.draw(st.integers(cuts[-1] if cuts else 0, len(stream)))])
    ]
    transport = CannedStream(chunks)
    endpoint = EndpointConfig("e", provider.key, "https://vendor.example.com", "m", stream=True)
    result = asyncio.run(provider.complete(HELLO, endpoint=endpoint, transport=transport))
    assert isinstance(result.outcome, Outcome)
