"""What a replay is told before its first call: whether anything may be sent at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone

from evaluations.enums import Outcome, RunStatus
from evaluations.models import Completion, DataAgreement, Endpoint, ReplayRun
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
