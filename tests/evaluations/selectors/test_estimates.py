"""What a replay would take. Figures by hand: 10 tokens read and 5 written a call, at $2 and $8 a million: $0.00006."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from evaluations.enums import ArmRole, PriceKind
from evaluations.models import BudgetMonth, Completion, DataAgreement, Endpoint, Plan, Price, RunArm, Sample, Team
from evaluations.selectors.estimates import Estimate, estimate_replay
from evaluations.services.replays import newest_set
from tests.replays import ready_plan, start

pytestmark = pytest.mark.django_db
NOWHERE = "http://127.0.0.1:9"
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
A_CALL = Decimal("0.00006")


def estimate(plan: Plan, **options) -> Estimate:
    plan = Plan.objects.get(pk=plan.pk)
    return estimate_replay(plan=plan, sample_set=newest_set(plan), at=AT, **options)


def a_plan(**options) -> Plan:
    """The incumbent's recorded answers say what a request and its answer count."""
    return ready_plan(NOWHERE, n=50, recorded=True, **options)


def with_calls_to_both(plan: Plan) -> Plan:
    Plan.objects.filter(pk=plan.pk).update(incumbent_endpoint=Endpoint.objects.get(slug="old-prod"))
    return plan


def answered(plan: Plan, *, output: int, latency_ms: float) -> None:
    """The candidate's endpoint has answered three samples of another run."""
    arm = RunArm.objects.get(run=start(plan), role=ArmRole.CANDIDATE)
    for position, sample in enumerate(Sample.objects.order_by("pk")[:3]):
        Completion.objects.create(
            arm=arm,
            sample=sample,
            repeat=0,
            position=position,
            outcome="ok",
            latency_ms=latency_ms,
            output_total_tokens=output,
            finished_at=AT,
        )


def test_both_arms_are_counted_and_recorded_answers_take_no_call() -> None:
    plan = a_plan()
    one = estimate(plan)
    assert (one.samples, one.calls, one.cost) == (50, 50, 50 * A_CALL)
    assert [(arm.role, arm.calls, arm.recorded) for arm in one.arms] == [
        (ArmRole.INCUMBENT, 0, True),
        (ArmRole.CANDIDATE, 50, False),
    ]
    both = estimate(with_calls_to_both(plan), repeats=3)
    assert (both.calls, both.cost) == (300, 300 * A_CALL)
    assert both.warnings == ()


def test_what_the_endpoint_did_before_counts_and_what_nobody_knows_is_said() -> None:
    plan = a_plan(concurrency=10)
    before = estimate(plan)
    assert before.unknown == (
        "Nothing is known of new's answers here: they are taken to be as long as production's.",
        "Nothing is known of new's speed here: 2 s a call are assumed.",
    )
    # 10 at once, 2 s a call: 300 a minute.
    assert before.minutes == pytest.approx(50 / 300)
    answered(plan, output=105, latency_ms=500)
    after = estimate(plan)
    assert after.unknown == ()
    assert after.arms[1].output_tokens == 50 * 105
    assert after.cost == 50 * (A_CALL + 100 * Decimal(8) / 1_000_000)
    assert after.minutes == pytest.approx(50 / 1200)


@pytest.mark.parametrize(
    ("limits", "minutes"),
    # 50 calls of 15 tokens: by requests, by tokens, and by 8 at once and 2 s a call.
    [({"requests_per_minute": 5}, 10), ({"tokens_per_minute": 30}, 25), ({}, 50 / 240)],
)
def test_the_minutes_are_those_of_the_tightest_limit(limits, minutes) -> None:
    plan = a_plan()
    Endpoint.objects.filter(slug="new-prod").update(**limits)
    assert estimate(plan).minutes == pytest.approx(minutes)


def test_arms_that_share_an_endpoint_take_their_minutes_one_after_the_other() -> None:
    plan = with_calls_to_both(a_plan())
    apart = estimate(plan).minutes
    Plan.objects.update(incumbent_endpoint=plan.candidate_endpoint)
    assert estimate(plan).minutes == pytest.approx(2 * apart)


def test_an_arms_adaptations_count() -> None:
    """40 bytes before every prompt are about 10 tokens; no answer is longer than its limit."""
    plan = a_plan()
    Plan.objects.update(candidate_request={"system_prefix": "x" * 40, "parameters": {"max_completion_tokens": 2}})
    adapted = estimate(plan).arms[1]
    assert (adapted.input_tokens, adapted.output_tokens) == (50 * 20, 50 * 2)


