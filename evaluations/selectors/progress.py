"""Where a run stands. Public surface: ``RunProgress``, ``run_progress``, ``run_document``, ``ArmSummary``.

Progress is cheap whatever the run's size: counters on its own row, and a few rows of running totals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Min, Sum

from evaluations.enums import STOPS_ARM, Outcome, RunStatus
from evaluations.models import Attempt, CallTally, Completion, ReplayRun, RunArm
from evaluations.selectors.comparisons import stored_comparisons
from evaluations.statistics.quantiles import quantile

# Not the vendor's failures, and counted apart in the document.
_APART = {Outcome.OK, Outcome.MISSING, Outcome.NOT_PERMITTED}


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What a person watching a run wants to know now."""

    run_id: int
    status: RunStatus
    status_reason: str
    done: int
    total: int
    calls: int
    per_second: float | None  # answers, over the run so far; None before the first
    eta_seconds: float | None  # None: unknown, or nothing left
    spent: Decimal
    reserved: Decimal
    budget: Decimal
    currency: str
    failures: Mapping[str, int]  # vendor's failures and waits by outcome, over all calls

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0

    @property
    def ended(self) -> bool:
        return self.status not in (RunStatus.PENDING, RunStatus.RUNNING)


def run_progress(run: ReplayRun, *, now: datetime) -> RunProgress:
    failures = dict(
        CallTally.objects.filter(run=run)
        .exclude(outcome=Outcome.OK)
        .values_list("outcome")
        .annotate(n=Sum("calls"))
        .order_by("-n", "outcome")
    )
    seconds = ((run.finished_at or now) - run.started_at).total_seconds() if run.started_at else 0.0
    rate = run.done / seconds if seconds > 0 and run.done else None
    left = run.total - run.done
    return RunProgress(
        run_id=run.pk,
        status=run.status,
        status_reason=run.status_reason,
        done=run.done,
        total=run.total,
        calls=run.calls,
        per_second=rate,
        eta_seconds=left / rate if rate and left and run.finished_at is None else None,
        spent=run.spent_amount,
        reserved=run.reserved_amount,
        budget=run.budget_amount,
        currency=run.currency,
        failures={str(outcome): n for outcome, n in failures.items()},
    )


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


_TOKENS = {
    "input_uncached": "input_uncached_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "output_total": "output_total_tokens",
    "output_visible": "output_visible_tokens",
    "reasoning": "reasoning_tokens",
}


def arm_summary(arm: RunArm) -> ArmSummary:
    completions = Completion.objects.filter(arm=arm)
    outcomes = dict(completions.values_list("outcome").annotate(n=Count("id")).order_by("outcome"))
    attempts = Attempt.objects.filter(arm=arm)
    # An arm that was stopped has calls that answer no sample; they are failures of the vendor all the same.
    for outcome, n in (
        attempts.filter(outcome__in=STOPS_ARM).values_list("outcome").annotate(n=Count("id")).order_by("outcome")
    ):
        outcomes[outcome] = outcomes.get(outcome, 0) + n
    calls = attempts.count()
    answered_samples = attempts.values("sample_id", "repeat").distinct().count()
    sums = completions.aggregate(**{name: Sum(column) for name, column in _TOKENS.items()})
    if arm.recorded:
        cost = completions.aggregate(cost=Sum("cost_amount"))["cost"]
        unknown = completions.filter(cost_amount__isnull=True).exclude(outcome=Outcome.MISSING).count()
        window = completions.exclude(outcome=Outcome.MISSING).aggregate(
            first=Min("sample__occurred_at"), last=Max("sample__occurred_at")
        )
    else:
        cost = attempts.aggregate(cost=Sum("cost_amount"))["cost"]
        unknown = attempts.filter(cost_amount__isnull=True).count()
        window = {"first": None, "last": None}
    ok = completions.filter(outcome=Outcome.OK)
    latency = [value for value in ok.values_list("latency_ms", flat=True) if value is not None]
    ttft = [value for value in ok.values_list("ttft_ms", flat=True) if value is not None]
    return ArmSummary(
        role=str(arm.role),
        endpoint=None if arm.endpoint is None else arm.endpoint.slug,
        model=arm.model.slug,
        recorded=arm.recorded,
        recorded_from=window["first"],
        recorded_to=window["last"],
        succeeded=outcomes.get(Outcome.OK, 0),
        failed={str(outcome): n for outcome, n in outcomes.items() if outcome not in _APART},
        missing=outcomes.get(Outcome.MISSING, 0),
        not_permitted=outcomes.get(Outcome.NOT_PERMITTED, 0),
        calls=calls,
        retries=calls - answered_samples,
        cost=cost,
        currency=arm.run.currency,
        unknown_calls=unknown,
        tokens={name: None if sums[name] is None else int(sums[name]) for name in _TOKENS},
        latency_ms=_percentiles(latency),
        ttft_ms=_percentiles(ttft) if ttft else None,
        changes=_changes(arm),
    )


def _percentiles(values: list[float]) -> Percentiles:
    if not values:
        return Percentiles(None, None)
    return Percentiles(*(quantile(values, 0, q).estimate for q in (0.5, 0.95)))


def _changes(arm: RunArm) -> tuple[Mapping[str, Any], ...]:
    """Every kind of parameter change on this arm, with how many calls had it."""
    counted: dict[tuple[str, str, str], int] = {}
    rows = Attempt.objects.filter(arm=arm).exclude(changes=[]).values_list("changes").annotate(n=Count("id"))
    for changes, n in rows.order_by():
        for change in changes:
            key = (change["parameter"], change["action"], change["detail"])
            counted[key] = counted.get(key, 0) + n
    return tuple(
        {"parameter": parameter, "action": action, "detail": detail, "calls": n}
        for (parameter, action, detail), n in sorted(counted.items())
    )


def arm_summaries(run: ReplayRun) -> dict[str, ArmSummary]:
    return {str(arm.role): arm_summary(arm) for arm in run.arms.select_related("endpoint", "model", "run")}


def run_document(run: ReplayRun) -> dict[str, Any]:
    """The contract's run document."""
    return {
        "run": run.pk,
        "pilot": run.plan_version.plan.slug,
        "status": str(run.status),
        "status_reason": run.status_reason or None,
        "sample_set": run.sample_set_id,
        "total": run.total,
        "done": run.done,
        "arms": {role: summary.to_document() for role, summary in arm_summaries(run).items()},
        "comparisons": stored_comparisons(run),
        "decision": str(run.decision) if run.decision else None,
        "decision_reason": run.decision_reason or None,
        "after_the_look": run.after_the_look,
        "not_the_look": run.not_the_look,
        "after_the_fact": run.plan_version.after_the_fact,
        "plan_version": run.plan_version.number,
        "plan_digest": run.plan_version.digest,
    }
