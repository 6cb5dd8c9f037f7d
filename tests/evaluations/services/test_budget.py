"""Reserve before, settle after: whoever asks at once, no cap is passed and no cent is lost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from evaluations.enums import AttemptState, Outcome, RunStatus
from evaluations.models import Attempt, BudgetMonth, ReplayRun, Team
from evaluations.providers.base import CompletionRequest, CompletionResult
from evaluations.providers.usage import usage_from_raw
from evaluations.replay.ledger import Answer, Committed, Intent, Settlement, Work
from evaluations.services.budget import Bill, book
from evaluations.services.errors import Refused
from evaluations.services.leases import claim_chunk
from evaluations.services.ledger import DatabaseLedger
from evaluations.services.run_arms import prices_of
from tests.replays import ready_plan, start

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "http://127.0.0.1:9"
CALLERS = 32


def running(*, budget: str = "1", cap: str | None = None, currency: str = "USD", n: int = 40) -> ReplayRun:
    plan = ready_plan(NOWHERE, n=n, budget=budget)
    if cap is not None:
        Team.objects.update(monthly_cap_amount=Decimal(cap), monthly_cap_currency=currency)
    return another(start(plan))


def another(run: ReplayRun) -> ReplayRun:
    """``run`` as running, with its team read anew."""
    ReplayRun.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING)
    return ReplayRun.objects.select_related("plan_version__plan__workload__team").get(pk=run.pk)


def team_of(run: ReplayRun) -> Team:
    return run.plan_version.plan.workload.team


def take(run: ReplayRun, *amounts: str, at: datetime | None = None) -> int:
    with transaction.atomic():
        return book(run=run, team=team_of(run), needs=[Decimal(a) for a in amounts], at=at or timezone.now())


def give_back(run: ReplayRun, *bills: Bill, at: datetime | None = None) -> None:
    with transaction.atomic():
        book(run=run, team=team_of(run), bills=bills, at=at or timezone.now())


def money(run: ReplayRun) -> tuple[Decimal, Decimal]:
    run.refresh_from_db()
    return run.reserved_amount, run.spent_amount


def months() -> list[tuple[str, Decimal, Decimal]]:
    rows = BudgetMonth.objects.order_by("month")
    return [(f"{row.month:%Y-%m}", row.reserved_amount, row.spent_amount) for row in rows]


def test_as_many_calls_are_granted_as_fit_and_not_one_more() -> None:
    run = running(budget="1")
    assert take(run, "0.4", "0.4", "0.4") == 2
    assert take(run, "0.200000000001") == 0
    assert take(run, "0.2") == 1
    assert money(run) == (1, 0)
    run.refresh_from_db()
    assert run.calls == 3


def test_a_call_that_no_budget_can_hold_is_not_sent() -> None:
    run = running(budget="8999999")
    assert take(run, *["9000000"] * 3) == 0
    assert take(run, "8999999") == 1
    assert take(run, "8999999") == 0
    assert money(run) == (Decimal(8999999), 0)


def callers(runs: Sequence[ReplayRun], *, rounds: int) -> Decimal:
    """32 threads reserve, and settle what they were granted with the next call or at once; returns the calls' cost."""

    def call(number: int) -> Decimal:
        rng, run, cost = random.Random(number), runs[number % len(runs)], Decimal(0)
        bills: list[Bill] = []
        try:
            for _ in range(rounds):
                now = timezone.now()
                amounts = [Decimal(rng.randint(1, 10**10)) / 10**12 for _ in range(rng.randint(1, 4))]
                with transaction.atomic():
                    granted = amounts[: book(run=run, team=team_of(run), bills=bills, needs=amounts, at=now)]
                spent = [amount * rng.randint(0, 4) / 4 for amount in granted]
                spent = [amount.quantize(Decimal("1e-12")) for amount in spent]
                bills = [Bill(now, released, paid) for released, paid in zip(granted, spent, strict=True)]
                cost += sum(spent, Decimal(0))
                if rng.random() < 0.5:
                    give_back(run, *bills)
                    bills = []
            give_back(run, *bills)
        finally:
            connection.close()
        return cost

    with ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(call, range(CALLERS)), Decimal(0))


