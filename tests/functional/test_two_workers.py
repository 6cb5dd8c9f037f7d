"""Two workers on one run: one is stopped for longer than its lease and goes on, or both are told the same many times.

P4 and P11 of RELIABILITY.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from evaluations.enums import AttemptState, RunStatus
from evaluations.models import Attempt, Chunk, ReplayRun
from evaluations.replay.engine import KEPT_PLACES
from evaluations.simulator.server import SimulatedVendors
from evaluations.tasks import hint
from tests.bills import assert_the_ledger_is_the_bill
from tests.replays import ready_plan, start, vendors
from tests.workers import LEASE_SECONDS, SOAK, Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SLOW = {"latency_ms": 200}
# Sent, result not yet committed, of both arms: up to so many places none is filled early.
CONCURRENCY = KEPT_PLACES
IN_FLIGHT = 2 * CONCURRENCY
SAMPLES = 2000 if SOAK else 400
PAUSES = 10 if SOAK else 2
MESSAGES = 100

# What never changes once it is written, and what never goes back.
WATCHED = {
    "evaluations_completion": "OLD.flip = NEW.flip",
    "evaluations_completioncontent": "1 = 1",
    "evaluations_scorerow": "1 = 1",
    "evaluations_chunk": "OLD.state = 'done' AND NEW.state <> 'done'",
    "evaluations_attempt": "OLD.state = 'settled'",
}


@contextmanager
def changes() -> Iterator[list[str]]:
    """The tables whose rows were changed within the block after they were final, one entry a row."""
    found: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changed_after_done (name text)")
        for table, final in WATCHED.items():
            note = f"INSERT INTO changed_after_done VALUES ('{table}');"
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS"
                    f" $$ BEGIN {note} RETURN NULL; END $$"
                )
                cursor.execute(
                    f"CREATE TRIGGER watch_{table} AFTER UPDATE ON {table} FOR EACH ROW WHEN ({final})"
                    f" EXECUTE FUNCTION note_{table}()"
                )
            else:
                cursor.execute(f"CREATE TRIGGER watch_{table} AFTER UPDATE ON {table} WHEN {final} BEGIN {note} END")
    try:
        yield found
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM changed_after_done")
            found += [name for (name,) in cursor.fetchall()]
    finally:
        with connection.cursor() as cursor:
            for table in WATCHED:
                if connection.vendor == "postgresql":
                    cursor.execute(f"DROP FUNCTION note_{table} CASCADE")
                else:
                    cursor.execute(f"DROP TRIGGER watch_{table}")
            cursor.execute("DROP TABLE changed_after_done")


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors(old=SLOW, new=SLOW)) as running:
        yield running


def at_work(run: ReplayRun) -> set[int]:
    """The process groups of the workers that hold a lease of the run."""
    owners = Chunk.objects.filter(arm__run=run, lease_expires_at__gt=timezone.now()).values_list(
        "lease_owner", flat=True
    )
    return {os.getpgid(int(owner.split(":")[1])) for owner in owners}


def done(run: ReplayRun) -> int:
    run.refresh_from_db()
    return run.done


def test_a_worker_that_sleeps_past_its_lease_changes_nothing_that_is_done(
    simulated: SimulatedVendors, tmp_path: Path
) -> None:
    run = start(ready_plan(simulated.url, n=SAMPLES, concurrency=CONCURRENCY, budget="100"))
    with changes() as changed:
        workers = [Worker(tmp_path / f"worker{number}.log") for number in (1, 2)]
        try:
            for pause in range(1, PAUSES + 1):
                until(lambda pause=pause: done(run) >= run.total * pause // (PAUSES + 2), seconds=120)
                until(lambda: bool(at_work(run)), seconds=60)
                sleeper = next(worker for worker in workers if worker.process.pid in at_work(run))
                sleeper.pause()
                # The sweep finds its chunks, and the other worker takes them.
                time.sleep(LEASE_SECONDS + 2)
                if connection.vendor == "postgresql":
                    # Only there: a sleeper's commit is ended by the server.
                    before = done(run)
                    until(lambda before=before: done(run) > before, seconds=60)
                sleeper.resume()
            until(lambda: done(run) == run.total and bool(run.decision), seconds=300)
        finally:
            for worker in workers:
                worker.kill()
    assert changed == []
    assert run.status is RunStatus.FINISHED
    bill = simulated.bill()
    assert bill["distinct"] == run.total == 2 * SAMPLES
    most_lost = PAUSES * IN_FLIGHT
    assert 0 < bill["requests"] - bill["distinct"] <= most_lost
    assert_the_ledger_is_the_bill(run, simulated, most_lost=most_lost)


def test_the_same_message_a_hundred_times_pays_for_each_sample_once(
    simulated: SimulatedVendors, tmp_path: Path
) -> None:
    run = start(ready_plan(simulated.url, n=100, concurrency=CONCURRENCY))
    for _ in range(MESSAGES):
        hint(run.pk, chunks=1)
    workers = [Worker(tmp_path / f"worker{number}.log") for number in (1, 2)]
    try:
        until(lambda: done(run) == run.total and bool(run.decision), seconds=120)
    finally:
        for worker in workers:
            worker.kill()
    bill = simulated.bill()
    assert bill["requests"] == bill["distinct"] == run.calls == run.total
    assert set(Attempt.objects.values_list("state", flat=True)) == {AttemptState.SETTLED}
