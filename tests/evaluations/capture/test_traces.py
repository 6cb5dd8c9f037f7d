"""LiteLLM, Langfuse, OpenTelemetry and Azure lines, made small."""

import json
from datetime import UTC, datetime

import pytest

from evaluations.capture.azure import AzureDiagnostic
from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.langfuse import Langfuse
from evaluations.capture.litellm import LiteLLM
from evaluations.capture.otel_genai import OTelGenAI
from evaluations.providers.base import Usage

ASKED = [{"role": "user", "content": "hi"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}


def read(reader, tmp_path, *rows):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(reader.read(path))


def litellm(**changes):
    message = {"role": "assistant", "content": "hello"}
    row = {
        "id": "c-1",
        "call_type": "acompletion",
        "status": "success",
        "messages": ASKED,
        "model_parameters": {"temperature": 0, "stream": True, "user": "u"},
        "request_tags": ["team:search", "plain"],
        "end_user": "customer-7",
        "startTime": 0.5,
        "response_time": 1.25,
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "response": {"model": "gpt-4o", "choices": [{"message": message, "finish_reason": "stop"}]},
    }
    return row | changes


def test_litellm_line(tmp_path):
    assert read(LiteLLM(), tmp_path, litellm()) == [
        CapturedSample(
            line=1,
            external_id="c-1",
            request={"messages": ASKED, "temperature": 0},
            occurred_at=datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC),
            cluster="customer-7",
            segments={"team": "search"},
            response=CapturedResponse(
                text="hello",
                message={"role": "assistant", "content": "hello"},
                model="gpt-4o",
                usage=Usage(input_uncached=3, output_total=2, raw={"prompt_tokens": 3, "completion_tokens": 2}),
                latency_ms=1250.0,
                finish_reason="stop",
            ),
        )
    ]


def test_litellm_failures_embeddings_and_redacted_messages_are_counted(tmp_path):
    failed, embedding, hidden = read(
        LiteLLM(),
        tmp_path,
        litellm(status="failure", response=None),
        litellm(call_type="aembedding"),
        litellm(messages="redacted-by-litellm"),
    )
    assert (failed.request, failed.response) == ({"messages": ASKED, "temperature": 0}, None)
    assert (embedding.request, hidden.request) == (None, None)


def generation(**changes):
    row = {
        "type": "GENERATION",
        "id": "g-1",
        "traceId": "t-1",
        "model": "gpt-4o",
        "startTime": "2026-01-01T00:00:00.000Z",
        "endTime": "2026-01-01T00:00:01.500Z",
        "input": ASKED,
        "output": "hello",
        "modelParameters": {"temperature": 1, "max_tokens": -1, "seed": ""},
        "usageDetails": {"input": 10, "output": 4, "prompt_details.cache_read": 6, "completion_details.reasoning": 1},
    }
    return row | changes


def test_langfuse_generation(tmp_path):
    (sample,) = read(Langfuse(), tmp_path, generation())
    assert sample == CapturedSample(
        line=1,
        external_id="g-1",
        request={"messages": ASKED, "temperature": 1},
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        cluster="t-1",
        response=CapturedResponse(
            text="hello",
            model="gpt-4o",
            usage=Usage(input_uncached=4, cache_read=6, output_total=4, reasoning=1, raw=generation()["usageDetails"]),
            latency_ms=1500.0,
        ),
    )


def test_langfuse_traces_give_their_generations_and_bad_ones_do_not_hide_the_others(tmp_path):
    trace = {
        "trace": {"sessionId": "s-1"},
        "observations": [{"type": "SPAN"}, generation(startTime="never"), generation(id="g-2")],
    }
    bad, good = read(Langfuse(), tmp_path, trace)
    assert bad == BadLine(1, "observations[1].startTime", "is not an ISO 8601 instant: 'never'")
    assert (good.external_id, good.cluster) == ("g-2", "s-1")


