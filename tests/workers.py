"""Real worker processes for fault tests: started, killed, counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ""  # the broker that is there when none is named
LEASE_SECONDS = 3  # as in ``tests.worker_settings``
SOAK = os.environ.get("PILOTS_SOAK") == "1"


def database_url() -> str:
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    user, host, port = given["USER"], given["HOST"] or "127.0.0.1", given["PORT"] or 5432
    return f"postgres://{user}:{given['PASSWORD']}@{host}:{port}/{given['NAME']}"


def environment(*, broker: str | None = None) -> dict[str, str]:
    """For a process of the site that works on the test's database."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "PILOTS_DATA_DIR": str(settings.PILOTS_DATA_DIR),
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        **({} if broker is None else {"CELERY_BROKER_URL": broker}),
    }


class Worker:
    """``manage.py worker`` in a process group of its own, on the test's database and broker.

    ``fault`` names the place where it kills itself (``evaluations.faults``), ``poison`` what kills the process of its
    pool that touches it (``tests.poison``).
    """

    def __init__(self, log: Path, *, broker: str | None = None, fault: str = "", poison: str = "") -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django", "worker", "--settings=tests.worker_settings"],
            cwd=ROOT,
            env={**environment(broker=broker), "PILOTS_FAULT_AT": fault, "PILOTS_TEST_POISON": poison},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def pause(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def ended(self, *, seconds: float) -> int:
        """Wait until it has ended by itself; its exit code."""
        code = self.process.wait(timeout=seconds)
        self._log.close()
        _end_other_sessions()
        return code

    def kill(self) -> None:
        """SIGKILL to the whole group: nobody gets to clean up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()
        _end_other_sessions()

    def stop(self, *, whole_group: bool = False) -> float:
        """SIGTERM, to the main process or to all of them; returns the seconds it took to end."""
        started = time.monotonic()
        if whole_group:
            os.killpg(self.process.pid, signal.SIGTERM)
        else:
            self.process.terminate()
        self.process.wait(timeout=60)
        self._log.close()
        return time.monotonic() - started


def _end_other_sessions() -> None:
    """PostgreSQL keeps a killed client's sessions until it notices; the test database could not be dropped."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Wait for it; fails the test when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
