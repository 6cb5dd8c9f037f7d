"""Replays that stopped before their end, or stand still. Public surface: ``stopped_runs``, ``stuck_runs``,
``STUCK_AFTER``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Max, QuerySet
from django.db.models.functions import Coalesce

from evaluations.enums import RunStatus
from evaluations.models import ReplayRun
from pilots.enums import MatterKind
from pilots.selectors.matters.base import Action, Matter, Scope, days

# A worker that lives moves a run every few seconds; a vendor's rate limit may hold it for minutes.
STUCK_AFTER = timedelta(hours=1)
_COLUMNS = (
    "pk",
    "status",
    "status_reason",
    "done",
    "total",
    "spent_amount",
    "currency",
    "moved_at",
    "plan_version__plan__pilot__slug",
    "plan_version__plan__workload__team__slug",
)


def stopped_runs(scope: Scope) -> Iterator[Matter]:
    """The newest run of a pilot's plan, where it stopped before its end."""
    newest = _runs(scope).values("plan_version__plan").annotate(newest=Max("id")).values("newest")
    stopped = ReplayRun.objects.filter(pk__in=newest, status__in=[RunStatus.STOPPED_BY_BUDGET, RunStatus.FAILED])
    for row in _rows(stopped.annotate(moved_at=Coalesce("finished_at", "progressed_at", "created_at"))):
        words = f"replay {RunStatus(row['status']).label} at {_share(row)}"
        rest = _rest(row)
        stake = "" if rest is None else f"about {rest:,.2f} {row['currency']} to finish it"
        yield _matter(MatterKind.STOPPED_RUN, row, words, stake, rest, scope, Action("Resume it or leave it", "run"))


def stuck_runs(scope: Scope) -> Iterator[Matter]:
    """Runs that are to go on and have not moved for ``STUCK_AFTER``."""
    going = _runs(scope).filter(status__in=[RunStatus.PENDING, RunStatus.RUNNING])
    still = going.annotate(moved_at=Coalesce("progressed_at", "started_at", "created_at"))
    for row in _rows(still.filter(moved_at__lt=scope.at - STUCK_AFTER)):
        hours = int((scope.at - row["moved_at"]) / timedelta(hours=1))
        length = days(hours // 24) if hours >= 48 else f"{hours} hour{'' if hours == 1 else 's'}"
        why = f" ({row['status_reason'].replace('_', ' ')})" if row["status_reason"] else ""
        words = f"replay has not moved for {length}, at {_share(row)}{why}"
        rest = _rest(row)
        stake = f"{row['total'] - row['done']:,} answers to come"
        yield _matter(MatterKind.STUCK_RUN, row, words, stake, rest, scope, Action("Look at the run", "run"))


def _runs(scope: Scope) -> QuerySet[ReplayRun]:
    return ReplayRun.objects.filter(plan_version__plan__pilot__in=scope.pilots, judges=None)


def _rows(runs: QuerySet[ReplayRun, Any]) -> list[dict[str, Any]]:
    return list(runs.order_by("pk").values(*_COLUMNS))


def _share(row: dict[str, Any]) -> str:
    return f"{round(100 * row['done'] / row['total']) if row['total'] else 0} %"


def _rest(row: dict[str, Any]) -> Decimal | None:
    """What the rest would cost at the rate so far; None: nothing was paid yet, or nothing came of it."""
    if not row["done"] or not row["spent_amount"]:
        return None
    return Decimal(row["spent_amount"] * (row["total"] - row["done"]) / row["done"])


def _matter(
    kind: MatterKind,
    row: dict[str, Any],
    words: str,
    stake: str,
    amount: Decimal | None,
    scope: Scope,
    action: Action,
) -> Matter:
    slug, moved_at = row["plan_version__plan__pilot__slug"], row["moved_at"]
    assert isinstance(moved_at, datetime)
    stopped_on = moved_at.astimezone(UTC).date()
    return Matter(
        kind=kind,
        key=f"{kind}:{row['pk']}",
        tone="bad",
        subject=slug,
        words=words,
        team=row["plan_version__plan__workload__team__slug"],
        pilot=slug,
        run=row["pk"],
        urgency=(scope.today - stopped_on).days,
        stake=stake,
        days=(scope.today - stopped_on).days,
        amount=amount,
        currency="" if amount is None else row["currency"],
        due_on=stopped_on,
        since=moved_at if kind is MatterKind.STOPPED_RUN else moved_at + STUCK_AFTER,
        size=1,
        action=Action(action.words, action.page, str(row["pk"])),
    )
