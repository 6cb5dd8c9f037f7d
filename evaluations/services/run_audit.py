"""The audit rows of a replay run. Public surface: ``audit_run``, ``audit_refused_start``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from evaluations.models import Plan, ReplayRun
from evaluations.services import audit


def audit_run(
    run: ReplayRun, action: str, *, by: audit.Actor, at: datetime, data: dict[str, Any] | None = None
) -> None:
    audit.record(
        by=by,
        at=at,
        action=action,
        object_type="replay_run",
        object_id=run.pk,
        object_label=f"{run} of {run.plan_version.plan.slug}",
        team=run.plan_version.plan.workload.team,
        data=data,
    )


def audit_refused_start(plan: Plan, *, by: audit.Actor, at: datetime, samples: int, why: str) -> None:
    """A replay that the data agreement keeps from starting: no run is there to name."""
    with transaction.atomic():
        audit.record(
            by=by,
            at=at,
            action="sample.not_permitted",
            object_type="plan",
            object_id=plan.pk,
            object_label=plan.slug,
            team=plan.workload.team,
            data={"samples": samples, "reason": why},
        )
