"""Open a pilot together with its plan. Public surface: ``open_with_plan``, ``Arm``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

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
    request: Mapping[str, Any] = field(default_factory=dict)  # adaptations


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
        incumbent_request=incumbent.request,
        candidate_model=candidate.model,
        candidate_endpoint=candidate.endpoint,
        candidate_request=candidate.request,
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
