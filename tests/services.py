"""PostgreSQL and Redis of a test's own, on free ports, to be killed and restarted; another database for one test.

Public surface: ``Postgres``, ``Redis``, ``needs``, ``only_on``, ``database_at``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import environ
import pytest
from django.core.management import call_command
from django.db import connections

from evaluations.conf import SQLITE_OPTIONS

USER = "postgres"  # initdb refuses root


def needs(program: str) -> str:
    """The path of ``program``; without it the test is skipped, and fails where everything has to be there."""
    found = shutil.which(program)
    if found is None:
        packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
        found = str(packaged[-1]) if packaged else None
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return found


def only_on(vendor: str) -> None:
    """For a test that is about one database, or too dear for both passes of the suite."""
    if connections["default"].vendor != vendor:
        pytest.skip(f"the pass of the suite on {vendor} runs it")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A server with a cluster of its own. Killed or not, what was committed is there after a restart."""

    def __init__(self) -> None:
        self._control, initdb = needs("pg_ctl"), needs("initdb")
        self._as: dict[str, Any] = {"user": USER, "group": USER} if os.geteuid() == 0 else {}
        self._folder = Path(tempfile.mkdtemp(prefix="pilots-postgres-"))
        if self._as:
            shutil.chown(self._folder, USER, USER)
        self.port = free_port()
        self._run(initdb, "--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8", "-D", self._data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        # fsync guards against a machine's end, not a process's; what a client was told is kept either way.
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run(self._control, "start", "-w", "-D", self._data, "-o", options, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """As after a power cut: sessions are cut, nothing is written, the next start recovers from the log."""
        self._run(self._control, "stop", "-m", "immediate", "-D", self._data)

    def create(self, name: str) -> str:
        """A new, empty database; returns its URL."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER]
        self._run(needs("createdb"), *where, name)
        return f"postgres://{USER}@127.0.0.1:{self.port}/{name}"

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **self._as)


class Redis:
    """A broker that keeps nothing: killed, it forgets every message."""

    def __init__(self) -> None:
        self._program = needs("redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", "/tmp"]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, "the broker does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def database_at(url: str) -> Iterator[None]:
    """The default database is the one at ``url``, migrated, within the block."""
    given = environ.Env.db_url_config(url)
    if given["ENGINE"] == "django.db.backends.sqlite3":
        given["OPTIONS"] = SQLITE_OPTIONS
    connections["default"].close()
    before = connections.settings["default"]
    connections.settings["default"] = connections.configure_settings({"default": given})["default"]
    del connections["default"]
    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = before
        del connections["default"]
