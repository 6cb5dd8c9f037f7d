"""The portfolio: every pilot with where it stands. Public surface: ``portfolio``, ``Portfolio``, ``PilotRow``,
``scope_for``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet

from pilots.enums import PilotStatus, SpellStatus
from pilots.models import Pilot
from pilots.selectors.access import PilotAccess
from pilots.selectors.attention import attention, scope_of
from pilots.selectors.documents import plain
from pilots.selectors.filters import ReportFilters
from pilots.selectors.matters.base import Matter, Scope
from pilots.selectors.measured import traffic_unread
from pilots.selectors.observation import Told, observed_spells, tell
from pilots.selectors.remembered import remembered


@dataclass(frozen=True, slots=True)
class PilotRow:
    """One pilot as of the day of the report. Pilot, team, workload, models and vendors are slugs."""

    pilot: str
    team: str
    workload: str
    task_type: str
    incumbent: str
    incumbent_vendor: str
    candidate: str
    candidate_vendor: str
    owner: str  # user name; '': nobody
    deputy: str
    motive: str | None  # None: not declared
    status: PilotStatus
    status_at: datetime
    age_days: int  # in this status; difference of UTC dates
    opened_on: date
    closed: bool
    traffic_share: Decimal | None  # on the candidate; None: never said
    verdict: str | None  # of the newest decision; None: none, or none was read
    spells: int  # times on the candidate
    switched_on: date | None  # of the newest spell, as the following; None: no spell
    ended_on: date | None
    last_confirmed: date | None
    spell_status: SpellStatus | None
    forced: bool | None


@dataclass(frozen=True, slots=True)
class Portfolio:
    as_of: date
    known_at: datetime
    filters: ReportFilters
    counts: dict[str, int]  # pilots by status, in the order of a pilot's life; those that occur
    pilots: tuple[PilotRow, ...]
    attention: tuple[Matter, ...]  # most urgent first; empty for a past state, and where nobody asked
    traffic_unread: int  # workloads whose newest traffic is not in these figures yet

    def to_document(self) -> dict[str, Any]:
        return {**plain(self), "filters": self.filters.to_document()}


def portfolio(
    filters: ReportFilters,
    pilots: QuerySet[Pilot] | None = None,
    *,
    access: PilotAccess | None = None,
    what_waits: bool = True,
) -> Portfolio:
    """The pilots among ``pilots`` (default: all) that ``filters`` leave, by slug. A constant number of queries.

    With ``access``, also what waits in the person's teams and is of no pilot. Without ``what_waits``, nothing that
    waits is looked for: in a large portfolio that takes as long as the rest.
    """
    everything = Pilot.objects.all() if pilots is None else pilots
    rows = remembered("portfolio", everything, filters, lambda: _rows(everything, filters))
    numbers = Counter(row.status for row in rows)
    return Portfolio(
        as_of=filters.as_of,
        known_at=filters.known_at,
        filters=filters,
        counts={status.value: numbers[status] for status in PilotStatus if numbers[status]},
        pilots=rows,
        attention=attention(scope_for(filters, everything, access)) if what_waits and filters.present else (),
        traffic_unread=traffic_unread(everything, filters),
    )


def _rows(pilots: QuerySet[Pilot], filters: ReportFilters) -> tuple[PilotRow, ...]:
    rows = (_row(told, filters.as_of) for told in tell(pilots, filters))
    return tuple(sorted(rows, key=attrgetter("pilot")))


def scope_for(filters: ReportFilters, pilots: QuerySet[Pilot], access: PilotAccess | None) -> Scope:
    """What the attention list is about, for ``access`` or, without it, for whoever may see the pilots."""
    chosen = filters.apply(pilots)
    if access is None:
        return scope_of(chosen, at=filters.known_at)
    teams = access.teams().filter(slug__in=filters.team) if filters.team else access.teams()
    return scope_of(chosen, at=filters.known_at, teams=teams, unassigned=access.may_open_any())


def _row(told: Told, as_of: date) -> PilotRow:
    timeline = told.timeline
    spells = observed_spells(told, as_of)
    spell = spells[-1] if spells else None
    return PilotRow(
        pilot=told.slug,
        team=told.team,
        workload=told.workload,
        task_type=told.task_type,
        incumbent=told.switch.incumbent.slug,
        incumbent_vendor=told.switch.incumbent.vendor,
        candidate=told.switch.candidate.slug,
        candidate_vendor=told.switch.candidate.vendor,
        owner=told.owner,
        deputy=told.deputy,
        motive=told.motive.value if told.motive else None,
        status=timeline.status,
        status_at=told.status_at,
        age_days=(as_of - told.status_at.astimezone(UTC).date()).days,
        opened_on=told.opened_at.astimezone(UTC).date(),
        closed=timeline.closed_at is not None,
        traffic_share=timeline.traffic_share,
        verdict=timeline.decision or None,
        spells=len(spells),
        switched_on=spell.start if spell else None,
        ended_on=spell.end if spell else None,
        last_confirmed=spell.last_confirmed if spell else None,
        spell_status=spell.status if spell else None,
        forced=spell.forced if spell else None,
    )
