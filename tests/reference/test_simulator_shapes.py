"""The simulated vendors send nothing that the real ones were not seen to send (data/vendor_http and data/gsm8k)."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluations.simulator.behaviours import ModelBehaviour
from evaluations.simulator.config import SimulatorConfig, load_config
from evaluations.simulator.server import SimulatedVendors
from tests.evaluations.simulator.client import ROUTES, counts, text_of
from tests.shared_data import shared_data

APIS = {
    "chat": ("openai", "chat.completions"),
    "responses": ("openai", "responses"),
    "anthropic": ("anthropic", "messages"),
    "gemini": ("google", "generateContent"),
}
STREAMS = {**APIS, "gemini": ("google", "streamGenerateContent")}
# Documented in the vendors' type files, absent from these recordings.
DOCUMENTED = {
    "usage.output_tokens_details",
    "usage.output_tokens_details.thinking_tokens",
    "incomplete_details.reason",
    "usageMetadata.cachedContentTokenCount",
    "content_block.id",
    "content_block.name",
    "content_block.input",
    "delta.partial_json",
}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Every member name with the names above it; what a tool was called with is its caller's own."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{at}.{name}".lstrip(".")
            if name not in ("args", "input"):
                yield from paths(inner, f"{at}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, at)


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    models = {
        "thinks": ModelBehaviour(reasoning_tokens=30, cached_input_share=0.5),
        "refuses": ModelBehaviour(faults={"refusal": 1.0}),
        "cut": ModelBehaviour(faults={"length": 1.0}),
    }
    with SimulatedVendors(SimulatorConfig(models=models)) as vendors:
        yield vendors.url


@pytest.mark.parametrize("name", APIS)
def test_answers_have_recorded_members_only(name: str, url: str) -> None:
    seen = DOCUMENTED.copy()
    for row in rows(shared_data("vendor_http", "exchanges.jsonl.gz")):
        if (row["vendor"], row["api"]) == APIS[name] and row["status"] == 200 and "response" in row:
            seen.update(paths(row["response"]))
    for model in ("thinks", "cut"):
        for tools in (False, True):
            answer = ROUTES[name].ask(url, model, tools=tools)
            assert answer.status == 200
            assert sorted(set(paths(answer.json())) - seen) == []


@pytest.mark.parametrize("name", STREAMS)
def test_events_have_recorded_members_only(name: str, url: str) -> None:
    seen: dict[str | None, set[str]] = defaultdict(set)
    for row in rows(shared_data("vendor_http", "exchanges.jsonl.gz")):
        if (row["vendor"], row["api"]) == STREAMS[name] and "response_text" in row:
            for event in events(row["response_text"]):
                seen[event.get("type")].update(paths(event))
    for tools in (False, True):
        for event in ROUTES[name].ask(url, "thinks", tools=tools, stream=True).data():
            sent = {path for path in paths(event) if path.removeprefix("message.") not in DOCUMENTED}
            assert sorted(sent - seen[event.get("type")]) == []


ERROR_ROWS = {
    "openai-429-tpm": ("chat", "rate_limit"),
    "openai-429-quota": ("chat", "quota"),
    "openai-400-context": ("chat", "context_length"),
    "openai-401": ("chat", "auth"),
    "openai-500": ("chat", "server_error"),
    "azure-429": ("azure", "rate_limit"),
    "anthropic-429": ("anthropic", "rate_limit"),
    "anthropic-429-spend": ("anthropic", "quota"),
    "anthropic-529": ("anthropic", "overloaded"),
    "anthropic-400-long": ("anthropic", "context_length"),
    "gemini-429": ("gemini", "rate_limit"),
    "gemini-429-per-day": ("gemini", "quota"),
    "gemini-503": ("gemini", "overloaded"),
}


@pytest.mark.parametrize("row_id", ERROR_ROWS)
def test_errors_look_like_the_vendors_own(row_id: str) -> None:
    recorded = {row["id"]: row for row in rows(shared_data("vendor_http", "error_shapes.jsonl.gz"))}[row_id]
    name, fault = ERROR_ROWS[row_id]
    config = SimulatorConfig(default=ModelBehaviour(faults={fault: 1.0}))
    with SimulatedVendors(config) as vendors:
        answer = ROUTES[name].ask(vendors.url, "m")
    assert answer.status == recorded["status"]
    assert sorted(set(paths(answer.json())) - set(paths(recorded["response"]))) == []
    error, expected = answer.json()["error"], recorded["response"]["error"]
    for field in ("code", "status") if name != "anthropic" else ("type",):
        assert error.get(field) == expected.get(field)
    waits = "retry-after" in recorded["response_headers"]
    assert ("retry-after" in answer.headers) == waits


def test_recorded_answers_come_back_to_the_letter() -> None:
    path = shared_data("gsm8k", "replay.gpt-4o-2024-08-06__gemini-1.5-pro.jsonl.gz")
    with SimulatedVendors(load_config(recordings=[path])) as vendors:
        for number, row in enumerate(rows(path)):
            if number == 200:
                break
            (message,) = row["messages"]
            for name in ("chat", "gemini", "anthropic"):
                answer = ROUTES[name].ask(vendors.url, row["model"], message["content"], system="").json()
                assert text_of(ROUTES[name], answer) == row["output"]
                assert counts(ROUTES[name], answer) == (row["prompt_tokens_est"], row["output_tokens_est"])
        unknown = ROUTES["chat"].ask(vendors.url, "gpt-4o-2024-08-06", "never asked")
        assert unknown.json()["error"]["code"] == "model_not_found"
        assert vendors.bill()["billed"] == 600
