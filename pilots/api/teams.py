"""Teams, their members and what they agreed to share.

A team's administrators change all of it but the team's name, cap and policy, which are the site's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Prefetch
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.enums import TeamRole
from evaluations.models import DataAgreement, Membership, Team
from evaluations.services.errors import Refused
from evaluations.services.saving import Maybe
from evaluations.services.teams import agree_data, end_data_agreement, save_team, set_member
from pilots.api.base import Answer, ApiView, operation
from pilots.api.catalogue import SlugPage, given, refuse_taken
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, page_of
from pilots.services.portfolio_document import AgreementEntry, Entry, MoneyEntry


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class AgreementDocument:
    vendors: tuple[str, ...]
    regions: tuple[str, ...]  # "*": any, also an unknown one
    purposes: tuple[str, ...]
    agreed_at: Instant
    expires_on: date | None  # last day in force
    keep_content_days: int | None  # prompts and answers, after capture; None: as long as the site keeps them


@dataclass(frozen=True, slots=True)
class TeamDocument:
    slug: str
    name: str
    monthly_cap: Money | None  # None: no cap beyond each run's own
    second_person: bool  # every go or no-go is approved by somebody else
    data_agreement: AgreementDocument | None  # None: no sample may be sent anywhere
    version: int


@dataclass(frozen=True, slots=True)
class MemberDocument:
    user: str
    role: TeamRole
    may_read_content: bool


class NewTeam(Entry):
    slug: str
    name: Maybe[str | None] = UNSET
    monthly_cap: Maybe[MoneyEntry | None] = UNSET
    second_person: Maybe[bool] = UNSET  # every go or no-go is approved by somebody else


class TeamChange(Entry):
    version: int | None = None  # as it was read; another one since then is a conflict
    name: Maybe[str | None] = UNSET
    monthly_cap: Maybe[MoneyEntry | None] = UNSET
    second_person: Maybe[bool] = UNSET  # every go or no-go is approved by somebody else


class MemberChange(Entry):
    role: Maybe[TeamRole] = UNSET
    may_read_content: Maybe[bool] = UNSET


_IN_FORCE = Prefetch("data_agreements", DataAgreement.objects.filter(ended_at__isnull=True), to_attr="in_force")
_ADMIN = "Only an administrator of the team does this."


def _teams(rows: Sequence[Team]) -> Iterator[TeamDocument]:
    for row in rows:
        cap = row.monthly_cap_amount
        yield TeamDocument(
            slug=row.slug,
            name=row.name,
            monthly_cap=None if cap is None else Money(cap, row.monthly_cap_currency),
            second_person=row.second_person,
            data_agreement=next(map(_agreement, row.in_force), None),  # type: ignore[attr-defined]
            version=row.version,
        )


def _agreement(row: DataAgreement) -> AgreementDocument:
    return AgreementDocument(
        tuple(row.vendors),
        tuple(row.regions),
        tuple(row.purposes),
        row.agreed_at,
        row.expires_on,
        row.keep_content_days,
    )


def _members(rows: Sequence[Membership]) -> Iterator[MemberDocument]:
    return (MemberDocument(row.user.get_username(), row.role, row.may_read_content) for row in rows)


def _cap(given: Maybe[MoneyEntry | None]) -> Maybe[tuple[Decimal, str] | None]:
    return (given.amount, given.currency) if isinstance(given, MoneyEntry) else given


class Teams(ApiView):
    @operation("list_teams", "List your teams", answers=Page[TeamDocument], query=SlugPage)
    def get(self, request: Request, query: SlugPage) -> Page[TeamDocument]:
        return page_of(request, query, self.access.teams().prefetch_related(_IN_FORCE), _teams, order=query.ordering)

    @operation("add_team", "Add a team", answers=TeamDocument, status=HTTPStatus.CREATED, body=NewTeam)
    def post(self, request: Request, body: NewTeam) -> Answer:
        self.allow(self.access.user.is_superuser, "Only a site administrator adds teams.")
        with transaction.atomic():
            refuse_taken(Team, body.slug)
            cap = _cap(body.monthly_cap)
            said: dict[str, Any] = {"name": body.name, "monthly_cap": cap, "second_person": body.second_person}
            save_team(slug=body.slug, **said, version=0, by=self.actor, at=self.now)
        row = Team.objects.prefetch_related(_IN_FORCE).get(slug=body.slug)
        return Answer(next(_teams([row])), headers={"Location": reverse("pilots:api:team", args=[row.slug])})


class OfATeam(ApiView):
    def team(self, slug: str, *, administered: bool = False) -> Team:
        """The team if the person belongs to it. Raises ``Http404``, ``NotAllowed``."""
        row = get_object_or_404(self.access.teams().prefetch_related(_IN_FORCE), slug=slug)
        if administered:
            self.allow(self.access.has_role(row, TeamRole.ADMIN), _ADMIN)
        return row


class OneTeam(OfATeam):
    @operation("read_team", "Read a team", answers=TeamDocument)
    def get(self, request: Request, slug: str) -> TeamDocument:
        return next(_teams([self.team(slug)]))

    @operation("change_team", "Change a team's name, monthly cap or policy", answers=TeamDocument, body=TeamChange)
    def patch(self, request: Request, slug: str, body: TeamChange) -> TeamDocument:
        row = self.team(slug)
        self.allow(self.access.user.is_superuser, "Only a site administrator changes a team's name, cap or policy.")
        self.versioned = row
        cap = _cap(body.monthly_cap)
        said: dict[str, Any] = {"name": body.name, "monthly_cap": cap, "second_person": body.second_person}
        save_team(slug=row.slug, **said, version=body.version, by=self.actor, at=self.now)
        return next(_teams([self.team(slug)]))


class Members(OfATeam):
    @operation("list_members", "List a team's members", answers=Page[MemberDocument], query=PageQuery)
    def get(self, request: Request, slug: str, query: PageQuery) -> Page[MemberDocument]:
        return page_of(request, query, self.team(slug).memberships.select_related("user"), _members)


class OneMember(OfATeam):
    @operation(
        "set_member", "Add somebody to a team, or change what they may do", answers=MemberDocument, body=MemberChange
    )
    def put(self, request: Request, slug: str, user: str, body: MemberChange) -> MemberDocument:
        team = self.team(slug, administered=True)
        # Accounts are made where people sign in; a typing error here must not make one.
        model = get_user_model()
        if not model._default_manager.filter(**{model.USERNAME_FIELD: user}).exists():
            raise Refused(f"there is no user {user}", field="user")
        return next(_members([set_member(team=team, username=user, **given(body), by=self.actor, at=self.now)[0]]))


class Agreement(OfATeam):
    @operation("read_data_agreement", "Read what a team agreed to share", answers=AgreementDocument)
    def get(self, request: Request, slug: str) -> AgreementDocument:
        for row in self.team(slug).in_force:  # type: ignore[attr-defined]
            return _agreement(row)
        raise Http404

    @operation(
        "agree_data",
        "Put a data agreement in force in place of the former",
        answers=AgreementDocument,
        body=AgreementEntry,
    )
    def put(self, request: Request, slug: str, body: AgreementEntry) -> AgreementDocument:
        team = self.team(slug, administered=True)
        return _agreement(agree_data(team=team, **given(body), by=self.actor, at=self.now)[0])

    @operation("end_data_agreement", "Revoke: nothing of the team may be sent anywhere", answers=None, status=204)
    def delete(self, request: Request, slug: str) -> None:
        end_data_agreement(team=self.team(slug, administered=True), by=self.actor, at=self.now)
