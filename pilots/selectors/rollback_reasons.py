"""Why teams went back, ranked. Public surface: ``rollback_reasons_report``, ``RollbackReasonsReport``, ``ReasonRow``,
``ReasonGroup``, ``Rollback``.

The unit is a period on the candidate that ended with a rollback; forced switches count as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet

from evaluations.statistics.proportions import rate
from evaluations.statistics.quantiles import quantile
from pilots.enums import Reason, SpellStatus
from pilots.models import Pilot
from pilots.selectors.documents import report_document
from pilots.selectors.filters import ReportFilters
from pilots.selectors.measured import traffic_unread
from pilots.selectors.observation import Attempt, ObservedSpell, observe
from pilots.selectors.retention import ReasonCount, rollback_reasons


@dataclass(frozen=True, slots=True)
class Rollback:
    """One period that ended with a rollback. Pilot, team, workload and models are slugs."""

    pilot: str
    team: str
    workload: str
    incumbent: str
    candidate: str
    switched_on: date
    rolled_back_on: date
    days: int  # between the two
    to_model: str | None  # None: not said
    forced: bool  # the switch
    verdict_at_cutover: str | None  # None: none was read


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason, over all rollbacks of the report."""

    code: Reason
    count: int
    share: float | None  # of the rollbacks; None: withheld, there are too few
    lower: float | None  # 95 % Wilson limits
    upper: float | None
    median_days: float | None  # from cutover to rollback
    rollbacks: tuple[Rollback, ...]  # latest first


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    key: str
    switched: int  # periods on a candidate
    rolled_back: int
    reasons: tuple[ReasonCount, ...]  # most frequent first


@dataclass(frozen=True, slots=True)
class RollbackReasonsReport:
    as_of: date
    known_at: datetime
    filters: ReportFilters
    headline: str
    switched: int  # periods on a candidate
    rolled_back: int
    withheld: bool  # shares, for fewer rollbacks than asked for
    reasons: tuple[ReasonRow, ...]  # most frequent first
    groups: tuple[ReasonGroup, ...]  # by key; empty unless grouped
    traffic_unread: int  # workloads whose newest traffic is not in these figures yet

    def to_document(self) -> dict[str, Any]:
        return report_document(self)


def rollback_reasons_report(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> RollbackReasonsReport:
    """Why those among ``pilots`` (default: all) that the filters leave went back. A constant number of queries."""
    everything = Pilot.objects.all() if pilots is None else pilots
    attempts = observe(everything, filters)
    went_back: dict[Reason, list[Rollback]] = defaultdict(list)
    for attempt in attempts:
        spell = attempt.spell
        if spell is not None and spell.status is SpellStatus.ROLLED_BACK and spell.end is not None:
            went_back[spell.reason or Reason.UNEXPLAINED].append(_rollback(attempt, spell, spell.end))
    total = sum(map(len, went_back.values()))
    withheld = total < filters.min_at_risk
    ranked = sorted(went_back.items(), key=lambda item: (-len(item[1]), item[0].value))
    rows = tuple(_row(reason, found, total, withheld) for reason, found in ranked)
    switched = _switched(attempts)
    return RollbackReasonsReport(
        as_of=filters.as_of,
        known_at=filters.known_at,
        filters=filters,
        headline=_headline(rows, total, switched),
        switched=switched,
        rolled_back=total,
        withheld=withheld,
        reasons=rows,
        groups=_groups(attempts, filters.by) if filters.by else (),
        traffic_unread=traffic_unread(everything, filters),
    )


def _rollback(attempt: Attempt, spell: ObservedSpell, ended_on: date) -> Rollback:
    return Rollback(
        pilot=attempt.pilot,
        team=attempt.team,
        workload=attempt.workload,
        incumbent=attempt.incumbent.slug,
        candidate=attempt.candidate.slug,
        switched_on=spell.start,
        rolled_back_on=ended_on,
        days=spell.days,
        to_model=spell.end_model or None,
        forced=spell.forced,
        verdict_at_cutover=spell.verdict_at_cutover,
    )


def _row(reason: Reason, found: Sequence[Rollback], total: int, withheld: bool) -> ReasonRow:
    share = None if withheld else rate(len(found), total)
    return ReasonRow(
        code=reason,
        count=len(found),
        share=None if share is None else share.estimate,
        lower=None if share is None else share.wilson_lower,
        upper=None if share is None else share.wilson_upper,
        median_days=quantile([row.days for row in found], 0, 0.5).estimate,
        rollbacks=tuple(sorted(found, key=lambda row: (row.rolled_back_on, row.pilot), reverse=True)),
    )


def _switched(attempts: Sequence[Attempt]) -> int:
    return sum(attempt.spell is not None for attempt in attempts)


def _groups(attempts: Sequence[Attempt], by: str) -> tuple[ReasonGroup, ...]:
    members: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        members[attempt.group(by)].append(attempt)
    groups = []
    for key, grouped in sorted(members.items()):
        reasons = rollback_reasons(grouped)
        groups.append(ReasonGroup(key, _switched(grouped), sum(reason.count for reason in reasons), reasons))
    return tuple(groups)


def _headline(rows: Sequence[ReasonRow], total: int, switched: int) -> str:
    if not switched:
        return "Nobody has switched yet."
    if not total:
        return f"None of {switched:,} period{'' if switched == 1 else 's'} on a candidate ended with a rollback."
    first = rows[0]
    most = [row for row in rows if row.count == first.count]
    if len(most) > 1:
        *others, last = (row.code.label for row in most)
        named = f"{', '.join(others)} and {last} come first, {first.count:,} each"
    else:
        named = f"{first.code.label} comes first, with {first.count:,}"
    return f"{total:,} of {switched:,} periods on a candidate ended with a rollback: {named}."
