import json

import pytest

from evaluations.capture.base import BadLine, CapturedSample, CaptureError
from evaluations.capture.openai import OpenAIBatch, OpenAIStored

MESSAGES = [{"role": "user", "content": "hi"}]


def write(tmp_path, name, *rows):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def completion(**changes):
    message = {"role": "assistant", "content": "hello", "tool_calls": None, "function_call": None}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    return {"id": "c-1", "object": "chat.completion", "created": 0, "model": "gpt-4o", "choices": choices} | changes


def batch_input(custom_id, content="hi"):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def batch_output(custom_id, **changes):
    return {"custom_id": custom_id, "error": None, "response": {"status_code": 200, "body": completion()}} | changes


def test_a_stored_completion_repeats_its_request(tmp_path):
    row = completion(input_messages=MESSAGES, temperature=0.2, tools=None, seed=7, metadata={"team": "a", "n": 1})
    (sample,) = OpenAIStored().read(write(tmp_path, "s.jsonl", row))
    assert sample.request == {"messages": MESSAGES, "temperature": 0.2, "seed": 7}
    assert sample.segments == {"team": "a"}
    assert (sample.response.text, sample.response.finish_reason) == ("hello", "stop")


def test_a_stored_completion_without_messages_has_no_prompt_unless_joined(tmp_path):
    answers = write(tmp_path, "s.jsonl", completion())
    assert next(OpenAIStored().read(answers)).request is None
    prompts = write(tmp_path, "p.jsonl", {"id": "c-1", "request": {"messages": MESSAGES}})
    assert next(OpenAIStored().read(answers, requests=prompts)).request == {"messages": MESSAGES}


def test_batch_output_is_joined_on_custom_id_whatever_the_order(tmp_path):
    requests = write(tmp_path, "in.jsonl", batch_input("a", "first"), batch_input("b", "second"), batch_input("c"))
    output = write(tmp_path, "out.jsonl", batch_output("b"), batch_output("x"), batch_output("a"))
    joined = [(s.external_id, s.request) for s in OpenAIBatch().read(output, requests=requests)]
    assert joined == [
        ("b", {"messages": [{"role": "user", "content": "second"}]}),
        ("x", None),
        ("a", {"messages": [{"role": "user", "content": "first"}]}),
    ]


def test_failed_and_expired_batch_lines_have_a_prompt_but_no_answer(tmp_path):
    requests = write(tmp_path, "in.jsonl", batch_input("a"), batch_input("b"))
    rejected = batch_output("a", response={"status_code": 400, "body": {"error": {"message": "Invalid value"}}})
    expired = batch_output("b", response=None, error={"code": "batch_expired"})
    samples = list(OpenAIBatch().read(write(tmp_path, "out.jsonl", rejected, expired), requests=requests))
    assert [(s.request, s.response) for s in samples] == [({"messages": MESSAGES}, None)] * 2


def test_batch_input_alone_gives_prompts(tmp_path):
    (sample,) = OpenAIBatch().read(write(tmp_path, "in.jsonl", batch_input("a")))
    assert sample == CapturedSample(line=1, external_id="a", request={"messages": MESSAGES})


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([batch_input("a"), batch_input("a")], "in.jsonl: an id occurs more than once"),
        ([batch_input("a"), {"custom_id": "b", "body": {}}], "in.jsonl: line 2, body.messages: must be a list"),
    ],
)
def test_a_requests_file_that_cannot_be_trusted_is_refused(tmp_path, requests, message):
    output = write(tmp_path, "out.jsonl", batch_output("a"))
    with pytest.raises(CaptureError, match=message):
        list(OpenAIBatch().read(output, requests=write(tmp_path, "in.jsonl", *requests)))


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (batch_output("a", response={"body": completion(choices=[])}), "response.body.choices"),
        (batch_output("a", response={"body": completion(choices=[{}])}), "response.body.choices[0].message"),
        (batch_output("a", response="x"), "response"),
        (batch_output(5), "custom_id"),
        (batch_output("a", response={"body": completion(usage=[])}), "response.body.usage"),
    ],
)
def test_bad_answers_name_their_field(tmp_path, row, field):
    (bad,) = OpenAIBatch().read(write(tmp_path, "out.jsonl", row))
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.field) == (1, field)


def test_reasoning_is_dropped_and_a_refusal_is_text(tmp_path):
    message = {"role": "assistant", "content": None, "refusal": "No.", "reasoning_content": "secret"}
    row = completion(choices=[{"message": message, "finish_reason": "stop"}])
    (sample,) = OpenAIStored().read(write(tmp_path, "s.jsonl", row))
    assert (sample.response.text, sample.response.message) == ("No.", {"role": "assistant", "refusal": "No."})
