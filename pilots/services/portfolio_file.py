"""Create or update everything that a portfolio file names. Public surface: ``apply_portfolio``, ``ApplyReport``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from django.db import models, transaction
from msgspec import UNSET, UnsetType

from evaluations.models import Endpoint, ModelVersion, Plan, Team, Vendor, Workload
from evaluations.services.audit import Actor
from evaluations.services.catalogue import save_endpoint, save_model, save_price, save_vendor
from evaluations.services.errors import Refused
from evaluations.services.plan_document import PlanDefinition, definition_of
from evaluations.services.plans import save_plan
from evaluations.services.saving import Maybe
from evaluations.services.teams import (
    agree_data,
    end_data_agreement,
    ensure_user,
    save_team,
    save_workload,
    set_member,
)
from pilots.models import Pilot
from pilots.services.claims import save_claim
from pilots.services.lifecycle import change_pilot, open_pilot
from pilots.services.planning import freeze_pilot_plan
from pilots.services.portfolio_document import (
    ArmEntry,
    ClaimEntry,
    EndpointEntry,
    Entry,
    ModelEntry,
    PilotEntry,
    Portfolio,
    PriceEntry,
    TeamEntry,
    VendorEntry,
    WorkloadEntry,
    read_portfolio,
)
from pilots.services.schedules import end_schedule, save_schedule

M = TypeVar("M", bound=models.Model)
Flag = bool | None  # True: created, False: changed, None: unchanged


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """How many vendors, models, prices, endpoints, teams, workloads, pilots and claims were touched.

    A team counts with its members and agreement, a pilot with its plan and schedule.
    """

    created: int
    updated: int
    unchanged: int


def apply_portfolio(*, path: Path, by: Actor, at: datetime, dry_run: bool = False) -> ApplyReport:
    """Bring the database in line with the file: all of it or nothing, and applying again changes nothing.

    What the file does not name stays. Plans stay drafts until they are frozen; a changed plan that was frozen before
    is frozen again as its next version. ``dry_run`` counts and stores nothing. Raises ``Refused``, one line naming the
    file and the entry at fault.
    """
    try:
        portfolio = read_portfolio(path)
        with transaction.atomic():
            flags = _Application(by, at).of(portfolio)
            transaction.set_rollback(dry_run)
    except Refused as error:
        where = f"{path.name}: {error.field}" if error.field else path.name
        raise type(error)(f"{where}: {error.message}") from None
    return ApplyReport(created=flags.count(True), updated=flags.count(False), unchanged=flags.count(None))


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Refusals in here are about the entry at ``place``."""
    try:
        yield
    except Refused as error:
        where = ".".join(part for part in (place, error.field) if part)
        raise type(error)(error.message, field=where) from None


def _together(flags: list[Flag]) -> Flag:
    """One entry of several parts: new if its first part is, changed if any part was touched."""
    if flags[0]:
        return True
    return None if all(flag is None for flag in flags) else False


def _given(entry: Entry, *but: str) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__ if name not in but}


