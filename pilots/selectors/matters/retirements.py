"""Models that end while workloads have to move off them. Public surface: ``retirements``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode

from evaluations.models import ModelVersion
from pilots.conf import setting
from pilots.enums import MatterKind
from pilots.formats import day
from pilots.selectors.end_of_life import Standing, standings
from pilots.selectors.matters.base import Action, Matter, Scope, days, midnight


def retirements(scope: Scope) -> Iterator[Matter]:
    """From the first warning on, and for as long as something is still on record with a model that has ended."""
    first = max(setting("RETIREMENT_WARN_DAYS"))
    near = ModelVersion.objects.filter(retires_on__lte=scope.today + timedelta(days=first))
    for standing in standings(scope.workloads, today=scope.today, models=near, judges=False):
        depending = standing.depending
        if depending:
            yield _matter(standing, len(depending), scope, midnight(standing.retires_on - timedelta(days=first)))


def _matter(standing: Standing, n: int, scope: Scope, since: datetime) -> Matter:
    last, left = standing.last_start, standing.days_left
    assert last is not None
    are = "1 workload is" if n == 1 else f"{n:,} workloads are"
    if standing.ended:
        words, stake = f"ended {days(-left)} ago: {are} still on record with it", f"{days(-left)} past its end"
    else:
        began = sum(line.trial is not None for line in standing.depending)
        words = f"ends in {days(left)}: {are} still on it, {began:,} with a pilot"
        start = f"last safe start {day(last)}" if last >= scope.today else f"the last safe start was {day(last)}"
        stake = f"{days(left)} left, {start}"
    late = max((scope.today - last).days, 0)
    return Matter(
        kind=MatterKind.RETIREMENT,
        key=f"retirement:{standing.model}:{standing.retires_on}",
        tone="bad" if late else "caution",
        subject=standing.model,
        words=words,
        team="",
        pilot="",
        run=None,
        urgency=late,
        stake=stake,
        days=max(left, 0),
        amount=None,
        currency="",
        due_on=last,
        since=since,
        size=n,
        action=Action(
            "See what is on it" if standing.ended else "Capture and open pilots",
            "end-of-life",
            query=urlencode({"model": standing.model}),
        ),
    )
