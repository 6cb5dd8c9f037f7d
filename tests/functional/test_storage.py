"""Where answers are kept: a disk that fills up, many processes on one SQLite file, a backup that is restored.

P19, P20 and P32 of RELIABILITY.md.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import Outcome, RunStatus, TeamRole
from evaluations.models import Chunk, Completion, ReplayRun, Team
from evaluations.simulator.server import SimulatedVendors
from pilots.services.exports import write_export
from tests import factories as make
from tests.bills import assert_the_ledger_is_the_bill
from tests.pilots.views.people import planned_pilot
from tests.replays import BY, ready_plan, start, vendors
from tests.services import database_at, needs, only_on
from tests.websites import WebSite
from tests.workers import SOAK, Worker, database_url, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SLOW = {"latency_ms": 40}
CONCURRENCY = 8
IN_FLIGHT = 2 * CONCURRENCY  # both arms
DISK_MB = 48
TOGETHER_SECONDS = 600 if SOAK else 8
WAL_MB = 64


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors(old=SLOW, new=SLOW)) as running:
        yield running


def done(run: ReplayRun) -> int:
    run.refresh_from_db()
    return run.done


def ended(run: ReplayRun) -> bool:
    return done(run) == run.total and bool(run.decision)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of ``DISK_MB``, which only root can make."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leave_mb: int) -> None:
    """Leave so much room on it."""
    # Whoever writes meanwhile may be faster.
    with suppress(OSError), (disk / "filler").open("ab") as filler:
        filler.write(bytes(max(0, shutil.disk_usage(disk).free - leave_mb * 1_000_000)))


def is_sound(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as checking:
        return checking.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_disk_that_fills_up_pauses_the_run_and_costs_no_answer(simulated: SimulatedVendors, tmp_path: Path) -> None:
    only_on("sqlite")
    with small_disk(tmp_path / "disk") as disk, database_at(f"sqlite:///{disk}/pilots.sqlite3"):
        run = start(ready_plan(simulated.url, n=400, concurrency=CONCURRENCY, budget="100"))
        worker = Worker(tmp_path / "worker.log")
        try:
            until(lambda: done(run) >= run.total // 5, seconds=60)
            fill(disk, leave_mb=8)
            until(lambda: done(run) < run.total and run.status_reason == Outcome.STORAGE, seconds=30)
            assert run.status is RunStatus.RUNNING
            until(lambda: not Chunk.objects.filter(lease_expires_at__isnull=False).exists(), seconds=30)
            asked = simulated.bill()["requests"]
            time.sleep(2)  # sweeps come and go
            assert simulated.bill()["requests"] == asked
            (disk / "filler").unlink()
            until(lambda: done(run) >= run.total // 2, seconds=60)
            assert run.status_reason == ""

            # Now at once and to the last byte: nobody can even write down that it is full.
            connection.close()
            fill(disk, leave_mb=0)
            time.sleep(1)
            asked = simulated.bill()["requests"]
            time.sleep(2)
            assert simulated.bill()["requests"] <= asked + IN_FLIGHT
            (disk / "filler").unlink()
            assert is_sound(disk / "pilots.sqlite3")
            until(lambda: ended(run), seconds=120)
        finally:
            worker.kill()
        assert (run.status, run.status_reason) == (RunStatus.FINISHED, "")
        bill = simulated.bill()
        assert bill["distinct"] == run.total
        assert bill["requests"] - bill["distinct"] <= IN_FLIGHT
        assert_the_ledger_is_the_bill(run, simulated, most_lost=IN_FLIGHT)
        connection.close()


def test_a_web_server_two_workers_and_an_export_never_lock_each_other_out(
    simulated: SimulatedVendors, tmp_path: Path
) -> None:
    only_on("sqlite")
    pilot = planned_pilot(simulated.url, n=40 * TOGETHER_SECONDS + 400, concurrency=32, budget="1000")
    person = make.member(Team.objects.get(), role=TeamRole.MANAGER)
    run = start(pilot.plan)  # type: ignore[arg-type]
    exported: list[str] = []
    over = threading.Event()

    def export() -> None:
        try:
            while not over.is_set():
                name = f"{len(exported)}.xlsx"
                write_export(
                    key="pilot", filters={"pilot": ["triage-to-new"]}, by=BY, at=timezone.now(), output=tmp_path / name
                )
                exported.append(name)
        except Exception as error:
            exported.append(repr(error))
        finally:
            connection.close()

    exporting = threading.Thread(target=export)
    workers = [Worker(tmp_path / f"worker{number}.log") for number in (1, 2)]
    waits = []
    try:
        with WebSite(tmp_path / "web.log", person=person) as site:
            until(lambda: done(run) > 0, seconds=60)
            exporting.start()
            finished_at = time.monotonic() + TOGETHER_SECONDS
            while time.monotonic() < finished_at:
                written = site.post(reverse("pilots:choose-team"), {"team": "support" if len(waits) % 2 else ""})
                assert written.status == 302
                waits.append(written.seconds)
                assert site.get(reverse("pilots:progress", args=[run.pk])).status == 200
    finally:
        over.set()
        exporting.join()
        for worker in workers:
            worker.kill()
    logs = "".join((tmp_path / name).read_text() for name in ("worker1.log", "worker2.log", "web.log"))
    assert "locked" not in logs
    assert [name for name in exported if not name.endswith(".xlsx")] == []
    assert exported
    assert done(run) > 0
    database = Path(connection.settings_dict["NAME"])
    assert database.with_name(f"{database.name}-wal").stat().st_size <= WAL_MB * 1024 * 1024
    if SOAK:
        assert sorted(waits)[len(waits) * 99 // 100] < 0.1


def backed_up(folder: Path) -> str:
    """A backup of the database as it is now, restored beside it; the restored database's URL."""
    if connection.vendor == "sqlite":
        copy = folder / "restored.sqlite3"
        with closing(sqlite3.connect(connection.settings_dict["NAME"])) as live, closing(sqlite3.connect(copy)) as to:
            live.backup(to, pages=100)
        assert is_sound(copy)
        return f"sqlite:///{copy}"
    at = urlsplit(database_url())
    where = ["-h", str(at.hostname), "-p", str(at.port), "-U", str(at.username)]
    name = f"{connection.settings_dict['NAME']}_restored"
    dump = folder / "backup.dump"
    subprocess.run([needs("pg_dump"), *where, "-Fc", "-f", str(dump), at.path[1:]], check=True)
    subprocess.run([needs("dropdb"), *where, "--if-exists", name], check=True)
    subprocess.run([needs("createdb"), *where, name], check=True)
    subprocess.run([needs("pg_restore"), *where, "-d", name, str(dump)], check=True)
    return at._replace(path=f"/{name}").geturl()


def test_a_backup_taken_during_a_run_goes_on_where_it_was_taken(simulated: SimulatedVendors, tmp_path: Path) -> None:
    run = start(ready_plan(simulated.url, n=300, concurrency=CONCURRENCY))
    worker = Worker(tmp_path / "worker.log")
    try:
        until(lambda: done(run) >= run.total // 3, seconds=60)
        backup = backed_up(tmp_path)
        until(lambda: done(run) >= run.total // 2, seconds=60)
    finally:
        worker.kill()
    simulated.reset()
    with database_at(backup):
        before = Completion.objects.count()
        assert run.total // 3 <= before < run.total
        worker = Worker(tmp_path / "worker.log")
        try:
            until(lambda: ended(run), seconds=120)
        finally:
            worker.kill()
        assert run.status is RunStatus.FINISHED
        assert Completion.objects.count() == run.total
        connection.close()
    bill = simulated.bill()
    assert bill["requests"] == bill["distinct"] == run.total - before
