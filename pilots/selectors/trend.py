"""How a plan version's reading moved, run by run. Public surface: ``trend_of``, ``Trend``, ``TrendNight``,
``NIGHTS_SHOWN``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from evaluations.enums import RunStatus, Verdict
from evaluations.models import ComparisonRow, ReplayRun
from evaluations.selectors.sentences import REASONS, label_of

NIGHTS_SHOWN = 60
_NIGHTS = (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET)


@dataclass(frozen=True, slots=True)
class TrendNight:
    """What one criterion said when a run had ended: of all evidence of its period until then."""

    run: int
    at: datetime
    period: int
    n: int  # samples so far
    fresh: int | None  # samples that the run added; 0: the same ones again; None: not known
    estimate: float | None
    lower: float | None
    upper: float | None
    is_ratio: bool
    verdict: Verdict
    reason: str  # ''


@dataclass(frozen=True, slots=True)
class Trend:
    """One criterion over the nights, oldest first."""

    metric: str
    label: str
    is_ratio: bool
    reference: float  # where both models are equal
    bound: float | None  # the agreed limit
    higher_is_worse: bool
    nights: tuple[TrendNight, ...]
    earlier: int  # nights that are not shown


def trend_of(run: int) -> tuple[Trend, ...]:
    """Of the plan version of the run with that key, up to its newest ``NIGHTS_SHOWN`` nights; nothing under two.

    Three queries, and a few numbers a night, whatever the number of samples. A criterion that was never computable is
    left out.
    """
    runs = ReplayRun.objects.filter(plan_version__runs=run, status__in=_NIGHTS, done__gt=0).exclude(decision="")
    total = runs.count()
    newest = runs.order_by("-finished_at", "-pk")[: NIGHTS_SHOWN + 1]
    nights = list(newest.values_list("pk", "finished_at", "period", "evidence_samples"))[::-1]
    fresh: dict[int, int | None] = {}
    seen: dict[int, int] = {}
    for place, (pk, _, period, n) in enumerate(nights):
        first = place == 0 and total > len(nights)
        fresh[pk] = None if n is None or first else max(n - seen.get(period, 0), 0)
        seen[period] = max(seen.get(period, 0), n or 0)
    shown = nights[-NIGHTS_SHOWN:]
    if len(shown) < 2:
        return ()
    when = {pk: (at, period) for pk, at, period, _ in shown if at is not None}
    found: dict[str, list[TrendNight]] = defaultdict(list)
    agreed: dict[str, tuple[bool, float | None, float | None]] = {}
    names = ("scale", "n", "difference", "ratio", "lower", "upper", "margin", "max_ratio", "reason")
    rows = ComparisonRow.objects.filter(run__in=when).order_by("run__finished_at", "run", "position")
    for pk, metric, verdict, *told in rows.values_list(
        "run_id", "metric", "verdict", *(f"document__{n}" for n in names)
    ):
        scale, n, difference, ratio, lower, upper, margin, max_ratio, reason = told
        is_ratio = scale == "ratio"
        agreed[metric] = (is_ratio, margin, max_ratio)
        at, period = when[pk]
        found[metric].append(
            TrendNight(
                run=pk,
                at=at,
                period=period,
                n=n,
                fresh=fresh[pk],
                estimate=ratio if is_ratio else difference,
                lower=lower,
                upper=upper,
                is_ratio=is_ratio,
                verdict=Verdict(verdict),
                reason=REASONS.get(reason, reason) if reason else "",
            )
        )
    return tuple(
        _trend(metric, nights_of, *agreed[metric], earlier=total - len(shown))
        for metric, nights_of in found.items()
        if any(night.estimate is not None for night in nights_of)
    )


def _trend(
    metric: str,
    nights: list[TrendNight],
    is_ratio: bool,
    margin: float | None,
    max_ratio: float | None,
    *,
    earlier: int,
) -> Trend:
    higher_is_worse = is_ratio or metric == "failure_rate"
    bound = max_ratio if is_ratio else None if margin is None else margin if higher_is_worse else -margin
    return Trend(
        metric=metric,
        label=label_of(metric),
        is_ratio=is_ratio,
        reference=1.0 if is_ratio else 0.0,
        bound=bound,
        higher_is_worse=higher_is_worse,
        nights=tuple(nights),
        earlier=earlier,
    )
