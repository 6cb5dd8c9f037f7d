"""Running totals of calls. Public surface: ``tally``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from evaluations.enums import Outcome
from evaluations.models import CallTally, Endpoint, ReplayRun
from evaluations.models.fields import trillionths
from evaluations.services.bulk import run_sql, table


def tally(
    *, run: ReplayRun, endpoint: Endpoint, settled: Iterable[tuple[Outcome, Decimal | None]], at: datetime
) -> None:
    """Count the attempts that this transaction settles, by outcome and cost; ``at`` decides their day."""
    totals: dict[Outcome, tuple[int, Decimal]] = {}
    for ended, amount in settled:
        calls, cost = totals.get(ended, (0, Decimal(0)))
        totals[ended] = calls + 1, cost + (amount or 0)
    day = at.astimezone(UTC).date().isoformat()
    # In one order for every worker: two that lock the same rows the other way round would wait for each other.
    for outcome, (calls, cost) in sorted(totals.items()):
        run_sql(_COUNT, (run.pk, endpoint.pk, day, str(outcome), calls, trillionths(cost)))


_COUNT = f"""
    INSERT INTO {table(CallTally)} AS kept (run_id, endpoint_id, day, outcome, calls, cost_amount)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (run_id, endpoint_id, day, outcome) DO UPDATE SET
        calls = kept.calls + excluded.calls, cost_amount = kept.cost_amount + excluded.cost_amount
"""  # noqa: S608 - the table's name is ours