@dataclass
class _Application:
    """One run over a file, parts before what refers to them."""

    by: Actor
    at: datetime
    _found: dict[tuple[type[models.Model], str], models.Model] = field(default_factory=dict)

    def of(self, portfolio: Portfolio) -> list[Flag]:
        steps: list[tuple[str, Callable[[Any], Flag]]] = [
            ("vendors", self._vendor),
            ("models", self._model),
            ("endpoints", self._endpoint),
            ("prices", self._price),
            ("teams", self._team),
            ("workloads", self._workload),
            ("pilots", self._pilot),
            ("claims", self._claim),
        ]
        flags = []
        for name, step in steps:
            for index, entry in enumerate(getattr(portfolio, name)):
                with _at(f"{name}[{index}]"):
                    flags.append(step(entry))
        return flags

    def _named(self, model: type[M], slug: str, at: str) -> M:
        """The row called ``slug``, from this file or from before."""
        row = self._found.get((model, slug)) or model._default_manager.filter(slug=slug).first()
        if row is None:
            raise Refused(f"unknown {_NAMES[model]} {slug}", field=at)
        self._found[model, slug] = row
        return row  # type: ignore[return-value]

    def _vendor(self, entry: VendorEntry) -> Flag:
        return save_vendor(**_given(entry), by=self.by, at=self.at)[1]

    def _model(self, entry: ModelEntry) -> Flag:
        vendor = self._named(Vendor, entry.vendor, "vendor")
        return save_model(vendor=vendor, **_given(entry, "vendor"), by=self.by, at=self.at)[1]

    def _endpoint(self, entry: EndpointEntry) -> Flag:
        model = self._named(ModelVersion, entry.model, "model")
        return save_endpoint(model=model, **_given(entry, "model"), by=self.by, at=self.at)[1]

    def _price(self, entry: PriceEntry) -> Flag:
        return save_price(
            model=self._named(ModelVersion, entry.model, "model"),
            endpoint=None if entry.endpoint is None else self._named(Endpoint, entry.endpoint, "endpoint"),
            **_given(entry, "model", "endpoint"),
            by=self.by,
            at=self.at,
        )[1]

    def _team(self, entry: TeamEntry) -> Flag:
        cap = entry.monthly_cap
        team, flag = save_team(
            slug=entry.slug,
            name=entry.name,
            monthly_cap=(cap.amount, cap.currency) if isinstance(cap, msgspec.Struct) else cap,
            second_person=entry.second_person,
            by=self.by,
            at=self.at,
        )
        flags = [flag]
        for index, member in enumerate(entry.members):
            with _at(f"members[{index}]"):
                flags.append(
                    set_member(team=team, username=member.user, **_given(member, "user"), by=self.by, at=self.at)[1]
                )
        with _at("data_agreement"):
            if entry.data_agreement is None:
                flags.append(end_data_agreement(team=team, by=self.by, at=self.at)[1])
            elif entry.data_agreement is not UNSET:
                flags.append(agree_data(team=team, **_given(entry.data_agreement), by=self.by, at=self.at)[1])
        return _together(flags)

    def _workload(self, entry: WorkloadEntry) -> Flag:
        runs_on = entry.runs_on
        return save_workload(
            team=self._named(Team, entry.team, "team"),
            runs_on=self._named(ModelVersion, runs_on, "runs_on") if isinstance(runs_on, str) else runs_on,
            **_given(entry, "team", "runs_on"),
            by=self.by,
            at=self.at,
        )[1]

    def _pilot(self, entry: PilotEntry) -> Flag:
        workload = self._named(Workload, entry.workload, "workload")
        pilot = Pilot.objects.filter(slug=entry.slug).select_related("plan", "owner", "deputy").first()
        arms = {role: self._arm(getattr(entry, role), role) for role in ("incumbent", "candidate")}
        if pilot is not None:
            _check_same_switch(pilot, workload, arms)
        plan, flag = self._plan(entry, workload, arms)
        pilot, opened = self._opened(entry, workload, arms, plan, pilot)
        flags = [opened, flag]
        if flag is False and plan.versions.exists():
            freeze_pilot_plan(pilot=pilot, by=self.by, at=self.at)
        with _at("schedule"):
            if entry.schedule is None:
                flags.append(end_schedule(pilot=pilot, by=self.by, at=self.at))
            elif entry.schedule is not UNSET:
                flags.append(save_schedule(pilot=pilot, **_given(entry.schedule), by=self.by, at=self.at)[1])
        return _together(flags)

    def _arm(self, entry: ArmEntry, role: str) -> tuple[ModelVersion, Endpoint | None]:
        with _at(role):
            if entry.endpoint is not None:
                if entry.recorded or entry.model is not None:
                    raise Refused("names an endpoint, or a model with recorded: true, not both")
                endpoint = self._named(Endpoint, entry.endpoint, "endpoint")
                return endpoint.model, endpoint
            if entry.model is None or not entry.recorded:
                raise Refused("names an endpoint, or a model with recorded: true")
            return self._named(ModelVersion, entry.model, "model"), None

    def _plan(
        self, entry: PilotEntry, workload: Workload, arms: dict[str, tuple[ModelVersion, Endpoint | None]]
    ) -> tuple[Plan, Flag]:
        definition = entry.plan
        if isinstance(definition, UnsetType):
            stored = Plan.objects.filter(slug=entry.slug).first()
            definition = PlanDefinition() if stored is None else definition_of(stored)
        return save_plan(
            slug=entry.slug,
            workload=workload,
            incumbent_model=arms["incumbent"][0],
            incumbent_endpoint=arms["incumbent"][1],
            incumbent_request=entry.incumbent.request,
            candidate_model=arms["candidate"][0],
            candidate_endpoint=arms["candidate"][1],
            candidate_request=entry.candidate.request,
            definition=definition,
            by=self.by,
            at=self.at,
        )

    def _opened(
        self,
        entry: PilotEntry,
        workload: Workload,
        arms: dict[str, tuple[ModelVersion, Endpoint | None]],
        plan: Plan,
        pilot: Pilot | None,
    ) -> tuple[Pilot, Flag]:
        owner = self._person(entry.owner, None if pilot is None else pilot.owner)
        deputy = self._person(entry.deputy, None if pilot is None else pilot.deputy)
        motive = entry.motive
        if isinstance(motive, UnsetType):
            motive = (pilot.motive or None) if pilot is not None else None
        if pilot is None:
            pilot = open_pilot(
                slug=entry.slug,
                workload=workload,
                incumbent=arms["incumbent"][0],
                candidate=arms["candidate"][0],
                plan=plan,
                owner=owner,
                deputy=deputy,
                motive=motive,
                by=self.by,
                at=self.at,
            )
            return pilot, True
        changed = change_pilot(
            pilot=pilot, owner=owner, deputy=deputy, motive=motive, plan=plan, by=self.by, at=self.at
        )
        return pilot, False if changed else None

    def _person(self, name: Maybe[str | None], stored: Any) -> Any:
        if isinstance(name, UnsetType):
            return stored
        return None if name is None else ensure_user(username=name, by=self.by, at=self.at)[0]

    def _claim(self, entry: ClaimEntry) -> Flag:
        model = self._named(ModelVersion, entry.model, "model")
        return save_claim(model=model, **_given(entry, "model"), by=self.by, at=self.at)[1]


def _check_same_switch(pilot: Pilot, workload: Workload, arms: dict[str, tuple[ModelVersion, Endpoint | None]]) -> None:
    """A pilot is one workload's move from one model to one other; another move is another pilot."""
    now: dict[str, Any] = {"workload": workload, "incumbent": arms["incumbent"][0], "candidate": arms["candidate"][0]}
    for name, row in now.items():
        stored = getattr(pilot, name)
        if stored.pk != row.pk:
            raise Refused(f"the pilot's {name} is {stored.slug}; for {row.slug} open another pilot", field=name)


_NAMES: dict[type[models.Model], str] = {
    Vendor: "vendor",
    ModelVersion: "model",
    Endpoint: "endpoint",
    Team: "team",
    Workload: "workload",
}
