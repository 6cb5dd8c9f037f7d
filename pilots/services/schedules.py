"""When a pilot's replays are due. Public surface: ``save_schedule``, ``end_schedule``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from django.db import transaction
from msgspec import UNSET

from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from evaluations.services.saving import Maybe, save_row
from pilots.models import Pilot, Schedule

DEFAULT_TAKE = 100

register_actions({"schedule.saved": "set the schedule of", "schedule.ended": "ended the schedule of"})


@transaction.atomic
def save_schedule(
    *,
    pilot: Pilot,
    cron: str,
    timezone: Maybe[str | None] = UNSET,
    take: Maybe[int | None] = UNSET,
    by: Actor,
    at: datetime,
) -> tuple[Schedule, bool | None]:
    """Replay ``take`` new samples whenever the five-field cron line comes due on the clock of ``timezone``.

    The flag is True for created, False for changed, None for unchanged. Raises ``Refused``.
    """
    _check_cron(cron, at)
    if isinstance(timezone, str) and timezone not in available_timezones():
        raise Refused(f"{timezone!r} is not a time zone like Europe/Berlin", field="timezone")
    if isinstance(take, int) and take < 1:
        raise Refused("must be at least 1", field="take")
    values = {"cron": " ".join(cron.split()), "timezone": timezone, "take": take, "enabled": True}
    saved = save_row(Schedule, key={"pilot": pilot}, values=values, defaults={"take": DEFAULT_TAKE})
    if saved.created is not None:
        _audit(pilot, "schedule.saved", by=by, at=at, data=saved.changes)
    return saved.row, saved.created


@transaction.atomic
def end_schedule(*, pilot: Pilot, by: Actor, at: datetime) -> bool | None:
    """No slot comes due from now on; False if a schedule was ended, None if there was none. Its past slots stay."""
    if not Schedule.objects.filter(pilot=pilot, enabled=True).update(enabled=False):
        return None
    _audit(pilot, "schedule.ended", by=by, at=at)
    return False


def _check_cron(cron: str, at: datetime) -> None:
    try:
        if len(cron.split()) != 5:
            raise CronSimError("five fields are needed: minute, hour, day, month, weekday")
        next(CronSim(cron, at))
    except CronSimError as error:
        raise Refused(f"{cron!r} is not a cron line ({error})", field="cron") from None
    except StopIteration:
        raise Refused(f"{cron!r} never comes due", field="cron") from None


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