@pytest.mark.fault
def test_32_callers_at_once_never_pass_the_cap_of_a_run_and_lose_no_cent() -> None:
    run = running(budget="0.5")
    cost = callers([run], rounds=12)
    assert money(run) == (0, cost)
    # They were stopped by the cap, and by nothing long before it.
    assert Decimal("0.45") < cost <= Decimal("0.5")


@pytest.mark.fault
def test_two_runs_at_once_share_the_months_cap_of_their_team() -> None:
    first = running(budget="5", cap="0.5")
    second = another(start(first.plan_version.plan))
    cost = callers([first, second], rounds=12)
    (month,) = BudgetMonth.objects.all()
    assert (month.reserved_amount, month.spent_amount) == (0, cost)
    assert Decimal("0.45") < cost <= Decimal("0.5")
    assert money(first)[1] + money(second)[1] == cost
    assert min(money(first)[1], money(second)[1]) > 0


def test_what_the_month_refuses_is_not_left_reserved_on_the_run() -> None:
    run = running(budget="5", cap="0.3")
    assert take(run, "0.2", "0.2") == 1
    assert take(run, "0.2") == 0
    run.refresh_from_db()
    assert (run.reserved_amount, run.calls) == (Decimal("0.2"), 1)


def test_a_call_sent_before_midnight_is_settled_in_its_own_month() -> None:
    run = running(budget="5", cap="1")
    sent_at = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
    take(run, "0.4", at=sent_at)
    later = sent_at + timedelta(seconds=5)
    take(run, "0.2", at=later)
    paid = Bill(sent_at, Decimal("0.4"), Decimal("0.3")), Bill(later, Decimal("0.2"), Decimal("0.1"))
    give_back(run, *paid, at=later)
    assert months() == [("2026-10", 0, Decimal("0.3")), ("2026-11", 0, Decimal("0.1"))]
    assert money(run) == (0, Decimal("0.4"))


def test_a_cap_that_is_agreed_later_counts_what_the_month_has_cost() -> None:
    run = running(budget="5")
    now = timezone.now()
    take(run, "0.4", at=now)
    give_back(run, Bill(now, Decimal("0.4"), Decimal("0.4")), at=now)
    Team.objects.update(monthly_cap_amount=Decimal("0.5"), monthly_cap_currency="USD")
    run = another(run)
    assert take(run, "0.2", at=now) == 0
    assert take(run, "0.1", at=now) == 1


def test_a_run_in_another_currency_than_the_teams_cap_is_refused() -> None:
    """Nothing says what a dollar is in euros, so the cap could not be kept."""
    with pytest.raises(Refused, match="EUR") as refusal:
        running(cap="10", currency="EUR")
    assert refusal.value.field == "budget.currency"


def ledger_of(run: ReplayRun) -> tuple[DatabaseLedger, Intent]:
    claim = claim_chunk(owner="a", now=timezone.now(), run=run)
    assert claim is not None
    assert claim.arm.endpoint is not None
    ledger = DatabaseLedger(claim=claim, endpoint=claim.arm.endpoint, prices=prices_of(claim.arm))
    member = run.sample_set.members.order_by("position")[0]
    body = {"messages": [{"role": "user", "content": "1 + 1?"}], "max_completion_tokens": 100}
    work = Work(
        sample_id=member.sample_id, position=0, repeat=0, request=CompletionRequest(body), attempts=0, failures=0
    )
    return ledger, Intent(work, 1)


