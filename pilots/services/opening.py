"""Open a pilot together with its plan. Public surface: ``open_with_plan``, ``Arm``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from evaluations.models import Endpoint, ModelVersion, Plan, Workload
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from evaluations.services.plan_document import PlanDefinition
from evaluations.services.plans import save_plan
from pilots.enums import Motive
from pilots.models import Pilot
from pilots.services.lifecycle import open_pilot

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True)
class Arm:
    model: ModelVersion
    endpoint: Endpoint | None  # None: the recorded production answers are the arm


@transaction.atomic
def open_with_plan(
    *,
    by: Actor,
    at: datetime,
    slug: str,
    workload: Workload,
    incumbent: Arm,
    candidate: Arm,
    owner: User | None,
    deputy: User | None,
    motive: Motive | None,
    definition: PlanDefinition,
) -> Pilot:
    """The pilot as a draft and its plan as a draft of the same name; both or neither.

    Raises ``Refused`` for whatever either of them refuses, and for a name that a plan has already.
    """
    if Plan.objects.filter(slug=slug).exists():
        raise Refused(f"there is a plan called {slug} already", field="slug")
    plan, _ = save_plan(
        slug=slug,
        workload=workload,
        incumbent_model=incumbent.model,
        incumbent_endpoint=incumbent.endpoint,
        incumbent_request={},
        candidate_model=candidate.model,
        candidate_endpoint=candidate.endpoint,
        candidate_request={},
        definition=definition,
        by=by,
        at=at,
    )
    return open_pilot(
        by=by,
        at=at,
        slug=slug,
        workload=workload,
        incumbent=incumbent.model,
        candidate=candidate.model,
        plan=plan,
        owner=owner,
        deputy=deputy,
        motive=motive,
    )
