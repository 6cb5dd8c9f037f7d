"""Plans: drafted, then frozen before the first call. Public surface: ``save_plan``, ``freeze_plan``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Max

from evaluations.enums import Looks
from evaluations.models import Endpoint, ModelVersion, Plan, PlanVersion, ReplayRun, Workload
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import (
    PlanDefinition,
    check_definition,
    check_judge,
    check_ready,
    definition_of,
    differ_in_horizon_only,
    document_digest,
    frozen_document,
    stored_definition,
    without_marks,
)
from evaluations.services.requests import check_adaptation


@transaction.atomic
def save_plan(
    *,
    slug: str,
    workload: Workload,
    incumbent_model: ModelVersion,
    incumbent_endpoint: Endpoint | None,
    incumbent_request: Mapping[str, Any],
    candidate_model: ModelVersion,
    candidate_endpoint: Endpoint | None,
    candidate_request: Mapping[str, Any],
    definition: PlanDefinition,
    by: audit.Actor,
    at: datetime,
) -> tuple[Plan, bool | None]:
    """Create or change the draft. The flag is True for created, False for changed, None for unchanged.

    A plan that was frozen before is frozen again as the next version when what it says changed. Raises ``Refused``.
    """
    for role, model, endpoint, request in (
        ("incumbent", incumbent_model, incumbent_endpoint, incumbent_request),
        ("candidate", candidate_model, candidate_endpoint, candidate_request),
    ):
        if endpoint is not None and endpoint.model_id != model.pk:
            raise Refused(f"endpoint {endpoint.slug} does not serve {model.slug}", field=f"{role}.endpoint")
        check_adaptation(request, field=f"{role}.request")
    if incumbent_model.pk == candidate_model.pk:
        raise Refused("incumbent and candidate are the same model", field="candidate")
    check_definition(definition)
    budget = definition.budget
    values: dict[str, Any] = {
        "workload": workload,
        "incumbent_model": incumbent_model,
        "incumbent_endpoint": incumbent_endpoint,
        "incumbent_request": dict(incumbent_request),
        "candidate_model": candidate_model,
        "candidate_endpoint": candidate_endpoint,
        "candidate_request": dict(candidate_request),
        "definition": stored_definition(definition),
        "budget_amount": None if budget is None else budget.amount,
        "budget_currency": "USD" if budget is None else budget.currency,
        "assume_per_mtok": None
        if budget is None or budget.assume_per_mtok is None
        else {name: str(value) for name, value in budget.assume_per_mtok.items()},
        "max_calls": None if budget is None else budget.max_calls,
    }
    plan = Plan.objects.filter(slug=slug).first()
    if plan is not None and all(getattr(plan, name) == value for name, value in values.items()):
        return plan, None
    check_judge(Plan(slug=slug, **values), definition)
    if plan is None:
        plan = Plan.objects.create(slug=slug, **values)
        created = True
    else:
        if not Plan.objects.filter(pk=plan.pk, version=plan.version).update(**values, version=F("version") + 1):
            raise Conflict("somebody else changed the plan meanwhile")
        plan = Plan.objects.get(pk=plan.pk)
        created = False
    _audit(plan, "plan.created" if created else "plan.changed", by=by, at=at)
    if plan.versions.exists():
        freeze_plan(plan=plan, by=by, at=at)
    return plan, created


@transaction.atomic
def freeze_plan(*, plan: Plan, by: audit.Actor, at: datetime) -> PlanVersion:
    """Lock what the plan says now as its next version; the newest version again if it says the same.

    A version that is frozen after a run has started is marked "after the fact". After the planned checks of a fixed
    horizon have begun, another version of that kind voids them: its document says so, and it is read by the sequence
    that holds at every look, over the evidence from the first night where no more than the horizon is another. Raises
    ``Refused`` for a plan that could not be run or decided.
    """
    definition = definition_of(plan)
    check_ready(plan, definition)
    document = frozen_document(plan, definition)
    newest = plan.versions.order_by("-number").first()
    if newest is not None and document_digest(without_marks(newest.document)) == document_digest(document):
        return newest
    voided = voided_by(plan, document)
    if voided is not None:
        document["horizon"] |= {"voids": voided.number, "continues": differ_in_horizon_only(voided.document, document)}
    digest = document_digest(document)
    number = (plan.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    version = PlanVersion.objects.create(
        plan=plan,
        number=number,
        document=document,
        digest=digest,
        after_the_fact=ReplayRun.objects.filter(plan_version__plan=plan).exists(),
        frozen_at=at,
        frozen_by=by.user,
    )
    _audit(plan, "plan.frozen", by=by, at=at, data={"version": number, "digest": digest})
    return version


def voided_by(plan: Plan, document: Mapping[str, Any]) -> PlanVersion | None:
    """The version whose planned checks have begun, and end with one of ``document``; None: there is none."""
    if document["looks"] != Looks.PLANNED_HORIZON:
        return None
    started = plan.versions.filter(document__looks=Looks.PLANNED_HORIZON.value, runs__isnull=False)
    return started.order_by("-number").first()


def _audit(plan: Plan, action: str, *, by: audit.Actor, at: datetime, data: Mapping[str, Any] | None = None) -> None:
    audit.record(
        by=by,
        at=at,
        action=action,
        object_type="plan",
        object_id=plan.pk,
        object_label=plan.slug,
        team=plan.workload.team,
        data=data,
    )
