"""/healthz and /metrics: what turns red when, and who may read what."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import Beat, ChunkState, Outcome, PauseReason, RunStatus
from evaluations.models import Chunk, ReplayRun, VendorGate
from evaluations.services.heartbeats import beat
from evaluations.services.leases import claim_chunk
from evaluations.services.pacing import gate_of
from evaluations.services.scoring_turns import take_turn
from evaluations.services.tallies import tally
from pilots import apps
from pilots.conf import setting
from pilots.enums import ExportState
from pilots.models import ExportFile
from pilots.selectors.health import STARTING_SECONDS
from pilots.services.schedules import save_schedule
from pilots.services.slots import run_due_slots
from pilots.views import machines
from tests import factories as make
from tests.pilots.views.people import evaluated_pilot, planned_pilot
from tests.replays import BY, start

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 2, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _up_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "STARTED_AT", apps.STARTED_AT - 3600)


def health(at: datetime, *, scheduler: bool = True) -> tuple[int, dict[str, Any]]:
    """What a stranger is told at ``at``, with a scheduler that is alive unless said otherwise."""
    if scheduler:
        beat(Beat.SCHEDULER, at=at)
    with time_machine.travel(at, tick=False):
        response = Client().get("/healthz")
    return response.status_code, response.json()


def work(at: datetime) -> tuple[int, str, float]:
    status, document = health(at)
    return status, document["checks"]["work"]["status"], document["checks"]["work"]["seconds"]


def replay(at: datetime) -> ReplayRun:
    with time_machine.travel(at, tick=False):
        return start(planned_pilot().plan)  # type: ignore[arg-type]


def test_all_is_well_with_a_live_scheduler_and_nothing_to_do() -> None:
    assert health(NOW) == (
        200,
        {
            "status": "ok",
            "checks": {
                "database": {"status": "ok"},
                "broker": {"status": "ok"},
                "scheduler": {"status": "ok", "seconds": 0.0},
                "work": {"status": "ok", "seconds": 0.0},
            },
        },
    )


def test_a_scheduler_that_stops_is_red_within_a_minute() -> None:
    assert health(NOW, scheduler=False)[1]["checks"]["scheduler"] == {"status": "failed"}  # never seen
    beat(Beat.SCHEDULER, at=NOW)
    assert health(NOW + 40 * SECOND, scheduler=False)[0] == 200
    status, document = health(NOW + 41 * SECOND, scheduler=False)
    assert (status, document["status"], document["checks"]["scheduler"]) == (
        503,
        "down",
        {"status": "failed", "seconds": 41.0},
    )
    assert health(NOW + 42 * SECOND)[1]["status"] == "ok"
    assert health(NOW - timedelta(hours=1), scheduler=False)[0] == 503  # the clock was set back, and it is silent


def test_a_site_that_has_just_started_is_given_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a night without it: the last sign of the scheduler is old, and work was left lying."""
    beat(Beat.SCHEDULER, at=NOW - timedelta(hours=8))
    replay(NOW - timedelta(hours=8))
    for up_seconds, status in ((0, 200), (19, 200), (21, 503)):
        monkeypatch.setattr(apps, "STARTED_AT", time.monotonic() - up_seconds)
        assert health(NOW, scheduler=False)[0] == status
    # The scheduler dies just after a sign of life, and the web server is restarted 39 s later: red within a minute.
    assert setting("STALLED_AFTER_SECONDS") + STARTING_SECONDS <= 60


def test_work_that_nobody_takes_is_red_within_a_minute() -> None:
    replay(NOW)
    assert work(NOW + 40 * SECOND) == (200, "ok", 40.0)
    assert work(NOW + 41 * SECOND) == (503, "failed", 41.0)


def test_answers_that_nobody_scores_are_red_within_a_minute_and_while_somebody_does_all_is_well() -> None:
    run = replay(NOW)
    Chunk.objects.update(state=ChunkState.DONE)
    ReplayRun.objects.update(status=RunStatus.RUNNING, done=F("total"), progressed_at=NOW)
    assert work(NOW + 40 * SECOND) == (200, "ok", 40.0)
    assert work(NOW + 41 * SECOND) == (503, "failed", 41.0)
    take_turn(run, clock=lambda: NOW + 41 * SECOND)  # until 15 s later
    assert work(NOW + 50 * SECOND) == (200, "ok", 0.0)
    assert work(NOW + 97 * SECOND) == (503, "failed", 41.0)