def test_an_intent_withdrawn_and_meant_again_at_once_is_a_call_with_a_row_of_its_own() -> None:
    run = running(budget="5", cap="5")
    ledger, intent = ledger_of(run)
    ledger.commit([intent], [], [])
    held = money(run)[0]
    assert ledger.commit([intent], [], [intent]) == Committed([Answer.GO], leased=True)
    assert (Attempt.objects.count(), money(run)) == (1, (held, 0))
    usage = usage_from_raw({"prompt_tokens": 10, "completion_tokens": 5})
    ledger.commit([], [Settlement(intent, CompletionResult(Outcome.OK, usage=usage), final=True)], [])
    assert money(run) == (0, Decimal(10 * 2 + 5 * 8) / 1_000_000)
    assert Attempt.objects.get().state is AttemptState.SETTLED


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": float("nan"), "completion_tokens": 5},
        {"prompt_tokens": float("inf"), "completion_tokens": 5},
        {"prompt_tokens": -5, "completion_tokens": 5},
        {"prompt_tokens": 10**30, "completion_tokens": 5},
        {"prompt_tokens": "7", "completion_tokens": 5},
        {"prompt_tokens": 7, "completion_tokens": None},
        # What it bills is not what the rows say: no price of that tier, or of audio.
        {"prompt_tokens": 7, "completion_tokens": 5, "service_tier": "priority"},
        {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 7}},
        {},
    ],
)
def test_odd_usage_costs_unknown_and_keeps_its_reservation(usage) -> None:
    run = running(budget="5", cap="5")
    ledger, intent = ledger_of(run)
    assert ledger.commit([intent], [], []) == Committed([Answer.GO], leased=True)
    held = money(run)[0]
    assert held > 0
    result = CompletionResult(Outcome.OK, text="2", usage=usage_from_raw(usage))
    ledger.commit([], [Settlement(intent, result, final=True)], [])
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.cost_amount, attempt.reserved_amount) == (AttemptState.SETTLED, None, held)
    assert money(run) == (held, 0)
    assert [row[1:] for row in months()] == [(held, 0)]


def test_a_call_costs_what_the_price_of_its_hour_and_its_service_tier_says() -> None:
    """$3 a million read in the night, in UTC and past midnight; $1 where the vendor served the call as flex."""
    run = running(budget="5")
    ledger, intent = ledger_of(run)
    (all_day,) = ledger.prices
    night = replace(all_day, input_per_mtok=Decimal(3), hours="22:00-06:00")
    flex = replace(all_day, input_per_mtok=Decimal(1), service_tier="flex")
    ledger.prices = [all_day, night, flex]
    spent, usage = [], {"prompt_tokens": 10, "completion_tokens": 0}
    for number, (clock, more) in enumerate(((12, {}), (5, {}), (12, {"service_tier": "flex"})), 1):
        ledger.clock = lambda hour=clock: datetime(2026, 11, 20, hour, tzinfo=UTC)
        intent = replace(intent, number=number)
        ledger.commit([intent], [], [])
        result = CompletionResult(Outcome.OK, usage=usage_from_raw(usage | more))
        ledger.commit([], [Settlement(intent, result, final=False)], [])
        spent.append(Attempt.objects.get(number=number).cost_amount)
    assert spent == [Decimal(amount) / 1_000_000 for amount in (20, 30, 10)]


def test_a_count_beyond_belief_costs_unknown_and_a_large_one_what_it_is() -> None:
    run = running(budget="5")
    ledger, intent = ledger_of(run)
    ledger.commit([intent], [], [])
    held = money(run)[0]
    result = CompletionResult(Outcome.OK, usage=usage_from_raw({"prompt_tokens": 0, "completion_tokens": 10**6}))
    ledger.commit([], [Settlement(intent, result, final=True)], [])
    # More than its limit allows, and yet billed: the run is over its cap, and nothing more is sent.
    assert money(run) == (0, 8)
    assert held < 8
    assert take(run, "0.000000000001") == 0


def test_a_commit_that_is_tried_again_releases_a_reservation_once(monkeypatch) -> None:
    from django.db import OperationalError

    from evaluations.services import ledger as module

    run = running(budget="5", cap="5")
    assume = {"input": "2", "output": "8"}
    ReplayRun.objects.filter(pk=run.pk).update(assume_per_mtok=assume)
    run = another(run)
    ledger, intent = ledger_of(run)
    ledger.prices = []
    ledger.commit([intent], [], [])
    held, tries = money(run)[0], []

    def failing_once(real):
        def door(**given) -> object:
            tries.append(given)
            if len(tries) == 1:
                raise OperationalError("the database went away")
            return real(**given)

        return door

    for name in ("book", "expect_booked"):
        monkeypatch.setattr(module, name, failing_once(getattr(module, name)))
    usage = usage_from_raw({"prompt_tokens": 10, "completion_tokens": 5})
    ledger.commit([], [Settlement(intent, CompletionResult(Outcome.OK, usage=usage), final=True)], [])
    assumed = Decimal(10 * 2 + 5 * 8) / 1_000_000
    assert len(tries) == 2
    assert held > assumed
    assert money(run) == (assumed, 0)
    assert [row[1:] for row in months()] == [(assumed, 0)]
