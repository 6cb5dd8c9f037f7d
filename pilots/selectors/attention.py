"""What waits for somebody, ranked. Public surface: ``attention``, ``scope_of``, ``SOURCES``.

A new kind is a function of the scope in ``selectors/matters``, a word in ``MatterKind`` and an entry here.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django.db.models import QuerySet

from evaluations.models import Team, Workload
from pilots.models import Pilot
from pilots.selectors.matters.agreed import approvals, reviews
from pilots.selectors.matters.base import Matter, Scope, Source
from pilots.selectors.matters.drift import alarms
from pilots.selectors.matters.life import conflicts, follow_ups, reasons
from pilots.selectors.matters.outside import failed_webhooks, unmapped_traffic
from pilots.selectors.matters.prices import price_changes
from pilots.selectors.matters.retirements import retirements
from pilots.selectors.matters.runs import stopped_runs, stuck_runs

SOURCES: tuple[Source, ...] = (
    conflicts,
    alarms,
    stopped_runs,
    stuck_runs,
    approvals,
    reviews,
    reasons,
    follow_ups,
    price_changes,
    retirements,
    unmapped_traffic,
    failed_webhooks,
)
_RANK = {"bad": 0, "caution": 1, "unknown": 2}


def scope_of(
    pilots: QuerySet[Pilot], *, at: datetime, teams: QuerySet[Team] | None = None, unassigned: bool = False
) -> Scope:
    """Of these pilots, and of their teams where none are named."""
    if teams is None:
        concerned = Workload.objects.filter(pk__in=pilots.order_by().values("workload"))
        return Scope(pilots, Team.objects.filter(pk__in=concerned.values("team")), concerned, unassigned, at)
    return Scope(pilots, teams, Workload.objects.filter(team__in=teams), unassigned, at)


def attention(scope: Scope) -> tuple[Matter, ...]:
    """Everything in ``scope`` that waits: what is wrong first, then by the day on which it was or is due, then by the
    money, then by what is longest overdue. A constant number of queries."""
    found = [matter for source in SOURCES for matter in source(scope)]
    return tuple(sorted(found, key=_rank))


def _rank(matter: Matter) -> tuple[int, date, Decimal, int, str, str]:
    return (
        _RANK[matter.tone],
        matter.due_on or date.max,
        -(matter.amount or Decimal(0)),
        -matter.urgency,
        matter.subject,
        matter.key,
    )
