"""Alarms of models that moved. Public surface: ``raise_alarm``, ``read_for_drift``, ``acknowledge_drift``,
``checked_note``, ``alarm_document``.

An alarm ends a period of its plan version: the verdict that stands in it decides nothing any more, and what is replayed
from then on is read anew (``evaluations.models.drift``). A plan of one look whose look was taken keeps its verdict.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from evaluations.models import ComparisonRow, DriftAlarm, PlanVersion, ReplayRun
from evaluations.selectors.comparisons import frozen_by_drift, stored_comparisons
from evaluations.selectors.drift import Drift, drift_ended, drift_in, unread_runs
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.run_audit import audit_run
from evaluations.signals import drift_alarmed

AT_ONCE = 20  # plan versions that one sweep reads
LONGEST_NOTE = 2000


def raise_alarm(*, run: ReplayRun, drift: Drift, at: datetime) -> bool:
    """Keep what moved in the period of ``run`` and tell the storey above; False where the period has its alarm already.

    Called with the plan version locked, inside the transaction that reads the run's end.
    """
    alarm, created = DriftAlarm.objects.get_or_create(
        plan_version=run.plan_version,
        period=run.period,
        defaults={
            "run_id": drift.run,
            "raised_at": at,
            "moved": drift.moved(),
            "served": drift.served,
            "words": drift.words[:500],
        },
    )
    if created:
        data = {"period": run.period, "words": drift.words, "moved": [f"{m.metric}: {m.side}" for m in drift.moves]}
        audit_run(run, "drift.alarmed", by=audit.Actor.task("drift"), at=at, data=data)
        drift_alarmed.send(sender=DriftAlarm, alarm=alarm, at=at)
    return created


def read_for_drift(*, at: datetime) -> int:
    """The safety net: read the runs for drift that nobody has read; returns how many alarms that raised.

    The newest run of a period is read, by which the earlier ones are. The verdict that stands with it is frozen.
    """
    raised = 0
    seen: set[tuple[int, int]] = set()
    for version, period in unread_runs().values_list("plan_version_id", "period")[: 50 * AT_ONCE]:
        if (version, period) not in seen and len(seen) < AT_ONCE:
            seen.add((version, period))
            raised += _read_period(version, period, at)
    return raised


def _read_period(version: int, period: int, at: datetime) -> bool:
    runs = ReplayRun.objects.filter(plan_version=version, period=period).exclude(decision="")
    newest = runs.select_related("plan_version").order_by("-finished_at", "-pk").first()
    if newest is None:
        return False
    drift = None if drift_ended(newest) else drift_in(newest)
    with transaction.atomic():
        PlanVersion.objects.select_for_update(no_key=True).get(pk=version)
        raised = drift is not None and raise_alarm(run=newest, drift=drift, at=at)
        if raised and not newest.after_the_look:
            _freeze(newest, at=at)
        known = newest.finished_at or at
        ReplayRun.objects.filter(pk__in=runs.filter(finished_at__lte=known), drift_read=False).update(drift_read=True)
    return raised


def _freeze(run: ReplayRun, *, at: datetime) -> None:
    """The verdict that stands with ``run``, stored before the alarm was raised."""
    document = run.plan_version.document
    frozen, decision, reason = frozen_by_drift(
        document, stored_comparisons(run), n=run.evidence_samples or 0, on=at.date()
    )
    rows = list(run.comparisons.all())
    for row, new in zip(rows, frozen, strict=True):
        row.document, row.verdict = new, new["verdict"]
    ComparisonRow.objects.bulk_update(rows, ["document", "verdict"])
    ReplayRun.objects.filter(pk=run.pk).update(decision=decision, decision_reason=(reason or "")[:300])


@transaction.atomic
def acknowledge_drift(
    *, alarm: DriftAlarm, by: audit.Actor, at: datetime, note: str, model_version: str = ""
) -> DriftAlarm:
    """Somebody has looked: what it was, and the version that the vendor says it serves now.

    Nothing about the verdict changes. Raises ``Refused`` without a note, ``Conflict`` where somebody was faster.
    """
    note, model_version = checked_note(note), model_version.strip()
    if len(model_version) > 200:
        raise Refused("at most 200 characters", field="model_version")
    if not DriftAlarm.objects.filter(pk=alarm.pk, acknowledged_at=None).update(
        acknowledged_at=at, acknowledged_by=by.name[:200], note=note, model_version=model_version
    ):
        raise Conflict("the alarm was acknowledged already")
    alarm.refresh_from_db()
    data = {"period": alarm.period, "note": note, "model_version": model_version}
    audit_run(alarm.run, "drift.acknowledged", by=by, at=at, data=data)
    return alarm


def checked_note(note: str) -> str:
    """What somebody found, without blanks around it. Raises ``Refused``."""
    note = note.strip()
    if not note:
        raise Refused("say what you found", field="note")
    if len(note) > LONGEST_NOTE:
        raise Refused(f"at most {LONGEST_NOTE:,} characters", field="note")
    return note


def alarm_document(alarm: DriftAlarm) -> dict[str, Any]:
    """For programs."""
    return {
        "run": alarm.run_id,
        "plan_version": alarm.plan_version.number,
        "period": alarm.period,
        "moved": alarm.moved,
        "served": alarm.served,
    }
