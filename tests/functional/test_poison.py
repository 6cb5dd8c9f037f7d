"""A sample, or a scorer, that ends the process which touches it is found and listed; the run completes without it.

P9 of RELIABILITY.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from evaluations.enums import AttemptState, Outcome, RunStatus
from evaluations.models import Attempt, Completion, ReplayRun, ScoreRow
from evaluations.selectors.progress import run_document
from evaluations.services.plan_document import CriterionEntry, ScorerEntry
from evaluations.simulator.server import SimulatedVendors
from tests.replays import ready_plan, start, vendors, with_criteria
from tests.workers import Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SAMPLES = 40
CONCURRENCY = 4
POISON = "What is 7 plus 7?"
POISONED = "s000007"  # the external id of the sample that asks it
LOST_AT_MOST = 3


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors()) as running:
        yield running


def ended(run: ReplayRun) -> bool:
    run.refresh_from_db()
    return bool(run.decision)


def test_a_sample_that_ends_its_worker_is_given_up_after_three_calls_and_nothing_else_is(
    simulated: SimulatedVendors, tmp_path: Path
) -> None:
    run = start(ready_plan(simulated.url, n=SAMPLES, concurrency=CONCURRENCY))
    worker = Worker(tmp_path / "worker.log", poison=f"call:{POISON}")
    try:
        until(lambda: ended(run), seconds=300)
    finally:
        worker.kill()
    assert (run.status, run.done) == (RunStatus.FINISHED, 2 * SAMPLES)
    given_up = Completion.objects.exclude(outcome=Outcome.OK)
    assert [(row.sample.external_id, row.outcome, row.attempts) for row in given_up] == [
        (POISONED, Outcome.HARNESS_ERROR, LOST_AT_MOST)
    ] * 2
    arms = run_document(run)["arms"]
    assert [arm["failed"] for arm in arms.values()] == [{"harness_error": 1}] * 2
    for arm in run.arms.all():
        calls = Attempt.objects.filter(arm=arm, sample__external_id=POISONED)
        assert list(calls.values_list("state", flat=True)) == [AttemptState.ABANDONED] * LOST_AT_MOST
    # Two workers' ends before it was alone: of the others each lost at most two calls, and was answered.
    bill = simulated.bill()
    assert bill["requests"] <= 2 * SAMPLES + 2 * 2 * CONCURRENCY
    assert run.comparisons.get().document["n"] == SAMPLES - 1


def test_an_answer_that_a_scorer_can_not_judge_alive_is_unscored_and_the_run_completes(
    simulated: SimulatedVendors, tmp_path: Path
) -> None:
    plan = with_criteria(
        ready_plan(simulated.url, n=SAMPLES, concurrency=CONCURRENCY),
        CriterionEntry(metric="exact", margin=Decimal("0.03")),
        scorers=[ScorerEntry(name="exact")],
    )
    run = start(plan)
    worker = Worker(tmp_path / "worker.log", poison=f"score:{POISON}")
    try:
        until(lambda: ended(run), seconds=300)
    finally:
        worker.kill()
    assert (run.status, run.done) == (RunStatus.FINISHED, 2 * SAMPLES)
    scores = ScoreRow.objects.filter(completion__arm__run=run)
    assert scores.count() == 2 * SAMPLES
    unscored = scores.filter(value__isnull=True)
    assert set(unscored.values_list("completion__sample__external_id", "detail")) == {
        (POISONED, f"given up: {LOST_AT_MOST} processes ended at it")
    }
    assert unscored.count() == 2
    assert simulated.bill()["requests"] == 2 * SAMPLES  # scoring anew calls nobody
    assert run.comparisons.get().document["n"] == SAMPLES - 1
