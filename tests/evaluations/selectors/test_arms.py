"""Both arms of a run in numbers: counted over its rows, or as they were kept when it ended."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import ArmRole, Outcome, RunStatus
from evaluations.models import Attempt, Completion, ReplayRun, RunArm
from evaluations.selectors import arms
from evaluations.selectors.arms import arm_summaries, shown_arms
from evaluations.selectors.progress import run_document
from evaluations.services.replays import cancel_run, resume_run, settle_run
from evaluations.simulator.server import SimulatedVendors
from tests.pilots.exporters.replayed import work
from tests.replays import BY, answer, concluded, ready_plan, start, vendors

pytestmark = pytest.mark.django_db


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return (Outcome.TIMEOUT, "") if position == 3 and role is ArmRole.CANDIDATE else (Outcome.OK, "yes")


def ended(n: int = 6) -> ReplayRun:
    return concluded(start(ready_plan("http://127.0.0.1:9", n=n)), said)


def counted(run: ReplayRun) -> dict[str, object]:
    """As if nothing had been kept."""
    kept = list(run.arms.values_list("pk", "figures"))
    run.arms.update(figures=None)
    summaries = arm_summaries(run)
    for pk, figures in kept:
        RunArm.objects.filter(pk=pk).update(figures=figures)
    return dict(summaries)


def tables_read(run: ReplayRun) -> set[str]:
    with CaptureQueriesContext(connection) as queries:
        run_document(run)
    return {
        model.__name__
        for model in (Attempt, Completion)
        if any(f'"{model._meta.db_table}"' in query["sql"] for query in queries.captured_queries)
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("recorded", [False, True], ids=["called", "recorded"])
def test_what_is_kept_is_what_is_counted(recorded: bool) -> None:
    script = ["overloaded", "ok", "bad_gateway", "refusal", "ok"]
    with SimulatedVendors(vendors(new={"script": script})) as simulated:
        run = start(ready_plan(simulated.url, n=30, recorded=recorded))
        work(run)
    run.refresh_from_db()
    assert run.decision
    kept = arm_summaries(run)
    assert tables_read(run) == set()
    assert kept == counted(run)
    candidate = kept["candidate"]
    assert candidate.retries > 0
    assert sum(candidate.failed.values()) > 0


def test_a_run_that_goes_on_is_counted() -> None:
    run = answer(start(ready_plan("http://127.0.0.1:9", n=6)), said)
    assert tables_read(run) == {"Attempt", "Completion"}
    candidate = arm_summaries(run)["candidate"]
    assert (candidate.succeeded, candidate.failed, candidate.calls, candidate.cost) == (
        5,
        {"timeout": 1},
        6,
        Decimal("0.006"),
    )
    # Hazen's median of 100, 101, 102, 104, 105.
    assert candidate.latency_ms.p50 == 102


@pytest.mark.parametrize("moved", ["a late settlement", "a call withdrawn"])
def test_figures_are_counted_anew_once_the_run_has_moved(moved: str) -> None:
    """A worker that had lost its lease comes back after the run's end and settles what it had sent."""
    run = ended()
    assert arm_summaries(run)["candidate"].cost == Decimal("0.006")
    attempt = Attempt.objects.filter(arm__role="candidate").earliest("id")
    if moved == "a late settlement":
        Attempt.objects.filter(pk=attempt.pk).update(cost_amount=Decimal("0.5"))
        later = timezone.now() + timedelta(seconds=1)
        ReplayRun.objects.filter(pk=run.pk).update(progressed_at=later)
    else:
        attempt.delete()
        ReplayRun.objects.filter(pk=run.pk).update(calls=F("calls") - 1)
    candidate = arm_summaries(run)["candidate"]
    assert (candidate.calls, candidate.cost) == (
        (6, Decimal("0.505")) if moved == "a late settlement" else (5, Decimal("0.005"))
    )


def test_a_run_that_was_resumed_keeps_the_figures_of_its_second_end() -> None:
    run = answer(start(ready_plan("http://127.0.0.1:9", n=6)), said)
    cancel_run(run=run, by=BY, at=timezone.now())
    settle_run(run=run, at=timezone.now())
    assert tables_read(run) == set()
    resume_run(run=run, by=BY, at=timezone.now())
    assert tables_read(run) == {"Attempt", "Completion"}
    settle_run(run=run, at=timezone.now())
    run.refresh_from_db()
    assert run.status is RunStatus.FINISHED
    assert tables_read(run) == set()


def test_a_page_counts_over_many_answers_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = answer(start(ready_plan("http://127.0.0.1:9", n=6)), said)
    monkeypatch.setattr(arms, "COUNTED_UNASKED", 11)
    assert shown_arms(going_on, asked=False) is None
    assert shown_arms(going_on, asked=True) == arm_summaries(going_on)
    settle_run(run=going_on, at=timezone.now())
    going_on.refresh_from_db()
    assert shown_arms(going_on, asked=False) == arm_summaries(going_on)
