"""What is decided before a replay's first call: whether anything may be sent at all, and how a low cap is shared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from evaluations.enums import Outcome, RunStatus
from evaluations.models import Completion, DataAgreement, Endpoint, Price, ReplayRun
from evaluations.services.errors import Refused
from evaluations.services.replays import settle_run
from evaluations.services.work import work_once
from evaluations.simulator.server import SimulatedVendors
from tests.replays import ready_plan, start, vendors

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors()) as running:
        yield running


def work(run: ReplayRun) -> ReplayRun:
    while work_once(run=run) is not None:
        pass
    settle_run(run=run, at=timezone.now())
    run.refresh_from_db()
    return run


@pytest.mark.parametrize("recorded", [False, True])
def test_a_replay_of_which_nothing_may_be_sent_does_not_start(recorded) -> None:
    plan = ready_plan(NOWHERE, n=3, recorded=recorded)
    DataAgreement.objects.all().delete()
    with pytest.raises(Refused) as refusal:
        start(plan)
    assert (refusal.value.field, refusal.value.message) == (
        "data_agreement",
        "no sample may be sent: team support has no data agreement in force",
    )
    assert not ReplayRun.objects.exists()


def test_where_both_arms_are_refused_for_reasons_of_their_own_both_are_named() -> None:
    plan = ready_plan(NOWHERE, n=3)
    DataAgreement.objects.update(vendors=["openai"])
    Endpoint.objects.filter(slug="old-prod").update(region="us")
    with pytest.raises(Refused, match="does not list region us, the data agreement of team support does not list vend"):
        start(plan)


def test_an_endpoint_that_asks_for_a_service_tier_needs_a_price_of_it() -> None:
    plan = ready_plan(NOWHERE, n=3)
    Endpoint.objects.filter(slug="new-prod").update(parameters={"service_tier": "priority"})
    with pytest.raises(Refused, match="new has no USD price in force for service tier priority") as refusal:
        start(plan)
    assert refusal.value.field == "candidate.endpoint"
    Price.objects.create(
        model=plan.candidate_model,
        effective_from="2020-01-01",
        input_per_mtok=4,
        output_per_mtok=16,
        service_tier="priority",
    )
    assert start(plan).arms.get(role="candidate").prices[1]["service_tier"] == "priority"


def test_a_replay_of_which_one_arm_may_be_sent_says_why_the_other_is_not(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=5, permitted=("openai",))))
    assert (run.status, run.status_reason) == (RunStatus.FINISHED, "not_permitted")
    assert Completion.objects.filter(arm__run=run, outcome=Outcome.NOT_PERMITTED).count() == 5


def test_an_agreement_that_ends_while_a_run_is_on_shows_at_once(simulated) -> None:
    run = start(ready_plan(simulated.url, n=5))
    assert work_once(run=run) is not None
    DataAgreement.objects.update(ended_at=timezone.now())
    assert work_once(run=run) is not None
    run.refresh_from_db()
    assert run.status_reason == "not_permitted"
    assert work(run).status_reason == "not_permitted"


def worked_on_by(n: int, run: ReplayRun) -> ReplayRun:
    """``n`` workers at once, until the run has ended."""

    def worker(_: int) -> None:
        try:
            while not ReplayRun.objects.get(pk=run.pk).decision:
                if work_once(run=run) is None:
                    settle_run(run=run, at=timezone.now())
                    time.sleep(0.01)
        finally:
            connection.close()

    with ThreadPoolExecutor(n) as pool:
        list(pool.map(worker, range(n)))
    run.refresh_from_db()
    return run


@pytest.mark.parametrize(("workers", "slow"), [(1, "old"), (3, "old"), (3, "new")])
def test_a_cap_that_is_too_low_leaves_both_arms_about_equally_far(workers, slow) -> None:
    """One model takes ten times as long as the other; half of the 800 calls, $0.22 in all, can be paid."""
    with SimulatedVendors(vendors(**{slow: {"latency_ms": 20}})) as simulated:
        plan = ready_plan(simulated.url, n=400)
        run = worked_on_by(workers, start(plan, budget=Decimal("0.11")))
    assert (run.status, run.in_step) == (RunStatus.STOPPED_BY_BUDGET, True)
    done = [Completion.objects.filter(arm=arm).count() for arm in run.arms.order_by("id")]
    assert min(done) >= 0.85 * max(done) > 150


def test_a_cap_that_is_high_enough_holds_up_no_arm() -> None:
    plan = ready_plan(NOWHERE, n=400)
    wide, narrow = start(plan), start(plan, budget=Decimal("0.001"))
    assert (wide.in_step, wide.arms.get(role="incumbent").chunks.count()) == (False, 1)
    assert (narrow.in_step, narrow.arms.get(role="incumbent").chunks.count() > 20) == (True, True)
