"""Several workers at one endpoint: what they are granted, together and apart. No vendor, a clock of the test's own."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from evaluations.enums import ChunkState, PauseReason
from evaluations.models import Chunk, Endpoint, ReplayRun, RunArm, VendorGate
from evaluations.replay.meter import Grant, Report
from evaluations.selectors.queue import paused_endpoints
from evaluations.services.leases import claim_chunk, release
from evaluations.services.pacing import DatabaseMeter, begin_probe, gate_of, lift_pauses
from tests.replays import ready_plan, start

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(settings) -> ReplayRun:
    """A hundred samples in chunks of twenty; only the candidate's arm calls anybody."""
    settings.PILOTS_CHUNK_DEFAULT_CALLS = 20
    settings.PILOTS_LEASE_SECONDS = 3600
    run = start(ready_plan("http://127.0.0.1:9", n=100, recorded=True))
    Chunk.objects.filter(arm__endpoint__isnull=True).update(state=ChunkState.DONE)
    return run


def worker(name: str, clock: Clock, **limits: int) -> DatabaseMeter:
    claim = claim_chunk(owner=name, now=clock.now)
    assert claim is not None
    assert claim.arm.endpoint is not None
    for field, value in limits.items():
        setattr(claim.arm.endpoint, field, value)
    return DatabaseMeter(claim, claim.arm.endpoint, clock=clock)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_minutes_requests_are_given_out_once_whoever_asks(run, clock, workers: int) -> None:
    """600 a minute are 10 a second: 61 s have room for 610, the last second given out in advance."""
    meters = [worker(f"w{i}", clock, requests_per_minute=600) for i in range(workers)]
    times = []
    for _ in range(240):
        for meter in meters:
            slots = meter.exchange(Report(want=4, requests=1000)).requests
            assert slots is not None
            first = (clock.now - NOW).total_seconds() + slots.first_seconds
            times += [first + i * slots.every_seconds for i in range(slots.n)]
        clock.now += timedelta(seconds=0.25)
    times.sort()
    assert 590 <= len(times) <= 610
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) > 0.0999


def test_what_nobody_used_in_time_is_not_sent_later(run, clock) -> None:
    meter = worker("w", clock, requests_per_minute=600)
    assert meter.exchange(Report(want=4, requests=1000)).requests.n == 10
    clock.now += timedelta(seconds=30)
    assert meter.exchange(Report(want=4, requests=1000)).requests.n == 10


@pytest.mark.parametrize("workers", [1, 3])
def test_a_minutes_tokens_are_given_out_once_whoever_asks(run, clock, workers: int) -> None:
    meters = [worker(f"w{i}", clock, tokens_per_minute=60_000) for i in range(workers)]
    given = 0.0
    for _ in range(240):
        for meter in meters:
            given += meter.exchange(Report(want=4, tokens=1e6, call_tokens=100)).tokens or 0
        clock.now += timedelta(seconds=0.25)
    assert 59_000 <= given <= 61_000


def test_a_call_larger_than_a_second_s_tokens_is_sent_and_paid_back(run, clock) -> None:
    meter = worker("w", clock, tokens_per_minute=600)
    report = Report(want=4, tokens=100, call_tokens=100)
    granted = []
    for _ in range(120):
        granted.append(meter.exchange(report).tokens)
        clock.now += timedelta(seconds=0.5)
    assert sum(granted) == pytest.approx(600, abs=100)
    assert max(granted) == 100


