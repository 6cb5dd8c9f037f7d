"""Costs of runs that ended before they were kept with a run. Public surface: ``read_missing_costs``.

Done by the sweep and not by a migration: reading a run's evidence takes seconds, and needs what a migration has not.
"""

from __future__ import annotations

from typing import Any

from evaluations.enums import RunStatus
from evaluations.models import ReplayRun
from evaluations.selectors.breakeven import arm_prices
from evaluations.selectors.costs import read_costs
from evaluations.selectors.evidence import evidence_for

AT_ONCE = 5  # runs in one sweep


def read_missing_costs() -> int:
    """Keep what the evidence said at the end of each run, newest first; returns how many runs got theirs.

    Of a run after the look, what the look said: later evidence never changes it. Prices are those frozen with the run.
    """
    missing = ReplayRun.objects.exclude(decision="").filter(costs__isnull=True, finished_at__isnull=False)
    runs = list(missing.select_related("plan_version").order_by("-finished_at", "-pk")[:AT_ONCE])
    for run in runs:
        source = _the_look_before(run) or run
        costs = source.costs or _read(source)
        ReplayRun.objects.filter(pk__in=[run.pk, source.pk], costs__isnull=True).update(costs=costs)
    return len(runs)


def _read(run: ReplayRun) -> dict[str, Any]:
    version = run.plan_version
    evidence = evidence_for(version, at_end_of=run, judged_by=version)  # of the runs that had ended by then alone
    return read_costs(version.document, evidence, prices=arm_prices(run, at=run.created_at)).to_document()


def _the_look_before(run: ReplayRun) -> ReplayRun | None:
    if not run.after_the_look:
        return None
    enough = run.plan_version.document["minimum_samples"]
    looks = run.plan_version.runs.filter(
        status=RunStatus.FINISHED, after_the_look=False, evidence_samples__gte=enough, finished_at__lte=run.finished_at
    )
    return looks.select_related("plan_version").order_by("finished_at", "pk").first()
