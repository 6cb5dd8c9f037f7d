"""The simulated vendors as their clients see them. Facts are those of the vendors' documentation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluations.simulator.behaviours import ModelBehaviour
from evaluations.simulator.config import SimulatorConfig, load_config
from evaluations.simulator.server import SimulatedVendors
from tests.evaluations.simulator.client import BEARER, ROUTES, Route, counts, send, streamed_text, text_of

ANSWER = "It left on Monday and arrives on Thursday."
routes = pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "answers.jsonl.gz"
    messages = [{"role": "system", "content": "Be  brief."}, {"role": "user", "content": "Where is\nmy order?"}]
    row = {"model": "m-1", "messages": messages, "output": ANSWER, "prompt_tokens_est": 17, "output_tokens_est": 9}
    with gzip.open(path, "wt") as lines:
        lines.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def url(recording: Path) -> Iterator[str]:
    behaviours = recording.with_name("behaviours.yaml")
    behaviours.write_text("require_key: true\n")
    with SimulatedVendors(load_config(behaviours=behaviours, recordings=[recording])) as vendors:
        yield vendors.url


@pytest.fixture(scope="module")
def behaving() -> Iterator[str]:
    config = SimulatorConfig(
        models={
            "thinks": ModelBehaviour(reasoning_tokens=30, cached_input_share=0.5),
            "refuses": ModelBehaviour(faults={"refusal": 1.0}),
            "filtered": ModelBehaviour(faults={"content_filter": 1.0}),
            "blocked": ModelBehaviour(faults={"blocked_prompt": 1.0}),
            "cut": ModelBehaviour(faults={"length": 1.0}),
        },
        default=ModelBehaviour(),
    )
    with SimulatedVendors(config) as vendors:
        yield vendors.url


@routes
def test_a_recorded_answer_is_found_in_every_dialect(route: Route, url: str) -> None:
    response = route.ask(url, "m-1")
    assert response.status == 200
    assert text_of(route, response.json()) == ANSWER
    assert counts(route, response.json()) == (17, 9)


@routes
def test_a_stream_carries_the_same_text(route: Route, url: str) -> None:
    response = route.ask(url, "m-1", stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert streamed_text(route, response) == ANSWER


@routes
@pytest.mark.parametrize("model", ["m-1", "m-2"])
def test_what_was_not_recorded_is_not_found(route: Route, url: str, model: str) -> None:
    assert route.ask(url, model, "Something else").status == 404


@routes
def test_a_credential_is_required(route: Route, url: str) -> None:
    body = route.body("m-1", "Be brief.", "Where is my order?")
    for headers in ({}, dict.fromkeys(route.headers, ""), {"Authorization": "Bearer "}):
        assert send(url, "POST", route.path.replace("MODEL", "m-1"), body, headers).status == 401


@routes
@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b'{"messages": 1, "contents": {}, "input": 3, "model": "x"}']
)
def test_a_bad_body_is_refused(route: Route, url: str, raw: bytes) -> None:
    assert send(url, "POST", route.path.replace("MODEL", "m-1"), raw, route.headers).status == 400


def test_usage_in_a_stream(url: str) -> None:
    chat = ROUTES["chat"].ask(url, "m-1", stream=True)
    *chunks, last = chat.data()
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 26)
    assert chat.events()[-1] == (None, "[DONE]")
    silent = ROUTES["chat"].ask(url, "m-1", stream=True, stream_options={})
    assert ["usage" in chunk for chunk in silent.data()] == [False] * len(silent.data())
    mai = ROUTES["mai"].ask(url, "m-1", stream=True, stream_options={}).data()
    assert [chunk["usage"] is None for chunk in mai] == [True] * (len(mai) - 1) + [False]
    assert mai[-1]["choices"][0]["finish_reason"] == "stop"
    anthropic = ROUTES["anthropic"].ask(url, "m-1", stream=True).data()
    assert anthropic[0]["message"]["usage"]["output_tokens"] == 1  # a placeholder
    assert anthropic[-2]["usage"]["output_tokens"] == 9
    responses = ROUTES["responses"].ask(url, "m-1", stream=True).data()
    assert responses[-1]["type"] == "response.completed"
    assert responses[-1]["response"]["usage"]["total_tokens"] == 26
    assert ROUTES["gemini"].ask(url, "m-1", stream=True).data()[-1]["usageMetadata"]["totalTokenCount"] == 26


def test_token_conventions(behaving: str) -> None:
    answers = {name: route.ask(behaving, "thinks").json() for name, route in ROUTES.items()}
    chat, mai = answers["chat"]["usage"], answers["mai"]["usage"]
    total_in, total_out = chat["prompt_tokens"], chat["completion_tokens"]
    cached = total_in // 2
    assert chat["completion_tokens_details"]["reasoning_tokens"] == 30
    assert chat["prompt_tokens_details"]["cached_tokens"] == cached
    assert set(mai) == {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}
    assert answers["responses"]["usage"]["output_tokens_details"]["reasoning_tokens"] == 30
    anthropic = answers["anthropic"]["usage"]
    assert (anthropic["input_tokens"], anthropic["cache_read_input_tokens"]) == (total_in - cached, cached)
    assert (anthropic["output_tokens"], anthropic["output_tokens_details"]["thinking_tokens"]) == (total_out, 30)
    gemini = answers["gemini"]["usageMetadata"]
    assert (gemini["candidatesTokenCount"], gemini["thoughtsTokenCount"]) == (total_out - 30, 30)
    assert (gemini["promptTokenCount"], gemini["cachedContentTokenCount"]) == (total_in, cached)


def test_mai_refuses_max_tokens_and_ignores_what_it_does_not_know(behaving: str) -> None:
    assert ROUTES["mai"].ask(behaving, "m", max_tokens=10).status == 400
    assert ROUTES["mai"].ask(behaving, "m", temperature=0, whatever=1, max_completion_tokens=99).status == 200
    assert ROUTES["chat"].ask(behaving, "m", whatever=1).status == 400
    assert ROUTES["anthropic"].ask(behaving, "m", seed=1).status == 400
    assert ROUTES["anthropic"].ask(behaving, "m", max_tokens=None).status == 400
    assert ROUTES["gemini"].ask(behaving, "m", generationConfig={"max_tokens": 1}).status == 400


def test_mai_seals_its_reasoning_only_when_asked(behaving: str) -> None:
    plain = ROUTES["mai"].ask(behaving, "m").json()["choices"][0]["message"]
    sealed = ROUTES["mai"].ask(behaving, "m", reasoning_display="encrypted").json()["choices"][0]["message"]
    assert set(sealed) - set(plain) == {"reasoning"}
    streamed = ROUTES["mai"].ask(behaving, "m", stream=True, reasoning_display="encrypted").data()
    assert streamed[-1]["choices"][0]["delta"]["reasoning"] == sealed["reasoning"]


def test_tool_calls(behaving: str) -> None:
    choice = {name: ROUTES[name].ask(behaving, "m", tools=True).json()["choices"][0] for name in ("chat", "mai")}
    assert {name: c["finish_reason"] for name, c in choice.items()} == {"chat": "tool_calls", "mai": "stop"}
    for c in choice.values():
        (call,) = c["message"]["tool_calls"]
        assert c["message"]["content"] is None
        assert (call["function"]["name"], list(json.loads(call["function"]["arguments"]))) == ("weather", ["city"])
    anthropic = ROUTES["anthropic"].ask(behaving, "m", tools=True).json()
    assert (anthropic["stop_reason"], anthropic["content"][0]["name"]) == ("tool_use", "weather")
    gemini = ROUTES["gemini"].ask(behaving, "m", tools=True).json()["candidates"][0]
    assert (gemini["finishReason"], gemini["content"]["parts"][0]["functionCall"]["name"]) == ("STOP", "weather")
    (item,) = ROUTES["responses"].ask(behaving, "m", tools=True).json()["output"]
    assert (item["type"], item["name"], list(json.loads(item["arguments"]))) == ("function_call", "weather", ["city"])


def test_streamed_tool_arguments_join_to_json(behaving: str) -> None:
    chunks = ROUTES["chat"].ask(behaving, "m", tools=True, stream=True).data()
    deltas = [d for c in chunks for choice in c["choices"] for d in choice["delta"].get("tool_calls", [])]
    assert list(json.loads("".join(d["function"]["arguments"] for d in deltas))) == ["city"]
    events = ROUTES["anthropic"].ask(behaving, "m", tools=True, stream=True).data()
    partial = [e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta"]
    assert list(json.loads("".join(partial))) == ["city"]


@pytest.mark.parametrize(
    ("model", "chat", "anthropic", "gemini", "responses"),
    [
        ("cut", "length", "max_tokens", "MAX_TOKENS", ("incomplete", {"reason": "max_output_tokens"})),
        ("refuses", "stop", "refusal", "SAFETY", ("completed", None)),
        ("filtered", "content_filter", "refusal", "SAFETY", ("incomplete", {"reason": "content_filter"})),
    ],
)
def test_end_reasons(
    behaving: str, model: str, chat: str, anthropic: str, gemini: str, responses: tuple[str, object]
) -> None:
    choice = ROUTES["chat"].ask(behaving, model).json()["choices"][0]
    assert choice["finish_reason"] == chat
    assert (choice["message"]["refusal"] is not None) == (model == "refuses")
    assert (choice["message"]["content"] is not None) == (model == "cut")
    assert ROUTES["anthropic"].ask(behaving, model).json()["stop_reason"] == anthropic
    assert ROUTES["anthropic"].ask(behaving, model, stream=True).data()[-2]["delta"]["stop_reason"] == anthropic
    assert ROUTES["gemini"].ask(behaving, model).json()["candidates"][0]["finishReason"] == gemini
    body = ROUTES["responses"].ask(behaving, model).json()
    assert (body["status"], body["incomplete_details"]) == responses


def test_a_blocked_prompt(behaving: str) -> None:
    gemini = ROUTES["gemini"].ask(behaving, "blocked")
    assert (gemini.status, gemini.json()["promptFeedback"]["blockReason"]) == (200, "SAFETY")
    assert "candidates" not in gemini.json()
    assert ROUTES["gemini"].ask(behaving, "blocked", stream=True).data()[0]["promptFeedback"]["blockReason"] == "SAFETY"
    for name in ("chat", "azure", "mai", "responses"):
        refused = ROUTES[name].ask(behaving, "blocked")
        assert (refused.status, refused.json()["error"]["code"]) == (400, "content_filter")


def test_mai_safety_stop(behaving: str) -> None:
    assert ROUTES["mai"].ask(behaving, "filtered").status == 400
    *chunks, error, done = ROUTES["mai"].ask(behaving, "filtered", stream=True).events()
    assert len(chunks) == 3  # it had begun to answer
    assert json.loads(error[1])["error"]["type"] == "SafetyBlockedError"
    assert done == (None, "[DONE]")


def test_the_output_limit_is_kept(behaving: str) -> None:
    full = ROUTES["chat"].ask(behaving, "m").json()
    short = ROUTES["chat"].ask(behaving, "m", max_completion_tokens=5).json()
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 5)
    text = short["choices"][0]["message"]["content"]
    assert 0 < len(text) < len(full["choices"][0]["message"]["content"])
    assert full["choices"][0]["message"]["content"].startswith(text)
    thinking = ROUTES["mai"].ask(behaving, "thinks", max_completion_tokens=20).json()  # all spent on reasoning
    assert (thinking["choices"][0]["message"]["content"], thinking["usage"]["completion_tokens"]) == ("", 20)


def test_models_list(url: str) -> None:
    listed = send(url, "GET", "/v1/models", headers=BEARER).json()
    assert [(model["id"], model["shutdown_date"]) for model in listed["data"]] == [("m-1", None)]
    assert send(url, "GET", "/v1/models/m-1", headers=BEARER).json() == listed["data"][0]
    assert send(url, "GET", "/v1/models/m-2", headers=BEARER).status == 404
    assert send(url, "GET", "/v1/models").status == 401
