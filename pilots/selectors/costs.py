"""What switching costs or saves, by pilot and pair, and the prices at which that tips. Public surface: ``costs``,
``CostsReport``, ``PilotCosts``, ``PairCosts``, ``Forecast``, ``SupposedPrice``.

Costs are those of replayed requests, as read at the end of the newest run. Prices that are supposed are held against
the tokens of the same answers; nothing of it is stored. What was saved since a cutover comes from observed traffic
(``selectors.savings``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import QuerySet

from evaluations.enums import ArmRole, Verdict
from evaluations.models import ReplayRun, RunArm
from evaluations.pricing import PriceRow
from evaluations.selectors.costs import CostFigures, CostLine, stored_costs
from evaluations.selectors.repricing import lines_at
from pilots.models import CostForecast, Pilot
from pilots.selectors.documents import report_document
from pilots.selectors.evidence_report import newest_runs
from pilots.selectors.filters import ReportFilters
from pilots.selectors.savings import Savings, savings

_MET = frozenset({Verdict.BETTER, Verdict.NON_INFERIOR})
# A price that is supposed is in force, whatever day it is to begin on.
ALWAYS = date.max


@dataclass(frozen=True, slots=True)
class SupposedPrice:
    """A price that is asked about."""

    model: str  # slug
    endpoint: str | None  # slug, of a contract price; None: of the model wherever it is called
    row: PriceRow


@dataclass(frozen=True, slots=True)
class PilotCosts:
    pilot: str  # slug, as all names here
    workload: str
    team: str
    incumbent: str
    candidate: str
    run: int  # whose reading it is
    read_at: datetime | None
    currency: str
    undisclosed: tuple[ArmRole, ...]  # arms without a disclosed price
    monthly_requests: int | None  # of the workload; None: unknown
    monthly_incumbent: Decimal | None  # what they cost by the replayed requests; None: unknown
    monthly_candidate: Decimal | None
    lines: tuple[CostLine, ...]  # per request, per success
    forecast: Forecast | None  # at the prices of today; None: they are those of the run, or the past was asked for
    what_if: tuple[CostLine, ...]  # the same at the prices that were supposed; empty: none was, or none is of its arms


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the newest run's answers cost at prices that have changed since. The run's own figures stay as they are."""

    read_at: datetime
    lines: tuple[CostLine, ...]
    monthly_incumbent: Decimal | None
    monthly_candidate: Decimal | None
    no_longer_met: tuple[str, ...]  # metrics of agreed criteria that were met at the prices of the run


@dataclass(frozen=True, slots=True)
class PairCosts:
    """All pilots from one model to another, in one currency. Sums are over those whose cost is known on both arms."""

    incumbent: str
    candidate: str
    currency: str
    pilots: tuple[str, ...]
    known: int  # pilots with a cost per request on both arms
    requests: int  # replayed, of those
    incumbent_per_request: Decimal | None
    candidate_per_request: Decimal | None
    ratio: float | None
    met: int  # pilots whose agreed cost criteria are all met
    not_met: int  # pilots with one that is worse
    monthly_incumbent: Decimal | None  # of those pilots whose monthly requests are known
    monthly_candidate: Decimal | None


@dataclass(frozen=True, slots=True)
class CostsReport:
    as_of: date
    known_at: datetime
    filters: ReportFilters
    supposed: tuple[dict[str, Any], ...]  # prices that were asked about
    pairs: tuple[PairCosts, ...]
    pilots: tuple[PilotCosts, ...]
    unread: int  # pilots with a plan of which nothing has been read yet
    savings: Savings  # realised, of the pilots that have ever been on their candidate

    def to_document(self) -> dict[str, Any]:
        return report_document(self)


def costs(
    filters: ReportFilters, pilots: QuerySet[Pilot] | None = None, *, what_if: Sequence[SupposedPrice] = ()
) -> CostsReport:
    """Costs of ``pilots`` (default: all) that the filters leave. A constant number of queries, but for ``what_if``:
    that reads the evidence of every pilot it touches anew.
    """
    runs = newest_runs(filters)
    shown = (
        filters.apply(Pilot.objects.all() if pilots is None else pilots)
        .filter(plan__isnull=False)
        .select_related("workload__team", "incumbent", "candidate")
    )
    forecasts = _forecasts(filters, [run.pk for run in runs.values()])
    rows, unread = [], 0
    for pilot in shown:
        run = runs.get(pilot.plan_id or 0)
        found = None if run is None else stored_costs(run)
        if run is None or found is None:
            unread += 1
        else:
            supposed = _supposed(run, what_if) if what_if else ()
            rows.append(_row(pilot, run, found, forecasts.get(pilot.pk), supposed))
    return CostsReport(
        as_of=filters.as_of,
        known_at=filters.known_at,
        filters=filters,
        supposed=tuple({"model": one.model, "endpoint": one.endpoint, **one.row.to_json()} for one in what_if),
        pairs=_pairs(rows),
        pilots=tuple(rows),
        unread=unread,
        savings=savings(filters, pilots),
    )