@pytest.mark.parametrize(
    ("logged", "messages"),
    [
        ({"messages": ASKED}, ASKED),
        ("What is it?", [{"role": "user", "content": "What is it?"}]),
        ({"contents": "hi"}, ASKED),
        (
            [{"role": "user", "content": "hi"}, {"type": "function_call", "call_id": "c1", **CALL["function"]},
             {"type": "function_call_output", "call_id": "c1", "output": "rainy"}],
            [*ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]},
             {"role": "tool", "tool_call_id": "c1", "content": "rainy"}],
        ),
        ([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
         [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
        ("user: hi\nassistant: hello", None),
        ({"messages": ["role='user' content='hi'"]}, None),
        ([{"role": "tool", "content": "rainy"}], None),
        ([{"role": "user", "content": [{"type": "made_up"}]}], None),
        ({"args": ["hi"]}, None),
        (None, None),
        ([], None),
    ],
)  # fmt: skip
def test_langfuse_inputs_are_replayed_only_if_they_can_be_sent(tmp_path, logged, messages):
    (sample,) = read(Langfuse(), tmp_path, generation(input=logged))
    assert (sample.request and sample.request["messages"]) == messages


@pytest.mark.parametrize(
    ("logged", "text", "calls", "finish"),
    [
        ({"role": "assistant", "content": "a"}, "a", None, None),
        ({"choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}, "a", None, "stop"),
        ([{"role": "assistant", "parts": [{"type": "text", "content": "a"}, {"type": "thinking", "content": "t"}],
           "finish_reason": "stop"}], "a", None, "stop"),
        ([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "weather",
                                           "arguments": {"city": "Paris"}}]}], None, [CALL], None),
        ([{"role": "assistant", "content": [{**CALL, "function": {"name": "weather",
                                                                  "arguments": {"city": "Paris"}}}]}],
         None, [CALL], None),
        ({"object": "response", "output": [{"type": "reasoning"}, {"type": "function_call", "call_id": "c1",
                                                                   **CALL["function"]}]}, None, [CALL], None),
        ({"candidates": [{"content": {"parts": [{"text": "t", "thought": True}, {"text": "a"}]},
                          "finishReason": "STOP"}]},
         "a", None, "STOP"),
        ({"unknown": 1}, '{"unknown": 1}', None, None),
    ],
)  # fmt: skip
def test_langfuse_outputs_of_many_integrations(tmp_path, logged, text, calls, finish):
    (sample,) = read(Langfuse(), tmp_path, generation(output=logged))
    response = sample.response
    assert (response.text, response.finish_reason) == (text, finish)
    assert (response.message or {}).get("tool_calls") == calls


def span(attributes, **changes):
    def value(item):
        if isinstance(item, list):
            return {"arrayValue": {"values": [value(part) for part in item]}}
        return {"intValue": str(item)} if isinstance(item, int) else {"stringValue": item}

    listed = [{"key": key, "value": value(item)} for key, item in attributes.items()]
    times = {"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001250000000"}
    row = {"spanId": "s1", "attributes": listed, **times, **changes}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [row]}]}]}


OTEL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.max_tokens": 50,
    "gen_ai.conversation.id": "conv",
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
    "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]),
    "gen_ai.tool.definitions": json.dumps([{"type": "function", "name": "weather", "parameters": {}}]),
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.usage.output_tokens": 2,
}


def test_otel_span(tmp_path):
    (sample,) = read(OTelGenAI(), tmp_path, span(OTEL))
    assert sample == CapturedSample(
        line=1,
        external_id="s1",
        request={
            "max_completion_tokens": 50,
            "messages": [{"role": "system", "content": "Be brief."}, *ASKED],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
        },
        occurred_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        cluster="conv",
        response=CapturedResponse(
            text="hello",
            message={"role": "assistant", "content": "hello"},
            model="gpt-4o",
            usage=Usage(input_uncached=3, output_total=2, raw={"prompt_tokens": 3, "completion_tokens": 2}),
            latency_ms=1250.0,
            finish_reason="stop",
        ),
    )


def test_otel_failed_spans_have_no_answer_and_other_spans_are_passed_over(tmp_path):
    tool = span({"gen_ai.operation.name": "execute_tool"})
    (failed,) = read(OTelGenAI(), tmp_path, span(OTEL, status={"code": 2}), tool)
    assert (failed.request["messages"][1:], failed.response) == (ASKED, None)


def test_openinference_flattened_messages(tmp_path):
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.invocation_parameters": '{"temperature": 0.5, "model": "gpt-4"}',
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "hi",
        "llm.input_messages.1.message.role": "assistant",
        "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "weather",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": '{"city": "Paris"}',
        "llm.input_messages.2.message.role": "tool",
        "llm.input_messages.2.message.tool_call_id": "c1",
        "llm.input_messages.2.message.content": "rainy",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.contents.0.message_content.type": "text",
        "llm.output_messages.0.message.contents.0.message_content.text": "It rains.",
    }
    (sample,) = read(OTelGenAI(), tmp_path, {"attributes": attributes})
    assert sample.request == {
        "temperature": 0.5,
        "messages": [
            *ASKED,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "rainy"},
        ],
    }
    assert sample.response.text == "It rains."


def test_azure_lines_hold_status_and_latency_but_nothing_to_replay(tmp_path):
    row = {
        "category": "RequestResponse",
        "correlationId": "x",
        "durationMs": 120,
        "location": "eastus",
        "resultSignature": "200",
        "time": "2024-11-01T00:00:00Z",
        "properties": '{"modelDeploymentName": "prod", "modelName": "gpt-4o", "modelVersion": "2024-08-06"}',
    }
    ok, limited, bad = read(
        AzureDiagnostic(), tmp_path, row, row | {"resultSignature": "429"}, row | {"properties": "{"}
    )
    assert ok == CapturedSample(
        line=1,
        external_id="x",
        request=None,
        occurred_at=datetime(2024, 11, 1, tzinfo=UTC),
        segments={"deployment": "prod", "region": "eastus", "status": "200"},
        response=CapturedResponse(text=None, model="gpt-4o-2024-08-06", latency_ms=120.0),
    )
    assert (limited.segments["status"], limited.response) == ("429", None)
    assert (bad.line, bad.field) == (3, "properties")
