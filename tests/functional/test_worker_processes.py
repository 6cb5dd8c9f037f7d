"""``manage.py worker`` as real processes: short work beside long, and what happens when one of them dies."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from django.utils import timezone

from evaluations.enums import Beat, RunStatus
from evaluations.models import Chunk, Heartbeat, ReplayRun
from evaluations.services.replays import cancel_run
from evaluations.simulator.server import SimulatedVendors
from evaluations.tasks import hint
from tests.replays import BY, add_samples, ready_plan, start, vendors
from tests.workers import Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]


def is_up() -> bool:
    return Heartbeat.objects.filter(name=Beat.SWEEP).exists()


def members(group: int) -> list[int]:
    """Processes of a group that have not ended, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            state, _, of = (
                (entry / "stat").read_text().rpartition(") ")[2].split()[:3] if entry.name.isdigit() else "Z00"
            )
            if state != "Z" and int(of) == group:
                found.append(int(entry.name))
    return sorted(found)


def test_short_work_does_not_wait_for_a_chunk_that_every_replaying_process_is_busy_with(tmp_path: Path) -> None:
    slow = {"latency_ms": 4000}
    with SimulatedVendors(vendors(old=slow, new=slow)) as simulated:
        plan = ready_plan(simulated.url, n=40, concurrency=1)
        busy = start(plan, take=20)
        worker = Worker(tmp_path / "worker.log")
        try:
            hint(busy.pk, chunks=2)
            until(lambda: Chunk.objects.filter(lease_expires_at__gt=timezone.now()).count() == 2, seconds=60)
            until(is_up, seconds=30)
            add_samples(plan.workload, 2, stem="t")
            other = start(plan)
            cancel_run(run=other, by=BY, at=timezone.now())
            swept_at = Heartbeat.objects.get(name=Beat.SWEEP).at
            until(lambda: bool(ReplayRun.objects.get(pk=other.pk).decision), seconds=10)
            until(lambda: Heartbeat.objects.get(name=Beat.SWEEP).at > swept_at, seconds=10)
            # Both were at the same chunks all the time.
            assert Chunk.objects.filter(lease_expires_at__gt=timezone.now(), arm__run=busy).count() == 2
        finally:
            worker.kill()
    assert ReplayRun.objects.get(pk=busy.pk).status is RunStatus.RUNNING


def test_a_process_that_dies_ends_the_worker_with_a_message_and_without_orphans(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "worker.log")
    until(is_up, seconds=60)
    os.kill(members(worker.process.pid)[1], signal.SIGKILL)
    assert worker.ended(seconds=30) == 1
    log = (tmp_path / "worker.log").read_text()
    assert "CommandError: the process for queue replay was killed by SIGKILL: the others were stopped." in log
    until(lambda: not members(worker.process.pid), seconds=10)


def test_killed_alone_it_leaves_nobody_at_work(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "worker.log")
    until(is_up, seconds=60)
    until(lambda: len(members(worker.process.pid)) >= 10, seconds=30)
    worker.process.kill()
    assert worker.ended(seconds=10) == -signal.SIGKILL
    until(lambda: not members(worker.process.pid), seconds=30)
