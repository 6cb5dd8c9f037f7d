"""Whatever a line holds, every reader answers with samples and bad lines."""

import gzip
import json
import random

import pytest

from evaluations.capture.base import BadLine, CapturedSample, CaptureError
from evaluations.capture.registry import READERS
from tests.shared_data import shared_data

FILES = {
    "openai_stored": "openai_stored_completions",
    "openai_batch": "openai_batch_output",
    "anthropic_batch": "anthropic_message_batch_results",
    "litellm": "litellm_standard_logging",
    "langfuse": "langfuse_traces",
    "otel_genai": "otlp_genai_spans",
    "azure_diagnostic": "azure_openai_diagnostic",
}
ODD = [None, True, -1, 1e308, "", "x", "[", '{"a":', [], [None], {}, {"a": 1}, [[["x"]]], "\x01é", 10**18]


def damaged(value, dice):
    """A copy with one place replaced by something odd."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        return {**value, key: damaged(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], damaged(value[at], dice), *value[at + 1 :]]
    return dice.choice(ODD)


NATIVE = {
    "id": "1",
    "occurred_at": "2026-01-01",
    "cluster": "c",
    "segments": {"a": "b"},
    "request": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "tools": [{}]},
    "reference": {"a": 1},
    "response": {"message": {"content": "x", "tool_calls": [{}]}, "usage": {"prompt_tokens": 1}, "latency_ms": 1},
}


def real_lines(key):
    if key == "native":
        return [NATIVE]
    with gzip.open(shared_data("log_formats", f"{FILES[key]}.jsonl.gz"), "rt") as lines:
        return [json.loads(line) for line in lines][:6]


@pytest.mark.parametrize("key", ["native", *FILES])
def test_damaged_real_lines(tmp_path, key):
    rows = real_lines(key)
    dice = random.Random(key)
    path = tmp_path / "log.jsonl"
    with path.open("w") as handle:
        for _ in range(400):
            handle.write(json.dumps(damaged(dice.choice(rows), dice)) + "\n")
    results = list(READERS.get(key).read(path))
    assert {type(result) for result in results} == {CapturedSample, BadLine}


@pytest.mark.parametrize("key", ["native", *FILES])
@pytest.mark.parametrize("content", [b'[]\n5\nnull\n"x"\n', b"\x00\xff\xfe\n{\n", b'{"a":' * 50_000])
def test_lines_that_are_no_objects(tmp_path, key, content):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    results = list(READERS.get(key).read(path))
    assert {type(result) for result in results} == {BadLine}


def test_tables_fail_as_a_whole(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\x00\xff\xfe\n")
    with pytest.raises(CaptureError):
        list(READERS.get("tabular").read(path))
