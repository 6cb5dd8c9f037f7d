"""What becomes of the due times of schedules. Public surface: ``run_due_slots``, ``replan``, ``end_slots``.

The next slot of a schedule is a row before it is due, so that what a scheduler misses is still there afterwards. The
clock is an argument; nothing depends on how often, by how many or how regularly ``run_due_slots`` is called.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from evaluations.enums import RunStatus, RunTrigger
from evaluations.models import Plan, ReplayRun
from evaluations.services.audit import Actor
from evaluations.services.errors import NotPermitted, Refused
from evaluations.services.sample_sets import freeze_inbox
from pilots.conf import setting
from pilots.enums import CatchUp, PilotStatus, SlotState
from pilots.models import Pilot, Schedule, ScheduleSlot
from pilots.services.replays import start_replay

logger = logging.getLogger(__name__)

# Slots planned in one go: after a long outage of a schedule that comes due every minute, the next calls go on.
AT_ONCE = 500
# Nothing is left to find out for these; a switched workload goes on being watched.
_OVER = (
    PilotStatus.ROLLED_BACK,
    PilotStatus.SUPERSEDED,
    PilotStatus.ENDED,
    PilotStatus.DECLINED,
    PilotStatus.ABANDONED,
)
MISSED = "missed: a later slot was due as well"
ENDED = "the schedule was ended"
LATE = "missed: nobody was there to start it in time"


def run_due_slots(*, now: datetime, by: Actor) -> list[ScheduleSlot]:
    """Settle every slot that is due at ``now``, and plan the next of each schedule; returns the slots that it started.

    Of several due slots of a schedule only the newest can start a replay; it does unless the pilot is over, an earlier
    replay of it is still going, the inbox holds no sample that the plan has not replayed, the replay is refused, or it
    is late and the schedule skips late ones. Of the inbox it freezes a set of its own: what came since the slot before
    goes first. Whatever does not start is skipped with its reason. Calling it twice, or at once, starts nothing twice.
    """
    started = []
    for schedule in _to_look_at(now):
        try:
            slot = _bring_up_to(schedule, now=now, by=by)
        except Exception:  # one schedule's trouble is not the others'; its slots stay due
            logger.exception("schedule of pilot %s", schedule.pilot)
            continue
        if slot is not None:
            started.append(slot)
    return started


def replan(schedule: Schedule, *, at: datetime) -> None:
    """The schedule is new or has changed: what it had planned does not come due; it starts anew after ``at``."""
    ScheduleSlot.objects.filter(schedule=schedule, state=SlotState.DUE, due_at__gt=at).delete()
    _plan(schedule, since=at, until=at)


def end_slots(schedule: Schedule, *, at: datetime) -> None:
    """The schedule has ended: what it had planned does not come due, and what is due is not started any more."""
    slots = ScheduleSlot.objects.filter(schedule=schedule, state=SlotState.DUE)
    slots.filter(due_at__gt=at).delete()
    slots.update(state=SlotState.SKIPPED, reason=ENDED, settled_at=at)


def _plan(schedule: Schedule, *, since: datetime, until: datetime) -> bool:
    """Write the slots after ``since``, up to and with the first after ``until``; False: so many that others are left.

    Each becomes a row once, whoever plans it.
    """
    slots = ScheduleSlot.objects.filter(schedule=schedule)
    known = set(slots.filter(due_at__gt=since).values_list("due_at", flat=True))  # started early by a fast clock
    new: list[datetime] = []
    for due_at in schedule.line.after(since):
        if due_at not in known:
            new.append(due_at)
            if due_at > until or len(new) == AT_ONCE:
                break
    ScheduleSlot.objects.bulk_create(
        [ScheduleSlot(schedule=schedule, due_at=due_at) for due_at in new], ignore_conflicts=True
    )
    return not new or new[-1] > until


def _to_look_at(now: datetime) -> QuerySet[Schedule]:
    """Schedules with a slot that is due, or without one that is still to come."""
    slots = ScheduleSlot.objects.filter(schedule=OuterRef("pk"), state=SlotState.DUE)
    due, to_come = Exists(slots.filter(due_at__lte=now)), Exists(slots.filter(due_at__gt=now))
    enabled = Schedule.objects.filter(Q(due) | ~Q(to_come), enabled=True)
    return enabled.select_related("pilot__plan__workload__team", "pilot__workload__team").order_by("pk")


@transaction.atomic
def _bring_up_to(schedule: Schedule, *, now: datetime, by: Actor) -> ScheduleSlot | None:
    # One UPDATE that holds the row against a second scheduler, and fails if the schedule is not what was read.
    unchanged = Schedule.objects.filter(pk=schedule.pk, enabled=True, cron=schedule.cron, timezone=schedule.timezone)
    if not unchanged.update(enabled=True):
        return None
    complete = _plan_up_to(schedule, now)
    due = ScheduleSlot.objects.filter(schedule=schedule, state=SlotState.DUE, due_at__lte=now)
    newest = due.order_by("-due_at").first() if complete else None
    earlier = due if newest is None else due.filter(due_at__lt=newest.due_at)
    earlier.update(state=SlotState.SKIPPED, reason=MISSED, settled_at=now)
    return None if newest is None else _start(schedule, newest, now=now, by=by)


def _plan_up_to(schedule: Schedule, now: datetime) -> bool:
    slots = ScheduleSlot.objects.filter(schedule=schedule)
    if slots.filter(state=SlotState.DUE, due_at__gt=now).exists():
        return True
    last: datetime | None = slots.filter(due_at__lte=now).aggregate(last=Max("due_at"))["last"]
    return _plan(schedule, since=last or now, until=now)


def _start(schedule: Schedule, slot: ScheduleSlot, *, now: datetime, by: Actor) -> ScheduleSlot | None:
    row = ScheduleSlot.objects.filter(pk=slot.pk)
    if not row.filter(state=SlotState.DUE).update(state=SlotState.STARTED, settled_at=now):
        return None
    try:
        plan = _plan_to_replay(schedule, slot, now=now)
        # A savepoint: nothing of a refused replay stays.
        with transaction.atomic():
            since = _last_start(schedule, before=slot)
            taken = freeze_inbox(plan=plan, take=schedule.take, since=since, by=by, at=now)
            if taken is None:
                raise Refused("no_new_samples")
            slot.run = start_replay(pilot=schedule.pilot, by=by, at=now, sample_set=taken, trigger=RunTrigger.SCHEDULE)
    except Refused as refusal:
        if isinstance(refusal, NotPermitted):
            refusal.record()
        row.update(state=SlotState.SKIPPED, reason=refusal.message[:200])
        return None
    row.update(run=slot.run)
    slot.refresh_from_db()
    return slot


def _last_start(schedule: Schedule, *, before: ScheduleSlot) -> datetime | None:
    earlier = ScheduleSlot.objects.filter(schedule=schedule, state=SlotState.STARTED, due_at__lt=before.due_at)
    last: datetime | None = earlier.aggregate(last=Max("settled_at"))["last"]
    return last


def _plan_to_replay(schedule: Schedule, slot: ScheduleSlot, *, now: datetime) -> Plan:
    """Raises ``Refused`` where the slot is not to start a replay."""
    pilot: Pilot = schedule.pilot
    late = now - slot.due_at > timedelta(seconds=setting("SLOT_LATE_SECONDS"))
    if late and schedule.catch_up is CatchUp.SKIP:
        raise Refused(LATE)
    if pilot.closed_at is not None:
        raise Refused("the pilot is closed")
    if pilot.status in _OVER:
        raise Refused(f"the pilot is over: {pilot.status.label}")
    if pilot.plan is None:
        raise Refused("the pilot has no plan")
    # Its samples are not answered yet: another replay would take, and pay for, the same ones.
    going = ReplayRun.objects.filter(
        plan_version__plan=pilot.plan, judges=None, status__in=[RunStatus.PENDING, RunStatus.RUNNING]
    ).first()
    if going is not None:
        raise Refused(f"run {going.pk} is still going")
    return pilot.plan
