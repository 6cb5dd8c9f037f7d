"""How vendors are paced, counted on their own bill over real HTTP."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from evaluations.enums import Outcome, PauseReason, RunStatus
from evaluations.models import Attempt, AuditEvent, Completion, Endpoint, ReplayRun, VendorGate
from evaluations.selectors.catalogue import endpoints
from evaluations.selectors.progress import run_document
from evaluations.services import work as work_module
from evaluations.services.replays import resume_run, settle_run
from evaluations.services.work import work_once
from evaluations.simulator.server import SimulatedVendors
from tests.replays import BY, ready_plan, start, vendors

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_learned() -> None:
    work_module._learned.clear()


def work(run: ReplayRun, *, seconds: float) -> ReplayRun:
    """One worker until the run has ended, or for so long."""
    deadline = time.monotonic() + seconds
    while not run.decision and time.monotonic() < deadline:
        if work_once() is None:
            time.sleep(0.05)
        settle_run(run=run, at=timezone.now())
        run.refresh_from_db()
    return run


def work_until_paused(run: ReplayRun) -> ReplayRun:
    while work_once() is not None:
        pass
    run.refresh_from_db()
    return run


SILENT = {"states_limit": False, "retry_after": "none"}
RETRY_AFTER_ONLY = {"states_limit": False}


@pytest.mark.parametrize(
    ("samples", "places", "per_minute", "says"),
    [
        pytest.param(200, 4, 2400, {}, id="limits in headers"),
        pytest.param(200, 4, 2400, RETRY_AFTER_ONLY, id="Retry-After"),
        pytest.param(200, 4, 2400, SILENT, id="nothing said"),
        pytest.param(200, 32, 4800, SILENT, id="nothing said to 32 places"),
        pytest.param(1000, 16, 9600, RETRY_AFTER_ONLY, id="1,000 samples, Retry-After"),
        pytest.param(1000, 16, 9600, SILENT, id="1,000 samples, nothing said"),
    ],
)
def test_a_vendor_at_half_capacity_is_asked_at_most_a_fifth_too_often(
    samples: int, places: int, per_minute: int, says: dict[str, Any]
) -> None:
    """At 50 ms a call the places would send twice what the vendor takes, or more; it lets 5 through at once."""
    limited = {"latency_ms": 50, "requests_per_minute": per_minute, "burst": 5, **says}
    with SimulatedVendors(vendors(new=limited)) as simulated:
        run = work(start(ready_plan(simulated.url, n=samples, recorded=True, concurrency=places)), seconds=90)
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert bill["billed"] == samples
    assert bill["requests"] <= 1.2 * samples
    assert bill["in_flight_peak"] <= places
    assert run_document(run)["arms"]["candidate"]["failed"] == {}
    # Before an announced time was over nothing came but what was on its way: the places, at the most.
    refused = Attempt.objects.filter(outcome=Outcome.RATE_LIMITED).order_by("sent_at").values_list("sent_at", flat=True)
    waits = 1 + sum(later - earlier > timedelta(seconds=0.5) for earlier, later in pairwise(refused))
    assert bill["early"] <= waits * places


def test_a_wait_longer_than_a_moment_keeps_no_worker_and_nothing_is_sent_before_its_end() -> None:
    limited = {"requests_per_minute": 60, "burst": 5, "states_limit": False, "retry_after": "3"}
    with SimulatedVendors(vendors(new=limited)) as simulated:
        run = start(ready_plan(simulated.url, n=7, recorded=True, concurrency=2))
        run = work_until_paused(run)
        assert (run.status, run.status_reason) == (RunStatus.RUNNING, "rate_limited")
        refused = Attempt.objects.filter(outcome=Outcome.RATE_LIMITED).order_by("sent_at")[0]
        (shown,) = [row for row in endpoints(refused.sent_at) if row.paused_until is not None]
        assert (shown.slug, shown.pause_reason) == ("new-prod", PauseReason.RATE_LIMITED.label)
        assert shown.paused_until - refused.sent_at >= timedelta(seconds=3)
        run = work(run, seconds=90)
        bill = simulated.bill()
    assert (run.status, run.status_reason) == (RunStatus.FINISHED, "")
    later = Attempt.objects.filter(sent_at__gt=refused.settled_at).order_by("sent_at")[0]
    assert later.sent_at - refused.sent_at >= timedelta(seconds=3)
    assert bill["early"] <= 1


def test_out_of_money_pauses_the_vendor_and_tells_the_owner_until_the_run_is_resumed() -> None:
    with SimulatedVendors(vendors(new={"script": ["quota"]})) as simulated:
        run = start(ready_plan(simulated.url, n=10, recorded=True, concurrency=1))
        run = work_until_paused(run)
        assert (run.status, run.status_reason, simulated.bill()["requests"]) == (
            RunStatus.RUNNING,
            "quota_exhausted",
            1,
        )
        assert AuditEvent.objects.get(action="replay_run.paused").data["reason"] == "quota_exhausted"
        resume_run(run=run, by=BY, at=timezone.now())
        assert run.status_reason == ""
        assert AuditEvent.objects.filter(action="replay_run.unpaused").count() == 1
        run = work(run, seconds=90)
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert (bill["requests"], bill["billed"]) == (11, 10)
    assert set(Completion.objects.filter(arm__role="candidate").values_list("outcome", flat=True)) == {Outcome.OK}


def test_out_of_money_costs_at_most_the_calls_in_flight() -> None:
    with SimulatedVendors(vendors(new={"faults": {"quota": 1.0}, "latency_ms": 20})) as simulated:
        run = work_until_paused(start(ready_plan(simulated.url, n=100, recorded=True, concurrency=8)))
        assert simulated.bill()["requests"] <= 8
    assert run_document(run)["status_reason"] == "quota_exhausted"
    assert run.done == 100  # the recorded arm


def test_money_that_is_back_is_found_by_one_call_after_the_pause(settings) -> None:
    settings.PILOTS_QUOTA_PAUSE_SECONDS = 0.5
    with SimulatedVendors(vendors(new={"script": ["quota"] * 3})) as simulated:
        run = work(start(ready_plan(simulated.url, n=10, recorded=True, concurrency=1)), seconds=90)
        bill = simulated.bill()
    assert (run.status, run.status_reason) == (RunStatus.FINISHED, "")
    assert (bill["requests"], bill["billed"]) == (13, 10)
    sent = Attempt.objects.filter(outcome=Outcome.QUOTA_EXHAUSTED).order_by("sent_at")
    assert all(b.sent_at - a.sent_at >= timedelta(seconds=0.5) for a, b in pairwise(sent))


def test_another_key_is_another_vendor() -> None:
    with SimulatedVendors(vendors(new={"script": ["quota"]})) as simulated:
        run = start(ready_plan(simulated.url, n=10, recorded=True, concurrency=1))
        assert work_until_paused(run).status_reason == "quota_exhausted"
        Endpoint.objects.filter(slug="new-prod").update(credential_env="PATH")
        assert work(run, seconds=90).status is RunStatus.FINISHED
    assert VendorGate.objects.count() == 2


def test_an_outage_is_waited_for_with_one_call_at_a_time_and_fails_no_sample(settings) -> None:
    settings.PILOTS_PROBE_SECONDS = 0.5
    down = ["server_error", "unavailable", "overloaded", "reset"] * 3
    with SimulatedVendors(vendors(new={"script": down})) as simulated:
        run = start(ready_plan(simulated.url, n=30, recorded=True, concurrency=4))
        run = work_until_paused(run)
        assert (run.status, run.status_reason) == (RunStatus.RUNNING, "vendor_paused")
        assert simulated.bill()["requests"] <= 5 + 3  # in a row, and those in flight meanwhile
        run = work(run, seconds=90)
        bill = simulated.bill()
    assert (run.status, run.status_reason) == (RunStatus.FINISHED, "")
    assert bill["requests"] == 30 + 12
    assert set(Completion.objects.filter(arm__role="candidate").values_list("outcome", flat=True)) == {Outcome.OK}
    failed = list(Attempt.objects.exclude(outcome=Outcome.OK).order_by("sent_at").values_list("sent_at", flat=True))
    assert all(b - a >= timedelta(seconds=0.45) for a, b in pairwise(failed[8:]))
    assert VendorGate.objects.get().failures == 0


def test_a_dead_vendor_slows_no_other(settings) -> None:
    """One worker, and sixteen slices of work: only one of them, and the calls in flight, met the dead vendor."""
    settings.PILOTS_CHUNK_DEFAULT_CALLS = 50
    settings.PILOTS_PROBE_SECONDS = 600
    with SimulatedVendors(vendors(new={"faults": {"server_error": 1.0}}, old={"latency_ms": 20})) as simulated:
        run = start(ready_plan(simulated.url, n=400, concurrency=4))
        run = work_until_paused(run)
        models = simulated.bill()["models"]
    assert (models["old"]["billed"], run.done) == (400, 400)
    assert models["new"]["requests"] <= 5 + 3
    assert (run.status, run.status_reason) == (RunStatus.RUNNING, "vendor_paused")
    dead = Attempt.objects.exclude(outcome=Outcome.OK)
    assert dead.values("lease_owner").distinct().count() == 1


def test_the_tokens_of_a_minute_are_kept() -> None:
    with SimulatedVendors(vendors()) as simulated:
        plan = ready_plan(simulated.url, n=100, recorded=True)
        Endpoint.objects.update(tokens_per_minute=30_000)
        run = work(start(plan), seconds=90)
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    calls = Attempt.objects.filter(outcome=Outcome.OK).order_by("sent_at")
    seconds = (calls.reverse()[0].sent_at - calls[0].sent_at).total_seconds()
    tokens = bill["input_tokens"] + bill["output_tokens"]
    # 500 a second; a second's worth at the start, and one call's that may not be known beforehand.
    assert seconds >= (tokens - 500 - 2 * tokens / 100) / 500


def test_a_limit_that_the_vendor_states_is_kept_as_if_it_were_ours() -> None:
    with SimulatedVendors(vendors(new={"requests_per_minute": 1200, "burst": 20})) as simulated:
        run = work(start(ready_plan(simulated.url, n=100, recorded=True)), seconds=90)
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    # The first answers say it: refused is at most what was on its way by then.
    assert bill["rate_limited"] <= 8
    assert Endpoint.objects.get(slug="new-prod").pace.stated_requests_per_minute == 1200
