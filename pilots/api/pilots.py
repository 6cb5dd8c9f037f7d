"""Pilots: open one, read them, say who answers for them. What happens to a pilot is in ``events``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.models import Endpoint, ModelVersion, Team
from evaluations.models.fields import normalised
from evaluations.services.errors import Refused
from evaluations.services.plan_document import PlanDefinition
from evaluations.services.saving import Maybe
from pilots.api.base import Answer, ApiView, operation
from pilots.api.catalogue import named, refuse_taken
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, page_of
from pilots.enums import Motive, PilotStatus
from pilots.models import Pilot
from pilots.selectors.filters import ReportFilters
from pilots.services.lifecycle import change_pilot
from pilots.services.opening import Arm, open_with_plan
from pilots.services.portfolio_document import ArmEntry, Entry

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MANAGER = "Only a pilot manager of the team does this."
_RELATED = ("workload__team", "incumbent__vendor", "candidate__vendor", "owner", "deputy", "plan")


@dataclass(frozen=True, slots=True)
class PilotDocument:
    slug: str
    team: str
    workload: str
    incumbent: str  # models
    candidate: str
    owner: str | None  # user names
    deputy: str | None
    motive: Motive | None  # None: not declared
    status: PilotStatus
    status_at: Instant
    traffic_share: Decimal | None  # on the candidate, as last declared
    closed_at: Instant | None
    version: int


class NewPilot(Entry):
    """As in a portfolio file, without a schedule. The plan stays a draft until it is frozen."""

    slug: str
    workload: str
    incumbent: ArmEntry
    candidate: ArmEntry
    owner: Maybe[str | None] = UNSET  # who is not named opens it for themselves
    deputy: str | None = None
    motive: Motive | None = None
    plan: PlanDefinition | None = None


class PilotChange(Entry):
    version: int | None = None  # as it was read; another one since then is a conflict
    owner: Maybe[str | None] = UNSET
    deputy: Maybe[str | None] = UNSET
    motive: Maybe[Motive | None] = UNSET


class PilotPage(PageQuery):
    """Several values of one filter are alternatives; different filters narrow together."""

    team: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()  # of the incumbent or of the candidate
    incumbent: tuple[str, ...] = ()
    candidate: tuple[str, ...] = ()
    task_type: tuple[str, ...] = ()
    status: tuple[PilotStatus, ...] = ()
    ordering: Literal["slug", "-slug", "status_at", "-status_at"] = "slug"


def pilot_documents(rows: Sequence[Pilot]) -> Iterator[PilotDocument]:
    for row in rows:
        yield PilotDocument(
            slug=row.slug,
            team=row.workload.team.slug,
            workload=row.workload.slug,
            incumbent=row.incumbent.slug,
            candidate=row.candidate.slug,
            owner=row.owner.get_username() if row.owner else None,
            deputy=row.deputy.get_username() if row.deputy else None,
            motive=row.motive or None,
            status=row.status,
            status_at=row.status_at,
            traffic_share=None if row.traffic_share is None else normalised(row.traffic_share),
            closed_at=row.closed_at,
            version=row.version,
        )


def person(name: str | None, team: Team, *, field: str) -> User | None:
    """The member of the team that a body names. Raises ``Refused``."""
    if name is None:
        return None
    model: Any = get_user_model()
    found: User | None = model.objects.filter(
        **{model.USERNAME_FIELD: name}, is_active=True, team_memberships__team=team
    ).first()
    if found is None:
        raise Refused(f"there is no {name} in team {team.slug}", field=field)
    return found


def arm(entry: ArmEntry, *, field: str) -> Arm:
    """An endpoint, or a model's recorded answers. Raises ``Refused``."""
    if entry.endpoint is not None and entry.model is None and not entry.recorded:
        endpoint = named(Endpoint, entry.endpoint, field=f"{field}.endpoint")
        return Arm(endpoint.model, endpoint, entry.request)
    if entry.endpoint is None and entry.model is not None and entry.recorded:
        return Arm(named(ModelVersion, entry.model, field=f"{field}.model"), None, entry.request)
    raise Refused("names an endpoint, or a model with recorded: true", field=field)


class Pilots(ApiView):
    @operation("list_pilots", "List pilots", answers=Page[PilotDocument], query=PilotPage)
    def get(self, request: Request, query: PilotPage) -> Page[PilotDocument]:
        names = ("team", "workload", "vendor", "incumbent", "candidate", "task_type")
        filters = ReportFilters.parse({name: getattr(query, name) for name in names}, now=self.now)
        rows: QuerySet[Pilot] = filters.apply(self.access.pilots()).select_related(*_RELATED)
        if query.status:
            rows = rows.filter(status__in=query.status)
        return page_of(request, query, rows, pilot_documents, order=query.ordering)

    @operation(
        "open_pilot",
        "Open a pilot with its draft plan",
        answers=PilotDocument,
        status=HTTPStatus.CREATED,
        body=NewPilot,
    )
    def post(self, request: Request, body: NewPilot) -> Answer:
        workload = self.access.workloads().filter(slug=body.workload).select_related("team").first()
        if workload is None:
            raise Refused(f"there is no workload {body.workload}", field="workload")
        self.allow(self.access.may_open_for(workload.team), MANAGER)
        refuse_taken(Pilot, body.slug)
        owner = self.access.user if body.owner is UNSET else person(body.owner, workload.team, field="owner")
        pilot = open_with_plan(
            by=self.actor,
            at=self.now,
            slug=body.slug,
            workload=workload,
            incumbent=arm(body.incumbent, field="incumbent"),
            candidate=arm(body.candidate, field="candidate"),
            owner=owner,
            deputy=person(body.deputy, workload.team, field="deputy"),
            motive=body.motive,
            definition=body.plan or PlanDefinition(),
        )
        return Answer(
            next(pilot_documents([pilot])), headers={"Location": reverse("pilots:api:pilot", args=[pilot.slug])}
        )


class OfAPilot(ApiView):
    def pilot(self, slug: str, *, managed: bool = False) -> Pilot:
        """The pilot if it is of one of the person's teams. Raises ``Http404``, ``NotAllowed``."""
        row = get_object_or_404(self.access.pilots().select_related(*_RELATED), slug=slug)
        if managed:
            self.allow(self.access.may_manage(row), MANAGER)
            self.versioned = row
        return row


class OnePilot(OfAPilot):
    @operation("read_pilot", "Read a pilot", answers=PilotDocument)
    def get(self, request: Request, slug: str) -> PilotDocument:
        return next(pilot_documents([self.pilot(slug)]))

    @operation(
        "change_pilot", "Say who answers for a pilot, or why it was opened", answers=PilotDocument, body=PilotChange
    )
    def patch(self, request: Request, slug: str, body: PilotChange) -> PilotDocument:
        row = self.pilot(slug, managed=True)
        team = row.workload.team
        people = {
            name: getattr(row, name) if value is UNSET else person(value, team, field=name)
            for name, value in (("owner", body.owner), ("deputy", body.deputy))
        }
        change_pilot(
            pilot=row,
            by=self.actor,
            at=self.now,
            **people,
            motive=(row.motive or None) if body.motive is UNSET else body.motive,
            plan=row.plan,
            version=body.version,
        )
        return next(pilot_documents([row]))
