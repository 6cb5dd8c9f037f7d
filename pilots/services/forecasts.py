"""What changed prices mean for pilots that go on. Public surface: ``read_due_forecasts``, ``forecasts_of_model_due``,
``forecast_of_plan_due``.

Past runs keep what they cost. Of the newest run's answers it is read anew what they would cost today; where an agreed
cost criterion was met and no longer is, that is told once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import msgspec
from django.db import transaction
from django.db.models import F, Q, QuerySet

from evaluations.models import ModelVersion, ReplayRun
from evaluations.selectors.costs import CostLine, stored_costs
from evaluations.selectors.repricing import changed_since, lines_at, prices_of_arms
from pilots.enums import NoticeKind, PilotStatus
from pilots.models import CostForecast, Pilot
from pilots.selectors.matters.prices import DECIDED_ON, MET, criterion_words
from pilots.services.notices import tell_of_finding

OVER = (
    PilotStatus.DECLINED,
    PilotStatus.ABANDONED,
    PilotStatus.ROLLED_BACK,
    PilotStatus.SUPERSEDED,
    PilotStatus.ENDED,
)


def forecasts_of_model_due(model: ModelVersion) -> None:
    """A price of ``model`` is new or was corrected: read anew what pilots from or to it cost, where they go on."""
    concerned = Q(incumbent=model) | Q(candidate=model)
    _ask(list(_going_on().filter(concerned).values_list("pk", flat=True)))


def forecast_of_plan_due(plan_id: int) -> None:
    """A run of the plan has ended: its answers take the place of the last one's."""
    _ask(list(_going_on().filter(plan=plan_id).values_list("pk", flat=True)))


def _going_on() -> QuerySet[Pilot]:
    return Pilot.objects.filter(plan__isnull=False, closed_at=None).exclude(status__in=OVER)


def _ask(keys: list[int]) -> None:
    known = CostForecast.objects.filter(pilot__in=keys)
    known.update(asked=F("asked") + 1)
    there = set(known.values_list("pk", flat=True))
    CostForecast.objects.bulk_create(
        [CostForecast(pilot_id=pk) for pk in keys if pk not in there], ignore_conflicts=True
    )


def read_due_forecasts(*, now: datetime, stopping: Callable[[], bool] = lambda: False) -> int:
    """Read what is due, a pilot at a time; returns how many were read."""
    due = Q(asked__gt=F("answered")) | Q(next_on__lte=now.date())
    keys = list(CostForecast.objects.filter(due).order_by("pk").values_list("pk", flat=True))
    done = 0
    for pk in keys:
        if stopping():
            break
        done += _read(pk, now)
    return done


def _read(pk: int, now: datetime) -> bool:
    """Nothing is locked while the evidence is read; what comes in meanwhile is due again."""
    row = CostForecast.objects.select_related("pilot__workload__team", "pilot__incumbent", "pilot__candidate").get(
        pk=pk
    )
    pilot, today = row.pilot, now.date()
    runs = ReplayRun.objects.filter(plan_version__plan=pilot.plan_id).exclude(decision="").filter(costs__isnull=False)
    run = runs.select_related("plan_version").order_by("-finished_at", "-id").first()
    lines: tuple[CostLine, ...] | None = None
    broken: list[str] = []
    next_on: date | None = None
    if run is not None and pilot.closed_at is None and pilot.status not in OVER:
        prices = prices_of_arms(run)
        next_on = min(
            (one.effective_from for rows in prices.values() for one in rows if one.effective_from > today),
            default=None,
        )
        if changed := changed_since(run, prices, on=today):
            lines = lines_at(run, {role: prices[role] for role in changed}, on=today)
            broken = _no_longer_met(run, lines)
    with transaction.atomic():
        kept = CostForecast.objects.filter(pk=pk, asked=row.asked, answered=row.answered).update(
            answered=row.asked,
            next_on=next_on,
            read_at=now,
            run=run,
            lines=None if lines is None else msgspec.to_builtins(lines),
            no_longer_met=broken,
            broken_at=(row.broken_at or now) if broken else None,
        )
        fresh = [metric for metric in broken if metric not in row.no_longer_met]
        if not kept:
            return False
        if fresh and pilot.status in DECIDED_ON:
            _tell(pilot, [line for line in lines or () if line.metric in fresh], now)
    return True


def _no_longer_met(run: ReplayRun, lines: tuple[CostLine, ...]) -> list[str]:
    found = stored_costs(run)
    held = set() if found is None else {line.metric for line in found.lines if line.agreed and line.verdict in MET}
    return [line.metric for line in lines if line.metric in held and line.verdict not in MET]


def _tell(pilot: Pilot, lines: list[CostLine], now: datetime) -> None:
    for line in lines:
        tell_of_finding(
            NoticeKind.PRICE_CHANGED,
            pilot=pilot,
            key=f"{line.metric}:{now.isoformat()}",
            words=f"{pilot.slug}: {criterion_words(line)}",
            data={
                "criterion": line.metric,
                "ratio": line.ratio,
                "max_ratio": line.max_ratio,
                "verdict": str(line.verdict),
            },
            at=now,
        )
