"""Child processes of the commands that run a whole site.

Public surface: ``Processes``, ``web_server``, ``manage``, ``free_port``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from django.conf import settings

STOP_SECONDS = 30


class Processes:
    """Started with the block, told to stop at its end: SIGTERM, then SIGKILL for whatever outlasts 30 s.

    Within the block a SIGTERM is a Ctrl-C: whoever stops this process stops all of them. Each process writes to a log
    of its own in ``logs``.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._files: list[IO[bytes]] = []
        self._before: Any = signal.SIG_DFL  # what a SIGTERM did

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def start(self, name: str, arguments: Sequence[str]) -> None:
        log = (self._logs / f"{name}.log").open("ab")
        self._files.append(log)
        self._running[name] = subprocess.Popen(  # noqa: S603 - our own commands
            [sys.executable, *arguments], env=self._environment, stdout=log, stderr=log, start_new_session=True
        )

    def ended(self) -> str | None:
        """The name of a process that has ended by itself, if any."""
        return next((name for name, process in self._running.items() if process.poll() is not None), None)

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we are stopping
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for file in self._files:
            file.close()
        signal.signal(signal.SIGTERM, self._before)


def web_server(address: str) -> list[str]:
    """Arguments that serve the project's WSGI application on ``address`` (host:port)."""
    module, _, name = str(settings.WSGI_APPLICATION).rpartition(".")
    return ["-m", "gunicorn", f"{module}:{name}", f"--bind={address}", "--workers=1", "--threads=8", "--timeout=60"]


def manage(*arguments: str) -> list[str]:
    """Arguments that run a management command of this project in a child process."""
    return ["-m", "django", *arguments, f"--settings={os.environ['DJANGO_SETTINGS_MODULE']}"]


def free_port(preferred: int) -> int:
    """``preferred`` if nothing listens there, else a port that is free now."""
    for port in (preferred, 0):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")