def _forecasts(filters: ReportFilters, runs: Iterable[int]) -> dict[int, CostForecast]:
    """By pilot's key; of the runs that are shown."""
    if not filters.present:
        return {}
    wanted = set(runs)
    rows = CostForecast.objects.filter(lines__isnull=False, run__isnull=False)
    return {row.pilot_id: row for row in rows if row.run_id in wanted}


def _forecast(row: CostForecast, run: ReplayRun, requests: int | None) -> Forecast | None:
    if row.run_id != run.pk or row.read_at is None:
        return None
    lines = msgspec.convert(row.lines, tuple[CostLine, ...])
    return Forecast(
        read_at=row.read_at,
        lines=lines,
        monthly_incumbent=_times(lines[0].incumbent, requests),
        monthly_candidate=_times(lines[0].candidate, requests),
        no_longer_met=tuple(row.no_longer_met),
    )


def _row(
    pilot: Pilot,
    run: ReplayRun,
    found: CostFigures,
    forecast: CostForecast | None,
    what_if: tuple[CostLine, ...],
) -> PilotCosts:
    requests = pilot.workload.monthly_requests
    per_request = found.lines[0]
    return PilotCosts(
        pilot=pilot.slug,
        workload=pilot.workload.slug,
        team=pilot.workload.team.slug,
        incumbent=pilot.incumbent.slug,
        candidate=pilot.candidate.slug,
        run=run.pk,
        read_at=run.finished_at,
        currency=found.currency,
        undisclosed=found.undisclosed,
        monthly_requests=requests,
        monthly_incumbent=_times(per_request.incumbent, requests),
        monthly_candidate=_times(per_request.candidate, requests),
        lines=found.lines,
        forecast=None if forecast is None else _forecast(forecast, run, requests),
        what_if=what_if,
    )


def _times(amount: Decimal | None, times: int | None) -> Decimal | None:
    return None if amount is None or times is None else (amount * times).quantize(Decimal("0.01"))


def _supposed(run: ReplayRun, what_if: Sequence[SupposedPrice]) -> tuple[CostLine, ...]:
    """The lines at the supposed prices; empty where they are of neither arm."""
    rows = {
        ArmRole(arm.role): _of_arm(arm, run.currency, what_if) for arm in run.arms.select_related("model", "endpoint")
    }
    given = {role: found for role, found in rows.items() if found}
    return lines_at(run, given, on=ALWAYS) if given else ()


def _of_arm(arm: RunArm, currency: str, what_if: Sequence[SupposedPrice]) -> list[PriceRow]:
    endpoint = None if arm.endpoint is None else arm.endpoint.slug
    return [
        one.row
        for one in what_if
        if one.model == arm.model.slug and one.endpoint in (None, endpoint) and one.row.currency == currency
    ]


def _pairs(rows: Iterable[PilotCosts]) -> tuple[PairCosts, ...]:
    pairs: Mapping[tuple[str, str, str], list[PilotCosts]] = defaultdict(list)
    for row in rows:
        pairs[row.incumbent, row.candidate, row.currency].append(row)
    return tuple(_pair(*key, members) for key, members in sorted(pairs.items()))


def _pair(incumbent: str, candidate: str, currency: str, members: Sequence[PilotCosts]) -> PairCosts:
    spent = [
        (line.n, line.incumbent, line.candidate)
        for line in (row.lines[0] for row in members)
        if line.n and line.incumbent is not None and line.candidate is not None
    ]
    requests = sum(n for n, _, _ in spent)
    before = sum((n * amount for n, amount, _ in spent), Decimal(0))
    after = sum((n * amount for n, _, amount in spent), Decimal(0))
    monthly = [
        (row.monthly_incumbent, row.monthly_candidate)
        for row in members
        if row.monthly_incumbent is not None and row.monthly_candidate is not None
    ]
    verdicts = [[line.verdict for line in row.lines if line.agreed] for row in members]
    return PairCosts(
        incumbent=incumbent,
        candidate=candidate,
        currency=currency,
        pilots=tuple(row.pilot for row in members),
        known=len(spent),
        requests=requests,
        incumbent_per_request=_each(before, requests),
        candidate_per_request=_each(after, requests),
        ratio=float(after / before) if before else None,
        met=sum(bool(found) and _MET.issuperset(found) for found in verdicts),
        not_met=sum(Verdict.WORSE in found for found in verdicts),
        monthly_incumbent=sum((amount for amount, _ in monthly), Decimal(0)) if monthly else None,
        monthly_candidate=sum((amount for _, amount in monthly), Decimal(0)) if monthly else None,
    )


def _each(total: Decimal, n: int) -> Decimal | None:
    return (total / n).quantize(Decimal("0.000000000001")).normalize() + 0 if n else None
