"""What a switch has saved, worked out by hand.

On gpt-4 a request takes 1,000 tokens in and 200 out: at $30 and $60 a million $0.03 + $0.012 = $0.042. On
mai-thinking-1 it takes 800 in and 300 out: at $2 and $8 a million $0.0016 + $0.0024 = $0.004. So 100 requests a day
would have cost $4.20, cost $0.40 and save $3.80. The cutover is on 2 March 2026.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.enums import AttemptPurpose, CostState, Outcome, PriceKind
from evaluations.models import Attempt, Completion, ModelVersion, Price, ReplayRun, Workload
from evaluations.services.catalogue import save_model, save_price
from pilots.enums import NotComputed, Reason, SavingsBasis, SavingsStop
from pilots.models import Pilot, SavingsReading, Spell
from pilots.savings import Gap
from pilots.selectors.filters import ReportFilters
from pilots.selectors.saved_days import PilotSavings, saved_days
from pilots.selectors.savings import READ_ANEW_AT_MOST, SavedSoFar, Savings, saved_so_far, savings
from pilots.services.lifecycle import open_pilot, record_cutover, record_rollback
from pilots.services.savings_readings import read_due_savings
from tests import factories as make
from tests.replays import concluded, ready_plan, start

pytestmark = pytest.mark.django_db


def used(pilot: Pilot, day: int, model: str, requests: int, **said: Any) -> None:
    """A day's usage by one model, with the usual tokens unless told otherwise."""
    each = {"gpt-4": (1000, 200), "mai-thinking-1": (800, 300)}[model]
    tokens = {"input_tokens": each[0] * requests, "output_tokens": each[1] * requests}
    make.traffic(pilot.workload, make.day(day).date(), {model: requests}, **{**tokens, **said})


def price(model: str, given: str | None, taken: str | None, since: str = "2026-01-01", currency: str = "USD") -> None:
    amounts = {"input_per_mtok": given and Decimal(given), "output_per_mtok": taken and Decimal(taken)}
    Price.objects.create(
        model=ModelVersion.objects.get(slug=model),
        effective_from=since,
        currency=currency,
        kind=PriceKind.LIST,
        **amounts,
    )


@pytest.fixture
def pilot() -> Pilot:
    found = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    price("gpt-4", "30", "60")
    price("mai-thinking-1", "2", "8")
    for day in (-3, -2, -1):
        used(found, day, "gpt-4", 50)
    return found


def report(as_of: str = "2026-03-03", **asked: str) -> Savings:
    return savings(ReportFilters.parse({"as_of": as_of, **asked}, now=make.NOW))


def read(as_of: str = "2026-03-03", **asked: str) -> PilotSavings:
    [row] = report(as_of, **asked).pilots
    return row.savings


def amounts(found: PilotSavings) -> tuple[Any, ...]:
    total = found.total
    return total.days, total.computed_days, total.requests, total.would_have_cost, total.cost, total.saved


def test_two_days_at_one_price(pilot: Pilot) -> None:
    used(pilot, 0, "mai-thinking-1", 100)
    used(pilot, 0, "gpt-4", 7)  # not moved: it saves nothing and costs nothing
    used(pilot, 1, "mai-thinking-1", 50)
    found = read()
    assert found.currency == "USD"
    assert amounts(found) == (2, 2, 150, Decimal("6.30"), Decimal("0.60"), Decimal("5.70"))
    [period] = found.periods
    assert period.before is not None
    assert (period.before.source, period.before.days, period.before.requests) == (SavingsBasis.TRAFFIC, 3, 150)
    assert (period.before.input_tokens, period.before.output_tokens) == (1000, 200)
    assert (period.start, period.end, period.stopped_by, found.not_computed) == (date(2026, 3, 2), None, None, ())
    assert (found.total.both_days, found.evaluation, found.net) == (0, (), Decimal("5.70"))


