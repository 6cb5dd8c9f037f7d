"""A price that changes: what pilots that go on would cost today, told where an agreed limit no longer holds.

Each of 40 requests takes 10 tokens in and 5 out on each arm. It was replayed for $0.001 on both arms, agreed is at most
1.2 times the incumbent's cost. At $100 in and $80 out a million the candidate takes 10 x 100 + 5 x 80 = $0.0014.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import ArmRole, Outcome, PriceKind, Verdict
from evaluations.models import Completion, ReplayRun, Workload
from evaluations.services.catalogue import save_price
from evaluations.services.plan_document import CriterionEntry
from evaluations.services.replays import settle_run
from pilots.enums import MatterKind, NoticeKind, Reason
from pilots.models import CostForecast, Notice, Pilot
from pilots.selectors.attention import attention, scope_of
from pilots.selectors.costs import PilotCosts, costs
from pilots.selectors.filters import ReportFilters
from pilots.selectors.matters.base import Matter
from pilots.services import lifecycle
from pilots.services.forecasts import read_due_forecasts
from pilots.services.lifecycle import open_pilot
from tests import factories as make
from tests.replays import answer, concluded, ready_plan, start, with_criteria

pytestmark = pytest.mark.django_db


def said(role: str, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, str(position)


def _replayed(run: ReplayRun) -> None:
    """$0.0008 and $0.0012 in turn, not in step on both arms: a ratio of 1 with an interval well under 1.2."""
    answer(run, said)
    for answered in Completion.objects.filter(arm__run=run).select_related("arm"):
        dear = answered.position % 2 if answered.arm.role == ArmRole.INCUMBENT else answered.position // 2 % 2
        Completion.objects.filter(pk=answered.pk).update(cost_amount=Decimal("0.0012" if dear else "0.0008"))
    settle_run(run=run, at=timezone.now())


@pytest.fixture
def pilot() -> Pilot:
    """Cut over, with 42,000 requests a month."""
    plan = with_criteria(
        ready_plan("http://127.0.0.1:9", n=40),
        CriterionEntry(metric="answered", margin=Decimal("0.03")),
        CriterionEntry(metric="cost_per_request", max_ratio=Decimal("1.2")),
    )
    Workload.objects.update(monthly_requests=42_000)
    opened = open_pilot(
        by=make.actor(), at=timezone.now() - timedelta(days=1), slug="triage-to-new", workload=Workload.objects.get(),
        incumbent=plan.incumbent_model, candidate=plan.candidate_model, plan=plan,
    )  # fmt: skip
    _replayed(start(plan))
    lifecycle.record_cutover(pilot=opened, by=make.actor(), at=timezone.now())
    read_due_forecasts(now=timezone.now())
    return opened


def price(pilot: Pilot, given: int | None, taken: int | None, since: date = date(2026, 1, 2)) -> None:
    save_price(
        model=pilot.candidate, endpoint=None, effective_from=since, currency="USD", kind=PriceKind.LIST,
        input_per_mtok=None if given is None else Decimal(given),
        output_per_mtok=None if taken is None else Decimal(taken), by=make.actor(), at=timezone.now(),
    )  # fmt: skip


def row() -> PilotCosts:
    [found] = costs(ReportFilters.parse({}, now=timezone.now())).pilots
    return found


def matters() -> list[Matter]:
    found = attention(scope_of(Pilot.objects.all(), at=timezone.now()))
    return [matter for matter in found if matter.kind is MatterKind.PRICE]


def told() -> list[str]:
    return list(
        Notice.objects.filter(kind=NoticeKind.PRICE_CHANGED, pilot__isnull=False).values_list("words", flat=True)
    )


def test_a_new_price_recomputes_the_forecast_and_no_past_run(pilot: Pilot) -> None:
    before = ReplayRun.objects.values("costs", "decision", "spent_amount", "version").get()
    assert row().forecast is None
    price(pilot, 100, 80)
    assert [read_due_forecasts(now=timezone.now()) for _ in range(2)] == [1, 0]
    assert ReplayRun.objects.values("costs", "decision", "spent_amount", "version").get() == before
    found = row()
    assert found.forecast is not None
    assert [(line.incumbent, line.candidate) for line in found.forecast.lines] == [
        (Decimal("0.001"), Decimal("0.0014")),
    ] * 2
    assert (found.forecast.monthly_incumbent, found.forecast.monthly_candidate) == (42, Decimal("58.80"))
    assert found.forecast.no_longer_met == ("cost_per_request",)
    assert (found.monthly_candidate, found.lines[0].candidate) == (42, Decimal("0.001"))
    assert costs(ReportFilters.parse({"as_of": "2030-01-01"}, now=timezone.now())).pilots[0].forecast is None


def test_a_decision_whose_limit_no_longer_holds_is_flagged_with_the_money_and_told_once(pilot: Pilot) -> None:
    """$58.80 a month; agreed are 1.2 x $42 = $50.40."""
    price(pilot, 100, 80)
    read_due_forecasts(now=timezone.now())
    [matter] = matters()
    words = matter.words
    assert words.startswith("at today's prices a request costs 1.40 times the incumbent's (1.3")
    assert words.endswith("): the agreed limit of 1.2 is no longer shown to be met")
    assert (matter.subject, matter.amount, matter.currency) == (
        "triage-to-new",
        Decimal("8.40"),
        "USD",
    )
    assert told() == [f"triage-to-new: {words}"]
    price(pilot, 100, 81)
    read_due_forecasts(now=timezone.now())
    assert (len(matters()), len(told())) == (1, 1)
    price(pilot, 100, 20)  # $0.0011: within the limit
    read_due_forecasts(now=timezone.now())
    assert (matters(), len(told())) == ([], 1)


def test_a_price_that_becomes_undisclosed_leaves_the_limit_unshown(pilot: Pilot) -> None:
    price(pilot, None, None)
    read_due_forecasts(now=timezone.now())
    [matter] = matters()
    assert (matter.amount, matter.stake) == (None, "")
    assert matter.words == (
        "what a request costs is unknown at today's prices: the agreed limit of 1.2 cannot be shown"
    )
    forecast = row().forecast
    assert forecast is not None
    assert forecast.lines[0].verdict is Verdict.NOT_COMPUTABLE
    assert forecast.lines[0].candidate_must_stay_under is not None


def test_a_price_of_a_later_day_counts_from_that_day(pilot: Pilot) -> None:
    later = timezone.now().date() + timedelta(days=10)
    price(pilot, 100, 80, since=later)
    read_due_forecasts(now=timezone.now())
    assert (matters(), CostForecast.objects.get().next_on) == ([], later)
    assert read_due_forecasts(now=timezone.now() + timedelta(days=9)) == 0
    assert read_due_forecasts(now=timezone.now() + timedelta(days=10)) == 1
    assert len(matters()) == 1
    assert read_due_forecasts(now=timezone.now() + timedelta(days=11)) == 0


def test_a_pilot_that_is_over_is_left_alone(pilot: Pilot) -> None:
    lifecycle.record_rollback(
        pilot=pilot, by=make.actor(), at=timezone.now(), reason=Reason.COST, attachments=["invoice:1"]
    )
    price(pilot, 100, 80)
    assert read_due_forecasts(now=timezone.now()) == 0
    assert (matters(), told()) == ([], [])


def test_a_new_run_takes_the_place_of_the_last(pilot: Pilot) -> None:
    price(pilot, 100, 80)
    read_due_forecasts(now=timezone.now())
    assert pilot.plan is not None
    concluded(start(pilot.plan), said)
    # Called at the new prices: what it cost is the forecast.
    assert read_due_forecasts(now=timezone.now()) == 1
    assert (row().forecast, matters()) == (None, [])


def test_what_comes_in_while_it_is_read_is_due_again(pilot: Pilot, monkeypatch: Any) -> None:
    from pilots.services import forecasts

    price(pilot, 100, 80)
    read = forecasts.lines_at

    def meanwhile(*given: Any, **named: Any) -> Any:
        found = read(*given, **named)
        price(pilot, 100, 20)
        return found

    monkeypatch.setattr(forecasts, "lines_at", meanwhile)
    assert read_due_forecasts(now=timezone.now()) == 0
    monkeypatch.undo()
    assert (read_due_forecasts(now=timezone.now()), matters()) == (1, [])


def test_the_list_asks_the_same_whatever_its_length(pilot: Pilot) -> None:
    def counted() -> int:
        with CaptureQueriesContext(connection) as queries:
            attention(scope_of(Pilot.objects.all(), at=timezone.now()))
        return len(queries)

    one = counted()
    price(pilot, 100, 80)
    read_due_forecasts(now=timezone.now())
    assert len(matters()) == 1
    assert counted() == one
