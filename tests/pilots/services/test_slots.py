"""Scheduled replays on a clock that the test turns: outages, jumps, two schedulers, and what is skipped and why.

P10 of RELIABILITY.md; nothing here listens at the endpoints, and no call is made.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluations.enums import AuditSource, Decision, Outcome, RunStatus, RunTrigger
from evaluations.models import AuditEvent, Completion, ReplayRun, Sample, SampleSet
from evaluations.services.audit import Actor
from evaluations.services.replays import newest_set
from pilots.enums import CatchUp, SlotState
from pilots.models import Pilot, Schedule, ScheduleSlot
from pilots.services import lifecycle, slots
from pilots.services.schedules import end_schedule, save_schedule
from pilots.services.slots import LATE, MISSED, run_due_slots
from tests import factories as make
from tests.pilots.test_cron import CLOCK_CHANGES, instants
from tests.pilots.views.people import planned_pilot

pytestmark = pytest.mark.django_db

BY = Actor.task("schedule")
START = datetime(2027, 1, 11, 0, 30, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


@time_machine.travel(datetime(2026, 1, 5, tzinfo=UTC))
def early_pilot(n: int) -> Pilot:
    """Planned before anything that happens here."""
    return planned_pilot(n=n)


@pytest.fixture
def pilot(db: None) -> Pilot:
    return early_pilot(30)


def scheduled(pilot: Pilot, cron: str = "0 * * * *", *, at: datetime = START, **given: Any) -> Schedule:
    return save_schedule(pilot=pilot, cron=cron, take=given.pop("take", 1), by=make.actor(), at=at, **given)[0]


def tick(now: datetime) -> list[ScheduleSlot]:
    return run_due_slots(now=now, by=BY)


def end_runs() -> None:
    """As the workers would have, meanwhile."""
    ReplayRun.objects.update(status=RunStatus.FINISHED, decision=Decision.KEEP_TESTING)


def states(due: Iterable[ScheduleSlot] | None = None) -> list[tuple[int, str, str]]:
    """Hour since the start, state and reason of each slot, in order."""
    rows = ScheduleSlot.objects.order_by("due_at") if due is None else due
    return [(round((slot.due_at - START) / HOUR), str(slot.state), slot.reason) for slot in rows]


def test_the_next_slot_is_a_row_before_it_is_due(pilot: Pilot) -> None:
    schedule = scheduled(pilot, "0 2 * * *", timezone="Europe/Berlin")
    assert list(schedule.slots.values_list("due_at", "state")) == [(START.replace(hour=1, minute=0), SlotState.DUE)]
    assert tick(START + timedelta(minutes=29)) == []
    assert ReplayRun.objects.count() == 0


def test_a_due_slot_starts_one_replay_of_what_the_plan_has_not_replayed(pilot: Pilot) -> None:
    schedule = scheduled(pilot, take=7)
    now = START + timedelta(minutes=31)
    [slot] = tick(now)
    run = ReplayRun.objects.get()
    assert (slot.run, slot.due_at, slot.settled_at) == (run, START + timedelta(minutes=30), now)
    assert (run.trigger, run.created_by, run.created_at, run.total) == (RunTrigger.SCHEDULE, None, now, 14)
    assert run.sample_set is not None
    method = {"kind": "inbox", "take": 7, "since": None}
    assert (run.sample_set.method, run.sample_set.size, run.sample_set.parent) == (method, 7, None)
    assert [slot.due_at for slot in schedule.slots.filter(state=SlotState.DUE)] == [START + timedelta(minutes=90)]
    event = AuditEvent.objects.get(action="replay_run.created")
    assert (event.actor, event.source) == ("schedule", AuditSource.TASK)


def _answer(run: ReplayRun) -> None:
    """Every sample of the run, by its candidate."""
    arm = run.arms.get(role="candidate")
    assert run.sample_set is not None
    Completion.objects.bulk_create(
        Completion(arm=arm, sample=member.sample, repeat=0, position=0, outcome=Outcome.OK, finished_at=START)
        for member in run.sample_set.members.all()
    )
    end_runs()


def _posted(pilot: Pilot, n: int, *, at: datetime) -> set[int]:
    rows = [
        Sample(workload=pilot.workload, external_id=make.name("posted"), digest=f"{number:064}") for number in range(n)
    ]
    keys = {sample.pk for sample in Sample.objects.bulk_create(rows)}
    Sample.objects.filter(pk__in=keys).update(captured_at=at)
    return keys


def _of(slot: ScheduleSlot) -> set[int]:
    assert slot.run is not None
    assert slot.run.sample_set is not None
    return set(slot.run.sample_set.members.values_list("sample", flat=True))


def test_each_slot_takes_of_the_inbox_what_came_since_the_last_then_what_is_left(pilot: Pilot) -> None:
    imported = newest_set(pilot.plan)  # type: ignore[arg-type]
    Sample.objects.update(captured_at=START - HOUR)
    scheduled(pilot, take=20)
    [first] = tick(START + timedelta(minutes=31))
    _answer(first.run)  # type: ignore[arg-type]
    fresh = _posted(pilot, 8, at=START + timedelta(minutes=45))
    [second] = tick(START + timedelta(minutes=91))
    _answer(second.run)  # type: ignore[arg-type]
    assert [len(_of(first)), len(_of(second)), _of(second) >= fresh, _of(first) & _of(second)] == [20, 18, True, set()]
    positions = second.run.sample_set.members.values_list("position", "sample_id")  # type: ignore[union-attr]
    assert [position for position, _ in positions] == list(range(18))
    assert {sample for position, sample in positions if position < 8} == fresh
    assert tick(START + timedelta(minutes=151)) == []
    assert states()[2] == (2, "skipped", "no_new_samples")
    # What a slot froze is no import: a replay by hand goes on with the workload's own set.
    assert newest_set(pilot.plan) == imported  # type: ignore[arg-type]


def test_what_the_log_held_no_prompt_of_is_not_in_the_inbox(pilot: Pilot) -> None:
    Sample.objects.update(replayable=False)
    scheduled(pilot)
    assert tick(START + timedelta(minutes=31)) == []
    assert states()[0] == (0, "skipped", "no_new_samples")


def test_calling_it_again_starts_nothing_again(pilot: Pilot) -> None:
    scheduled(pilot)
    now = START + HOUR
    assert [len(tick(now)) for _ in range(5)] == [1, 0, 0, 0, 0]
    assert states() == [(0, "started", ""), (2, "due", "")]


def test_an_outage_of_five_hours_is_caught_up_with_exactly_one_run(pilot: Pilot) -> None:
    assert scheduled(pilot).catch_up is CatchUp.ONCE
    tick(START + timedelta(minutes=40))
    end_runs()
    [slot] = tick(START + 5 * HOUR + timedelta(minutes=40))
    assert slot.due_at == START + 5 * HOUR + timedelta(minutes=30)
    missed = [(hour, "skipped", MISSED) for hour in (2, 2, 4, 4)]
    assert states() == [(0, "started", ""), *missed, (6, "started", ""), (6, "due", "")]
    assert ReplayRun.objects.count() == 2


def test_a_schedule_may_leave_out_what_was_missed(pilot: Pilot) -> None:
    scheduled(pilot, catch_up=CatchUp.SKIP)
    assert tick(START + 3 * HOUR + timedelta(minutes=45)) == []
    assert states()[-2:] == [(4, "skipped", LATE), (4, "due", "")]
    assert {reason for _, _, reason in states()[:-2]} == {MISSED}
    [slot] = tick(START + 4 * HOUR + timedelta(minutes=31))  # in time again
    assert slot.due_at == START + 4 * HOUR + timedelta(minutes=30)


def test_an_outage_with_more_slots_than_are_planned_at_once_still_ends_in_one_run(pilot: Pilot, monkeypatch) -> None:
    monkeypatch.setattr(slots, "AT_ONCE", 10)
    scheduled(pilot, "* * * * *")
    now = START + timedelta(minutes=35, seconds=5)
    started = [len(tick(now)) for _ in range(6)]
    assert started == [0, 0, 0, 1, 0, 0]
    assert ScheduleSlot.objects.filter(state=SlotState.SKIPPED, reason=MISSED).count() == 34
    assert ScheduleSlot.objects.get(state=SlotState.STARTED).due_at == START + timedelta(minutes=35)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_jumps_an_hour_and_comes_right_runs_no_slot_twice(pilot: Pilot, jump: timedelta) -> None:
    scheduled(pilot)
    now, due = START, []
    for step in range(60):
        now += timedelta(minutes=10)
        wrong = jump if 12 <= step < 30 else timedelta(0)
        due += [slot.due_at for slot in tick(now + wrong)]
        end_runs()
    assert due == [START + timedelta(minutes=30) + n * HOUR for n in range(10)]
    assert ReplayRun.objects.count() == 10


@pytest.mark.parametrize(("zone", "cron", "texts"), CLOCK_CHANGES)
def test_days_on_which_clocks_are_set_give_one_run_for_each_local_slot(
    pilot: Pilot, zone: str, cron: str, texts: list[str]
) -> None:
    expected = instants(texts)
    scheduled(pilot, cron, timezone=zone, at=expected[0] - HOUR)
    now, due = expected[0] - HOUR, []
    while now < expected[-1] + HOUR:
        now += timedelta(minutes=20)
        due += [slot.due_at for slot in tick(now)]
        end_runs()
    assert due == expected
    assert ReplayRun.objects.count() == 3
    assert not ScheduleSlot.objects.filter(state=SlotState.SKIPPED).exists()


def test_a_changed_schedule_starts_anew_and_fires_nothing_at_once(pilot: Pilot) -> None:
    schedule = scheduled(pilot, "0 5 * * *")
    tick(START + 5 * HOUR)
    end_runs()
    at = START + 9 * HOUR
    scheduled(pilot, "0 * * * *", at=at)
    assert tick(at) == []
    assert [slot.due_at for slot in schedule.slots.filter(state=SlotState.DUE)] == [at + timedelta(minutes=30)]
    assert save_schedule(pilot=pilot, cron="0 * * * *", by=make.actor(), at=at)[1] is None
    assert schedule.slots.count() == 2


def test_a_slot_missed_before_the_change_is_still_caught_up(pilot: Pilot) -> None:
    scheduled(pilot)
    scheduled(pilot, "0 20 * * *", at=START + timedelta(minutes=45))
    assert [slot.due_at for slot in tick(START + HOUR)] == [START + timedelta(minutes=30)]


def test_an_ended_schedule_starts_nothing_and_starts_anew_when_set_again(pilot: Pilot) -> None:
    scheduled(pilot)
    end_schedule(pilot=pilot, by=make.actor(), at=START + timedelta(minutes=45))
    assert tick(START + 3 * HOUR) == []
    assert states() == [(0, "skipped", "the schedule was ended")]
    scheduled(pilot, at=START + 6 * HOUR)
    assert tick(START + 6 * HOUR + timedelta(minutes=1)) == []
    assert [slot.due_at for slot in tick(START + 7 * HOUR)] == [START + 6 * HOUR + timedelta(minutes=30)]
    assert ScheduleSlot.objects.filter(state=SlotState.SKIPPED).count() == 1


def _rolled_back(pilot: Pilot) -> str:
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=START)
    lifecycle.record_rollback(
        pilot=pilot, by=make.actor(), at=START, reason=make.Reason.COST, attachments=["incident:INC-1"]
    )
    return "the pilot is over: rolled back"


def _declined(pilot: Pilot) -> str:
    lifecycle.record_declined(pilot=pilot, by=make.actor(), at=START)
    return "the pilot is over: declined"


def _closed(pilot: Pilot) -> str:
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=START)
    lifecycle.close_pilot(pilot=pilot, by=make.actor(), at=START)
    return "the pilot is closed"


def _unfrozen(pilot: Pilot) -> str:
    pilot.plan.versions.all().delete()  # type: ignore[union-attr]
    return "plan triage-to-new is not frozen: run freeze_plan first"


def _unlimited(pilot: Pilot) -> str:
    pilot.incumbent.prices.all().delete()
    return "old has no USD price in force: give the budget assume_per_mtok or max_calls"


def _no_budget(pilot: Pilot) -> str:
    pilot.plan.budget_amount = Decimal(-1)  # type: ignore[union-attr]
    pilot.plan.save()  # type: ignore[union-attr]
    return "must be above 0"


def _no_samples(pilot: Pilot) -> str:
    SampleSet.objects.all().delete()
    Sample.objects.all().delete()
    return "no_new_samples"


def _all_replayed(pilot: Pilot) -> str:
    tick(START + timedelta(minutes=31))
    arm = ReplayRun.objects.get().arms.get(role="candidate")
    Completion.objects.bulk_create(
        Completion(arm=arm, sample=member.sample, repeat=0, position=0, outcome=Outcome.OK, finished_at=START)
        for member in SampleSet.objects.exclude(method__kind="inbox").get().members.all()
    )
    end_runs()
    return "no_new_samples"


def _still_going(pilot: Pilot) -> str:
    tick(START + timedelta(minutes=31))
    return f"run {ReplayRun.objects.get().pk} is still going"


@pytest.mark.parametrize(
    "arrange",
    [_rolled_back, _declined, _closed, _unfrozen, _unlimited, _no_budget, _no_samples, _all_replayed, _still_going],
)
def test_what_cannot_start_is_skipped_with_its_reason_and_leaves_nothing(pilot: Pilot, arrange) -> None:
    scheduled(pilot)
    reason = arrange(pilot)
    before = (ReplayRun.objects.count(), SampleSet.objects.count(), AuditEvent.objects.count())
    assert tick(START + 2 * HOUR) == []
    assert (ReplayRun.objects.count(), SampleSet.objects.count(), AuditEvent.objects.count()) == before
    newest = ScheduleSlot.objects.filter(state=SlotState.SKIPPED).first()
    assert newest is not None
    assert (newest.reason, newest.run, newest.settled_at) == (reason, None, START + 2 * HOUR)


def test_a_switched_pilot_goes_on_being_watched(pilot: Pilot) -> None:
    scheduled(pilot)
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=START)
    assert len(tick(START + HOUR)) == 1


def test_one_schedules_trouble_is_not_the_others(pilot: Pilot, monkeypatch) -> None:
    other = scheduled(make.pilot(workload=pilot.workload))
    first = scheduled(pilot)
    Schedule.objects.filter(pk=other.pk).update(timezone="Atlantis/Harbour")
    assert [slot.schedule for slot in tick(START + HOUR)] == [first]
    assert other.slots.get().state is SlotState.DUE


def test_the_database_refuses_a_slot_twice_and_a_skip_without_its_reason(pilot: Pilot) -> None:
    schedule = scheduled(pilot)
    for values in ({"due_at": START + timedelta(minutes=30)}, {"due_at": START, "state": SlotState.SKIPPED}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ScheduleSlot.objects.create(schedule=schedule, **values)


@pytest.mark.parametrize("ahead", [1, 11], ids=["planned one by one", "planned ahead"])
@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_for_ten_minutes_start_each_slot_once(ahead: int) -> None:
    """Planning the next slot is itself a race that the unique row decides; with all planned, only starting is left."""
    schedule = scheduled(early_pilot(30), "* * * * *")
    times = [START + timedelta(minutes=minute) for minute in range(2, ahead + 1)]
    ScheduleSlot.objects.bulk_create(ScheduleSlot(schedule=schedule, due_at=due_at) for due_at in times)
    barrier, started = threading.Barrier(2), []

    def scheduler(skew: timedelta) -> None:
        try:
            for minute in range(1, 11):
                barrier.wait(timeout=30)
                started.extend(tick(START + timedelta(minutes=minute, seconds=1) + skew))
                barrier.wait(timeout=30)
                end_runs()
        finally:
            connection.close()

    threads = [threading.Thread(target=scheduler, args=(timedelta(seconds=skew),)) for skew in (0, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slot.due_at for slot in started) == [START + timedelta(minutes=n) for n in range(1, 11)]
    assert ReplayRun.objects.count() == 10
    assert schedule.slots.filter(state=SlotState.STARTED).values("run").distinct().count() == 10


# Minutes until the next look, how wrong the clock is then, and whether a second scheduler looks as well.
LOOKS = st.lists(
    st.tuples(st.sampled_from([1, 5, 17, 60, 61, 300, 1500]), st.sampled_from([0, 0, 0, 60, -60]), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(
    looks=LOOKS,
    cron=st.sampled_from(["0 * * * *", "*/30 * * * *", "30 2 * * *", "15 1,2 * * *"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    day=st.sampled_from([datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC)]),
    catch_up=st.sampled_from(CatchUp),
)
def test_every_due_slot_ends_in_exactly_one_state_whatever_happens(looks, cron, zone, day, catch_up) -> None:
    with transaction.atomic():
        schedule = scheduled(early_pilot(5), cron, timezone=zone, catch_up=catch_up, at=day)
        now = latest = day
        for minutes, wrong, twice in looks:
            now += timedelta(minutes=minutes)
            seen = now + timedelta(minutes=wrong)
            latest = max(latest, seen)
            assert sum(len(tick(seen)) for _ in range(1 + twice)) <= 1
            end_runs()
        tick(latest)
        due = list(takewhile(lambda at: at <= latest, schedule.line.after(day)))
        rows = list(schedule.slots.order_by("due_at"))
        assert [slot.due_at for slot in rows[:-1]] == due
        assert rows[-1].state is SlotState.DUE
        started = [slot for slot in rows if slot.state is SlotState.STARTED]
        assert {slot.state for slot in rows[:-1]} <= {SlotState.STARTED, SlotState.SKIPPED}
        assert all((slot.run is None) == bool(slot.reason) for slot in rows[:-1])
        assert len({slot.run_id for slot in started}) == len(started) == ReplayRun.objects.count()
        assert started or not due or catch_up is CatchUp.SKIP
        transaction.set_rollback(True)