def test_calls_in_flight_stay_below_the_ceiling_whoever_comes_and_goes(run, clock) -> None:
    """Five workers that take and give back at random; each fills its places at once and empties them slowly."""
    rng = random.Random(7)
    ceiling = 8
    at_work: dict[str, tuple[DatabaseMeter, int, int]] = {}  # name: (meter, places, in flight)
    peak = 0
    for step in range(400):
        clock.now += timedelta(seconds=0.1)
        name = f"w{rng.randrange(5)}"
        if name not in at_work:
            at_work[name] = (worker(f"{name}:{step}", clock, max_concurrency=ceiling), 0, 0)
        meter, places, in_flight = at_work[name]
        if rng.random() < 0.1 and in_flight == 0:
            release(meter.claim, done=False)
            del at_work[name]
            continue
        in_flight = max(0, in_flight - rng.randrange(3))
        places = meter.exchange(Report(want=ceiling, held=places, in_flight=in_flight)).places
        at_work[name] = (meter, places, max(in_flight, places if rng.random() < 0.8 else 0))
        total = sum(flying for _, _, flying in at_work.values())
        peak = max(peak, total)
        assert total <= ceiling
    assert peak == ceiling


def test_two_workers_share_the_places_and_one_alone_has_them_all(run, clock) -> None:
    first = worker("first", clock)
    assert first.exchange(Report(want=8)).places == 8
    second = worker("second", clock)
    assert second.exchange(Report(want=8)).places == 0  # all in use
    assert first.exchange(Report(want=8, held=8, in_flight=8)).places == 4
    assert second.exchange(Report(want=8)).places == 0  # not yet given back
    first.exchange(Report(want=8, held=4, in_flight=4))
    assert second.exchange(Report(want=8)).places == 4
    release(first.claim, done=True)
    assert second.exchange(Report(want=8, held=4, in_flight=4)).places == 8


def test_what_one_worker_is_told_holds_for_all_with_that_vendor_and_key(run, clock) -> None:
    first, second = worker("first", clock), worker("second", clock)
    second.exchange(Report(want=1))
    first.exchange(Report(want=1, pause_seconds=30, pause_reason=PauseReason.RATE_LIMITED))
    heard = second.exchange(Report(want=1))
    assert (heard.paused_seconds, heard.reason) == (30, PauseReason.RATE_LIMITED)
    assert claim_chunk(owner="third", now=clock.now) is None
    assert claim_chunk(owner="third", now=clock.now + timedelta(seconds=31)) is not None


def test_failures_of_several_workers_count_together_and_an_answer_starts_anew(run, clock) -> None:
    first, second = worker("first", clock), worker("second", clock)
    first.exchange(Report(want=1, failures=3))
    assert second.exchange(Report(want=1, failures=1)).reason is None
    assert second.exchange(Report(want=1, answered=True, failures=1)).failures == 1
    assert first.exchange(Report(want=1, failures=4)).reason is PauseReason.VENDOR_PAUSED


def test_one_call_at_a_time_finds_out_whether_a_vendor_is_back(run, clock) -> None:
    meter = worker("first", clock)
    meter.exchange(Report(want=1, failures=5, pause_seconds=10, pause_reason=PauseReason.VENDOR_PAUSED))
    release(meter.claim, done=False)
    assert claim_chunk(owner="early", now=clock.now + timedelta(seconds=9)) is None
    clock.now += timedelta(seconds=11)
    probe = claim_chunk(owner="probe", now=clock.now)
    assert probe is not None
    assert probe.probes
    assert claim_chunk(owner="second", now=clock.now) is None
    # It died before it could tell: the next one is due as long after it as after any other.
    assert claim_chunk(owner="second", now=clock.now + timedelta(seconds=9)) is None
    clock.now += timedelta(seconds=11)
    again = claim_chunk(owner="again", now=clock.now)
    assert again is not None
    DatabaseMeter(again, again.arm.endpoint, clock=clock).exchange(Report(want=1, answered=True, probed=True))
    assert paused_endpoints(clock.now) == {}
    assert claim_chunk(owner="all", now=clock.now) is not None


