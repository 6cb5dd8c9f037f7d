"""Which message goes to which queue, by real sending."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from celery import current_app
from celery.signals import beat_init, before_task_publish
from django.db import transaction
from django.utils import timezone

from evaluations import tasks as engine
from evaluations.capture.usage import UsageRow
from evaluations.models import Heartbeat, ReplayRun
from pilots import tasks
from pilots.enums import GatewayName
from pilots.services.replays import start_replay
from pilots.services.traffic import record_traffic
from pilots.services.traffic_rules import add_rule
from tests import factories as make
from tests.pilots.views.people import planned_pilot

Sent = list[tuple[str, str]]


@pytest.fixture
def sent() -> Iterator[Sent]:
    """Name and queue of every message that leaves."""
    seen: Sent = []

    def note(sender: str, routing_key: str, **kwargs: object) -> None:
        seen.append((sender, routing_key))

    before_task_publish.connect(note)
    yield seen
    before_task_publish.disconnect(note)


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_hinted_at_on_replay_and_settled_on_scoring(sent: Sent) -> None:
    pilot = planned_pilot(n=4)
    run = start_replay(pilot=pilot, by=make.actor(), at=timezone.now())
    assert sent == [("evaluations.tasks.work_on_run", "replay")] * 2
    sent.clear()
    engine.sweep()
    assert sent == [("evaluations.tasks.work_on_run", "replay")] * 2
    sent.clear()
    ReplayRun.objects.filter(pk=run.pk).update(status="cancelled")
    engine.sweep()
    assert sent == [("evaluations.tasks.settle_run", "scoring")]


@pytest.mark.django_db(transaction=True)
def test_the_scheduler_ticks_on_default_and_its_sending_is_its_sign_of_life(sent: Sent) -> None:
    entries = {name: entry for name, entry in current_app.conf.beat_schedule.items() if name.startswith("pilots-")}
    ticks = {
        "pilots-comparisons": ("pilots.tasks.tick_comparisons", 60.0, "default"),
        "pilots-exports": ("pilots.tasks.tick_exports", 5.0, "default"),
        "pilots-files": ("pilots.tasks.tick_uploads", 5.0, "default"),
        "pilots-notices": ("pilots.tasks.tick_notices", 5.0, "default"),
        "pilots-purge": ("evaluations.tasks.tick_purge", 3600.0, "default"),
        "pilots-reminders": ("pilots.tasks.tick_reminders", 60.0, "default"),
        "pilots-schedules": ("pilots.tasks.tick_schedules", 5.0, "default"),
        "pilots-sweep": ("evaluations.tasks.sweep", 5.0, "default"),
        "pilots-traffic": ("pilots.tasks.tick_traffic", 5.0, "default"),
        "pilots-forecasts": ("pilots.tasks.tick_forecasts", 5.0, "default"),
    }
    assert {name: (entry["task"], entry["schedule"].seconds) for name, entry in entries.items()} == {
        name: (task, seconds) for name, (task, seconds, _) in ticks.items()
    }
    in_turn = sorted(ticks, key=lambda name: (name == "pilots-sweep", name))
    for name in in_turn:
        assert not Heartbeat.objects.exists()
        current_app.send_task(entries[name]["task"], **entries[name]["options"])
    assert sent == [(task, queue) for task, _, queue in (ticks[name] for name in in_turn)]
    assert [str(row.name) for row in Heartbeat.objects.all()] == ["scheduler"]


def test_a_clock_that_is_set_back_does_not_silence_the_scheduler() -> None:
    """Celery's own interval would wait for the hour to pass once more."""
    tick, now = current_app.conf.beat_schedule["pilots-sweep"]["schedule"], current_app.now()
    hour = timedelta(hours=1)
    assert [tick.is_due(now + offset).is_due for offset in (-hour, timedelta(0), hour)] == [True, False, True]
    assert pickle.loads(pickle.dumps(tick)).is_due(now + hour).is_due  # as it is kept between starts


@pytest.mark.django_db(transaction=True)
def test_the_scheduler_sweeps_as_soon_as_it_starts(sent: Sent) -> None:
    beat_init.send(sender=None)
    assert sent == [("evaluations.tasks.sweep", "default")]
    assert [str(row.name) for row in Heartbeat.objects.all()] == ["scheduler"]


@pytest.mark.django_db(transaction=True)
def test_hints_expire_so_that_they_do_not_pile_up_while_nobody_takes_them() -> None:
    seen: list[timedelta] = []

    def note(headers: dict[str, str], **kwargs: object) -> None:
        seen.append(datetime.fromisoformat(headers["expires"]) - timezone.now())

    before_task_publish.connect(note)
    try:
        engine.hint(1, chunks=1)
        engine.hint_to_settle(1)
        for entry in current_app.conf.beat_schedule.values():
            current_app.tasks[entry["task"]].apply_async(**entry["options"])  # as the scheduler does
    finally:
        before_task_publish.disconnect(note)
    assert len(seen) >= 4
    assert all(timedelta(seconds=110) < left <= timedelta(seconds=120) for left in seen)


def test_every_task_of_ours_is_acknowledged_late_and_keeps_no_result() -> None:
    names = {name for name in current_app.tasks if name.startswith(("evaluations.", "pilots."))}
    assert {task.name for task in (engine.work_on_run, engine.sweep, tasks.tick_schedules)} < names
    ours = [current_app.tasks[name] for name in names]
    assert {(task.acks_late, task.reject_on_worker_lost, task.ignore_result) for task in ours} == {(True, True, True)}


@pytest.mark.django_db(transaction=True)
def test_traffic_that_came_in_is_hinted_at_once_it_is_stored(sent: Sent) -> None:
    pilot = make.switched_pilot("triage")
    usage = {pilot.candidate.slug: 90}
    hint = [("pilots.tasks.tick_traffic", "default")]
    sent.clear()
    with transaction.atomic():
        make.traffic(pilot.workload, make.day(1).date(), usage)
        assert sent == []
    assert sent == hint
    sent.clear()
    make.traffic(pilot.workload, make.day(1).date(), usage)  # nothing new
    assert sent == []
    waiting = UsageRow(1, "somebody", (), pilot.candidate.slug, make.day(2).date(), 5)
    record_traffic(rows=[waiting], by=make.actor(), at=make.NOW)
    assert sent == []  # nobody knows yet whose it is
    add_rule(kind=GatewayName.KEY_ALIAS, name="somebody", workload=pilot.workload, by=make.actor(), at=make.NOW)
    assert sent == hint


@pytest.mark.django_db(transaction=True)
def test_traffic_is_stored_also_while_the_broker_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pilot = make.switched_pilot("triage")
    monkeypatch.setattr(tasks, "send_hints", lambda *args, **kwargs: False)
    assert make.traffic(pilot.workload, make.day(1).date(), {pilot.candidate.slug: 90}).added == 1
    assert caplog.messages == ["no hint sent for traffic: the broker does not answer"]
