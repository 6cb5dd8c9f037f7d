"""When a pilot's replays are due. Public surface: ``save_schedule``, ``end_schedule``.

What becomes of a due time is decided in ``slots.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from msgspec import UNSET

from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from evaluations.services.saving import Maybe, save_row
from pilots.cron import CronLine
from pilots.enums import CatchUp
from pilots.models import Pilot, Schedule
from pilots.services.slots import end_slots, replan

DEFAULT_TAKE = 100

register_actions({"schedule.saved": "set the schedule of", "schedule.ended": "ended the schedule of"})


@transaction.atomic
def save_schedule(
    *,
    pilot: Pilot,
    cron: str,
    timezone: Maybe[str | None] = UNSET,
    take: Maybe[int | None] = UNSET,
    catch_up: Maybe[CatchUp | None] = UNSET,
    by: Actor,
    at: datetime,
) -> tuple[Schedule, bool | None]:
    """Replay ``take`` new samples whenever the five-field cron line comes due on the clock of ``timezone``.

    The first slot is the next one after ``at``. The flag is True for created, False for changed, None for unchanged.
    Raises ``Refused``.
    """
    if isinstance(take, int) and take < 1:
        raise Refused("must be at least 1", field="take")
    values = {
        "cron": " ".join(cron.split()),
        "timezone": timezone,
        "take": take,
        "catch_up": catch_up,
        "enabled": True,
    }
    saved = save_row(Schedule, key={"pilot": pilot}, values=values, defaults={"take": DEFAULT_TAKE})
    if saved.created is not None:
        _check(saved.row.line, at)
        replan(saved.row, at=at)
        _audit(pilot, "schedule.saved", by=by, at=at, data=saved.changes)
    return saved.row, saved.created


@transaction.atomic
def end_schedule(*, pilot: Pilot, by: Actor, at: datetime) -> bool | None:
    """No slot comes due from now on; False if a schedule was ended, None if there was none. Its past slots stay."""
    schedule = Schedule.objects.filter(pilot=pilot, enabled=True).first()
    if schedule is None or not Schedule.objects.filter(pk=schedule.pk, enabled=True).update(enabled=False):
        return None
    end_slots(schedule, at=at)
    _audit(pilot, "schedule.ended", by=by, at=at)
    return False


def _check(line: CronLine, at: datetime) -> None:
    problem = line.problem(at=at)
    if problem is not None:
        attribute, message = problem
        raise Refused(message, field="cron" if attribute == "fields" else attribute)


def _audit(pilot: Pilot, action: str, *, by: Actor, at: datetime, data: Mapping[str, Any] | None = None) -> None:
    record(
        by=by,
        at=at,
        action=action,
        object_type="pilot",
        object_id=pilot.pk,
        object_label=pilot.slug,
        team=pilot.workload.team,
        data=data,
    )
