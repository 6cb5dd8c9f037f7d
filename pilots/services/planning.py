"""A pilot's plan before its first call. Public surface: ``draft_pilot_plan``, ``freeze_pilot_plan``."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from evaluations.models import Plan, PlanVersion
from evaluations.services.audit import Actor
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import PlanDefinition
from evaluations.services.plans import freeze_plan, save_plan
from pilots.enums import EventKind
from pilots.models import Pilot, PilotEvent
from pilots.services.lifecycle import mark_planned
from pilots.services.opening import Arm


@transaction.atomic
def draft_pilot_plan(
    *,
    pilot: Pilot,
    definition: PlanDefinition,
    incumbent: Arm | None = None,
    candidate: Arm | None = None,
    version: int | None = None,
    by: Actor,
    at: datetime,
) -> Plan:
    """Make this the draft of the pilot's plan; an arm that is not given stays. What was frozen before is frozen again.

    ``version`` is the draft's as the person saw it. Raises ``Refused`` for a pilot without a plan, for an arm with
    another model, and for what ``save_plan`` refuses; ``Conflict`` when somebody else was faster.
    """
    plan = Plan.objects.filter(pilot=pilot).first()
    if plan is None:
        raise Refused(f"pilot {pilot.slug} has no plan", field="plan")
    if version is not None and version != plan.version:
        raise Conflict("somebody else has changed the plan since it was read")
    for role, arm, model in (("incumbent", incumbent, pilot.incumbent), ("candidate", candidate, pilot.candidate)):
        if arm is not None and arm.model != model:
            raise Refused(f"the pilot's {role} is {model.slug}; for {arm.model.slug} open another pilot", field=role)
    old = incumbent or Arm(plan.incumbent_model, plan.incumbent_endpoint, plan.incumbent_request)
    new = candidate or Arm(plan.candidate_model, plan.candidate_endpoint, plan.candidate_request)
    plan, changed = save_plan(
        slug=plan.slug,
        workload=plan.workload,
        incumbent_model=old.model,
        incumbent_endpoint=old.endpoint,
        incumbent_request=old.request,
        candidate_model=new.model,
        candidate_endpoint=new.endpoint,
        candidate_request=new.request,
        definition=definition,
        by=by,
        at=at,
    )
    if changed is False and plan.versions.exists():
        freeze_pilot_plan(pilot=pilot, by=by, at=at)
    return plan


@transaction.atomic
def freeze_pilot_plan(*, pilot: Pilot, by: Actor, at: datetime) -> PlanVersion:
    """Freeze what the plan says now and record it in the pilot's history; a version already recorded changes nothing.

    Raises ``Refused`` for a pilot without a plan and for a plan that could not be run or decided.
    """
    # As it is stored now: the pilot at hand may carry an older draft.
    plan = Plan.objects.filter(pilot=pilot).first()
    if plan is None:
        raise Refused(f"pilot {pilot.slug} has no plan", field="plan")
    version = freeze_plan(plan=plan, by=by, at=at)
    recorded = PilotEvent.objects.filter(pilot=pilot, kind=EventKind.PLANNED, data__plan_version=version.number)
    if not recorded.exists():
        mark_planned(pilot=pilot, by=by, at=at, plan_version=version.number, digest=version.digest)
    return version
