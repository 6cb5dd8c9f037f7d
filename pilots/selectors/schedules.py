"""A pilot's schedule as its page shows it. Public surface: ``schedule_of``, ``ScheduleFacts``, ``SlotRow``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pilots.enums import CatchUp, SlotState
from pilots.models import Pilot, Schedule, ScheduleSlot

_LAST = 5


@dataclass(frozen=True, slots=True)
class SlotRow:
    due_at: datetime
    local: str  # on the schedule's own clock: ``Tue 24 Nov 2026, 02:00``
    state: SlotState
    reason: str  # why it was skipped; '': it was not
    run: int | None  # None: none, or it was deleted


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    cron: str
    timezone: str
    take: int
    catch_up: CatchUp
    enabled: bool
    next: SlotRow | None  # None: ended
    last: tuple[SlotRow, ...]  # what came due, newest first


def schedule_of(pilot: Pilot) -> ScheduleFacts | None:
    """None: there never was one. Two queries."""
    schedule = Schedule.objects.filter(pilot=pilot).first()
    if schedule is None:
        return None
    zone = ZoneInfo(schedule.timezone)
    newest = schedule.slots.order_by("-due_at")[: _LAST + 1]
    rows = [(slot.state is SlotState.DUE, _row(slot, zone)) for slot in newest]
    to_come = [row for is_due, row in rows if is_due]
    return ScheduleFacts(
        cron=schedule.cron,
        timezone=schedule.timezone,
        take=schedule.take,
        catch_up=schedule.catch_up,
        enabled=schedule.enabled,
        next=to_come[-1] if to_come else None,
        last=tuple(row for is_due, row in rows if not is_due)[:_LAST],
    )


def _row(slot: ScheduleSlot, zone: ZoneInfo) -> SlotRow:
    local = slot.due_at.astimezone(zone)
    return SlotRow(
        due_at=slot.due_at,
        local=f"{local:%a} {local.day} {local:%b %Y, %H:%M}",
        state=slot.state,
        reason=slot.reason.replace("_", " "),
        run=slot.run_id,
    )