def test_only_the_last_thirty_observed_days_of_the_incumbent_tell_what_a_request_took(pilot: Pilot) -> None:
    """27 more days of 50 requests with 2,000 in and 400 out, then older ones that do not count, and a gap that does
    not either: (3 x 1,000 + 27 x 2,000) / 30 = 1,900 in and 380 out, so $0.057 + $0.0228 = $0.0798."""
    for day in range(27):
        used(pilot, -10 - day, "gpt-4", 50, input_tokens=100_000, output_tokens=20_000)
    for day in range(5):
        used(pilot, -50 - day, "gpt-4", 50, input_tokens=9_000_000, output_tokens=9_000_000)
    used(pilot, -5, "gpt-4", 1000, input_tokens=None)  # says too little
    used(pilot, 0, "mai-thinking-1", 100)
    found = read("2026-03-02")
    assert found.periods[0].before is not None
    assert (found.periods[0].before.days, found.periods[0].before.requests) == (30, 1500)
    assert found.total.would_have_cost == Decimal("7.98")


def test_a_price_counts_from_its_day(pilot: Pilot) -> None:
    """From 3 March gpt-4 costs half: $2.10 for 100 requests; mai's output doubles: $0.16 + $0.48 = $0.64."""
    price("gpt-4", "15", "30", since="2026-03-03")
    price("mai-thinking-1", "2", "16", since="2026-03-03")
    for day in (0, 1):
        used(pilot, day, "mai-thinking-1", 100)
    assert amounts(read())[3:] == (Decimal("6.30"), Decimal("1.04"), Decimal("5.26"))


def test_a_day_of_unknown_price_and_one_without_traffic_are_listed_and_add_nothing(pilot: Pilot) -> None:
    price("mai-thinking-1", None, None, since="2026-03-03")
    price("mai-thinking-1", "2", "8", since="2026-03-05")
    price("gpt-4", None, "60", since="2026-03-07")
    for day in (0, 1, 2, 3, 5, 7):  # nothing on 6 and 8 March
        used(pilot, day, "mai-thinking-1", 100)
    used(pilot, 6, "gpt-4", 10)  # 8 March: nothing of it was moved
    found = read("2026-03-09")
    assert amounts(found) == (8, 2, 200, Decimal("8.40"), Decimal("0.80"), Decimal("7.60"))
    assert found.not_computed == (
        Gap(1, date(2026, 3, 3), date(2026, 3, 4), 2, NotComputed.CANDIDATE_PRICE),
        Gap(1, date(2026, 3, 6), date(2026, 3, 6), 1, NotComputed.NO_TRAFFIC),
        Gap(1, date(2026, 3, 7), date(2026, 3, 9), 3, NotComputed.INCUMBENT_PRICE),
    )


def test_tokens_that_one_row_of_a_day_does_not_say_are_unknown_of_the_day(pilot: Pilot) -> None:
    used(pilot, 0, "mai-thinking-1", 100, output_tokens=None)
    found = read("2026-03-02")
    assert (found.total.saved, found.net) == (None, None)
    assert [gap.reason for gap in found.not_computed] == [NotComputed.TOKENS]


def test_a_price_that_changes_with_the_hour_says_nothing_of_a_day(pilot: Pilot) -> None:
    Price.objects.create(
        model=pilot.candidate, effective_from="2026-03-03", currency="USD", kind=PriceKind.LIST, hours="16:30-00:30",
        input_per_mtok=1, output_per_mtok=4,
    )  # fmt: skip
    for day in (0, 1):
        used(pilot, day, "mai-thinking-1", 100)
    assert [(gap.first_on.day, gap.reason) for gap in read().not_computed] == [(3, NotComputed.CANDIDATE_PRICE)]


def test_it_stops_at_the_incumbents_shutdown(pilot: Pilot) -> None:
    ModelVersion.objects.filter(slug="gpt-4").update(retires_on="2026-03-04")
    for day in range(5):
        used(pilot, day, "mai-thinking-1", 100)
    found = read("2026-03-20")
    assert amounts(found)[:2] == (2, 2)
    assert (found.total.saved, found.not_computed) == (Decimal("7.60"), ())
    assert (found.periods[0].end, found.periods[0].stopped_by) == (date(2026, 3, 4), SavingsStop.SHUTDOWN)


