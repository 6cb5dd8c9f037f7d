"""The whole product, as an operator uses it, with a real model in both arms: only the sampling differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from tests.real_models.server import KEY, MODEL, ROOT, RealServer

# Dollars for a million tokens; unlike each other, so that no count can stand for another.
PRICE = {"input_per_mtok": "2", "cache_read_per_mtok": "0.5", "output_per_mtok": "8"}
SENTIMENT = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}
REVIEWS = [
    ("I love this kettle, it boils in a minute.", "positive"),
    ("Broke after two days. A waste of money.", "negative"),
    ("The best headphones I have ever owned.", "positive"),
    ("Terrible service, nobody answered my calls.", "negative"),
    ("A wonderful little lamp, so warm and bright.", "positive"),
    ("The jacket fell apart in the first rain.", "negative"),
    ("Great value, I am buying a second one.", "positive"),
    ("Horrible taste, I threw it all away.", "negative"),
]
COLOURS = ["red", "green", "blue", "yellow", "black", "white"]


def _review(text: str) -> dict[str, Any]:
    """Without an output limit: the schema ends the answer."""
    wanted = {"type": "json_schema", "json_schema": {"name": "review", "schema": SENTIMENT, "strict": True}}
    return {"messages": [{"role": "user", "content": f"Is this review positive? {text}"}], "response_format": wanted}


def _question(colour: str) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": f"Name something that is {colour}."},
    ]
    return {"messages": messages, "max_tokens": 32}


SAMPLES: dict[str, list[dict[str, Any]]] = {
    "reviews": [
        {"id": f"review-{number}", "request": _review(text), "reference": json.dumps({"sentiment": sentiment})}
        for number, (text, sentiment) in enumerate(REVIEWS)
    ],
    "questions": [{"id": f"question-{colour}", "request": _question(colour)} for colour in COLOURS],
}
SCORERS: dict[str, list[dict[str, Any]]] = {
    "reviews": [
        {"key": "shape", "name": "json_schema", "config": {"schema": SENTIMENT}},
        {"key": "right", "name": "json_field", "config": {"field": "sentiment"}},
    ],
    "questions": [{"key": "answered", "name": "regex", "config": {"pattern": "[a-z]"}}],
}
# Protocol and stream of the two arms; the cold one takes the likeliest token, the warm one draws.
ARMS = {
    "reviews": (("openai_chat", False), ("openai_chat", True)),
    "questions": (("openai_responses", True), ("anthropic_messages", True)),
}
COLD, WARM = {"temperature": 0}, {"temperature": 1, "top_p": 0.95, "seed": 11}


def _endpoint(server: RealServer, slug: str, model: str, protocol: str, stream: bool) -> dict[str, Any]:
    parameters = COLD if model == "cold" else {key: WARM[key] for key in WARM if key != "seed" or "chat" in protocol}
    return {
        "slug": slug,
        "model": model,
        "protocol": protocol,
        "base_url": server.url + ("" if protocol == "anthropic_messages" else "/v1"),
        "wire_model": MODEL,
        "region": "eu",
        "credential_env": "REAL_MODEL_KEY",
        "max_concurrency": 2,
        "deadline_seconds": 120,
        "stream": stream,
        "parameters": parameters,
    }


def _portfolio(server: RealServer) -> dict[str, Any]:
    models = ("cold", "warm")
    return {
        "vendors": [{"slug": "own", "name": "Our own servers"}],
        "models": [{"slug": model, "vendor": "own"} for model in models],
        "prices": [
            {
                "model": model,
                "effective_from": "2026-01-01",
                "currency": "USD",
                "kind": "list",
                **PRICE,
                "source": "test",
            }
            for model in models
        ],
        "endpoints": [
            _endpoint(server, f"{workload}-{model}", model, *arm)
            for workload, arms in ARMS.items()
            for model, arm in zip(models, arms, strict=True)
        ],
        "teams": [
            {
                "slug": "support",
                "name": "Support",
                "data_agreement": {
                    "vendors": ["own"],
                    "regions": ["eu"],
                    "purposes": ["evaluation"],
                    "expires_on": "2099-01-01",
                },
            }
        ],
        "workloads": [{"slug": workload, "team": "support", "name": workload.title()} for workload in ARMS],
        "pilots": [
            {
                "slug": workload,
                "workload": workload,
                "incumbent": {"endpoint": f"{workload}-cold"},
                "candidate": {"endpoint": f"{workload}-warm"},
                "plan": {
                    "hypothesis": "Drawing tokens answers as well as taking the likeliest",
                    "scorers": scorers,
                    "criteria": [{"metric": scorers[0]["key"], "role": "primary", "margin": "0.5"}],
                    "looks": "one_look",
                    "minimum_samples": 5,
                    "budget": {"amount": "2.00", "currency": "USD"},
                },
            }
            for workload, scorers in SCORERS.items()
        ],
    }


class Site:
    """The bundled site on a data directory of its own: SQLite, embedded broker, one command at a time."""

    def __init__(self, folder: Path, server: RealServer) -> None:
        self.folder = folder
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CELERY_BROKER_URL")
        }
        self._env = inherited | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PILOTS_DATA_DIR": str(folder / "var"),
            "PILOTS_EGRESS_ALLOW": server.door,
            "REAL_MODEL_KEY": KEY,
        }
        self.manage("migrate", "--verbosity", "0")

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def document(self, *arguments: str) -> Any:
        return json.loads(self.manage(*arguments, "--json"))

    def written(self, name: str, lines: Iterable[Any]) -> str:
        path = self.folder / name
        path.write_text("\n".join(json.dumps(line) for line in lines))
        return str(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, server: RealServer) -> Site:
    site = Site(tmp_path_factory.mktemp("site"), server)
    site.document("apply", site.written("portfolio.json", [_portfolio(server)]))
    for workload, samples in SAMPLES.items():
        stored = site.document("import_samples", workload, site.written(f"{workload}.jsonl", samples))
        assert stored["stored"] == len(samples)
    return site


@pytest.mark.parametrize("endpoint", [f"{workload}-{arm}" for workload in ARMS for arm in ("cold", "warm")])
def test_an_endpoint_says_what_it_is(site: Site, endpoint: str) -> None:
    said = site.document("check_endpoint", endpoint)
    assert (said["ok"], said["served_model"], said["requested_model"]) == (True, MODEL, MODEL)
    assert said["usage"]["output_total"] > 0
    assert Decimal(said["price"]["output_per_mtok"]) == Decimal(PRICE["output_per_mtok"])
    assert (said["ttft_ms"] is not None) == (endpoint != "reviews-cold")


@pytest.mark.parametrize("workload", ARMS)
def test_a_replay_counts_what_the_server_counts_and_costs_what_that_costs(
    site: Site, server: RealServer, workload: str
) -> None:
    samples = {sample["id"]: sample["request"] for sample in SAMPLES[workload]}
    site.document("freeze_plan", workload)
    before = server.bill()
    run = site.document("replay", workload, "--wait")
    billed = {name: count - before[name] for name, count in server.bill().items()}

    assert (run["status"], run["done"], run["total"]) == ("finished", 2 * len(samples), 2 * len(samples))
    assert run["comparisons"][0]["n"] == len(samples)
    arms = run["arms"]
    for role, (_, stream) in zip(("incumbent", "candidate"), ARMS[workload], strict=True):
        arm = arms[role]
        assert (arm["calls"], arm["retries"], arm["cost"]["unknown_calls"]) == (len(samples), 0, 0)
        assert (arm["ttft_ms"] is not None) == stream
        if stream:
            assert 0 < arm["ttft_ms"]["p50"] < arm["latency_ms"]["p50"]
    for name, count in billed.items():
        assert sum(arm["tokens"][name] or 0 for arm in arms.values()) == count, name
    owed = sum(
        count * Decimal(PRICE[price])
        for count, price in (
            (billed["input_uncached"], "input_per_mtok"),
            (billed["cache_read"], "cache_read_per_mtok"),
            (billed["output_total"], "output_per_mtok"),
        )
    )
    assert sum(Decimal(arm["cost"]["amount"]) for arm in arms.values()) == owed / 1_000_000

    rows = _answers(site, workload)
    assert len(rows) == 2 * len(samples)
    for row in rows:
        counted = int(row["Input tokens, uncached"]) + int(row["Cache read tokens"])
        assert counted == server.prompt_tokens(samples[row["Sample"]]["messages"]), row["Sample"]
        assert row["Served model"] == MODEL


def _answers(site: Site, pilot: str) -> list[dict[str, Any]]:
    """The rows of the workbook that stakeholders get."""
    path = site.folder / f"{pilot}.xlsx"
    site.manage("export", "pilot", "--pilot", pilot, "--output", str(path))
    names, *rows = CalamineWorkbook.from_path(path).get_sheet_by_name("Completions").to_python()
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_output_after_a_schema_is_json_in_both_arms_and_the_added_limit_is_shown(site: Site) -> None:
    run = site.document("run", "1")
    shape = next(found for found in run["comparisons"] if found["metric"] == "shape")
    assert (shape["incumbent"], shape["candidate"]) == (1, 1)
    for arm in run["arms"].values():
        [added] = [change for change in arm["changes"] if change["action"] == "added"]
        assert (added["parameter"], added["calls"]) == ("max_tokens", len(REVIEWS))
        assert added["detail"].startswith("4096: ")


def test_two_ways_of_sampling_answer_differently(site: Site) -> None:
    rows = _answers(site, "questions")
    texts: dict[str, set[str]] = {}
    for row in rows:
        texts.setdefault(row["Sample"], set()).add(row["Answer"])
    assert any(len(both) == 2 for both in texts.values())
