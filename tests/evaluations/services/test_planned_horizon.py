"""A plan of planned checks up to a fixed horizon: what it must say, and what changing its horizon does."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from evaluations.enums import ArmRole, Decision, Looks, Outcome
from evaluations.models import Plan, PlanVersion, ReplayRun
from evaluations.selectors.evidence import evidence_for, evidence_versions
from evaluations.services.errors import Refused
from evaluations.services.plan_document import (
    CriterionEntry,
    PlanDefinition,
    check_definition,
    definition_of,
    stored_definition,
)
from evaluations.services.plans import freeze_plan
from evaluations.services.replays import cancel_run, resume_run, settle_run
from tests.replays import BY, answer, concluded, ready_plan, start

URL = "http://127.0.0.1:9"
PLANNED = {"looks": Looks.PLANNED_HORIZON, "minimum_samples": 10, "maximum_samples": 100, "planned_looks": [50, 100]}


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"planned_looks": []}, "planned_looks", "needs the sample numbers"),
        ({"maximum_samples": None}, "maximum_samples", "fixes the largest number"),
        ({"planned_looks": [50, 90]}, "planned_looks", "the last check is at maximum_samples, 100"),
        ({"planned_looks": [5, 100]}, "planned_looks", "below minimum_samples"),
        ({"planned_looks": [50, 50, 100]}, "planned_looks", "must ascend, by at least 1 samples"),
        ({"planned_looks": [-50, 100]}, "planned_looks", "below minimum_samples"),
        ({"maximum_samples": 10_000, "planned_looks": [5000, 5049, 10_000]}, "planned_looks", "at least 50 samples"),
        ({"planned_looks": [*range(100, 202)], "maximum_samples": 201}, "planned_looks", "must be 100 at most"),
        ({"looks": Looks.EVERY_NIGHT}, "planned_looks", "only a plan with looks planned_horizon"),
    ],
)
def test_a_planned_horizon_says_when_it_is_read(given: dict[str, Any], field: str, words: str) -> None:
    check_definition(PlanDefinition(**PLANNED))
    with pytest.raises(Refused, match=words) as refused:
        check_definition(PlanDefinition(**{**PLANNED, **given}))
    assert refused.value.field == f"plan.{field}"


def frozen(plan: Plan, **changes: Any) -> PlanVersion:
    definition = definition_of(Plan.objects.get(pk=plan.pk))
    for name, value in changes.items():
        setattr(definition, name, value)
    Plan.objects.update(definition=stored_definition(definition))
    return freeze_plan(plan=Plan.objects.get(), by=BY, at=timezone.now())


def right(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, "42"


def replayed(plan: Plan, take: int) -> ReplayRun:
    return concluded(start(Plan.objects.get(pk=plan.pk), take=take), right)


@pytest.fixture
def plan(db: None) -> Plan:
    plan = ready_plan(URL, n=260)
    frozen(plan, criteria=[CriterionEntry(metric="answered", margin=Decimal("0.1"))], **PLANNED)
    return plan


def test_runs_are_read_at_the_planned_checks_and_stand_between_them(plan: Plan) -> None:
    """At 60 of 100 samples 2 - 2 Phi(2.2414 / sqrt 0.6) = 0.00381 is spent, z 2.6686; 60 ties: z^2 / (60 + z^2)."""
    runs = [replayed(plan, take) for take in (30, 30, 20, 30, 10)]
    documents = [run.comparisons.get().document for run in runs]
    looks = [each["look"] and (each["look"]["number"], each["look"]["pairs"]) for each in documents]
    assert looks == [None, (1, [60]), (1, [60]), (2, [60, 110]), (2, [60, 110])]
    assert [each["n"] for each in documents] == [30, 60, 60, 110, 110]
    assert [run.decision for run in runs] == 3 * [Decision.KEEP_TESTING] + 2 * [Decision.SAFE_TO_SWITCH]
    assert documents[1]["lower"] == pytest.approx(-0.1061, abs=1e-4)
    assert documents[4] == documents[3]


def test_a_horizon_that_is_moved_after_a_run_voids_the_checks_and_keeps_the_evidence(plan: Plan) -> None:
    first = Plan.objects.get().versions.get(number=2)
    assert "voids" not in first.document["horizon"]
    replayed(plan, 60)
    moved = frozen(plan, maximum_samples=200, planned_looks=[100, 200])
    assert (moved.document["horizon"]["voids"], moved.document["horizon"]["continues"]) == (2, True)
    assert moved.after_the_fact
    run = replayed(plan, 40)
    (document,) = (row.document for row in run.comparisons.all())
    assert (document["n"], document["method"], document["look"]) == (100, "betting_cs", None)
    assert evidence_for(moved).n == 100
    again = frozen(plan, maximum_samples=220, planned_looks=[220])
    assert again.document["horizon"]["voids"] == 3
    assert evidence_versions(again) == [again.pk, moved.pk, first.pk]
    assert evidence_for(again).n == 100


def test_what_is_said_again_is_not_another_version(plan: Plan) -> None:
    replayed(plan, 60)
    moved = frozen(plan, decide_by=date(2027, 1, 1))
    assert moved.document["horizon"]["voids"] == 2
    assert freeze_plan(plan=Plan.objects.get(), by=BY, at=timezone.now()) == moved


def test_before_a_run_the_horizon_may_still_be_moved(plan: Plan) -> None:
    moved = frozen(plan, maximum_samples=200, planned_looks=[100, 200])
    assert "voids" not in moved.document["horizon"]
    assert moved.number == 3


def test_another_question_begins_with_its_own_evidence_but_not_with_new_checks(plan: Plan) -> None:
    replayed(plan, 60)
    other = frozen(plan, criteria=[CriterionEntry(metric="answered", margin=Decimal("0.2"))])
    assert (other.document["horizon"]["voids"], other.document["horizon"]["continues"]) == (2, False)
    assert evidence_for(other).n == 0


def test_the_checks_do_not_come_back_by_way_of_another_kind_of_plan(plan: Plan) -> None:
    replayed(plan, 60)
    frozen(plan, looks=Looks.EVERY_NIGHT, planned_looks=[])
    back = frozen(plan, looks=Looks.PLANNED_HORIZON, planned_looks=[50, 100])
    assert (back.document["horizon"]["voids"], back.document["horizon"]["continues"]) == (2, True)


def test_a_plan_of_another_kind_keeps_its_digest(plan: Plan) -> None:
    frozen(plan, looks=Looks.EVERY_NIGHT, planned_looks=[])
    horizon = Plan.objects.get().versions.order_by("-number")[0].document["horizon"]
    assert horizon == {"maximum_samples": 100, "decide_by": None}


def looks_of(run: ReplayRun) -> tuple[int, list[int]] | None:
    look = run.comparisons.get().document["look"]
    return look and (look["number"], look["pairs"])


def test_a_run_that_may_be_resumed_takes_no_planned_check(plan: Plan) -> None:
    """Its reading goes when it is resumed: a check taken by it would be taken again."""
    replayed(plan, 30)
    run = answer(start(Plan.objects.get(pk=plan.pk), take=30), right)
    cancel_run(run=run, by=BY, at=timezone.now())
    assert settle_run(run=run, at=timezone.now())
    assert looks_of(run) is None
    resume_run(run=run, by=BY, at=timezone.now())
    assert settle_run(run=run, at=timezone.now())
    assert looks_of(run) == (1, [60])


def test_a_check_stands_though_a_run_that_was_read_before_it_ended_after_it(plan: Plan) -> None:
    early, checked = replayed(plan, 30), replayed(plan, 30)
    ReplayRun.objects.filter(pk=early.pk).update(finished_at=checked.finished_at + timedelta(seconds=5))
    assert looks_of(replayed(plan, 20)) == (1, [60])
