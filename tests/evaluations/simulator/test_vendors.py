"""Behaviours, faults, rate limits and the vendor's own bill, seen from outside."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest

from evaluations.simulator.answers import AnswerKey
from evaluations.simulator.behaviours import FAULTS, ModelBehaviour
from evaluations.simulator.config import SimulatorConfig
from evaluations.simulator.server import SimulatedVendors, run
from tests.evaluations.simulator.client import ROUTES, Response, send

CHAT, ANTHROPIC, GEMINI, MAI = ROUTES["chat"], ROUTES["anthropic"], ROUTES["gemini"], ROUTES["mai"]
EVERY = SimulatorConfig(models={name: ModelBehaviour(faults={name: 1.0}) for name in FAULTS})


def raw(url: str, model: str, *, stream: bool = False, read_seconds: float = 5) -> bytes:
    """The bytes of the whole response, headers included, whatever state they are in."""
    host, port = urlsplit(url).netloc.split(":")
    body = json.dumps(CHAT.body(model, "Be brief.", "Hello", stream=stream)).encode()
    head = f"POST {CHAT.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=read_seconds) as connection:
        connection.sendall(head.encode() + body)
        data, deadline = b"", time.monotonic() + read_seconds
        try:
            while time.monotonic() < deadline and (piece := connection.recv(65536)):
                data += piece
        except TimeoutError:
            pass
        return data


# model = fault: status of the answer in OpenAI chat, Anthropic, Gemini
STATUS = {
    "rate_limit": (429, 429, 429),
    "quota": (429, 429, 429),
    "server_error": (500, 500, 500),
    "unavailable": (503, 503, 503),
    "overloaded": (503, 529, 503),
    "auth": (401, 401, 401),
    "forbidden": (403, 403, 403),
    "model_gone": (404, 404, 404),
    "context_length": (400, 400, 400),
    "bad_request": (400, 400, 400),
    "html_page": (200, 200, 200),
    "bad_gateway": (502, 502, 502),
    "redirect": (307, 307, 307),
}


@pytest.mark.parametrize("fault", STATUS)
def test_errors_in_each_dialect(fault: str) -> None:
    with SimulatedVendors(EVERY) as vendors:
        answers = [route.ask(vendors.url, fault) for route in (CHAT, ANTHROPIC, GEMINI)]
        assert tuple(answer.status for answer in answers) == STATUS[fault]
        assert vendors.bill()["faults"] == {fault: 3}
        assert vendors.bill()["billed"] == (3 if fault == "html_page" else 0)


def test_broken_answers() -> None:
    with SimulatedVendors(EVERY) as vendors:

        def chat(model: str, *, stream: bool = False) -> Response:
            return CHAT.ask(vendors.url, model, stream=stream)

        def message(model: str) -> object:
            return chat(model).json()["choices"][0]["message"]["content"]

        def usage(model: str) -> dict[str, Any]:
            return chat(model).json()["usage"]  # type: ignore[no-any-return]

        assert message("empty") == ""
        assert message("odd_text") == "odd \x00 \u202egnp.exe\u202c \x1b[31mred\x1b[0m \ud83d end"
        assert chat("other_model").json()["model"] == "other_model-other"
        impossible = usage("cached_above_input")
        assert impossible["prompt_tokens_details"]["cached_tokens"] > impossible["prompt_tokens"]
        assert "usage" not in chat("usage_missing").json()
        assert usage("usage_zero")["total_tokens"] == 0
        assert usage("usage_negative")["total_tokens"] < 0
        assert isinstance(usage("usage_text")["total_tokens"], str)
        assert usage("usage_huge")["total_tokens"] == 10**12
        assert chat("negative_rate_headers").headers["x-ratelimit-remaining-requests"] == "-1"
        assert (chat("html_page").headers["content-type"], chat("html_page").body[:6]) == ("text/html", b"<html>")
        assert list(chat("error_in_200").json()) == ["error"]
        with pytest.raises(json.JSONDecodeError):
            chat("broken_json").json()
        with pytest.raises(UnicodeDecodeError):
            chat("invalid_utf8").body.decode()
        assert chat("redirect").headers["location"].startswith("http://169.254.169.254/")
        assert len(chat("huge_body").body) > 50 * 1024 * 1024
        bomb = chat("gzip_bomb")
        assert len(bomb.body) < 1024 * 1024 < 100 * 1024 * 1024 < len(gzip.decompress(bomb.body))
        with pytest.raises(ConnectionResetError):
            chat("reset")


def test_streams_that_end_early() -> None:
    with SimulatedVendors(EVERY) as vendors:
        cut = CHAT.ask(vendors.url, "stream_cut", stream=True)
        assert cut.status == 200
        assert [c["finish_reason"] for d in cut.data() for c in d["choices"]] == [None] * len(cut.data())
        assert len(cut.data()) > 1
        assert b"[DONE]" not in cut.body
        head, _, body = raw(vendors.url, "cut_body").partition(b"\r\n\r\n")
        assert b"Content-Length" not in head
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        events = CHAT.ask(vendors.url, "error_in_200", stream=True).events()
        assert "error" in json.loads(events[-1][1])
        assert vendors.bill()["billed"] == 3  # the vendor charges for what the client could not read


def test_answers_that_never_come() -> None:
    with SimulatedVendors(EVERY) as vendors:
        assert raw(vendors.url, "hang", read_seconds=0.3) == b""
        dripped = raw(vendors.url, "drip", read_seconds=0.7).partition(b"\r\n\r\n")[2]
        assert 0 < len(dripped) < 40  # a few one-byte chunks
        assert vendors.bill()["billed"] == 2


def test_flaky_models_answer_at_another_attempt_and_runs_repeat() -> None:
    config = SimulatorConfig(default=ModelBehaviour(faults={"server_error": 0.5}), seed=3)

    def run() -> list[list[int]]:
        with SimulatedVendors(config) as vendors:
            return [[CHAT.ask(vendors.url, "m", f"q{n}").status for _ in range(6)] for n in range(20)]

    first = run()
    assert first == run()
    assert {len(set(statuses)) for statuses in first} == {1, 2}  # the fault hangs on the attempt, not on the question
    share = Counter(status for statuses in first for status in statuses)[500] / 120
    assert 0.35 < share < 0.65


def test_a_script_comes_first() -> None:
    behaviour = ModelBehaviour(script=("rate_limit", "ok", "overloaded"), retry_after="7", faults={"forbidden": 1.0})
    with SimulatedVendors(SimulatorConfig(models={"m": behaviour})) as vendors:
        answers = [ANTHROPIC.ask(vendors.url, "m") for _ in range(4)]
        assert [answer.status for answer in answers] == [429, 200, 529, 403]
        assert answers[0].headers["retry-after"] == "7"
        assert vendors.bill()["early"] == 3  # all within the announced seven seconds


@pytest.mark.parametrize(
    ("told", "header"), [("auto", "1"), ("none", None), ("abc", "abc"), ("-5", "-5"), ("1000000000", "1000000000")]
)
def test_what_a_429_says(told: str, header: str | None) -> None:
    config = SimulatorConfig(default=ModelBehaviour(faults={"rate_limit": 1.0}, retry_after=told))
    with SimulatedVendors(config) as vendors:
        assert CHAT.ask(vendors.url, "m").headers.get("retry-after") == header
        assert MAI.ask(vendors.url, "m").headers.get("retry-after") is None  # not documented, so not sent
        gemini = GEMINI.ask(vendors.url, "m")
        assert gemini.headers.get("retry-after") is None
        delays = [d["retryDelay"] for d in gemini.json()["error"]["details"] if "retryDelay" in d]
        assert delays == ([] if header is None else [f"{header}s"])


def test_the_rate_limit_is_a_bucket() -> None:
    behaviour = ModelBehaviour(requests_per_minute=6, burst=3)
    with SimulatedVendors(SimulatorConfig(default=behaviour)) as vendors:
        answers = [CHAT.ask(vendors.url, "m", f"q{n}") for n in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers[:3]] == ["2", "1", "0"]
        assert answers[3].headers["retry-after"] == "10"  # one request every ten seconds
        bill = vendors.bill()["models"]["m"]
        assert (bill["requests"], bill["billed"], bill["rate_limited"], bill["early"]) == (5, 3, 2, 1)
        assert ANTHROPIC.ask(vendors.url, "other").headers["anthropic-ratelimit-requests-remaining"] == "2"


def test_without_the_demand_for_a_key_everybody_is_answered() -> None:
    with SimulatedVendors(SimulatorConfig(default=ModelBehaviour())) as vendors:
        assert send(vendors.url, "POST", CHAT.path, CHAT.body("a", "", "x"), {}).status == 200


def test_the_bill_counts_what_was_sent() -> None:
    with SimulatedVendors(SimulatorConfig(default=ModelBehaviour(), require_key=True)) as vendors:
        bodies = [CHAT.ask(vendors.url, "a", question).json() for question in ("x", "x", "y")]
        GEMINI.ask(vendors.url, "b", "x")
        send(vendors.url, "POST", CHAT.path, CHAT.body("a", "", "x"), {})  # no credential: arrives, costs nothing
        bill = vendors.bill()
        assert bill == send(vendors.url, "GET", "/__bill").json()
        assert (bill["requests"], bill["billed"], bill["distinct"]) == (5, 4, 3)
        assert bill["billed_times"] == {"1": 2, "2": 1}
        model = bill["models"]["a"]
        assert (model["requests"], model["billed"], model["billed_times"]) == (3, 3, {"1": 1, "2": 1})
        assert model["input_tokens"] == sum(body["usage"]["prompt_tokens"] for body in bodies)
        assert model["output_tokens"] == sum(body["usage"]["completion_tokens"] for body in bodies)
        assert send(vendors.url, "POST", "/__reset").status == 200
        assert (vendors.bill()["requests"], vendors.bill()["models"]) == (0, {})


def test_a_client_that_hangs_up_still_pays() -> None:
    with SimulatedVendors(SimulatorConfig(default=ModelBehaviour(latency_ms=200))) as vendors:
        connection = http.client.HTTPConnection(urlsplit(vendors.url).netloc)
        connection.request("POST", CHAT.path, json.dumps(CHAT.body("m", "", "x")), dict(CHAT.headers))
        threading.Event().wait(0.05)
        connection.close()
        CHAT.ask(vendors.url, "m", "y")  # takes as long as the first one still needs
        assert vendors.bill()["billed"] == 2


def test_accuracy_decides_who_answers_right() -> None:
    categories = ["billing", "delivery", "refund"]
    right = {f"ticket {n}": json.dumps({"category": categories[n % 3]}) for n in range(400)}
    key = AnswerKey(right, tuple(dict.fromkeys(right.values())))
    models = {
        "perfect": ModelBehaviour(),
        "good": ModelBehaviour(accuracy=0.9),
        "drifting": ModelBehaviour(accuracy=0.9, drift_per_1000_calls=1.0),
    }
    with SimulatedVendors(SimulatorConfig(models=models, answers=key)) as vendors:

        def correct(model: str) -> list[bool]:
            said = [CHAT.ask(vendors.url, model, prompt).json()["choices"][0]["message"]["content"] for prompt in right]
            assert set(said) <= set(right.values())  # wrong answers are plausible ones
            return [answer == expected for answer, expected in zip(said, right.values(), strict=True)]

        assert sum(correct("perfect")) == 400
        good = correct("good")
        assert 340 <= sum(good) <= 380  # 0.9 within three standard errors
        assert good == correct("good")
        drifting = correct("drifting")
        assert sum(drifting[300:]) < sum(drifting[:100]) - 15  # about 0.85 of the first hundred, 0.55 of the last


def test_a_taken_port_is_an_error() -> None:
    with SimulatedVendors(SimulatorConfig()) as vendors:
        port = int(vendors.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"), SimulatedVendors(SimulatorConfig(), port=port):
            pass
        with pytest.raises(OSError, match="address already in use"):
            run(SimulatorConfig(), port=port)


def test_the_server_stops_while_answers_are_pending() -> None:
    started = time.monotonic()
    with SimulatedVendors(EVERY) as vendors:
        raw(vendors.url, "hang", read_seconds=0.1)
        assert vendors.bill()["in_flight_peak"] == 1
    assert time.monotonic() - started < 3
    with pytest.raises(ConnectionRefusedError):
        send(vendors.url, "GET", "/__bill")
