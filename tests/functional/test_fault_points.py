"""Killed at any step, a replay comes to the same scores, comparisons and verdict, and pays for nothing that is stored.

P18 of RELIABILITY.md. The uninterrupted run of the same plan on the same database stands beside it.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from evaluations.enums import CriterionRole, RunStatus
from evaluations.models import Attempt, Completion, Plan, ReplayRun, ScoreRow
from evaluations.services.plan_document import CriterionEntry, ScorerEntry
from evaluations.services.work import work_once
from evaluations.simulator.answers import AnswerKey
from evaluations.simulator.server import SimulatedVendors
from evaluations.tasks import hint
from tests.replays import ready_plan, small_body, start, vendors, with_criteria
from tests.workers import SOAK, Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SAMPLES = 1000 if SOAK else 60
CONCURRENCY = 4
# Where, and how often it is passed before: in the middle of the work where there is a middle.
STEPS = {
    "claim": "claim:1",
    "before_send": f"before_send:{SAMPLES // 2}",
    "after_send": f"after_send:{SAMPLES // 2}",
    "before_save": "before_save:2",
    "before_scores": "before_scores:1",
    "before_aggregate": "before_aggregate:1",
}


def right(number: int) -> str:
    return str(2 * number)


def prompt(number: int) -> str:
    return str(small_body(number)["messages"][0]["content"])


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    """Two models of which one errs more often; both always say the same to the same request."""
    key = {prompt(number): right(number) for number in range(SAMPLES)}
    config = replace(vendors(old={"accuracy": 0.9}, new={"accuracy": 0.7}), answers=AnswerKey(key, tuple(key.values())))
    with SimulatedVendors(config) as running:
        yield running


def judged_plan(url: str) -> Plan:
    return with_criteria(
        ready_plan(url, n=SAMPLES, concurrency=CONCURRENCY, budget="100"),
        CriterionEntry(metric="exact", margin=Decimal("0.03")),
        CriterionEntry(metric="failure_rate", role=CriterionRole.GUARDRAIL, margin=Decimal("0.02")),
        scorers=[ScorerEntry(name="exact")],
    )


def evidence(run: ReplayRun) -> dict[str, Any]:
    """All that a run concludes with; latency, cost and the number of attempts are not promised to repeat."""
    scores = ScoreRow.objects.filter(completion__arm__run=run)
    return {
        "answers": sorted(
            Completion.objects.filter(arm__run=run).values_list(
                "arm__role", "sample__external_id", "outcome", "content__text", "output_total_tokens", "served_model"
            )
        ),
        "scores": sorted(
            scores.values_list(
                "completion__arm__role", "completion__sample__external_id", "key", "scorer_version", "value", "detail"
            )
        ),
        "comparisons": [
            (row.metric, row.role, row.verdict, json.dumps(row.document, sort_keys=True))
            for row in run.comparisons.order_by("position")
        ],
        "verdict": (run.status, run.decision, run.decision_reason, run.evidence_samples, run.done),
    }


def finished(run: ReplayRun) -> bool:
    run.refresh_from_db()
    return bool(run.decision)


@pytest.fixture
def expected(simulated: SimulatedVendors) -> dict[str, Any]:
    """The evidence of the uninterrupted run, found once; the database and the bill are as new afterwards."""
    if not _expected:
        run = start(judged_plan(simulated.url))
        while work_once(run=run) is not None:
            pass
        assert finished(run)
        _expected.update(evidence(run))
        assert {value for *_, value, _ in _expected["scores"]} == {0.0, 1.0}
        call_command("flush", interactive=False, verbosity=0)
        simulated.reset()
    return _expected


_expected: dict[str, Any] = {}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_worker_comes_to_the_same_end(
    step: str, simulated: SimulatedVendors, expected: dict[str, Any], tmp_path: Path
) -> None:
    run = start(judged_plan(simulated.url))
    killed = Worker(tmp_path / "worker.log", fault=STEPS[step])
    hint(run.pk, chunks=2)
    assert killed.ended(seconds=60) == -signal.SIGKILL
    stored = Completion.objects.filter(arm__run=run).count()
    if step != "claim":
        assert Attempt.objects.filter(run=run).exists()
    assert not finished(run)
    time.sleep(0.5)  # what the killed worker had sent arrives
    sent = simulated.bill()["requests"]
    second = Worker(tmp_path / "worker.log")
    try:
        until(lambda: finished(run), seconds=60)
    finally:
        second.kill()
    bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert bill["requests"] - sent == run.total - stored  # what was stored is not paid for again
    assert bill["distinct"] == run.total
    assert bill["requests"] - bill["distinct"] <= 2 * CONCURRENCY
    assert evidence(run) == expected