def test_a_worker_that_holds_its_lease_is_at_work_however_slow_the_vendor_is() -> None:
    run = replay(NOW)
    for minute in range(1, 10):
        at = NOW + timedelta(minutes=minute)
        Chunk.objects.filter(arm__run=run).update(lease_expires_at=None)
        claim_chunk(owner=f"slow:{minute}", now=at)
        assert work(at + 14 * SECOND) == (200, "ok", 0.0)


def test_a_worker_that_stops_is_red_once_its_lease_and_the_patience_have_run_out() -> None:
    replay(NOW)
    for _ in range(2):
        claim_chunk(owner="stopped", now=NOW)  # until 15 s later
    assert work(NOW + 14 * SECOND) == (200, "ok", 0.0)
    assert work(NOW + 55 * SECOND) == (200, "ok", 40.0)
    assert work(NOW + 56 * SECOND) == (503, "failed", 41.0)


def test_progress_anywhere_is_progress() -> None:
    replay(NOW)
    ReplayRun.objects.update(progressed_at=NOW + 100 * SECOND)
    assert work(NOW + 140 * SECOND) == (200, "ok", 40.0)


def test_work_that_waits_for_a_paused_vendor_is_not_due() -> None:
    for arm in replay(NOW).arms.select_related("endpoint__model"):
        gate_of(arm.endpoint)
    VendorGate.objects.update(not_before=NOW + timedelta(minutes=10), reason=PauseReason.RATE_LIMITED)
    assert work(NOW + timedelta(minutes=9)) == (200, "ok", 0.0)
    assert work(NOW + timedelta(minutes=10, seconds=41)) == (503, "failed", 41.0)


def test_work_of_a_run_that_was_cancelled_is_nobody_s() -> None:
    replay(NOW)
    ReplayRun.objects.update(status=RunStatus.CANCELLED)
    assert work(NOW + timedelta(hours=1)) == (200, "ok", 0.0)


def test_a_scheduled_replay_that_nobody_starts_is_red_unless_workers_sweep() -> None:
    save_schedule(pilot=planned_pilot(), cron="0 * * * *", by=make.actor(), at=NOW)
    due = NOW + timedelta(hours=1)
    assert work(due) == (200, "ok", 0.0)
    assert work(due + 41 * SECOND) == (503, "failed", 41.0)
    beat(Beat.SWEEP, at=due + 30 * SECOND)
    assert work(due + 41 * SECOND) == (200, "ok", 11.0)
    run_due_slots(now=due + 41 * SECOND, by=BY)
    assert work(due + 41 * SECOND) == (200, "ok", 0.0)


def test_an_export_that_nobody_writes_is_red_unless_others_are_written() -> None:
    asked = ExportFile.objects.create(key="pilot", asked_at=NOW, source="web")
    assert work(NOW + 41 * SECOND) == (503, "failed", 41.0)
    asked.state, asked.lease_expires_at = ExportState.WRITING, NOW + 50 * SECOND
    asked.save()
    waits = ExportFile.objects.create(key="pilot", asked_at=NOW, source="web")
    assert work(NOW + 49 * SECOND) == (200, "ok", 0.0)
    assert work(NOW + 91 * SECOND) == (503, "failed", 91.0)  # the writer is gone; the other still waits
    waits.delete()
    assert work(NOW + 90 * SECOND) == (200, "ok", 40.0)
    written = {
        "state": ExportState.DONE,
        "written_at": NOW + 60 * SECOND,
        "path": "a",
        "file_name": "a",
        "sha256": "0" * 64,
    }
    ExportFile.objects.update(**written)
    assert work(NOW + 91 * SECOND) == (200, "ok", 0.0)
    ExportFile.objects.create(key="pilot", asked_at=NOW, source="web")
    assert work(NOW + 91 * SECOND) == (200, "ok", 31.0)


def test_without_a_broker_it_is_degraded_and_without_a_database_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "broker_answers", lambda: False)
    status, document = health(NOW)
    assert (status, document["status"], document["checks"]["broker"]) == (200, "degraded", {"status": "failed"})

    def gone(**kwargs: object) -> None:
        raise OperationalError("could not connect to server db.internal")

    monkeypatch.setattr(machines, "site_health", gone)
    assert health(NOW) == (
        503,
        {"status": "down", "checks": {"database": {"status": "failed"}, "broker": {"status": "failed"}}},
    )


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9/0", "amqp://guest:guest@127.0.0.1:9//"])
def test_a_broker_that_is_not_there_is_noticed_within_seconds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import Celery

    from evaluations import celery_app

    # Celery lets this variable win over the address that an app is made with.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.setattr(celery_app, "ensure_app", lambda: Celery("elsewhere", broker=url, set_as_current=False))
    assert celery_app.broker_answers() is False


