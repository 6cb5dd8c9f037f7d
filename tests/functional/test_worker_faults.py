"""Workers and brokers are killed in the middle of a replay; what it cost is counted on the vendor's own bill.

P1-P3, P7 and P8 of RELIABILITY.md. At full size 10,000 calls, 20 killed workers, 3 killed brokers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import datetime
from pathlib import Path
from socket import socket

import pytest
from django.utils import timezone

from evaluations.enums import AttemptState, Beat, RunStatus
from evaluations.models import Attempt, Chunk, Completion, Heartbeat, ReplayRun, SampleSetMember
from evaluations.replay.engine import KEPT_PLACES
from evaluations.simulator.server import SimulatedVendors
from tests.bills import assert_the_ledger_is_the_bill
from tests.replays import ready_plan, start, vendors
from tests.services import Redis
from tests.workers import EMBEDDED, SOAK, Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SLOW = {"latency_ms": 40}
# Sent, result not yet committed, of both arms: up to so many places none is filled early.
CONCURRENCY = KEPT_PLACES
IN_FLIGHT = 2 * CONCURRENCY
SAMPLES = 5000 if SOAK else 400
KILLS = 20 if SOAK else 2
BROKER_KILLS = 3 if SOAK else 1
STOPS = 20 if SOAK else 2
RUNS_AGAIN_SECONDS = 30
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"


def done(run: ReplayRun) -> int:
    run.refresh_from_db()
    return run.done


def ended(run: ReplayRun) -> bool:
    return done(run) == run.total and bool(run.decision)


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors(old=SLOW, new=SLOW)) as running:
        yield running


def started(simulated: SimulatedVendors) -> ReplayRun:
    return start(ready_plan(simulated.url, n=SAMPLES, concurrency=CONCURRENCY, budget="100"))


@pytest.mark.parametrize("kind", ["embedded", "redis", "rabbitmq"])
def test_killed_workers_and_brokers_lose_nothing_and_pay_twice_for_at_most_the_calls_in_flight(
    kind: str, simulated: SimulatedVendors, tmp_path: Path
) -> None:
    if kind == "rabbitmq":
        with closing(socket()) as probe:
            if probe.connect_ex(("127.0.0.1", 5672)) != 0:
                pytest.skip("no RabbitMQ on 5672")
    killed: list[tuple[datetime, datetime]] = []
    with Redis() if kind == "redis" else nullcontext() as redis:
        broker = redis.url if redis else RABBITMQ if kind == "rabbitmq" else EMBEDDED
        run = started(simulated)
        worker = Worker(tmp_path / "worker.log", broker=broker)
        try:
            for kill in range(1, KILLS + 1):
                until(lambda kill=kill: done(run) >= run.total * kill // (KILLS + 2), seconds=120)
                worker.kill()
                died_at = timezone.now()
                if redis and kill <= BROKER_KILLS:
                    redis.kill()
                    redis.start()
                worker = Worker(tmp_path / "worker.log", broker=broker)
                # How long a process takes to start is no promise of ours.
                until(lambda at=died_at: swept_since(at), seconds=120)
                killed.append((died_at, timezone.now()))
            if redis:
                # Once more under a worker that stays.
                until(lambda: done(run) >= run.total * (KILLS + 1) // (KILLS + 2), seconds=120)
                redis.kill()
                redis.start()
            until(lambda: ended(run), seconds=300)
        finally:
            worker.kill()
    assert run.status is RunStatus.FINISHED
    assert Completion.objects.filter(arm__run=run).count() == run.total == 2 * SAMPLES
    bill = simulated.bill()
    assert bill["distinct"] == run.total
    assert bill["requests"] - bill["distinct"] <= KILLS * IN_FLIGHT
    assert Attempt.objects.filter(run=run, state=AttemptState.SETTLED).count() == run.total
    assert_the_ledger_is_the_bill(run, simulated, most_lost=KILLS * IN_FLIGHT)
    again = ran_again(run, killed)
    assert again
    assert max(again) <= RUNS_AGAIN_SECONDS


def swept_since(at: datetime) -> bool:
    """A worker is up: it has done a task."""
    return Heartbeat.objects.filter(name=Beat.SWEEP, at__gt=at).exists()


def ran_again(run: ReplayRun, killed: list[tuple[datetime, datetime]]) -> list[float]:
    """For each chunk that lost calls: the seconds from when another worker was up to the chunk's next call."""
    positions = dict(SampleSetMember.objects.filter(sample_set=run.sample_set).values_list("sample_id", "position"))
    chunks = list(Chunk.objects.filter(arm__run=run))

    def chunk_of(call: Attempt) -> int:
        at = positions[call.sample_id or 0]
        return next(chunk.pk for chunk in chunks if chunk.arm_id == call.arm_id and chunk.start <= at < chunk.stop)

    calls = [(chunk_of(call), call) for call in Attempt.objects.filter(run=run)]
    lost = {
        (chunk, *min((died_at, up_at) for died_at, up_at in killed if died_at >= call.sent_at))
        for chunk, call in calls
        if call.state is AttemptState.ABANDONED
    }
    return [
        (
            min(call.sent_at for other, call in calls if other == chunk and call.sent_at > died_at) - up_at
        ).total_seconds()
        for chunk, died_at, up_at in lost
    ]


def test_workers_told_to_stop_end_in_time_pay_nothing_twice_and_leave_the_rest(
    simulated: SimulatedVendors, tmp_path: Path
) -> None:
    run = started(simulated)
    worker = Worker(tmp_path / "worker.log")
    try:
        for stop in range(1, STOPS + 1):
            until(lambda stop=stop: done(run) >= run.total * stop // (STOPS + 2), seconds=60)
            # A service manager tells every process of the group, a person the main one.
            assert worker.stop(whole_group=bool(stop % 2)) < 30
            assert done(run) < run.total
            worker = Worker(tmp_path / "worker.log")
        until(lambda: ended(run), seconds=120)
    finally:
        worker.kill()
    bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert bill["requests"] == bill["distinct"] == run.calls == run.total
    assert run.reserved_amount == 0
