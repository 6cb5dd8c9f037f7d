"""The main job through the commands alone, on real outputs of real models (1,319 grade-school questions).

Expected figures: `data/gsm8k/reference.json`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from evaluations.simulator.config import load_config
from evaluations.simulator.server import SimulatedVendors
from tests.shared_data import shared_data

pytestmark = pytest.mark.django_db(transaction=True)

# (incumbent, its vendor, candidate, its vendor, protocol of the candidate, verdict)
PAIRS = [
    ("gpt-4o-2024-08-06", "openai", "claude-3-5-sonnet-20240620", "anthropic", "anthropic_messages", "non_inferior"),
    ("gpt-4o-2024-08-06", "openai", "gemini-1.5-pro", "google", "gemini_generate", "worse"),
    ("gpt-3.5-turbo-0125", "openai", "claude-3-haiku-20240307", "anthropic", "anthropic_messages", "better"),
]


def command(*arguments: str) -> Any:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


@pytest.fixture(params=PAIRS, ids=lambda pair: pair[2])
def story(request, tmp_path: Path, monkeypatch) -> Iterator[tuple[tuple, Path, Path]]:
    """A portfolio file and a samples file for one pair, with vendors that answer what the models really answered."""
    incumbent, incumbent_vendor, candidate, candidate_vendor, protocol, _ = request.param
    monkeypatch.setenv("SIMULATED_KEY", "simulated")
    recording = shared_data("gsm8k", f"replay.{incumbent}__{candidate}.jsonl.gz")
    samples = tmp_path / "samples.jsonl"
    with gzip.open(shared_data("gsm8k", "items.jsonl.gz"), "rt") as items, samples.open("w") as file:
        for line in items:
            item = json.loads(line)
            row = {
                "id": item["item_id"],
                "occurred_at": "2026-09-01T08:00:00Z",
                "request": {"messages": item["messages"]},
                "reference": item["reference"],
            }
            file.write(json.dumps(row) + "\n")
    with SimulatedVendors(load_config(recordings=[recording])) as simulated:
        endpoint = {"region": "us", "credential_env": "SIMULATED_KEY", "max_concurrency": 64}
        portfolio = {
            "vendors": [{"slug": slug} for slug in sorted({incumbent_vendor, candidate_vendor})],
            "models": [
                {"slug": incumbent, "vendor": incumbent_vendor},
                {"slug": candidate, "vendor": candidate_vendor},
            ],
            "prices": [
                {"model": model, "effective_from": "2024-01-01", "input_per_mtok": "2.5", "output_per_mtok": "10"}
                for model in (incumbent, candidate)
            ],
            "endpoints": [
                {
                    "slug": "old",
                    "model": incumbent,
                    "protocol": "openai_chat",
                    "base_url": f"{simulated.url}/v1",
                    **endpoint,
                },
                {"slug": "new", "model": candidate, "protocol": protocol, "base_url": simulated.url, **endpoint},
            ],
            "teams": [
                {
                    "slug": "search",
                    "data_agreement": {
                        "vendors": [incumbent_vendor, candidate_vendor],
                        "regions": ["us"],
                        "purposes": ["evaluation"],
                    },
                }
            ],
            "workloads": [{"slug": "math-helper", "team": "search"}],
            "pilots": [
                {
                    "slug": "math",
                    "workload": "math-helper",
                    "incumbent": {"endpoint": "old"},
                    "candidate": {"endpoint": "new"},
                    "plan": {
                        "scorers": [{"name": "json_field", "config": {"field": "answer", "compare": "numeric"}}],
                        "criteria": [{"metric": "json_field", "role": "primary", "margin": "0.03"}],
                        "looks": "one_look",
                        "minimum_samples": 350,
                        "budget": {"amount": "25.00", "currency": "USD"},
                    },
                }
            ],
        }
        file = tmp_path / "portfolio.json"
        file.write_text(json.dumps(portfolio))
        yield request.param, file, samples


def test_the_published_figures_come_out_of_the_commands(story) -> None:
    (incumbent, _, candidate, _, _, verdict), portfolio, samples = story
    reference = json.loads(shared_data("gsm8k", "reference.json").read_text())["pairs"][f"{incumbent} -> {candidate}"]

    command("apply", str(portfolio))
    imported = command("import_samples", "math-helper", str(samples))
    assert (imported["read"], imported["stored"], imported["duplicates"], imported["rejected"]) == (1319, 1319, 0, 0)
    assert command("import_samples", "math-helper", str(samples)) == imported
    with pytest.raises(SystemExit) as unfrozen:
        command("replay", "math", "--wait")
    assert unfrozen.value.code == 2
    frozen = command("freeze_plan", "math")
    run = command("replay", "math", "--wait")

    assert (run["status"], run["total"], run["done"]) == ("finished", 2638, 2638)
    assert (run["plan_version"], run["plan_digest"]) == (frozen["version"], frozen["digest"])
    for arm in run["arms"].values():
        assert (arm["succeeded"], arm["failed"], arm["calls"]) == (1319, {}, 1319)

    [pilot] = command("report", "evidence", "--pilot", "math")["pilots"]
    assert pilot["comparisons"] == run["comparisons"]
    [comparison] = run["comparisons"]
    table = reference["table"]
    assert comparison["table"] == {
        "both_pass": table["both_pass"],
        "candidate_only": table["candidate_only"],
        "incumbent_only": table["incumbent_only"],
        "neither": table["both_fail"],
    }
    assert (comparison["incumbent_passes"], comparison["candidate_passes"]) == (
        reference["incumbent_pass"],
        reference["candidate_pass"],
    )
    assert comparison["difference"] == pytest.approx(reference["diff"], abs=1e-9)
    assert comparison["newcombe"] == pytest.approx(reference["diff_ci95_newcombe"], abs=1e-6)
    assert comparison["mcnemar_exact_p"] == pytest.approx(reference["mcnemar_exact_p"], rel=1e-5, abs=1e-12)
    assert comparison["verdict"] == verdict