def test_health_and_metrics_cost_the_same_whatever_there_is() -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            assert {Client().get(address).status_code for address in ("/healthz", "/metrics")} <= {200, 503}
        counts.append(len(queries))
        if not ReplayRun.objects.exists():
            save_schedule(pilot=(pilot := planned_pilot()), cron="0 * * * *", by=make.actor(), at=NOW)
            start(pilot.plan)  # type: ignore[arg-type]
    assert counts[0] == counts[1] <= 16


@pytest.mark.django_db(transaction=True)
def test_metrics_say_what_a_replay_did() -> None:
    _, run = evaluated_pilot(n=5, behaviours={"new": {"script": ["overloaded"]}})
    for name, at in ((Beat.SCHEDULER, 3), (Beat.SWEEP, 5)):
        beat(name, at=timezone.now() - at * SECOND)
    make.switched_pilot()
    text = Client().get("/metrics").content.decode()
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    run.refresh_from_db()
    assert found['pilots_runs{status="finished"}'] == "1"
    assert found['pilots_runs{status="running"}'] == "0"
    assert found['pilots_chunks{state="ready"}'] == "0"
    assert found["pilots_answers_left"] == "0"
    assert {name: n for name, n in found.items() if name.startswith("pilots_calls_total")} == {
        'pilots_calls_total{endpoint="new-prod",outcome="ok"}': "5",
        'pilots_calls_total{endpoint="new-prod",outcome="overloaded"}': "1",
        'pilots_calls_total{endpoint="old-prod",outcome="ok"}': "5",
    }
    assert Decimal(found['pilots_spent_today{currency="USD"}']) == run.spent_amount > 0
    assert 3 <= float(found['pilots_seconds_since{what="scheduler"}']) < 60
    assert 5 <= float(found['pilots_seconds_since{what="sweep"}']) < 60
    assert found["pilots_follow_ups_overdue"] == "1"


def test_metrics_say_how_much_is_left_of_what_goes_on() -> None:
    run = replay(NOW)
    ReplayRun.objects.update(done=3)
    for status, left in ((RunStatus.PENDING, run.total - 3), (RunStatus.RUNNING, run.total - 3), (RunStatus.FAILED, 0)):
        ReplayRun.objects.update(status=status)
        assert f"\npilots_answers_left {left}\n" in Client().get("/metrics").content.decode()


def test_yesterday_s_money_is_not_today_s() -> None:
    run = replay(NOW)
    endpoint = run.arms.get(role="candidate").endpoint
    assert endpoint is not None
    for at in (NOW - timedelta(days=1), NOW, NOW):
        tally(run=run, endpoint=endpoint, settled=[(Outcome.OK, Decimal("0.25"))], at=at)
    with time_machine.travel(NOW, tick=False):
        text = Client().get("/metrics").content.decode()
    assert 'pilots_spent_today{currency="USD"} 0.5\n' in text
    assert 'pilots_calls_total{endpoint="new-prod",outcome="ok"} 3\n' in text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "10.0.0.7"}, 401),
        ({"REMOTE_ADDR": ""}, 401),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, 401),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}, 401),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "203.0.113.9"}, 401),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=203.0.113.9"}, 401),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 401),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "Bearer let me in"}, 200),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "bearer let me in"}, 200),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "Bearer let me"}, 401),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "Bearer "}, 401),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "Basic let me in"}, 401),
    ],
)
def test_metrics_are_for_this_machine_and_for_who_has_the_token(request_, status: int, settings: Any) -> None:
    settings.PILOTS_METRICS_TOKEN = "let me in"
    response = Client().get("/metrics", **request_)
    assert response.status_code == status
    assert (b"pilots_runs" in response.content) is (status == 200)


def test_an_empty_token_opens_nothing(settings: Any) -> None:
    settings.PILOTS_METRICS_TOKEN = ""
    for given in ("Bearer ", "Bearer", ""):
        assert Client().get("/metrics", REMOTE_ADDR="10.0.0.7", HTTP_AUTHORIZATION=given).status_code == 401


def test_machines_only_read_and_get_fresh_answers_over_plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    for name in ("healthz", "metrics"):
        address = reverse(f"pilots:{name}")
        assert Client().post(address).status_code == 405
        assert "no-store" in Client().get(address)["Cache-Control"]
    assert Client().get("/sign-in/").status_code == 301
