"""Whether the site does its work, not only whether it runs. Public surface: ``site_health``, ``Health``, ``Check``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db.models import Count, F, Max, Min, Q
from django.db.models.functions import Coalesce, Greatest

from evaluations.enums import Beat, RunStatus
from evaluations.models import Heartbeat, ReplayRun
from evaluations.selectors.queue import QueueState, queue_state
from pilots.conf import setting
from pilots.enums import ExportState, SlotState
from pilots.models import ExportFile, ScheduleSlot

Status = Literal["ok", "degraded", "down"]


# A process that has just started does not hold against workers what they had no time to do yet. With the patience of
# STALLED_AFTER_SECONDS that is a minute, also where the web server is restarted while they stand still.
STARTING_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    ok: bool
    seconds: float | None = None  # since the last sign of life, or that due work has not moved; None: never, or no time


@dataclass(frozen=True, slots=True)
class Health:
    checks: Mapping[str, Check]

    @property
    def status(self) -> Status:
        """Without a broker nothing is lost and little moves: degraded, until the work is seen to stand still."""
        failed = {name for name, check in self.checks.items() if not check.ok}
        return "ok" if not failed else "degraded" if failed == {"broker"} else "down"

    def to_document(self) -> dict[str, object]:
        return {
            "status": self.status,
            "checks": {
                name: {
                    "status": "ok" if check.ok else "failed",
                    **({} if check.seconds is None else {"seconds": round(check.seconds, 1)}),
                }
                for name, check in self.checks.items()
            },
        }


def site_health(*, now: datetime, broker: bool, up_seconds: float) -> Health:
    """Red within a minute of the scheduler's end, or of work that is due and in nobody's hands.

    ``broker``: whether it answers. ``up_seconds``: for how long this process has been up. Raises ``django.db.Error``
    where the database does not answer.
    """
    limit: float = setting("STALLED_AFTER_SECONDS")
    starting = up_seconds < STARTING_SECONDS
    beats = dict(Heartbeat.objects.values_list("name", "at"))
    scheduler = _age(beats.get(Beat.SCHEDULER), now)
    queue = queue_state(now)
    stalled = max(
        queue.stalled_seconds,
        _slots_stalled(queue, beats.get(Beat.SWEEP), now),
        _verdicts_stalled(now),
        _exports_stalled(now),
    )
    return Health(
        {
            "database": Check(True),
            "broker": Check(broker),
            "scheduler": Check(starting or (scheduler is not None and scheduler <= limit), scheduler),
            "work": Check(starting or stalled <= limit, stalled),
        }
    )


def _slots_stalled(queue: QueueState, swept_at: datetime | None, now: datetime) -> float:
    """How long a scheduled replay has been due while workers did nothing, not even the sweep."""
    due_at = ScheduleSlot.objects.filter(state=SlotState.DUE, due_at__lte=now).aggregate(at=Min("due_at"))["at"]
    if due_at is None:
        return 0.0
    return min(max(0.0, (now - at).total_seconds()) for at in (due_at, queue.moved_at, swept_at) if at is not None)


def _verdicts_stalled(now: datetime) -> float:
    """How long a run whose calls are all done has waited for its scores and verdict while nobody worked on them."""
    answered = ReplayRun.objects.filter(status=RunStatus.RUNNING, total__gt=0, done__gte=F("total"))
    moved_at = Coalesce("progressed_at", "created_at")
    due_at = Greatest(moved_at, Coalesce("scoring_turn__expires_at", moved_at))
    since = answered.exclude(scoring_turn__expires_at__gt=now).aggregate(at=Min(due_at))["at"]
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _exports_stalled(now: datetime) -> float:
    """How long an export has been due while none was written: each queue has workers of its own."""
    held, due_at = Q(lease_expires_at__gt=now), Greatest("asked_at", Coalesce("lease_expires_at", "asked_at"))
    going = ExportFile.objects.filter(state__in=[ExportState.PENDING, ExportState.WRITING])
    found: dict[str, Any] = going.aggregate(held=Count("id", filter=held), oldest=Min(due_at, filter=~held))
    if found["held"] or found["oldest"] is None:
        return 0.0
    written_at = ExportFile.objects.aggregate(at=Max("written_at"))["at"]
    since: datetime = max(found["oldest"], written_at or found["oldest"])
    return max(0.0, (now - since).total_seconds())


def _age(at: datetime | None, now: datetime) -> float | None:
    # A sign from the future: the clock was set back since, and nothing has been heard from then on.
    return None if at is None else abs((now - at).total_seconds())