def test_a_rollback_ends_it_and_a_second_period_counts_anew(pilot: Pilot) -> None:
    """On 5 March back on gpt-4, whose requests have grown to 2,000 in and 400 out: of the last observed days before
    10 March (3 of 50 and 3 of 100 requests) 1,666.6 in and 333.3 out, $0.07 a request."""
    for day in range(3):
        used(pilot, day, "mai-thinking-1", 100)
    record_rollback(
        pilot=pilot, by=make.actor(), at=make.NOW, reason=Reason.COST, attachments=["invoice:1"],
        occurred_at=make.day(3),
    )  # fmt: skip
    for day in range(3, 6):
        used(pilot, day, "gpt-4", 100, input_tokens=200_000, output_tokens=40_000)
    used(pilot, 6, "mai-thinking-1", 10)  # tried while it was not on it
    pilot.refresh_from_db()
    record_cutover(pilot=pilot, by=make.actor(), at=make.NOW, occurred_at=make.day(8))
    used(pilot, 8, "mai-thinking-1", 100)
    found = read("2026-03-10")
    assert [(row.number, row.start.day, row.end and row.end.day, row.spent.saved) for row in found.periods] == [
        (1, 2, 5, Decimal("11.40")),
        (2, 10, None, Decimal("6.60")),
    ]
    assert amounts(found) == (4, 4, 400, Decimal("19.60"), Decimal("1.60"), Decimal("18.00"))


def test_a_silent_rollback_ends_it_on_its_first_day(pilot: Pilot) -> None:
    for day in range(4):
        used(pilot, day, "mai-thinking-1", 100)
    for day in range(4, 12):
        used(pilot, day, "gpt-4", 90)
        used(pilot, day, "mai-thinking-1", 10)
    found = read("2026-03-20")
    assert (found.total.days, found.total.saved, found.periods[0].end) == (4, Decimal("15.20"), date(2026, 3, 6))


def test_invoice_and_computed_cost_stand_side_by_side_and_the_invoice_counts(pilot: Pilot) -> None:
    used(pilot, 0, "mai-thinking-1", 100, cost=Decimal("0.55"), currency="USD")
    used(pilot, 1, "mai-thinking-1", 100)
    found = read()
    assert amounts(found) == (2, 2, 200, Decimal("8.40"), Decimal("0.95"), Decimal("7.45"))
    assert (found.total.both_days, found.total.both_computed, found.total.both_invoiced) == (
        1,
        Decimal("0.40"),
        Decimal("0.55"),
    )


def test_an_invoice_makes_a_day_of_undisclosed_price_computable(pilot: Pilot) -> None:
    Price.objects.filter(model__slug="mai-thinking-1").delete()
    used(pilot, 0, "mai-thinking-1", 100, cost=Decimal("0.55"), currency="USD")
    assert amounts(read("2026-03-02"))[3:] == (Decimal("4.20"), Decimal("0.55"), Decimal("3.65"))


def test_an_invoice_in_another_currency_is_not_money_of_this_one(pilot: Pilot) -> None:
    used(pilot, 0, "mai-thinking-1", 100, cost=Decimal("0.55"), currency="EUR")
    found = read("2026-03-02")
    assert (found.total.saved, found.total.both_days) == (Decimal("3.80"), 0)  # by its tokens
    Price.objects.filter(model__slug="mai-thinking-1").delete()
    assert [gap.reason for gap in read("2026-03-02").not_computed] == [NotComputed.OTHER_CURRENCY]


def test_currencies_are_summed_apart(pilot: Pilot) -> None:
    used(pilot, 0, "mai-thinking-1", 100)
    other = make.switched_pilot(
        "invoices-to-local",
        workload=make.workload("invoices", "finance"),
        incumbent=make.model("old-local", "acme"),
        candidate=make.model("new-local", "acme"),
    )
    price("old-local", "10", "10", currency="EUR")
    price("new-local", "10", "5", currency="EUR")
    for day, model in ((-1, "old-local"), (0, "new-local")):
        make.traffic(other.workload, make.day(day).date(), {model: 10}, input_tokens=1_000_000, output_tokens=1_000_000)
    found = report("2026-03-02")
    assert [(row.currency, row.pilots, row.saved, row.net) for row in found.sums] == [
        ("EUR", 1, 5, 5),
        ("USD", 1, Decimal("3.80"), Decimal("3.80")),
    ]
    assert (found.not_computed, found.waiting) == (0, 0)


def test_an_upgrade_inside_the_family_goes_on_saving(pilot: Pilot) -> None:
    newer = make.model("mai-thinking-2", "microsoft", family="mai-thinking")
    price("mai-thinking-2", "1", "4")
    used(pilot, 0, "mai-thinking-1", 50)
    make.traffic(pilot.workload, "2026-03-02", {newer.slug: 50}, input_tokens=40_000, output_tokens=15_000)
    # 50 requests for $0.20, 50 for $0.10.
    assert amounts(read("2026-03-02"))[2:] == (100, Decimal("4.20"), Decimal("0.30"), Decimal("3.90"))


