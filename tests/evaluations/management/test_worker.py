"""``worker``: which queues are served by how many processes, and what is refused. Real ones: tests/functional."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from evaluations.conf import QUEUES
from evaluations.management.commands import worker

pytestmark = pytest.mark.usefixtures("data_dir")

SCHEDULE = "the schedule"


class Started:
    """What ``run_together`` was given; ``ended`` is its answer."""

    ended: str | None = None
    patience: float
    jobs: Mapping[str, Any]

    def __call__(self, jobs: Mapping[str, Any], *, patience_seconds: float) -> str | None:
        self.jobs, self.patience = jobs, patience_seconds
        return self.ended

    @property
    def processes(self) -> dict[str, int]:
        """By queue."""
        return {job.args[0]: job.keywords["processes"] for name, job in self.jobs.items() if name != SCHEDULE}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    started = Started()
    monkeypatch.setattr(worker, "run_together", started)
    monkeypatch.setattr(worker.connections, "close_all", lambda: None)
    return started


def test_every_queue_has_processes_of_its_own_and_so_has_the_schedule(started: Started) -> None:
    call_command("worker")
    assert started.processes == {"replay": 2, "scoring": 1, "export": 1, "default": 1}
    assert tuple(started.processes) == QUEUES
    assert list(started.jobs) == ["queue replay", "queue scoring", "queue export", "queue default", SCHEDULE]


def test_calls_in_flight_have_their_time_before_anything_is_killed(started: Started, settings) -> None:
    call_command("worker")
    assert started.patience == 25  # and so it ends within 30 s
    settings.PILOTS_DRAIN_SECONDS = 7
    call_command("worker")
    assert started.patience == 17


def test_a_machine_may_do_nothing_but_replay(started: Started) -> None:
    call_command("worker", "--queues=replay", "--concurrency=4")
    assert started.processes == {"replay": 4}
    assert SCHEDULE not in started.jobs


def test_the_scheduler_comes_with_the_queue_of_its_ticks_unless_another_schedules(started: Started) -> None:
    call_command("worker", "--queues=scoring,default")
    assert SCHEDULE in started.jobs
    call_command("worker", "--no-scheduler")
    assert SCHEDULE not in started.jobs
    assert "default" in started.processes


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--queues=replay,mail,audit", "no queue audit, mail: there are replay, scoring, export, default"),
        ("--queues=", "no queue : there are replay, scoring, export, default"),
        ("--concurrency=0", "--concurrency must be at least 1"),
    ],
)
def test_what_cannot_be_served_is_refused(started: Started, argument: str, message: str) -> None:
    with pytest.raises(CommandError, match=f"^{message}$"):
        call_command("worker", argument)


def test_sqlite_has_at_most_four_replaying_processes(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "connection", SimpleNamespace(vendor="sqlite"))
    call_command("worker", "--concurrency=4")
    assert started.processes["replay"] == 4
    with pytest.raises(CommandError, match="use PostgreSQL for more"):
        call_command("worker", "--concurrency=5")
    monkeypatch.setattr(worker, "connection", SimpleNamespace(vendor="postgresql"))
    call_command("worker", "--concurrency=5")
    assert started.processes["replay"] == 5


def test_a_process_that_ends_by_itself_ends_the_command_badly(started: Started) -> None:
    started.ended = "queue export was killed by SIGKILL"
    with pytest.raises(CommandError, match="the process for queue export was killed by SIGKILL: the others"):
        call_command("worker")
