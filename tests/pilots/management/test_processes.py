"""Whoever stops a command that runs a whole site stops the whole site."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pilots.management.processes import Processes

SLEEP = ["-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_stops_its_processes(tmp_path: Path, number: signal.Signals, monkeypatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **options: children.append(begin(*args, **options)) or children[-1]
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), Processes(tmp_path, {}) as processes:
        processes.start("one", SLEEP)
        processes.start("two", SLEEP)
        os.kill(os.getpid(), number)
        signal.pause()
    assert [child.returncode for child in children] == [-signal.SIGTERM] * 2
    assert signal.getsignal(signal.SIGTERM) is before
