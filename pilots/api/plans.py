"""A pilot's plan: read it, write the draft, freeze it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.http import Http404
from rest_framework.request import Request

from evaluations.models import Endpoint, ModelVersion, Plan, PlanVersion
from evaluations.services.plan_document import PlanDefinition
from pilots.api.base import Answer, operation
from pilots.api.describe import Instant
from pilots.api.pilots import OfAPilot, arm
from pilots.models import Pilot
from pilots.services.planning import draft_pilot_plan, freeze_pilot_plan
from pilots.services.portfolio_document import ArmEntry, Entry


@dataclass(frozen=True, slots=True)
class ArmDocument:
    endpoint: str | None  # None: recorded
    model: str
    recorded: bool
    request: dict[str, Any]  # adaptations


@dataclass(frozen=True, slots=True)
class FrozenDocument:
    """A version of the plan: ``document`` is what ``digest`` covers."""

    version: int
    digest: str
    after_the_fact: bool  # a run existed when it was frozen
    frozen_at: Instant
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlanDocument:
    pilot: str
    incumbent: ArmDocument
    candidate: ArmDocument
    plan: dict[str, Any]  # the draft, as in a portfolio file
    frozen: FrozenDocument | None  # the newest version; None: not frozen yet
    version: int  # of the draft


@dataclass(frozen=True, slots=True)
class FreezeDocument:
    pilot: str
    version: int
    digest: str


class PlanChange(Entry):
    """The whole draft; an arm that is not named stays."""

    plan: PlanDefinition
    incumbent: ArmEntry | None = None
    candidate: ArmEntry | None = None
    version: int | None = None  # of the draft, as it was read; another one since then is a conflict


def _arm(model: ModelVersion, endpoint: Endpoint | None, request: dict[str, Any]) -> ArmDocument:
    return ArmDocument(None if endpoint is None else endpoint.slug, model.slug, endpoint is None, request)


def _document(pilot: Pilot, plan: Plan) -> PlanDocument:
    frozen = PlanVersion.objects.filter(plan=plan).order_by("-number").first()
    return PlanDocument(
        pilot=pilot.slug,
        incumbent=_arm(plan.incumbent_model, plan.incumbent_endpoint, plan.incumbent_request),
        candidate=_arm(plan.candidate_model, plan.candidate_endpoint, plan.candidate_request),
        plan=plan.definition,
        frozen=None
        if frozen is None
        else FrozenDocument(frozen.number, frozen.digest, frozen.after_the_fact, frozen.frozen_at, frozen.document),
        version=plan.version,
    )


class PilotPlan(OfAPilot):
    def plan(self, pilot: Pilot) -> Plan:
        """Raises ``Http404`` for a pilot without one."""
        arms = ("incumbent_model", "incumbent_endpoint", "candidate_model", "candidate_endpoint")
        plan = Plan.objects.filter(pilot=pilot).select_related(*arms).first()
        if plan is None:
            raise Http404
        return plan

    @operation("read_plan", "Read a pilot's plan", answers=PlanDocument)
    def get(self, request: Request, slug: str) -> PlanDocument:
        pilot = self.pilot(slug)
        return _document(pilot, self.plan(pilot))

    @operation("write_plan", "Write the draft of a pilot's plan", answers=PlanDocument, body=PlanChange)
    def put(self, request: Request, slug: str, body: PlanChange) -> PlanDocument:
        """A plan that was frozen before is frozen again as its next version."""
        pilot = self.pilot(slug, managed=True)
        self.versioned = self.plan(pilot)
        draft_pilot_plan(
            pilot=pilot,
            incumbent=None if body.incumbent is None else arm(body.incumbent, field="incumbent"),
            candidate=None if body.candidate is None else arm(body.candidate, field="candidate"),
            definition=body.plan,
            version=body.version,
            by=self.actor,
            at=self.now,
        )
        return _document(pilot, self.plan(pilot))

    @operation("freeze_plan", "Freeze a pilot's plan", answers=FreezeDocument, status=HTTPStatus.OK)
    def post(self, request: Request, slug: str) -> Answer:
        pilot = self.pilot(slug, managed=True)
        version = freeze_pilot_plan(pilot=pilot, by=self.actor, at=self.now)
        return Answer(FreezeDocument(pilot.slug, version.number, version.digest))
