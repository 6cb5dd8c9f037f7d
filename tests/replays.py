"""A plan that is ready to be replayed against simulated vendors, for tests of the engine's database side."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from evaluations.enums import ArmRole, AttemptState, ChunkState, Outcome, PriceKind, RunStatus
from evaluations.models import (
    Attempt,
    Chunk,
    Completion,
    CompletionContent,
    DataAgreement,
    Endpoint,
    ModelVersion,
    Plan,
    Price,
    RecordedContent,
    RecordedResponse,
    ReplayRun,
    Sample,
    SampleContent,
    Team,
    Vendor,
    Workload,
)
from evaluations.services.audit import Actor
from evaluations.services.plan_document import BudgetEntry, CriterionEntry, PlanDefinition, ScorerEntry, definition_of
from evaluations.services.plans import freeze_plan, save_plan
from evaluations.services.replays import create_run, settle_run
from evaluations.services.sample_sets import freeze_set
from evaluations.simulator.behaviours import ModelBehaviour
from evaluations.simulator.config import SimulatorConfig, behaviour_from

BY = Actor.command("test")
KEY = "TEST_VENDOR_KEY"
os.environ[KEY] = "not a secret"


def vendors(**models: dict[str, Any]) -> SimulatorConfig:
    """Two models, ``old`` and ``new``, that answer at once unless told otherwise."""
    given: dict[str, dict[str, Any]] = {"old": {}, "new": {}, **models}
    behaviours: dict[str, ModelBehaviour] = {
        name: behaviour_from({"behaviour": "steady", "latency_ms": 2, **values}, name) for name, values in given.items()
    }
    return SimulatorConfig(models=behaviours)


def ready_plan(
    url: str,
    *,
    n: int = 40,
    recorded: bool = False,
    looks: str = "one_look",
    minimum_samples: int = 1,
    budget: str = "5",
    permitted: tuple[str, ...] = ("openai", "microsoft"),
    concurrency: int = 8,
    priced: bool = True,
    bodies: Callable[[int], dict[str, Any]] | None = None,
    **budget_fields: Any,
) -> Plan:
    """A frozen plan over ``n`` samples that asks for a number; the candidate's endpoint speaks OpenAI chat too."""
    team = Team.objects.create(slug="support", name="Support")
    DataAgreement.objects.create(
        team=team, vendors=list(permitted), regions=["eu"], purposes=["evaluation"], agreed_at=timezone.now()
    )
    models = {}
    for slug, vendor in (("old", "openai"), ("new", "microsoft")):
        models[slug] = ModelVersion.objects.create(
            slug=slug, vendor=Vendor.objects.get_or_create(slug=vendor, defaults={"name": vendor.title()})[0]
        )
        if priced:
            Price.objects.create(
                model=models[slug],
                effective_from=date(2020, 1, 1),
                kind=PriceKind.LIST,
                input_per_mtok=Decimal(2),
                output_per_mtok=Decimal(8),
            )
    endpoints = {
        slug: Endpoint.objects.create(
            slug=f"{slug}-prod",
            model=model,
            protocol="openai_chat",
            base_url=f"{url}/v1",
            wire_model=slug,
            region="eu",
            credential_env=KEY,
            max_concurrency=concurrency,
            deadline_seconds=10,
        )
        for slug, model in models.items()
    }
    workload = Workload.objects.create(slug="triage", team=team, name="Triage", runs_on=models["old"])
    plan, _ = save_plan(
        slug="triage-to-new",
        workload=workload,
        incumbent_model=models["old"],
        incumbent_endpoint=None if recorded else endpoints["old"],
        incumbent_request={},
        candidate_model=models["new"],
        candidate_endpoint=endpoints["new"],
        candidate_request={},
        definition=PlanDefinition(
            hypothesis="as good",
            scorers=[ScorerEntry(name="regex", key="answered", config={"pattern": "."})],
            criteria=[CriterionEntry(metric="answered", margin=Decimal("0.03"))],
            looks=looks,
            minimum_samples=minimum_samples,
            budget=BudgetEntry(amount=Decimal(budget), **budget_fields),
        ),
        by=BY,
        at=timezone.now(),
    )
    add_samples(workload, n, recorded=recorded, bodies=bodies)
    freeze_plan(plan=plan, by=BY, at=timezone.now())
    return Plan.objects.get(pk=plan.pk)


def small_body(number: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": f"What is {number} plus {number}?"}],
        "max_completion_tokens": 100,
    }


