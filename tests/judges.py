"""A plan with a judge, for tests. Public surface: ``judged_plan``, ``judged_vendors``, ``work``, ``RUBRIC``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from django.utils import timezone

from evaluations.enums import CriterionRole, PriceKind
from evaluations.models import DataAgreement, Endpoint, ModelVersion, Plan, Price, ReplayRun, Vendor
from evaluations.services.plan_document import BudgetEntry, CriterionEntry, JudgeEntry, definition_of
from evaluations.services.plans import freeze_plan, save_plan
from evaluations.services.replays import settle_run
from evaluations.services.work import work_once
from evaluations.simulator.answers import AnswerKey
from evaluations.simulator.config import SimulatorConfig
from tests.replays import BY, KEY, ready_plan, small_body, vendors

RUBRIC = "The right number and nothing else."


def judged_vendors(judge: str, *, n: int, old: float = 0.7, new: float = 0.9, **behaviour: object) -> SimulatorConfig:
    """``old`` and ``new`` are right that often about ``ready_plan``'s samples; ``umpire`` judges."""
    key = {str(small_body(i)["messages"][0]["content"]): str(2 * i) for i in range(n)}
    models = {"old": {"accuracy": old}, "new": {"accuracy": new}, "umpire": {"judge": judge, **behaviour}}
    return replace(vendors(**models), answers=AnswerKey(key, tuple(dict.fromkeys(key.values()))))


def judged_plan(
    url: str,
    *,
    n: int = 40,
    mode: str = "pairwise",
    judge_budget: str = "5",
    judge_calls: int | None = None,
    purposes: Sequence[str] = ("evaluation", "judging"),
    margin: str | None = "0.05",
    concurrency: int = 4,
) -> Plan:
    """``ready_plan``, frozen again with a judge of a third vendor."""
    plan = ready_plan(url, n=n, concurrency=concurrency, permitted=("openai", "microsoft", "anthropic"))
    DataAgreement.objects.update(purposes=list(purposes))
    umpire = ModelVersion.objects.create(
        slug="umpire", vendor=Vendor.objects.create(slug="anthropic", name="Anthropic"), family="umpires"
    )
    Price.objects.create(
        model=umpire,
        effective_from=date(2020, 1, 1),
        kind=PriceKind.LIST,
        input_per_mtok=Decimal(2),
        output_per_mtok=Decimal(8),
    )
    Endpoint.objects.create(
        slug="umpire-prod",
        model=umpire,
        protocol="openai_chat",
        base_url=f"{url}/v1",
        wire_model="umpire",
        region="eu",
        credential_env=KEY,
        max_concurrency=concurrency,
        deadline_seconds=10,
    )
    definition = definition_of(plan)
    definition.judge = JudgeEntry(
        endpoint="umpire-prod",
        rubric=RUBRIC,
        mode=mode,  # type: ignore[arg-type]
        budget=BudgetEntry(amount=Decimal(judge_budget), max_calls=judge_calls),
    )
    if margin is not None:
        definition.criteria.append(
            CriterionEntry(metric=definition.judge.metric, role=CriterionRole.ADVISORY, margin=Decimal(margin))
        )
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
    freeze_plan(plan=Plan.objects.get(pk=plan.pk), by=BY, at=timezone.now())
    return Plan.objects.get(pk=plan.pk)


def work(run: ReplayRun) -> ReplayRun:
    """Work on ``run``, a replay or a judging, until there is nothing left to claim."""
    while work_once(run=run) is not None:
        pass
    settle_run(run=run, at=timezone.now())
    run.refresh_from_db()
    return run
