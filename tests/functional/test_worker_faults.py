"""A worker is killed in the middle of a replay; what it cost is counted on the vendor's own bill."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluations.enums import AttemptState, RunStatus
from evaluations.models import Attempt, Completion, ReplayRun
from evaluations.simulator.server import SimulatedVendors
from evaluations.tasks import hint
from tests.replays import ready_plan, start, vendors
from tests.workers import SOAK, Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SLOW = {"latency_ms": 40}
CONCURRENCY = 8
IN_FLIGHT = 2 * CONCURRENCY  # both arms
SAMPLES = 5000 if SOAK else 500
KILLS = 20 if SOAK else 2


def done(run: ReplayRun) -> int:
    run.refresh_from_db()
    return run.done


def test_a_killed_worker_loses_nothing_and_pays_twice_for_at_most_the_calls_in_flight(tmp_path: Path) -> None:
    with SimulatedVendors(vendors(old=SLOW, new=SLOW)) as simulated:
        run = start(ready_plan(simulated.url, n=SAMPLES, concurrency=CONCURRENCY, budget="100"))
        worker = Worker(tmp_path / "worker.log")
        try:
            hint(run.pk, chunks=2)
            for kill in range(1, KILLS + 1):
                until(lambda kill=kill: done(run) >= run.total * kill // (KILLS + 2), seconds=120)
                worker.kill()
                worker = Worker(tmp_path / "worker.log")
            until(lambda: done(run) == run.total and bool(run.decision), seconds=300)
        finally:
            worker.kill()
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert Completion.objects.filter(arm__run=run).count() == run.total == 2 * SAMPLES
    assert bill["distinct"] == run.total
    paid_twice = bill["requests"] - bill["distinct"]
    assert paid_twice <= KILLS * IN_FLIGHT
    attempts = Attempt.objects.filter(run=run)
    assert bill["requests"] <= attempts.count() == run.calls
    assert attempts.filter(state=AttemptState.SENT).count() == 0
    # Intents are committed ahead of their calls, as many as may be in flight.
    assert attempts.count() - bill["requests"] <= KILLS * IN_FLIGHT
    assert run.reserved_amount == sum(a.reserved_amount for a in attempts.filter(state=AttemptState.ABANDONED))


@pytest.mark.parametrize("whole_group", [False, True], ids=["main process", "whole group"])
def test_a_worker_told_to_stop_ends_in_time_pays_nothing_twice_and_leaves_the_rest(
    tmp_path: Path, whole_group: bool
) -> None:
    with SimulatedVendors(vendors(old=SLOW, new=SLOW)) as simulated:
        run = start(ready_plan(simulated.url, n=SAMPLES, concurrency=CONCURRENCY, budget="100"))
        worker = Worker(tmp_path / "worker.log")
        hint(run.pk, chunks=2)
        until(lambda: done(run) > run.total // 4, seconds=60)
        assert worker.stop(whole_group=whole_group) < 30
        assert done(run) < run.total
        worker = Worker(tmp_path / "worker.log")
        try:
            until(lambda: done(run) == run.total and bool(run.decision), seconds=120)
        finally:
            worker.kill()
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert bill["requests"] == bill["distinct"] == run.calls == run.total
    assert run.reserved_amount == 0