def test_the_caps_that_would_stop_it_are_warned_of() -> None:
    plan = a_plan()
    team = Team.objects.get()
    assert estimate(plan).share_paid_for == 1
    tight = estimate(plan, budget=Decimal("0.0015"))
    assert tight.cap == Decimal("0.0015")
    assert tight.share_paid_for == pytest.approx(0.5)
    assert tight.warnings == (
        (
            "The estimate of 0.0030 USD is above the hard cap of 0.0015 USD: the replay would stop there. A higher cap"
            " resumes it."
        ),
    )
    Team.objects.update(monthly_cap_amount=Decimal("0.01"), monthly_cap_currency="USD")
    for month, spent in ((date(2026, 11, 1), "0.006"), (date(2026, 10, 1), "5")):
        BudgetMonth.objects.create(
            team=team, month=month, currency="USD", spent_amount=Decimal(spent), reserved_amount=Decimal("0.001")
        )
    assert estimate(plan).month_left == Decimal("0.003")
    assert estimate(plan).warnings == ()
    BudgetMonth.objects.filter(month=date(2026, 11, 1)).update(spent_amount=Decimal("0.0075"))
    assert estimate(plan).warnings == (
        (
            "The estimate of 0.0030 USD is above the 0.0015 USD that the team has left this month: the replay would"
            " stop there. A higher cap resumes it."
        ),
    )
    Team.objects.update(monthly_cap_currency="EUR")
    assert estimate(plan).month_left is None
    Plan.objects.update(max_calls=10)
    assert estimate(plan).share_paid_for == pytest.approx(0.2)
    assert estimate(plan).warnings == ("The budget allows 10 calls: the replay would stop before its end.",)


def test_an_undisclosed_price_is_unknown_and_never_zero() -> None:
    plan = with_calls_to_both(a_plan(max_calls=1000))
    Price.objects.filter(model__slug="new").delete()
    half = estimate(plan)
    assert (half.cost, half.known_cost, half.arms[1].cost) == (None, 50 * A_CALL, None)
    assert half.unknown[0] == "new has no USD price in force: what it costs is not in the sum."
    assert half.to_document()["cost"] == {"amount": None, "known": "0.0030", "currency": "USD"}
    Plan.objects.update(assume_per_mtok={"input": "1", "output": "4"})
    assumed = estimate(plan)
    assert assumed.cost == 75 * A_CALL
    assert "new has no price in force: the budget's assumption of 1 and 4 USD a million tokens is taken." in (
        assumed.unknown
    )


def test_a_service_tier_that_the_endpoint_asks_for_has_a_price_of_its_own() -> None:
    plan = a_plan()
    Endpoint.objects.filter(slug="new-prod").update(parameters={"service_tier": "flex"})
    assert estimate(plan).cost is None
    Price.objects.create(
        model=plan.candidate_model,
        effective_from=date(2026, 1, 1),
        kind=PriceKind.LIST,
        input_per_mtok=Decimal(1),
        output_per_mtok=Decimal(4),
        service_tier="flex",
    )
    assert estimate(plan).cost == 25 * A_CALL


def test_an_arm_that_the_agreement_does_not_permit_is_named() -> None:
    plan = with_calls_to_both(a_plan(permitted=("openai",)))
    given = estimate(plan)
    refusal = "the data agreement of team support does not list vendor microsoft"
    assert [arm.refusal for arm in given.arms] == [None, refusal]
    assert given.warnings == (
        f"No sample may be sent to the candidate, new: {refusal}. They would show as not permitted.",
    )
    DataAgreement.objects.all().delete()
    assert {arm.refusal for arm in estimate(plan).arms} == {"team support has no data agreement in force"}
    assert [warning.endswith("The replay would be refused.") for warning in estimate(plan).warnings] == [True, True]


def test_take_counts_what_the_plan_has_not_replayed() -> None:
    plan = a_plan()
    answered(plan, output=5, latency_ms=1)
    assert [estimate(plan, take=n).samples for n in (10, 50)] == [10, 47]
    arm = RunArm.objects.get(role=ArmRole.CANDIDATE)
    Completion.objects.bulk_create(
        Completion(arm=arm, sample=sample, repeat=0, position=position, outcome="ok", finished_at=AT)
        for position, sample in enumerate(Sample.objects.order_by("pk"))
        if position >= 3
    )
    assert estimate(plan, take=5).calls == 0
    assert estimate(plan, take=5).warnings == (
        "This plan has replayed every sample of the set: nothing is left to take.",
    )


def test_it_takes_the_same_few_queries_for_any_set(django_assert_num_queries) -> None:
    plan = with_calls_to_both(a_plan())
    sample_set = newest_set(plan)
    ready = (
        Plan.objects.select_related(
            "workload__team", "incumbent_model", "candidate_model", "incumbent_endpoint__model__vendor"
        )
        .select_related("candidate_endpoint__model__vendor")
        .get(pk=plan.pk)
    )
    # A slice of the set, the agreement, and for each arm its earlier answers and its prices.
    with django_assert_num_queries(6):
        estimate_replay(plan=ready, sample_set=sample_set, at=AT)