def with_criteria(plan: Plan, *criteria: CriterionEntry, scorers: Sequence[ScorerEntry] = ()) -> Plan:
    """``plan`` with these criteria (and scorers, if any) in place of its own, frozen again."""
    definition = definition_of(plan)
    definition.criteria = list(criteria)
    definition.scorers = list(scorers) or definition.scorers
    save_plan(
        slug=plan.slug,
        workload=plan.workload,
        incumbent_model=plan.incumbent_model,
        incumbent_endpoint=plan.incumbent_endpoint,
        incumbent_request=plan.incumbent_request,
        candidate_model=plan.candidate_model,
        candidate_endpoint=plan.candidate_endpoint,
        candidate_request=plan.candidate_request,
        definition=definition,
        by=BY,
        at=timezone.now(),
    )
    freeze_plan(plan=Plan.objects.get(pk=plan.pk), by=BY, at=timezone.now())
    return Plan.objects.get(pk=plan.pk)


def add_samples(
    workload: Workload,
    n: int,
    *,
    recorded: bool = False,
    stem: str = "s",
    bodies: Callable[[int], dict[str, Any]] | None = None,
) -> None:
    """``n`` samples in the pool, frozen as a set; with production's own answers if ``recorded``."""
    samples = Sample.objects.bulk_create(
        Sample(
            workload=workload,
            external_id=f"{stem}{i:06}",
            digest=f"{stem}{i:063}",
            occurred_at=datetime(2026, 10, 1, tzinfo=UTC),
        )
        for i in range(n)
    )
    SampleContent.objects.bulk_create(
        SampleContent(
            sample=sample,
            request=(bodies or small_body)(i),
            reference=str(2 * i),
        )
        for i, sample in enumerate(samples)
    )
    if recorded:
        responses = RecordedResponse.objects.bulk_create(
            RecordedResponse(
                sample=sample,
                model_name="old",
                usage={"prompt_tokens": 10, "completion_tokens": 5},
                latency_ms=250,
                finish_reason="stop",
            )
            for sample in samples
        )
        RecordedContent.objects.bulk_create(
            RecordedContent(response=response, text=str(i)) for i, response in enumerate(responses)
        )
    freeze_set(
        workload=workload,
        sample_ids=[sample.pk for sample in samples],
        name=f"{n} samples",
        method={"kind": "test"},
        parent=None,
        by=BY,
        at=timezone.now(),
    )


def start(plan: Plan, **options: Any) -> ReplayRun:
    return create_run(plan=plan, by=BY, at=timezone.now(), **options)


Said = Callable[[ArmRole, int], tuple[Outcome, str]]


def answer(run: ReplayRun, said: Said) -> ReplayRun:
    """Every answer of ``run`` without a call, each with its attempt: outcome and text by arm and position."""
    at = timezone.now()
    members = list(run.sample_set.members.order_by("position")) if run.sample_set else []
    for arm in run.arms.order_by("id"):
        ended = [
            (member, repeat, *said(arm.role, member.position)) for repeat in range(run.repeats) for member in members
        ]
        common = {"arm": arm, "finished_at": at, "attempts": 1, "cost_amount": Decimal("0.001")}
        figures = {"input_uncached_tokens": 10, "cache_read_tokens": 0, "output_total_tokens": 5}
        answers = Completion.objects.bulk_create(
            Completion(
                sample_id=member.sample_id,
                repeat=repeat,
                position=member.position,
                outcome=outcome,
                latency_ms=100 + member.position % 50,
                **common,
                **figures,
            )
            for member, repeat, outcome, _ in ended
        )
        CompletionContent.objects.bulk_create(
            CompletionContent(completion=row, text=text)
            for row, (_, _, outcome, text) in zip(answers, ended, strict=True)
            if outcome is Outcome.OK
        )
        Attempt.objects.bulk_create(
            Attempt(
                run=run,
                arm=arm,
                endpoint=arm.endpoint,
                sample_id=member.sample_id,
                repeat=repeat,
                state=AttemptState.SETTLED,
                outcome=outcome,
                sent_at=at,
                settled_at=at,
                cost_amount=Decimal("0.001"),
            )
            for member, repeat, outcome, _ in ended
            if arm.endpoint is not None
        )
    Chunk.objects.filter(arm__run=run).update(state=ChunkState.DONE)
    ReplayRun.objects.filter(pk=run.pk).update(
        status=RunStatus.RUNNING, done=run.total, calls=run.attempts.count(), started_at=at, progressed_at=at
    )
    run.refresh_from_db()
    return run


def concluded(run: ReplayRun, said: Said) -> ReplayRun:
    """``answer``, and what follows when the last answer is there."""
    settle_run(run=answer(run, said), at=timezone.now())
    run.refresh_from_db()
    return run
