"""Exported production logs give the counts that their README and reference files state."""

import json

import pytest

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


def test_anthropic_batch_results_joined_with_the_batch_input_they_answer():
    reader = detect(log("anthropic_message_batch_results"))
    samples = list(reader.read(log("anthropic_message_batch_results"), requests=log("openai_batch_input")))
    reference = REFERENCE["anthropic_message_batch_results"]
    assert (reader.key, len(samples)) == ("anthropic_batch", reference["lines"])
    assert counts(samples) == expected("anthropic_message_batch_results")
    missing = sum(reference[key] for key in ("errored", "expired", "canceled"))
    assert len(samples) - len(answered(samples)) == missing
    assert all(sample.request["messages"] for sample in samples)


def test_litellm_standard_logging():
    reader = detect(log("litellm_standard_logging"))
    samples = list(reader.read(log("litellm_standard_logging")))
    reference = REFERENCE["litellm_standard_logging"]
    assert (reader.key, len(samples)) == ("litellm", reference["records"])
    assert len(samples) - len(answered(samples)) == reference["failures"]
    tokens = counts(samples)
    assert tokens["prompt_tokens"] == reference["prompt_tokens"]
    assert tokens["completion_tokens"] == reference["completion_tokens"]
    assert all(sample.request["messages"] for sample in samples)


def test_otlp_genai_spans():
    reader = detect(log("otlp_genai_spans"))
    samples = list(reader.read(log("otlp_genai_spans")))
    reference = REFERENCE["otlp_genai_spans"]
    assert (reader.key, len(samples)) == ("otel_genai", reference["spans"])
    assert counts(samples) == expected("otlp_genai_spans")
    assert len(samples) - len(answered(samples)) == reference["error_spans"]


def test_openinference_and_older_genai_attributes_say_the_same():
    samples = list(detect(log("openinference_genai_spans")).read(log("openinference_genai_spans")))
    assert {sample.response.text for sample in samples} == {
        "The weather in Paris is currently rainy with a temperature of 57°F."
    }
    assert [(input_tokens(sample), sample.response.usage.output_total) for sample in samples] == [(97, 52)] * 4
    assert {len(sample.request["messages"]) for sample in samples} == {3}


def test_azure_diagnostic_log_has_nothing_to_replay():
    reader = detect(log("azure_openai_diagnostic"))
    samples = list(reader.read(log("azure_openai_diagnostic")))
    reference = REFERENCE["azure_openai_diagnostic"]
    assert (reader.key, len(samples)) == ("azure_diagnostic", reference["records"])
    assert {(sample.request, sample.response and sample.response.text) for sample in samples} == {(None, None)}
    assert sum(sample.segments["status"] == "429" for sample in samples) == reference["status_429"]
    latencies = [sample.response.latency_ms for sample in answered(samples)]
    assert sum(latencies) / len(latencies) == pytest.approx(reference["mean_duration_ms_200"], abs=5e-7)


def test_langfuse_traces():
    reference = json.loads(shared_data("log_formats", "reference_langfuse.json").read_text())
    samples = list(READERS.get("langfuse").read(log("langfuse_traces")))
    found = {}
    for line, name in enumerate(reference, 1):
        mine = answered([sample for sample in samples if sample.line == line])
        found[name] = {
            "generations": len(mine),
            "input_tokens": sum(input_tokens(sample) for sample in mine),
            "output_tokens": sum(sample.response.usage.output_total for sample in mine),
            "generations_with_latency": sum(sample.response.latency_ms is not None for sample in mine),
        }
    assert found == {name: {key: row[key] for key in found[name]} for name, row in reference.items()}


def test_the_vendors_own_example_of_a_page_of_stored_completions(tmp_path):
    examples = json.loads(shared_data("log_formats", "openai_spec_examples.json").read_text())
    page = tmp_path / "page.json"
    page.write_text(json.dumps(examples["ChatCompletionList"], indent=2))
    reader = detect(page)
    (sample,) = reader.read(page)
    assert (reader.key, sample.external_id) == ("openai_stored", "chatcmpl-AyPNinnUqUDYo9SAdA52NobMflmj2")
    assert (sample.request, input_tokens(sample), sample.response.usage.output_total) == (None, 13, 18)
    assert sample.response.text.startswith("Mind of circuits hum,")
