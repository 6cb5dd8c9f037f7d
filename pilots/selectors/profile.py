"""One pilot as its page shows it. Public surface: ``pilot_profile``, ``PilotProfile``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from evaluations.enums import Decision, Looks
from evaluations.models import ModelVersion, PlanVersion
from pilots.enums import Motive, PilotStatus
from pilots.models import FollowUp, Pilot, Spell, TrafficReading
from pilots.selectors.timelines import timeline_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# What more is told of a pilot of these stages stands in its events alone.
_TOLD = (PilotStatus.DECIDED, PilotStatus.DECLINED, PilotStatus.ALONGSIDE)


@dataclass(frozen=True, slots=True)
class ModelName:
    slug: str
    vendor: str
    retires_on: date | None  # None: no date known


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The newest frozen version of the plan."""

    number: int
    digest: str
    frozen_at: datetime
    frozen_by: str  # '': not known
    after_the_fact: bool
    looks: Looks
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PilotProfile:
    slug: str
    workload: str  # name
    workload_slug: str
    team: str  # name
    team_slug: str
    task_type: str  # '': not said
    monthly_requests: int | None  # None: unknown
    incumbent: ModelName
    candidate: ModelName
    incumbent_recorded: bool | None  # the recorded answers are the incumbent's arm; None: no plan
    owner: str  # '': nobody
    deputy: str
    motive: Motive | None  # None: not declared
    status: PilotStatus
    status_at: datetime
    status_days: int  # difference of UTC dates
    traffic_share: Decimal | None  # on the candidate, as last declared
    closed_at: datetime | None
    known_to: date | None  # last confirmation of the running period; None: no running period
    decision_at_cutover: Decision | None  # of the newest period; None: none, or no verdict was read
    has_plan: bool
    plan: PlanFacts | None  # None: not frozen yet
    next_follow_up_on: date | None  # None: nothing due
    awaiting_approval: bool  # the decision needs a second person, and nobody else has agreed yet
    against_verdict: bool  # that decision goes against the verdict
    review_on: date | None  # running alongside: agreed day of the next review
    version: int  # for compare-and-set: what a form was filled against


def pilot_profile(pilot: Pilot, *, at: datetime) -> PilotProfile:
    """Everything the head and the overview of ``pilot`` say, as of ``at``."""
    workload = pilot.workload
    frozen = (
        PlanVersion.objects.filter(plan_id=pilot.plan_id).select_related("frozen_by").order_by("-number").first()
        if pilot.plan_id
        else None
    )
    spell = Spell.objects.filter(pilot=pilot).order_by("-number").first()
    seen_on = TrafficReading.objects.filter(pilot=pilot).values_list("confirmed_on", flat=True).first()
    timeline = timeline_of(pilot) if pilot.status in _TOLD else None
    due = FollowUp.objects.filter(pilot=pilot, answered_by=None).order_by("due_on").first()
    return PilotProfile(
        slug=pilot.slug,
        workload=workload.name,
        workload_slug=workload.slug,
        team=workload.team.name,
        team_slug=workload.team.slug,
        task_type=workload.task_type,
        monthly_requests=workload.monthly_requests,
        incumbent=_model(pilot.incumbent),
        candidate=_model(pilot.candidate),
        incumbent_recorded=pilot.plan.incumbent_endpoint_id is None if pilot.plan else None,
        owner=_name(pilot.owner),
        deputy=_name(pilot.deputy),
        motive=pilot.motive or None,
        status=pilot.status,
        status_at=pilot.status_at,
        status_days=(at.date() - pilot.status_at.date()).days,
        traffic_share=pilot.traffic_share,
        closed_at=pilot.closed_at,
        known_to=_known_to(spell, seen_on) if spell and spell.ended_on is None else None,
        decision_at_cutover=spell.decision_at_cutover or None if spell else None,
        has_plan=pilot.plan_id is not None,
        plan=_plan(frozen) if frozen else None,
        next_follow_up_on=due.due_on if due and spell and spell.ended_on is None else None,
        awaiting_approval=timeline is not None and timeline.awaiting_approval,
        against_verdict=timeline is not None and timeline.against_verdict,
        review_on=timeline.review_on if timeline else None,
        version=pilot.version,
    )


def _known_to(spell: Spell, seen_on: date | None) -> date:
    """A day on which most of the traffic was on the candidate confirms the period as a follow-up does."""
    return spell.last_confirmed_on if seen_on is None else max(spell.last_confirmed_on, seen_on)


def _model(model: ModelVersion) -> ModelName:
    return ModelName(model.slug, model.vendor.name, model.retires_on)


def _plan(version: PlanVersion) -> PlanFacts:
    return PlanFacts(
        number=version.number,
        digest=version.digest,
        frozen_at=version.frozen_at,
        frozen_by=_name(version.frozen_by),
        after_the_fact=version.after_the_fact,
        looks=Looks(version.document["looks"]),
        document=version.document,
    )


def _name(user: User | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else ""
