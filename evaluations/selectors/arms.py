"""Both arms of a run in numbers.

Public surface: ``ArmSummary``, ``arm_summaries``, ``shown_arms``, ``figures_of``.

Counting goes over every answer and every call, so an ended run's figures are kept with its arms. They are out of date
once the run has moved again: it was resumed, or a worker came back that had lost its lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from evaluations.enums import STOPS_ARM, Outcome
from evaluations.models import Attempt, Completion, ReplayRun, RunArm
from evaluations.statistics.quantiles import quantile

COUNTED_UNASKED = 10_000  # answers: a tenth of a second

# Not the vendor's failures, and counted apart in the document.
_APART = {Outcome.OK, Outcome.MISSING, Outcome.NOT_PERMITTED}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds over answered calls; None: nothing measured."""

    p50: float | None
    p95: float | None

    def to_document(self) -> dict[str, float | None]:
        return {"p50": self.p50, "p95": self.p95}


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm of a run in numbers."""

    role: str
    endpoint: str | None
    model: str
    recorded: bool
    recorded_from: datetime | None  # first and last day of the recorded answers
    recorded_to: datetime | None
    succeeded: int
    failed: Mapping[str, int]
    missing: int
    not_permitted: int
    calls: int
    retries: int
    cost: Decimal | None  # settled; None: nothing is known
    currency: str
    unknown_calls: int
    tokens: Mapping[str, int | None]
    latency_ms: Percentiles
    ttft_ms: Percentiles | None
    changes: tuple[Mapping[str, Any], ...]  # parameters renamed, dropped, clamped or added, with how often

    def to_document(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "model": self.model,
            "recorded": self.recorded,
            "succeeded": self.succeeded,
            "failed": dict(self.failed),
            "missing": self.missing,
            "not_permitted": self.not_permitted,
            "calls": self.calls,
            "retries": self.retries,
            "cost": {
                "amount": None if self.cost is None else f"{self.cost:f}",
                "currency": self.currency,
                "unknown_calls": self.unknown_calls,
            },
            "tokens": dict(self.tokens),
            "latency_ms": self.latency_ms.to_document(),
            "ttft_ms": None if self.ttft_ms is None else self.ttft_ms.to_document(),
            "changes": [dict(change) for change in self.changes],
        }


_CHANGE = ("parameter", "action", "detail", "calls")
_DAYS = ("recorded_from", "recorded_to")
_TOKENS = {
    "input_uncached": "input_uncached_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "output_total": "output_total_tokens",
    "output_visible": "output_visible_tokens",
    "reasoning": "reasoning_tokens",
}


def _summary(arm: RunArm) -> ArmSummary:
    """From the figures that were kept, else counted over the arm's rows."""
    return _from_figures(arm) if _has_figures(arm) else _counted(arm)


def arm_summaries(run: ReplayRun) -> dict[str, ArmSummary]:
    return {str(arm.role): _summary(arm) for arm in run.arms.select_related("endpoint", "model", "run")}


def shown_arms(run: ReplayRun, *, asked: bool) -> dict[str, ArmSummary] | None:
    """Both arms for a page about the run; None where they would have to be counted over many rows and nobody asked.

    What an ended run came to is kept; a run that goes on is counted anew each time.
    """
    arms = list(run.arms.select_related("endpoint", "model", "run"))
    if asked or run.done <= COUNTED_UNASKED or all(_has_figures(arm) for arm in arms):
        return {str(arm.role): _summary(arm) for arm in arms}
    return None


def _has_figures(arm: RunArm) -> bool:
    """Whether the arm's figures were kept, and nothing of its run has moved since."""
    return arm.figures is not None and arm.figures["as_of"] == _as_of(arm.run)


def figures_of(arm: RunArm) -> dict[str, Any]:
    """What is kept of ``arm`` when its run ends. ``arm.run`` is read before the rows are counted."""
    as_of, summary = _as_of(arm.run), _counted(arm)
    days = {name: None if (day := getattr(summary, name)) is None else day.isoformat() for name in _DAYS}
    return {"as_of": as_of, **days, **summary.to_document()}


def _as_of(run: ReplayRun) -> dict[str, Any]:
    """Every commit that settles or withdraws a call, or stores an answer, changes one of these."""
    moved = run.progressed_at
    return {"calls": run.calls, "done": run.done, "progressed_at": None if moved is None else moved.isoformat()}


