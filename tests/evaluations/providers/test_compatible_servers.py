"""What OpenAI-compatible servers do differently: vLLM, Ollama, llama.cpp, SGLang, DeepSeek, gateways."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import CompletionResult, EndpointConfig, Usage, WireResponse
from evaluations.providers.mai_chat import MAIChat
from evaluations.providers.openai_chat import OpenAIChat
from tests.evaluations.providers.loopback import HELLO, CannedStream

JSON = dict[str, Any]
USAGE = {"prompt_tokens": 9, "completion_tokens": 4}


def _whole(body: JSON, status: int = 200) -> CompletionResult:
    return OpenAIChat().parse(WireResponse(status, {}, json.dumps(body).encode()))


def _answer(message: JSON, finish: str | None = "stop") -> CompletionResult:
    return _whole({"choices": [{"message": message, "finish_reason": finish}], "usage": USAGE})


def _streamed(*chunks: JSON | str, provider: OpenAIChat | MAIChat | None = None) -> CompletionResult:
    provider = provider or OpenAIChat()
    events = [f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    endpoint = EndpointConfig("e", provider.key, "http://127.0.0.1:8000/v1", "m", stream=True)
    return asyncio.run(provider.complete(HELLO, endpoint=endpoint, transport=CannedStream(events)))


def _delta(finish: str | None = None, **delta: Any) -> JSON:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_no_part_of_the_answer(key: str) -> None:
    result = _answer({"role": "assistant", "content": "Four.", key: "SECRET"})
    assert (result.text, result.message) == ("Four.", {"role": "assistant", "content": "Four."})
    thought = _streamed(_delta(role="assistant", content=None), _delta(**{key: "SECRET"}), _delta("length"), "[DONE]")
    assert (thought.outcome, thought.text, thought.timing and thought.timing.ttft_ms) == (
        Outcome.TRUNCATED,
        None,
        None,
    )
    assert "SECRET" not in repr((result, thought))


def test_a_stream_without_usage_has_unknown_counts_and_is_whole() -> None:
    result = _streamed(_delta(content="Hi"), _delta("stop"), "[DONE]")
    assert (result.outcome, result.text, result.usage) == (Outcome.OK, "Hi", Usage())


def test_usage_may_come_with_the_last_choice_or_with_every_chunk() -> None:
    result = _streamed(_delta(content="Hi"), _delta("stop") | {"usage": USAGE}, "[DONE]")
    assert result.usage.output_total == 4
    early = USAGE | {"completion_tokens": 1}
    result = _streamed(_delta(content="Hi") | {"usage": early}, _delta("stop") | {"usage": USAGE}, "[DONE]")
    assert result.usage.output_total == 4


@pytest.mark.parametrize(
    ("word", "outcome", "reason"),
    [
        ("eos_token", Outcome.OK, FinishReason.COMPLETE),
        ("stop_sequence", Outcome.OK, FinishReason.COMPLETE),
        (None, Outcome.OK, None),
        ("a new word", Outcome.OK, FinishReason.UNKNOWN),
        ("abort", Outcome.VENDOR_ERROR, FinishReason.UNKNOWN),
        ("error", Outcome.VENDOR_ERROR, FinishReason.UNKNOWN),
        ("insufficient_system_resource", Outcome.VENDOR_ERROR, FinishReason.UNKNOWN),
    ],
)
def test_words_for_the_end(word: str | None, outcome: Outcome, reason: FinishReason | None) -> None:
    whole = _answer({"content": "Half an"}, word)
    streamed = _streamed(_delta(content="Half an"), _delta(word), "[DONE]")
    for result in (whole, streamed):
        assert (result.outcome, result.finish_reason, result.vendor_finish_reason) == (outcome, reason, word)
        assert (result.error is not None) == (outcome is Outcome.VENDOR_ERROR)


def test_an_empty_word_in_every_chunk_is_no_end() -> None:
    assert _streamed(_delta("", content="Hi"), _delta("")).outcome is Outcome.STREAM_CUT
    assert _streamed(_delta("", content="Hi"), _delta("stop")).outcome is Outcome.OK


def _call(index: int | None, **piece: Any) -> JSON:
    return _delta(tool_calls=[{**({} if index is None else {"index": index}), **piece}])


def _function(name: str | None = None, arguments: Any = None) -> JSON:
    return {"function": {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}}


def _calls(result: CompletionResult) -> list[tuple[str, str, Any]]:
    assert result.message is not None
    return [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in result.message["tool_calls"]
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        # as OpenAI does
        [
            _call(0, id="a", **_function("f", "")),
            _call(0, **_function(arguments='{"x"')),
            _call(0, **_function(arguments=": 1}")),
            _call(1, id="b", **_function("g", "{}")),
        ],
        # id and name again in every piece
        [
            _call(0, id="a", **_function("f", '{"x"')),
            _call(0, id="a", **_function("f", ": 1}")),
            _call(1, id="b", **_function("g", "{}")),
        ],
        # every call has the index 0, or none
        [_call(0, id="a", **_function("f", '{"x": 1}')), _call(0, id="b", **_function("g", "{}"))],
        [_call(None, id="a", **_function("f", '{"x": 1}')), _call(None, id="b", **_function("g", "{}"))],
        # arguments as an object
        [_call(0, id="a", **_function("f", {"x": 1})), _call(1, id="b", **_function("g", {}))],
    ],
)
def test_pieces_of_tool_calls(pieces: list[JSON]) -> None:
    result = _streamed(*pieces, _delta("stop"), "[DONE]")
    assert _calls(result) == [("a", "f", {"x": 1}), ("b", "g", {})]
    assert (result.outcome, result.finish_reason) == (Outcome.OK, FinishReason.TOOL_CALL)


def test_the_first_form_of_tool_calls_streams_too() -> None:
    first = _delta(function_call={"name": "f", "arguments": ""})
    pieces = [_delta(function_call={"arguments": piece}) for piece in ('{"x"', ": 1}")]
    assert _calls(_streamed(first, *pieces, _delta("function_call"), "[DONE]")) == [("", "f", {"x": 1})]


VLLM = {"object": "error", "message": "max_tokens must be at least 1", "type": "BadRequestError", "code": 400}
FASTAPI = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
OLLAMA = {"error": 'model "m" not found, try pulling it first'}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "message"),
    [
        (400, VLLM, Outcome.REJECTED_INPUT, "max_tokens must be at least 1"),
        (422, FASTAPI, Outcome.REJECTED_INPUT, "body.seed: Extra inputs are not permitted"),
        (404, OLLAMA, Outcome.MODEL_GONE, 'model "m" not found, try pulling it first'),
    ],
)
def test_errors(status: int, body: JSON, outcome: Outcome, message: str) -> None:
    result = _whole(body, status)
    assert (result.outcome, result.error) == (outcome, message)


@pytest.mark.parametrize(("error", "message"), [(VLLM, VLLM["message"]), ({"error": "out of memory"}, "out of memory")])
def test_errors_in_mid_stream(error: JSON, message: str) -> None:
    result = _streamed(_delta(content="Hi"), error, "[DONE]")
    assert (result.outcome, result.text, result.error) == (Outcome.VENDOR_ERROR, "Hi", message)


def test_encrypted_reasoning_at_the_end_of_a_stream_is_not_kept() -> None:
    """MAI: the final chunk has finish_reason, usage and the encrypted block (VENDORS.md 4.4)."""
    sealed = _delta("stop", reasoning={"encrypted_content": "SEALED"}) | {"usage": USAGE}
    result = _streamed(_delta(content="Four."), sealed, "[DONE]", provider=MAIChat())
    assert (result.outcome, result.text, result.usage.output_total) == (Outcome.OK, "Four.", 4)
    assert "SEALED" not in repr(result)


def test_a_million_choices_are_read_as_one() -> None:
    first = json.dumps({"message": {"content": "Hi"}, "finish_reason": "stop"})
    body = b'{"choices": [' + first.encode() + b",{}" * 1_000_000 + b"]}"
    assert len(body) < 8 * 1024 * 1024
    result = OpenAIChat().parse(WireResponse(200, {}, body))
    assert (result.outcome, result.text) == (Outcome.OK, "Hi")
