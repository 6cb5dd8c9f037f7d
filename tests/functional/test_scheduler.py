"""The worker and its scheduler as real processes: what is due starts by itself, and standing still turns health red.

P31 of RELIABILITY.md, with a patience of seconds instead of 40.
"""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from evaluations.enums import RunStatus, RunTrigger
from evaluations.models import ReplayRun
from evaluations.simulator.server import SimulatedVendors
from pilots import apps
from pilots.enums import SlotState
from pilots.models import ScheduleSlot
from pilots.services.schedules import save_schedule
from tests import factories as make
from tests.pilots.views.people import planned_pilot
from tests.replays import start, vendors
from tests.workers import Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

PATIENCE_SECONDS = 5


def status() -> str:
    return str(Client().get("/healthz").json()["status"])


def failed() -> set[str]:
    checks = Client().get("/healthz").json()["checks"]
    return {name for name, check in checks.items() if check["status"] != "ok"}


def test_a_due_slot_starts_and_a_stopped_worker_or_scheduler_is_seen(
    tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "STARTED_AT", apps.STARTED_AT - 3600)
    settings.PILOTS_STALLED_AFTER_SECONDS = PATIENCE_SECONDS
    assert failed() == {"scheduler"}
    with SimulatedVendors(vendors(old={"latency_ms": 30}, new={"latency_ms": 30})) as simulated:
        pilot = planned_pilot(simulated.url, n=400)
        save_schedule(pilot=pilot, cron="0 0 1 1 *", take=10, by=make.actor(), at=timezone.now())
        ScheduleSlot.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        worker = Worker(tmp_path / "worker.log")
        try:
            until(lambda: ReplayRun.objects.filter(status=RunStatus.FINISHED).exists(), seconds=60)
            run = ReplayRun.objects.get()
            assert (run.trigger, run.done) == (RunTrigger.SCHEDULE, 20)
            assert ScheduleSlot.objects.get(state=SlotState.STARTED).run == run
            # On a busy machine the next sweep may be a moment away.
            until(lambda: status() == "ok", seconds=30)

            busy = start(pilot.plan)  # type: ignore[arg-type]
            until(lambda: ReplayRun.objects.get(pk=busy.pk).done > 20, seconds=30)
            os.killpg(worker.process.pid, signal.SIGSTOP)
            until(lambda: failed() == {"scheduler", "work"}, seconds=PATIENCE_SECONDS + 10)
            assert Client().get("/healthz").status_code == 503
            os.killpg(worker.process.pid, signal.SIGCONT)
            until(lambda: status() == "ok", seconds=30)
            until(lambda: bool(ReplayRun.objects.get(pk=busy.pk).decision), seconds=60)
        finally:
            worker.kill()
    assert ReplayRun.objects.get(pk=busy.pk).status is RunStatus.FINISHED


def test_two_workers_with_a_scheduler_each_start_every_due_slot_once(tmp_path: Path) -> None:
    """They share database, broker and data directory; the slots come due while both look every second."""
    with SimulatedVendors(vendors()) as simulated:
        pilot = planned_pilot(simulated.url, n=30)
        schedule, _ = save_schedule(pilot=pilot, cron="0 0 1 1 *", take=1, by=make.actor(), at=timezone.now())
        workers = [Worker(tmp_path / f"worker{number}.log") for number in (1, 2)]
        try:
            logs = [tmp_path / f"worker{number}.log" for number in (1, 2)]
            until(lambda: all("default@" in log.read_text() for log in logs), seconds=60)
            now = timezone.now()
            due = [now + timedelta(seconds=3 * number) for number in range(1, 7)]
            ScheduleSlot.objects.bulk_create(ScheduleSlot(schedule=schedule, due_at=due_at) for due_at in due)
            slots = schedule.slots.filter(due_at__in=due)
            until(lambda: not slots.filter(state=SlotState.DUE).exists(), seconds=60)
            assert all(worker.process.poll() is None for worker in workers)
        finally:
            for worker in workers:
                worker.kill()
    started = slots.filter(state=SlotState.STARTED)
    assert ReplayRun.objects.count() == started.values("run").distinct().count() == started.count() > 1
    # What did not start was overtaken by the next on a busy machine, or its run was still going: never twice.
    assert started.count() + slots.filter(state=SlotState.SKIPPED).exclude(reason="").count() == len(due)
    sent = [log.read_text().count("Sending due task pilots-schedules") for log in logs]
    assert min(sent) >= 3
    assert not any("Traceback" in log.read_text() for log in logs)
