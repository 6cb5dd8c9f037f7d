"""Lock a pilot's plan before its first call. Public surface: ``freeze_pilot_plan``."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from evaluations.models import Plan, PlanVersion
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from evaluations.services.plans import freeze_plan
from pilots.enums import EventKind
from pilots.models import Pilot, PilotEvent
from pilots.services.lifecycle import mark_planned


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
