"""Replay runs of a pilot as a list. Public surface: ``runs_of``, ``RunRow``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from evaluations.enums import Decision, RunStatus, RunTrigger
from evaluations.models import ReplayRun
from pilots.models import Pilot


@dataclass(frozen=True, slots=True)
class RunRow:
    pk: int
    status: RunStatus
    status_reason: str  # '': nothing to add
    trigger: RunTrigger
    created_at: datetime
    finished_at: datetime | None  # None: not over
    created_by: str  # '': not a person
    plan_version: int
    after_the_fact: bool
    after_the_look: bool
    sample_set: str  # '': no new samples
    total: int
    done: int
    spent_amount: Decimal  # settled calls of known cost
    budget_amount: Decimal
    currency: str
    decision: Decision | None  # None: none yet


def runs_of(pilot: Pilot) -> tuple[RunRow, ...]:
    """Every run of the pilot's plan, newest first."""
    if pilot.plan_id is None:
        return ()
    runs = ReplayRun.objects.filter(plan_version__plan=pilot.plan_id, judges=None).select_related(
        "plan_version", "sample_set", "created_by"
    )
    return tuple(
        RunRow(
            pk=run.pk,
            status=run.status,
            status_reason=run.status_reason,
            trigger=run.trigger,
            created_at=run.created_at,
            finished_at=run.finished_at,
            created_by=run.created_by.get_username() if run.created_by else "",
            plan_version=run.plan_version.number,
            after_the_fact=run.plan_version.after_the_fact,
            after_the_look=run.after_the_look,
            sample_set=run.sample_set.name if run.sample_set else "",
            total=run.total,
            done=run.done,
            spent_amount=run.spent_amount,
            budget_amount=run.budget_amount,
            currency=run.currency,
            decision=run.decision or None,
        )
        for run in runs.defer("plan_version__document")
    )
