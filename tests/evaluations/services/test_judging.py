"""What a plan may say of its judge, and when a judging begins."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from evaluations.enums import ArmRole, CriterionRole, Outcome, RunTrigger
from evaluations.models import Endpoint, ModelVersion, Plan, Price, ReplayRun
from evaluations.selectors.estimates import estimate_replay
from evaluations.selectors.purging import due, held
from evaluations.services.catalogue import save_endpoint
from evaluations.services.errors import Conflict, Refused
from evaluations.services.judging import start_judging
from evaluations.services.plan_document import BudgetEntry, CriterionEntry, JudgeEntry, PlanDefinition, definition_of
from evaluations.services.plans import freeze_plan, save_plan
from evaluations.services.replays import cancel_run, newest_set, settle_run
from evaluations.services.work import open_runs
from tests.judges import RUBRIC, judged_plan
from tests.replays import BY, concluded, ready_plan, start

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9"


def save(plan: Plan, definition: PlanDefinition) -> None:
    save_plan(
        slug=plan.slug,
        workload=plan.workload,
        incumbent_model=plan.incumbent_model,
        incumbent_endpoint=plan.incumbent_endpoint,
        incumbent_request={},
        candidate_model=plan.candidate_model,
        candidate_endpoint=plan.candidate_endpoint,
        candidate_request={},
        definition=definition,
        by=BY,
        at=timezone.now(),
    )


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, f"{role} says {position}"


def test_the_judge_is_frozen_and_hashed_and_its_budget_is_not() -> None:
    plan = judged_plan(URL, n=2)
    version = plan.versions.latest("number")
    assert version.document["judge"] == {
        "model": "umpire",
        "protocol": "openai_chat",
        "wire_model": "umpire",
        "parameters": {},
        "mode": "pairwise",
        "rubric": RUBRIC,
        "scorer": {"name": "judge", "version": "1"},
    }
    definition = definition_of(plan)
    assert definition.judge is not None
    definition.judge.budget.amount = Decimal(99)
    save(plan, definition)
    assert plan.versions.latest("number").digest == version.digest
    definition.judge.rubric = "Something else."
    save(plan, definition)
    assert plan.versions.latest("number").digest != version.digest


def test_a_plan_without_a_judge_says_so() -> None:
    assert ready_plan(URL, n=1).versions.get().document["judge"] is None


@pytest.mark.parametrize("slug", ["old-prod", "new-prod"])
def test_no_arm_judges_itself(slug: str) -> None:
    plan = judged_plan(URL, n=1)
    definition = definition_of(plan)
    assert definition.judge is not None
    definition.judge.endpoint = slug
    with pytest.raises(Refused, match="no model judges its own answers") as refused:
        save(plan, definition)
    assert refused.value.field == "plan.judge.endpoint"


def test_nor_another_name_of_it_nor_one_of_its_family() -> None:
    plan = judged_plan(URL, n=1)
    Endpoint.objects.filter(slug="umpire-prod").update(wire_model="new")
    with pytest.raises(Refused, match="umpire is the candidate"):
        freeze_plan(plan=plan, by=BY, at=timezone.now())
    Endpoint.objects.filter(slug="umpire-prod").update(wire_model="umpire")
    ModelVersion.objects.filter(slug="old").update(family="umpires")
    with pytest.raises(Refused, match="umpire is of the family umpires, as is the incumbent old"):
        freeze_plan(plan=Plan.objects.get(pk=plan.pk), by=BY, at=timezone.now())


def test_an_unknown_endpoint_and_an_empty_rubric_are_refused() -> None:
    plan = judged_plan(URL, n=1)
    budget = BudgetEntry(amount=Decimal(1))
    for judge, field in (
        (JudgeEntry(endpoint="nowhere", rubric="r", budget=budget), "plan.judge.endpoint"),
        (JudgeEntry(endpoint="umpire-prod", rubric=" ", budget=budget), "plan.judge.rubric"),
        (JudgeEntry(endpoint="umpire-prod", rubric="r", budget=BudgetEntry(Decimal(0))), "plan.judge.budget.amount"),
    ):
        definition = definition_of(plan)
        definition.judge = judge
        with pytest.raises(Refused) as refused:
            save(plan, definition)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("metric", "role", "judged", "why"),
    [
        ("judge_preference", CriterionRole.PRIMARY, True, "can only be advisory"),
        ("judge_score", CriterionRole.ADVISORY, True, "a judge of mode pairwise says judge_preference"),
        ("judge_preference", CriterionRole.ADVISORY, False, "the plan names no judge"),
    ],
)
def test_a_judge_never_gates(metric: str, role: CriterionRole, judged: bool, why: str) -> None:
    plan = judged_plan(URL, n=1, margin=None)
    definition = definition_of(plan)
    definition.criteria.append(CriterionEntry(metric=metric, role=role, margin=Decimal("0.05")))
    if not judged:
        definition.judge = None
    with pytest.raises(Refused, match=why):
        save(plan, definition)


def test_another_wire_name_of_the_judge_makes_another_version() -> None:
    plan = judged_plan(URL, n=1)
    endpoint = Endpoint.objects.get(slug="umpire-prod")
    before = plan.versions.count()
    save_endpoint(
        slug=endpoint.slug,
        model=endpoint.model,
        protocol=endpoint.protocol,
        base_url=endpoint.base_url,
        wire_model="umpire-2",
        by=BY,
        at=timezone.now(),
    )
    assert plan.versions.count() == before + 1
    assert plan.versions.latest("number").document["judge"]["wire_model"] == "umpire-2"


def test_a_judging_begins_when_the_replay_has_finished_with_two_questions_a_sample() -> None:
    run = concluded(start(judged_plan(URL, n=250)), said)
    judging = ReplayRun.objects.get(judges=run)
    assert (judging.total, judging.budget_amount, judging.currency) == (500, Decimal(5), "USD")
    chunks = list(judging.arms.get().chunks.order_by("id").values_list("repeat", "start", "stop"))
    # Both orders of some samples before those of the next.
    assert [round_ for round_, *_ in chunks] == [0, 1] * (len(chunks) // 2)
    assert [start_ for _, start_, _ in chunks[::2]] == [start_ for _, start_, _ in chunks[1::2]]
    assert {stop for _, _, stop in chunks[-2:]} == {250}
    with pytest.raises(Conflict, match="judged already"):
        start_judging(run=run, by=BY, at=timezone.now(), trigger=RunTrigger.API)
    with pytest.raises(Refused, match="only a replay"):
        start_judging(run=judging, by=BY, at=timezone.now(), trigger=RunTrigger.API)


def test_nothing_begins_where_nothing_limits_what_it_may_cost() -> None:
    plan = judged_plan(URL, n=2)
    Price.objects.filter(model__slug="umpire").delete()
    run = concluded(start(plan), said)
    assert not ReplayRun.objects.filter(judges=run).exists()
    with pytest.raises(Refused, match="umpire has no USD price in force"):
        start_judging(run=run, by=BY, at=timezone.now(), trigger=RunTrigger.API)


def test_a_judge_that_is_not_as_frozen_is_not_asked() -> None:
    run = concluded(start(judged_plan(URL, n=2)), said)
    ReplayRun.objects.filter(judges=run).update(judges=None)
    Endpoint.objects.filter(slug="umpire-prod").update(parameters={"temperature": 1})
    with pytest.raises(Refused, match="no longer as the run's plan was frozen with"):
        start_judging(run=run, by=BY, at=timezone.now(), trigger=RunTrigger.API)


def test_samples_are_kept_while_a_judge_is_asked_about_them_and_no_longer() -> None:
    run = concluded(start(judged_plan(URL, n=3)), said)
    judging = ReplayRun.objects.get(judges=run)
    workload, at = run.plan_version.plan.workload, timezone.now() + timedelta(days=400)
    assert (held(workload, days=30, at=at).count(), due(workload, days=30, at=at).count()) == (3, 0)
    cancel_run(run=judging, by=BY, at=timezone.now())
    settle_run(run=judging, at=timezone.now())
    assert (held(workload, days=30, at=at).count(), due(workload, days=30, at=at).count()) == (0, 3)
    assert open_runs() == []


def test_an_estimate_says_that_a_judge_is_asked_under_a_cap_of_its_own() -> None:
    plan = judged_plan(URL, n=3, judge_budget="2.50")
    estimate = estimate_replay(plan=plan, sample_set=newest_set(plan), at=timezone.now())
    assert "A model judge is asked about the answers afterwards, under a cap of 2.5 USD of its own." in estimate.unknown
