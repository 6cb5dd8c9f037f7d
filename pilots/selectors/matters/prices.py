"""Decisions that today's prices no longer bear out. Public surface: ``price_changes``, ``criterion_words``, ``MET``,
``DECIDED_ON``."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from evaluations.enums import Verdict
from evaluations.selectors.costs import CostLine
from pilots.enums import MatterKind, PilotStatus
from pilots.models import CostForecast
from pilots.selectors.matters.base import Action, Matter, Scope

MET = frozenset({Verdict.BETTER, Verdict.NON_INFERIOR})
DECIDED_ON = (PilotStatus.DECIDED, PilotStatus.RAMPING, PilotStatus.SWITCHED, PilotStatus.ALONGSIDE)
_UNITS = {"cost_per_request": "a request", "cost_per_success": "a solved task"}


def price_changes(scope: Scope) -> Iterator[Matter]:
    """Decided or switched, and a cost criterion that was met is not at the prices of today."""
    rows = CostForecast.objects.filter(
        pilot__in=scope.pilots, pilot__status__in=DECIDED_ON, broken_at__isnull=False, lines__isnull=False
    ).select_related("run")
    columns = ("pilot__slug", "pilot__workload__team__slug", "pilot__workload__monthly_requests", "run__currency")
    for slug, team, monthly, currency, lines, broken, since in rows.values_list(
        *columns, "lines", "no_longer_met", "broken_at"
    ):
        given = msgspec.convert(lines, tuple[CostLine, ...])
        worst = max((line for line in given if line.metric in broken), key=lambda line: line.ratio or 0.0)
        over = _over(given[0].candidate, monthly, worst)
        yield Matter(
            kind=MatterKind.PRICE,
            key=f"price:{slug}:{worst.metric}",
            tone="caution",
            subject=slug,
            words=criterion_words(worst),
            team=team,
            pilot=slug,
            run=None,
            urgency=0,
            stake="" if over is None else f"about {over:,.2f} {currency} a month over what was agreed",
            days=None,
            amount=over,
            currency="" if over is None else currency,
            due_on=None,
            since=since,
            size=0 if over is None else int(over),
            action=Action("See the costs", "costs", query=f"pilot={slug}"),
        )


def criterion_words(line: CostLine) -> str:
    """The sentence for people, without its full stop."""
    unit = _UNITS[line.metric]
    if line.ratio is None:
        return f"what {unit} costs is unknown at today's prices: the agreed limit of {line.max_ratio:g} cannot be shown"
    limits = "" if line.lower is None or line.upper is None else f" ({line.lower:.2f} to {line.upper:.2f})"
    return (
        f"at today's prices {unit} costs {line.ratio:.2f} times the incumbent's{limits}: the agreed limit of"
        f" {line.max_ratio:g} is no longer shown to be met"
    )


def _over(per_request: Decimal | None, monthly: int | None, line: CostLine) -> Decimal | None:
    """Money a month above the agreed limit; None: not known, or the estimate is within it."""
    if per_request is None or monthly is None or line.ratio is None or line.ratio <= line.max_ratio:
        return None
    share = 1 - Decimal(line.max_ratio) / Decimal(line.ratio)
    return (per_request * monthly * share).quantize(Decimal("0.01"))
