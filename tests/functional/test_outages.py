"""The broker or the database goes away under a running site; web server, scheduler and worker are real processes.

P5 and P6 of RELIABILITY.md.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import AttemptState, Beat, RunStatus, TeamRole
from evaluations.models import Attempt, Heartbeat, ReplayRun, Team
from evaluations.simulator.server import SimulatedVendors
from tests import factories as make
from tests.pilots.views.people import planned_pilot
from tests.replays import start, vendors
from tests.services import Postgres, Redis, database_at, only_on
from tests.websites import WebSite
from tests.workers import SOAK, Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

BROKER_RESTARTS = 6 if SOAK else 2
DATABASE_RESTARTS = 3 if SOAK else 2
SLOW = {"latency_ms": 200}


def swept_since(at: datetime) -> bool:
    """The scheduler has sent a task and a worker has done it."""
    return Heartbeat.objects.filter(name=Beat.SWEEP, at__gt=at).exists()


def test_without_a_broker_a_replay_starts_at_once_and_is_worked_on_when_the_broker_is_back(tmp_path: Path) -> None:
    with SimulatedVendors(vendors()) as simulated, Redis() as broker:
        pilot = planned_pilot(simulated.url, n=20)
        person = make.member(Team.objects.get(), role=TeamRole.MANAGER)
        address = reverse("pilots:start-replay", args=[pilot.slug])
        worker = Worker(tmp_path / "worker.log", broker=broker.url)
        try:
            with WebSite(tmp_path / "web.log", person=person, broker=broker.url) as site:
                chosen = re.search(r'name="sample_set".*?<option value="(\d+)"', site.get(address).body, re.DOTALL)
                assert chosen is not None
                wanted = {"sample_set": chosen[1], "take": "", "repeats": "1", "budget": "1"}
                usual = site.post(address, wanted).seconds
                until(lambda: Heartbeat.objects.filter(name=Beat.SWEEP).exists(), seconds=30)
                for away in (broker.kill, broker.pause):
                    away()
                    started = site.post(address, wanted | {"confirmed": "yes"})
                    assert started.status == 302
                    # Under load every page takes longer; the broker adds less than a second.
                    assert started.seconds < 1 + usual
                    broker.kill()
                    run = ReplayRun.objects.latest("pk")
                    assert run.status is RunStatus.PENDING
                    broker.start()
                    until(lambda run=run: ReplayRun.objects.get(pk=run.pk).done > 0, seconds=30)  # type: ignore[misc]
            for _ in range(BROKER_RESTARTS):
                broker.kill()
                time.sleep(0.3)
                broker.start()
                restarted_at = timezone.now()
                until(lambda at=restarted_at: swept_since(at), seconds=10 if SOAK else 30)  # type: ignore[misc]
        finally:
            worker.kill()


def test_a_database_that_restarts_costs_a_run_seconds_and_no_call(tmp_path: Path) -> None:
    only_on("postgresql")
    with (
        Postgres() as server,
        database_at(server.create("pilots")),
        SimulatedVendors(vendors(old=SLOW, new=SLOW)) as simulated,
    ):
        pilot = planned_pilot(simulated.url, n=1000 if SOAK else 400, budget="100")
        person = make.member(Team.objects.get(), role=TeamRole.MANAGER)
        run = start(pilot.plan)  # type: ignore[arg-type]

        def done() -> int:
            run.refresh_from_db()
            return run.done

        page = reverse("pilots:run", args=[run.pk])
        worker = Worker(tmp_path / "worker.log")
        try:
            with WebSite(tmp_path / "web.log", person=person) as site:
                for restart in range(1, DATABASE_RESTARTS + 1):
                    until(lambda restart=restart: done() >= run.total * restart // (DATABASE_RESTARTS + 2), seconds=60)  # type: ignore[misc]
                    assert site.get(page).status == 200
                    connection.close()
                    server.stop()
                    for address in (page, reverse("pilots:progress", args=[run.pk]), reverse("pilots:home")):
                        away = site.get(address)
                        assert (away.status, away.headers["Retry-After"]) == (503, "5")
                        assert "does not answer" in away.body
                        assert "Traceback" not in away.body
                        assert "psycopg" not in away.body
                    assert site.get("/healthz").status == 503
                    time.sleep(1)
                    server.start()
                    before = done()
                    until(lambda before=before: done() > before, seconds=15)  # type: ignore[misc]
                    assert site.get(page).status == 200
                until(lambda: bool(done() and run.decision), seconds=120)
        finally:
            worker.kill()
        assert (run.status, run.done) == (RunStatus.FINISHED, run.total)
        bill = simulated.bill()
        assert bill["requests"] == bill["distinct"] == run.total
        assert set(Attempt.objects.values_list("state", flat=True)) == {AttemptState.SETTLED}
        assert run.reserved_amount == 0
        connection.close()
