"""What a run costs: foreseen before it, fixed by its own prices after it, and open where a price is undisclosed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from django.utils import timezone

from evaluations.enums import AttemptPurpose, AttemptState, Outcome, RunStatus
from evaluations.models import Attempt, BudgetMonth, Endpoint, ModelVersion, Plan, Price, ReplayRun
from evaluations.selectors.estimates import Estimate, estimate_replay
from evaluations.selectors.progress import run_document
from evaluations.services.catalogue import save_price
from evaluations.services.plan_document import CriterionEntry
from evaluations.services.price_seed import seed_prices
from evaluations.services.probes import check_endpoint
from evaluations.services.replays import cancel_run, newest_set, resume_run, settle_run
from evaluations.services.work import work_once
from evaluations.simulator.server import SimulatedVendors
from tests.replays import BY, ready_plan, start, vendors, with_criteria

pytestmark = pytest.mark.django_db(transaction=True)


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


def estimate(plan: Plan) -> Estimate:
    return estimate_replay(plan=plan, sample_set=newest_set(plan), at=timezone.now())


def with_cost_criterion(plan: Plan) -> Plan:
    return with_criteria(plan, CriterionEntry(metric="cost_per_request", max_ratio=Decimal("0.9")))


def test_the_estimate_is_within_a_factor_of_what_the_run_then_costs(simulated) -> None:
    """Exact in calls. In money too high before anything is known, for these answers have three tokens and their limit
    is 100; within a quarter once the models have answered."""
    plan = ready_plan(simulated.url, n=60)
    before = estimate(plan)
    run = work(start(plan))
    after = estimate(plan)
    assert before.calls == after.calls == run.calls == 120
    assert before.cost is not None
    assert after.cost is not None
    assert run.spent_amount <= before.cost <= 20 * run.spent_amount
    assert abs(after.cost - run.spent_amount) <= run.spent_amount / 4


def test_what_production_counted_is_what_is_estimated(simulated) -> None:
    """10 input and 5 output tokens a call at $2 / $8, for the one arm that is called."""
    given = estimate(ready_plan(simulated.url, n=50, recorded=True))
    assert given.cost == 50 * Decimal(10 * 2 + 5 * 8) / 1_000_000
    assert (given.arms[1].input_tokens, given.arms[1].output_tokens) == (500, 250)


def test_the_minutes_respect_the_endpoints_tokens_a_minute(simulated) -> None:
    ready_plan(simulated.url, n=50, recorded=True)
    Endpoint.objects.filter(slug="new-prod").update(tokens_per_minute=150)
    # 15 tokens a call: ten calls a minute.
    assert estimate(Plan.objects.get()).minutes == pytest.approx(5)


def test_a_new_price_never_changes_a_past_run(simulated) -> None:
    run = work(start(with_cost_criterion(ready_plan(simulated.url, n=40))))
    before = run_document(run)
    amounts = list(Attempt.objects.order_by("pk").values_list("cost_amount", "price_id"))
    for model in ModelVersion.objects.all():
        for day in (date(2020, 1, 1), date(2024, 1, 1)):
            save_price(
                model=model,
                effective_from=day,
                input_per_mtok=Decimal(99),
                output_per_mtok=Decimal(99),
                by=BY,
                at=timezone.now(),
            )
    seed_prices(by=BY, at=timezone.now())
    run.refresh_from_db()
    assert run_document(run) == before
    assert list(Attempt.objects.order_by("pk").values_list("cost_amount", "price_id")) == amounts


def test_a_run_that_is_under_way_keeps_the_prices_it_began_with(simulated) -> None:
    run = start(ready_plan(simulated.url, n=40))
    Price.objects.update(input_per_mtok=Decimal(99), output_per_mtok=Decimal(99))
    run = work(run)
    bill = simulated.bill()
    owed = (bill["input_tokens"] * Decimal(2) + bill["output_tokens"] * Decimal(8)) / 1_000_000
    assert run.spent_amount == owed


def test_an_undisclosed_price_gets_the_break_even_that_the_tokens_and_the_other_price_give(simulated) -> None:
    """By hand from the vendor's own bill: 0.9 x the incumbent's cost, over output + a quarter of input tokens."""
    plan = ready_plan(simulated.url, n=60, assume_per_mtok={"input": Decimal(1), "output": Decimal(1)})
    Price.objects.filter(model__slug="new").delete()
    run = work(start(with_cost_criterion(plan)))
    (comparison,) = run_document(run)["comparisons"]
    bill = simulated.bill()["models"]
    allowed = 0.9 * (bill["old"]["input_tokens"] * 2 + bill["old"]["output_tokens"] * 8)
    price = allowed / (bill["new"]["output_tokens"] + bill["new"]["input_tokens"] / 4)
    assert (comparison["verdict"], comparison["reason"]) == ("not_computable", "cost_unknown")
    even = comparison["break_even"]
    assert (even["arm"], even["n"], even["currency"]) == ("candidate", 60, "USD")
    assert float(even["output_per_mtok"]) == pytest.approx(price, abs=1e-4)
    assert float(even["input_per_mtok"]) == pytest.approx(price / 4, abs=1e-4)
    assert float(even["lower"]) <= price <= float(even["upper"])
    assert comparison["sentence"].startswith(
        "Not computable: the price of a model or the tokens of too many calls are unknown."
        f" new must stay under ${price:.2f} per million output tokens to meet the criterion (95 % interval $"
    )
    assert comparison["sentence"].endswith("60 samples; with input at 25 % of output as for old).")


def test_an_undisclosed_incumbent_gets_the_price_that_it_must_cost_at_least(simulated) -> None:
    plan = ready_plan(simulated.url, n=40, assume_per_mtok={"input": Decimal(1), "output": Decimal(1)})
    Price.objects.filter(model__slug="old").delete()
    run = work(start(with_cost_criterion(plan)))
    (comparison,) = run_document(run)["comparisons"]
    assert comparison["break_even"]["arm"] == "incumbent"
    assert "old must cost more than $" in comparison["sentence"]


def test_where_both_prices_are_known_the_break_even_stands_beside_the_verdict(simulated) -> None:
    run = work(start(with_cost_criterion(ready_plan(simulated.url, n=40))))
    (comparison,) = run_document(run)["comparisons"]
    ratio = comparison["ratio"]
    assert float(comparison["break_even"]["output_per_mtok"]) == pytest.approx(8 * 0.9 / ratio, abs=1e-4)
    assert "must stay under" not in comparison["sentence"]


def test_every_call_on_the_vendors_bill_has_an_attempt_probes_too(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=30)))
    for endpoint in Endpoint.objects.order_by("slug"):
        assert check_endpoint(endpoint=endpoint, by=BY, at=timezone.now()).ok
    bill = simulated.bill()
    settled = Attempt.objects.filter(state=AttemptState.SETTLED)
    by_purpose = {purpose: settled.filter(purpose=purpose).count() for purpose in AttemptPurpose}
    assert by_purpose == {AttemptPurpose.ARM: 60, AttemptPurpose.PROBE: 2, AttemptPurpose.JUDGE: 0}
    assert bill["requests"] == Attempt.objects.count() == 62
    owed = (bill["input_tokens"] * Decimal(2) + bill["output_tokens"] * Decimal(8)) / 1_000_000
    assert sum(settled.values_list("cost_amount", flat=True)) == owed
    # A probe is ours, not the team's: it is on no run and under no cap of a team.
    assert run.spent_amount == sum(settled.filter(run=run).values_list("cost_amount", flat=True)) < owed


def test_a_probe_whose_process_dies_stays_on_record_as_sent(simulated, monkeypatch) -> None:
    from evaluations.services import probes

    ready_plan(simulated.url, n=1)

    async def killed(config) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(probes, "_send", killed)
    with pytest.raises(KeyboardInterrupt):
        check_endpoint(endpoint=Endpoint.objects.get(slug="new-prod"), by=BY, at=timezone.now())
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.purpose, attempt.cost_amount) == (AttemptState.SENT, AttemptPurpose.PROBE, None)


def test_usage_that_a_vendor_leaves_out_keeps_the_cap_counting() -> None:
    with SimulatedVendors(vendors(old={"faults": {"usage_missing": 1.0}})) as running:
        run = work(start(ready_plan(running.url, n=200, budget="0.05")))
    assert run.status is RunStatus.STOPPED_BY_BUDGET
    unknown = Attempt.objects.filter(arm__role="incumbent", outcome=Outcome.OK)
    assert set(unknown.values_list("cost_amount", flat=True)) == {None}
    assert run.reserved_amount == sum(unknown.values_list("reserved_amount", flat=True))
    assert run.reserved_amount + run.spent_amount <= Decimal("0.05")


@pytest.mark.parametrize(
    "fault", ["usage_missing", "usage_zero", "usage_negative", "usage_text", "usage_huge", "stream_cut"]
)
def test_odd_usage_of_any_kind_leaves_the_money_of_a_run_in_order(fault) -> None:
    """Known costs are spent, unknown ones stay reserved, to the last digit; and the run ends."""
    with SimulatedVendors(vendors(old={"faults": {fault: 0.5}})) as running:
        run = work(start(ready_plan(running.url, n=40)))
    assert run.status in (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET)
    known = Attempt.objects.filter(cost_amount__isnull=False).values_list("cost_amount", flat=True)
    unknown = Attempt.objects.filter(cost_amount__isnull=True).values_list("reserved_amount", flat=True)
    assert min(known) >= 0
    assert (run.spent_amount, run.reserved_amount) == (sum(known), sum(unknown))
    month = BudgetMonth.objects.get()
    assert (month.spent_amount, month.reserved_amount) == (sum(known), sum(unknown))


def test_a_limit_of_calls_is_not_lifted_where_no_price_limits_the_run() -> None:
    """Its reservations are of nothing: without the limit, nothing would stop it."""
    plan = ready_plan("http://127.0.0.1:9", n=3, priced=False, max_calls=5)
    run = start(plan)
    cancel_run(run=run, by=BY, at=timezone.now())
    Plan.objects.update(max_calls=None)
    resume_run(run=ReplayRun.objects.get(), by=BY, at=timezone.now())
    assert ReplayRun.objects.get().max_calls == 5