def test_a_probe_is_one_workers_whoever_tries(run, clock) -> None:
    gate = gate_of(Endpoint.objects.select_related("model").get(slug="new-prod"))
    VendorGate.objects.filter(pk=gate.pk).update(not_before=NOW, reason=PauseReason.VENDOR_PAUSED)
    pause = next(iter(paused_endpoints(NOW).values()))

    def attempt(_: int) -> bool:
        try:
            return begin_probe(pause, now=NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_a_chunk_is_one_workers_whoever_tries(run) -> None:
    def attempt(number: int) -> int | None:
        try:
            claim = claim_chunk(owner=f"w{number}", now=NOW)
            return None if claim is None else claim.chunk.pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        taken = [pk for pk in pool.map(attempt, range(8)) if pk is not None]
    assert len(taken) == len(set(taken)) == 5


def test_pauses_that_are_lifted_are_over(run, clock) -> None:
    meter = worker("first", clock)
    meter.exchange(Report(want=1, pause_seconds=3600, pause_reason=PauseReason.QUOTA_EXHAUSTED))
    release(meter.claim, done=False)
    assert lift_pauses([meter.endpoint]) == [PauseReason.QUOTA_EXHAUSTED]
    assert claim_chunk(owner="second", now=clock.now) is not None


def test_a_database_that_is_away_takes_nothing_back_and_hears_the_news_later(run, clock, monkeypatch) -> None:
    from django.db import OperationalError

    meter = worker("first", clock)
    meter.exchange(Report(want=8))

    def away(self: DatabaseMeter, report: Report) -> Grant:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseMeter, "_exchange", away)
        pause = Report(want=8, pause_seconds=30, pause_reason=PauseReason.RATE_LIMITED)
        assert meter.exchange(pause).places == 8
    assert meter.exchange(Report(want=8)).paused_seconds == 30


def test_runs_take_turns_and_the_vendor_with_the_fewest_workers_comes_first(run, clock) -> None:
    arm = RunArm.objects.get(run=run, role="candidate")
    other_run = ReplayRun.objects.get(pk=run.pk)
    other_run.pk = None
    other_run.save()
    Chunk.objects.bulk_create(
        Chunk(arm=_copy(arm, other_run), repeat=0, start=start, stop=start + 20) for start in range(0, 100, 20)
    )
    turns = []
    for minute in range(4):
        claim = claim_chunk(owner=f"w{minute}", now=clock.now + timedelta(minutes=minute))
        assert claim is not None
        turns.append(claim.run.pk)
        release(claim, done=True)
    assert turns in ([run.pk, other_run.pk] * 2, [other_run.pk, run.pk] * 2)


def _copy(arm: RunArm, run: ReplayRun, endpoint: Endpoint | None = None) -> RunArm:
    copied, _ = RunArm.objects.get_or_create(
        run=run, role=arm.role, defaults={"model": arm.model, "endpoint": endpoint or arm.endpoint, "prices": []}
    )
    return copied


def test_an_endpoint_has_no_more_workers_than_it_takes_calls(run, clock) -> None:
    Endpoint.objects.update(max_concurrency=2)
    assert [claim_chunk(owner=f"w{i}", now=clock.now) is None for i in range(3)] == [False, False, True]


def test_a_claim_reads_the_same_few_rows_however_many_chunks_wait(run, clock) -> None:
    def cost() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            claim = claim_chunk(owner="w", now=clock.now)
        assert claim is not None
        release(claim, done=False)
        return len(queries), sum("LIMIT" in query["sql"] for query in queries)

    cost()  # the first claim also starts the run
    few = cost()
    arm = RunArm.objects.get(run=run, role="candidate")
    states = [ChunkState.DONE] * 18_000 + [ChunkState.PENDING] * 2_000
    Chunk.objects.bulk_create(
        [Chunk(arm=arm, repeat=1, start=i, stop=i + 1, state=state) for i, state in enumerate(states)], batch_size=5_000
    )
    assert cost() == few
    assert few[0] <= 12
    plan = _plan_of_the_next_chunk(arm.pk)
    assert "chunk_next" in plan


def _plan_of_the_next_chunk(arm_id: int) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE evaluations_chunk")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(
            f"{explain} SELECT id FROM evaluations_chunk WHERE arm_id = %s AND state = 'pending'"
            " AND (lease_expires_at IS NULL OR lease_expires_at <= %s) ORDER BY id LIMIT 8",
            [arm_id, NOW],
        )
        return "\n".join(str(row) for row in cursor.fetchall())
