"""Which models have moved since a plan's first nights. Public surface: ``drift``, ``DriftReport``, ``PilotDrift``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet

from evaluations.selectors.drift import BASELINE_NIGHTS, SIGNAL_AT, Series, State, night_series
from pilots.models import Pilot
from pilots.selectors.alarms import Alarm, alarms_by_version
from pilots.selectors.documents import report_document
from pilots.selectors.evidence_report import newest_runs
from pilots.selectors.filters import ReportFilters


@dataclass(frozen=True, slots=True)
class PilotDrift:
    """The nights of the plan version that was read last. Names are slugs."""

    pilot: str
    workload: str
    team: str
    incumbent: str
    candidate: str
    plan_version: int
    currency: str  # of its costs
    period: int  # of the plan version; each alarm ended one before it
    nights: int
    state: State  # drifted if any series is
    series: tuple[Series, ...]  # by metric: incumbent, candidate, difference
    alarms: tuple[Alarm, ...]  # of the plan version, oldest first; each ended a period


@dataclass(frozen=True, slots=True)
class DriftReport:
    as_of: date
    known_at: datetime
    filters: ReportFilters
    baseline_nights: int
    signal_at: float  # of the sums, in standard deviations of the baseline
    headline: str
    pilots: tuple[PilotDrift, ...]  # those that have moved first

    def to_document(self) -> dict[str, Any]:
        return report_document(self)


_ORDER = (State.DRIFTED, State.STEADY, State.NO_SPREAD, State.BASELINE)


def drift(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> DriftReport:
    """Drift over the nights of ``pilots`` (default: all) that the filters leave. A constant number of queries."""
    shown = (
        filters.apply(Pilot.objects.all() if pilots is None else pilots)
        .filter(plan__isnull=False)
        .select_related("workload__team", "incumbent", "candidate")
    )
    runs = newest_runs(filters)
    read = [(pilot, runs[pilot.plan_id]) for pilot in shown if pilot.plan_id in runs]
    until = min(filters.until, filters.known_at)
    series = night_series([run.plan_version for _, run in read], until=until)
    alarms = alarms_by_version({run.plan_version_id for _, run in read}, until=until)
    rows = [
        PilotDrift(
            pilot=pilot.slug,
            workload=pilot.workload.slug,
            team=pilot.workload.team.slug,
            incumbent=pilot.incumbent.slug,
            candidate=pilot.candidate.slug,
            plan_version=run.plan_version.number,
            currency=run.currency,
            period=found.period,
            nights=max(len(one.nights) for one in found.series),
            state=_state(found.series),
            series=tuple(one for one in found.series if one.nights),
            alarms=alarms.get(run.plan_version_id, ()),
        )
        for pilot, run in read
        if (found := series.get(run.plan_version_id))
    ]
    rows.sort(key=lambda row: (_ORDER.index(row.state), row.pilot))
    return DriftReport(
        as_of=filters.as_of,
        known_at=filters.known_at,
        filters=filters,
        baseline_nights=BASELINE_NIGHTS,
        signal_at=SIGNAL_AT,
        headline=_headline(rows),
        pilots=tuple(rows),
    )


def _state(series: Sequence[Series]) -> State:
    return min((one.state for one in series), key=_ORDER.index)


def _headline(rows: Sequence[PilotDrift]) -> str:
    if not rows:
        return "No replay has been read yet."
    moved = [row.pilot for row in rows if row.state is State.DRIFTED]
    ready = [row for row in rows if row.state is not State.BASELINE]
    if not ready:
        return f"No pilot has had the {BASELINE_NIGHTS} nights of a baseline and one more yet."
    if not moved:
        return f"Nothing has moved since its first {BASELINE_NIGHTS} nights, in {len(ready):,} of {len(rows):,} pilots."
    return f"{len(moved):,} of {len(ready):,} pilots with a baseline have moved: {', '.join(moved[:5])}."