def said(role: str, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, str(position)


def replayed_pilot() -> tuple[Pilot, ReplayRun]:
    """Ten requests of 10 tokens in and 5 out on each arm, each call for $0.001, before the cutover."""
    plan = ready_plan("http://127.0.0.1:9", n=10)
    run = concluded(start(plan), said)
    before = make.day(-20)
    ReplayRun.objects.update(finished_at=before, created_at=before)
    Attempt.objects.update(sent_at=before)
    opened = open_pilot(
        by=make.actor(), at=make.day(-30), slug="replayed", workload=Workload.objects.get(),
        incumbent=plan.incumbent_model, candidate=plan.candidate_model, plan=plan,
    )  # fmt: skip
    record_cutover(pilot=opened, by=make.actor(), at=make.day(0))
    return opened, run


def test_without_traffic_of_the_incumbent_the_replay_says_what_a_request_took() -> None:
    """Both arms cost $2 and $8 a million: 10 tokens in and 5 out are $0.00006. 1,000 requests of half of that on the
    candidate save $0.03; the twenty calls of the replay cost $0.02."""
    pilot, run = replayed_pilot()
    make.traffic(pilot.workload, "2026-03-02", {pilot.candidate.slug: 1000}, input_tokens=5000, output_tokens=2500)
    found = read("2026-03-02")
    [period] = found.periods
    assert period.before is not None
    assert (period.before.source, period.before.run, period.before.requests) == (SavingsBasis.REPLAY, run.pk, 10)
    assert amounts(found)[3:] == (Decimal("0.06"), Decimal("0.03"), Decimal("0.03"))
    assert [(one.currency, one.amount, one.unknown_calls) for one in found.evaluation] == [("USD", Decimal("0.02"), 0)]
    assert found.net == Decimal("0.01")
    Completion.objects.update(output_total_tokens=None)
    assert [gap.reason for gap in read("2026-03-02").not_computed] == [NotComputed.INCUMBENT_USAGE]


def test_every_attempt_of_the_replays_is_a_cost_of_evaluating_and_unknown_ones_are_counted() -> None:
    """A judge's call for $0.50 and two calls whose cost nobody knows, beside the twenty for $0.02."""
    pilot, run = replayed_pilot()
    make.traffic(pilot.workload, "2026-03-02", {pilot.candidate.slug: 1000}, input_tokens=5000, output_tokens=2500)
    [first, *_] = Attempt.objects.all()
    common = {"run": run, "endpoint": first.endpoint, "sent_at": first.sent_at, "currency": "USD"}
    Attempt.objects.create(
        purpose=AttemptPurpose.JUDGE, cost_amount=Decimal("0.5"), cost_state=CostState.KNOWN, **common
    )
    for _ in range(2):
        Attempt.objects.create(purpose=AttemptPurpose.JUDGE, **common)
    [evaluation] = read("2026-03-02").evaluation
    assert (evaluation.amount, evaluation.unknown_calls) == (Decimal("0.52"), 2)
    [total] = report("2026-03-02").sums
    assert (total.saved, total.evaluated, total.unknown_calls, total.net) == (
        Decimal("0.03"),
        Decimal("0.52"),
        2,
        Decimal("-0.49"),
    )


def test_what_was_recorded_later_is_not_known_yet(pilot: Pilot) -> None:
    used(pilot, 0, "mai-thinking-1", 100)
    assert read("2026-03-02", known_at="2026-10-31").total.saved is None
    assert read("2026-03-02", known_at="2026-11-02").total.saved == Decimal("3.80")


def test_a_kept_figure_says_what_the_days_say(pilot: Pilot) -> None:
    price("mai-thinking-1", None, None, since="2026-03-03")
    for day in (0, 1):
        used(pilot, day, "mai-thinking-1", 100)
    at = make.day(5)
    assert [read_due_savings(now=at) for _ in range(2)] == [1, 0]
    filters = ReportFilters.parse({"as_of": "2026-04-03"}, now=make.NOW)
    [(_, fresh)] = saved_days(Pilot.objects.all(), filters)
    with CaptureQueriesContext(connection) as queries:
        [kept] = savings(filters).pilots
    assert kept.savings == fresh.savings
    assert not any("trafficday" in query["sql"] for query in queries)
    # 3 March of unknown price, 5 March to 3 April without traffic.
    assert [gap.days for gap in kept.savings.not_computed] == [1, 31]
    assert [row.spent.days for row in kept.savings.months] == [30, 3]
    assert saved_so_far(Pilot.objects.all()) == (SavedSoFar("USD", 1, Decimal("3.8"), 6, 1),)
    # A day before it was read is read from the days.
    assert read("2026-03-02").total.days == 1
    # Of a switch that never was, as a voided one, nothing is saved.
    Spell.objects.all().delete()
    assert saved_so_far(Pilot.objects.all()) == ()


def _new_traffic(pilot: Pilot) -> None:
    used(pilot, 1, "mai-thinking-1", 100)


def _new_price(pilot: Pilot) -> None:
    save_price(
        model=pilot.incumbent, endpoint=None, effective_from=date(2026, 3, 1), currency="USD", kind=PriceKind.LIST,
        input_per_mtok=Decimal(15), output_per_mtok=Decimal(30), by=make.actor(), at=make.NOW,
    )  # fmt: skip


def _rolled_back(pilot: Pilot) -> None:
    record_rollback(
        pilot=pilot, by=make.actor(), at=make.day(1), reason=Reason.COST, attachments=["invoice:1"],
        occurred_at=make.day(0) + timedelta(hours=1),
    )  # fmt: skip


def _retired(pilot: Pilot) -> None:
    ModelVersion.objects.filter(pk=pilot.incumbent_id).update(retires_on="2026-03-02")


def _of_the_family(pilot: Pilot) -> None:
    """A second model, whose traffic was nobody's, becomes the candidate's successor: 50 requests more for $0.20."""
    price("mai-next", "2", "8")
    save_model(slug="mai-next", vendor=pilot.candidate.vendor, family="mai-thinking", by=make.actor(), at=make.day(1))


@pytest.mark.parametrize(
    ("change", "saved"),
    [
        (_new_traffic, Decimal("7.60")),
        (_new_price, Decimal("1.70")),
        (_rolled_back, None),
        (_retired, None),
        (_of_the_family, Decimal("5.70")),
    ],
)
def test_a_kept_figure_does_not_outlive_what_it_was_read_from(pilot: Pilot, change: Any, saved: Decimal | None) -> None:
    used(pilot, 0, "mai-thinking-1", 100)
    make.model("mai-next", "microsoft")
    make.traffic(pilot.workload, "2026-03-02", {"mai-next": 50}, input_tokens=40_000, output_tokens=15_000)
    read_due_savings(now=make.day(1))
    change(pilot)
    assert read().total.saved == saved  # from the days meanwhile
    assert [read_due_savings(now=make.day(2)) for _ in range(2)] == [1, 0]
    assert read("2026-03-04").total.saved == saved


def test_the_end_of_a_replay_has_the_figure_read_again() -> None:
    pilot, run = replayed_pilot()
    read_due_savings(now=make.NOW)
    assert SavingsReading.objects.get().due is False
    assert pilot.plan is not None
    run = start(pilot.plan)
    concluded(run, said)
    assert SavingsReading.objects.get().due is True


def test_so_many_are_read_anew_and_the_others_wait(pilot: Pilot, monkeypatch: pytest.MonkeyPatch) -> None:
    make.switched_pilot("abc", workload=make.workload("other", "support"))
    make.switched_pilot("abd", workload=make.workload("another", "support"))
    assert READ_ANEW_AT_MOST == 200
    monkeypatch.setattr("pilots.selectors.savings.READ_ANEW_AT_MOST", 2)
    found = report()
    assert ([row.pilot for row in found.pilots], found.waiting) == (["abc", "abd"], 1)
    read_due_savings(now=datetime(2026, 3, 3, 12, tzinfo=make.NOW.tzinfo))
    assert (len(report().pilots), report().waiting) == (3, 0)


def test_the_number_of_queries_does_not_grow(pilot: Pilot) -> None:
    def counted() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert report().waiting == 0
        return len(queries)

    used(pilot, 0, "mai-thinking-1", 100)
    one = counted()
    for slug in ("abc", "abd"):
        other = make.switched_pilot(slug, workload=make.workload(slug, "support"))
        used(other, 0, "mai-thinking-1", 100)
    assert counted() == one