def _from_figures(arm: RunArm) -> ArmSummary:
    kept = arm.figures
    assert kept is not None
    cost, ttft = kept["cost"], kept["ttft_ms"]
    first, last = (None if kept[name] is None else datetime.fromisoformat(kept[name]) for name in _DAYS)
    return ArmSummary(
        role=str(arm.role),
        endpoint=None if arm.endpoint is None else arm.endpoint.slug,
        model=arm.model.slug,
        recorded=arm.recorded,
        recorded_from=first,
        recorded_to=last,
        succeeded=kept["succeeded"],
        failed=dict(sorted(kept["failed"].items())),
        missing=kept["missing"],
        not_permitted=kept["not_permitted"],
        calls=kept["calls"],
        retries=kept["retries"],
        cost=None if cost["amount"] is None else Decimal(cost["amount"]),
        currency=arm.run.currency,
        unknown_calls=cost["unknown_calls"],
        tokens={name: kept["tokens"][name] for name in _TOKENS},
        latency_ms=Percentiles(**kept["latency_ms"]),
        ttft_ms=None if ttft is None else Percentiles(**ttft),
        changes=tuple({name: change[name] for name in _CHANGE} for change in kept["changes"]),
    )


def _counted(arm: RunArm) -> ArmSummary:
    completions, attempts = Completion.objects.filter(arm=arm), Attempt.objects.filter(arm=arm)
    outcomes = dict(completions.values_list("outcome").annotate(n=Count("id")).order_by("outcome"))
    sums = completions.aggregate(**{name: Sum(column) for name, column in _TOKENS.items()})
    sent: dict[str, Any] = attempts.aggregate(
        calls=Count("id"),
        cost=Sum("cost_amount"),
        unknown=Count("id", filter=Q(cost_amount__isnull=True)),
        **{str(stop): Count("id", filter=Q(outcome=stop)) for stop in STOPS_ARM},
    )
    # An arm that was stopped has calls that answer no sample; they are failures of the vendor all the same.
    for stop in sorted(STOPS_ARM):
        if sent[stop]:
            outcomes[stop] = outcomes.get(stop, 0) + sent[stop]
    answered_samples = attempts.values("sample_id", "repeat").distinct().count()
    if arm.recorded:
        given = completions.exclude(outcome=Outcome.MISSING).aggregate(
            cost=Sum("cost_amount"),
            unknown=Count("id", filter=Q(cost_amount__isnull=True)),
            recorded_from=Min("sample__occurred_at"),
            recorded_to=Max("sample__occurred_at"),
        )
    else:
        given = {**sent, "recorded_from": None, "recorded_to": None}
    ok = completions.filter(outcome=Outcome.OK)
    return ArmSummary(
        role=str(arm.role),
        endpoint=None if arm.endpoint is None else arm.endpoint.slug,
        model=arm.model.slug,
        recorded=arm.recorded,
        recorded_from=given["recorded_from"],
        recorded_to=given["recorded_to"],
        succeeded=outcomes.get(Outcome.OK, 0),
        failed={str(outcome): n for outcome, n in sorted(outcomes.items()) if outcome not in _APART},
        missing=outcomes.get(Outcome.MISSING, 0),
        not_permitted=outcomes.get(Outcome.NOT_PERMITTED, 0),
        calls=sent["calls"],
        retries=sent["calls"] - answered_samples,
        cost=given["cost"],
        currency=arm.run.currency,
        unknown_calls=given["unknown"],
        tokens={name: None if sums[name] is None else int(sums[name]) for name in _TOKENS},
        latency_ms=_percentiles(ok, "latency_ms") or Percentiles(None, None),
        ttft_ms=_percentiles(ok, "ttft_ms"),
        changes=_changes(arm),
    )


def _percentiles(answers: QuerySet[Completion], column: str) -> Percentiles | None:
    """None: nothing measured. Eight bytes an answer, however many there are."""
    known = answers.filter(**{f"{column}__isnull": False}).values_list(column, flat=True)
    values = np.fromiter(known.iterator(chunk_size=1000), dtype=np.float64)
    if not len(values):
        return None
    return Percentiles(*(quantile(values, 0, q).estimate for q in (0.5, 0.95)))


def _changes(arm: RunArm) -> tuple[Mapping[str, Any], ...]:
    """Every kind of parameter change on this arm, with how many calls had it."""
    counted: dict[tuple[str, str, str], int] = {}
    rows = Attempt.objects.filter(arm=arm).exclude(changes=[]).values_list("changes").annotate(n=Count("id"))
    for changes, n in rows.order_by():
        for change in changes:
            key = (change["parameter"], change["action"], change["detail"])
            counted[key] = counted.get(key, 0) + n
    return tuple(dict(zip(_CHANGE, (*key, n), strict=True)) for key, n in sorted(counted.items()))
