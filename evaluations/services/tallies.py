"""Running totals of calls. Public surface: ``tally``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import F

from evaluations.enums import Outcome
from evaluations.models import CallTally, Endpoint, ReplayRun
from evaluations.models.fields import exact


def tally(
    *, run: ReplayRun, endpoint: Endpoint, settled: Iterable[tuple[Outcome, Decimal | None]], at: datetime
) -> None:
    """Count the attempts that this transaction settles, by outcome and cost; ``at`` decides their day."""
    totals: dict[str, tuple[int, Decimal]] = {}
    for ended, amount in settled:
        calls, cost = totals.get(ended, (0, Decimal(0)))
        totals[ended] = calls + 1, cost + (amount or 0)
    # In one order for every worker: two that lock the same rows the other way round would wait for each other.
    for outcome in sorted(totals):
        calls, cost = totals[outcome]
        key: dict[str, Any] = {
            "run": run,
            "endpoint": endpoint,
            "day": at.astimezone(UTC).date(),
            "outcome": outcome,
        }
        rows = CallTally.objects.filter(**key)
        if not rows.update(calls=F("calls") + calls, cost_amount=F("cost_amount") + exact(cost)):
            CallTally.objects.bulk_create([CallTally(**key)], ignore_conflicts=True)
            rows.update(calls=F("calls") + calls, cost_amount=F("cost_amount") + exact(cost))
