"""Whoever stops a command that runs a whole site stops the whole site."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pilots.management.processes import Processes

SLEEP = ["-c", "import time; time.sleep(60)"]


def run_two(logs: Path, number: signal.Signals) -> None:
    """Two processes, and a signal to us."""
    with Processes(logs, {}) as processes:
        processes.start("one", SLEEP)
        processes.start("two", SLEEP)
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_stops_its_processes(tmp_path: Path, number: signal.Signals, monkeypatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **options: children.append(begin(*args, **options)) or children[-1]
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_two(tmp_path, number)
    assert [child.returncode for child in children] == [-signal.SIGTERM] * 2
    assert signal.getsignal(signal.SIGTERM) is before
