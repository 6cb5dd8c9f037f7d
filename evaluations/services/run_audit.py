"""The audit rows of a replay run. Public surface: ``audit_run``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from evaluations.models import ReplayRun
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
