"""Exported production logs give the counts that their README and reference files state."""

import json

from evaluations.capture.registry import READERS, detect
from tests.shared_data import shared_data

REFERENCE = json.loads(shared_data("log_formats", "reference_samples.json").read_text())


def log(name):
    return shared_data("log_formats", f"{name}.jsonl.gz")


def answered(samples):
    return [sample for sample in samples if sample.response is not None]


def input_tokens(sample):
    usage = sample.response.usage
    return sum(part for part in (usage.input_uncached, usage.cache_read, usage.cache_write) if part is not None)


def counts(samples):
    answers = answered(samples)
    return {
        "records": len(answers),
        "prompt_tokens": sum(input_tokens(sample) for sample in answers),
        "completion_tokens": sum(sample.response.usage.output_total for sample in answers),
    }


def expected(name):
    return {key: REFERENCE[name][key] for key in ("records", "prompt_tokens", "completion_tokens")}


def test_openai_stored_completions():
    reader = detect(log("openai_stored_completions"))
    samples = list(reader.read(log("openai_stored_completions")))
    assert reader.key == "openai_stored"
    assert counts(samples) == expected("openai_stored_completions")
    assert all(sample.request["messages"] and sample.occurred_at for sample in samples)


def test_openai_batch_joined_with_its_input():
    reader = detect(log("openai_batch_output"))
    assert reader is detect(log("openai_batch_input")) is READERS.get("openai_batch")
    samples = list(reader.read(log("openai_batch_output"), requests=log("openai_batch_input")))
    assert len(samples) == REFERENCE["openai_batch"]["lines"]
    assert counts(samples) == expected("openai_batch")
    assert len(samples) - len(answered(samples)) == sum(REFERENCE["openai_batch"][key] for key in ("failed", "expired"))
    inputs = {sample.external_id: sample.request for sample in reader.read(log("openai_batch_input"))}
    assert {sample.external_id: sample.request for sample in samples} == inputs


def test_answers_without_their_prompts_are_read_and_have_no_request():
    samples = list(READERS.get("openai_batch").read(log("openai_batch_output")))
    assert [sample.request for sample in samples] == [None] * REFERENCE["openai_batch"]["lines"]
    assert counts(samples) == expected("openai_batch")
