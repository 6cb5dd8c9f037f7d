"""Where a run stands. Public surface: ``RunProgress``, ``run_progress``, ``run_document``, ``judging_document``.

Progress is cheap whatever the run's size: counters on its own row, and a few rows of running totals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from evaluations.enums import Outcome, RunStatus
from evaluations.models import CallTally, ReplayRun
from evaluations.selectors.arms import arm_summaries
from evaluations.selectors.comparisons import stored_comparisons
from evaluations.selectors.planned_looks import checks_in_words


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


def run_document(run: ReplayRun) -> dict[str, Any]:
    """The contract's run document."""
    comparisons = stored_comparisons(run)
    return {
        "run": run.pk,
        "pilot": run.plan_version.plan.slug,
        "status": str(run.status),
        "status_reason": run.status_reason or None,
        "sample_set": run.sample_set_id,
        "total": run.total,
        "done": run.done,
        "arms": {role: summary.to_document() for role, summary in arm_summaries(run).items()},
        "comparisons": comparisons,
        "decision": str(run.decision) if run.decision else None,
        "decision_reason": run.decision_reason or None,
        "checks": checks_in_words(run.plan_version.document, comparisons) or None,
        "after_the_look": run.after_the_look,
        "not_the_look": run.not_the_look,
        "after_the_fact": run.plan_version.after_the_fact,
        "period": run.period,
        "plan_version": run.plan_version.number,
        "plan_digest": run.plan_version.digest,
    }


def judging_document(judging: ReplayRun) -> dict[str, Any]:
    """The same of a judging: no verdict, and of three arms only the judge."""
    judge, figures = judging.plan_version.document["judge"], judging.judged
    [arm] = arm_summaries(judging).values()
    return {
        "judging": judging.pk,
        "run": judging.judges_id,
        "pilot": judging.plan_version.plan.slug,
        "status": str(judging.status),
        "status_reason": judging.status_reason or None,
        "mode": judge["mode"],
        "rubric": judge["rubric"],
        "judge_version": judge["scorer"]["version"],
        "total": judging.total,
        "done": judging.done,
        "judge": arm.to_document(),
        "budget": {"amount": f"{judging.budget_amount:f}", "currency": judging.currency},
        "figures": figures,
        "plan_version": judging.plan_version.number,
        "plan_digest": judging.plan_version.digest,
    }
