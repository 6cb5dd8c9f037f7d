"""Processes that run together stop together, whoever of them ends or is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluations.management.together import run_together
from tests.workers import until


def sleeper(started: Path) -> Callable[[], None]:
    def sleep() -> None:
        started.write_text(str(os.getpid()))
        time.sleep(60)

    return sleep


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("last", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "second was killed by SIGKILL"),
        (lambda: sys.exit(3), "second has ended with exit code 3"),
        (lambda: None, "second has ended with exit code 0"),
    ],
)
def test_when_one_ends_the_others_are_stopped_and_it_is_said(last: Callable[[], None], how: str, tmp_path) -> None:
    started = tmp_path / "first"

    def after_the_first() -> None:
        until(started.exists, seconds=10)
        last()

    assert run_together({"first": sleeper(started), "second": after_the_first}, patience_seconds=10) == how
    assert not alive(int(started.read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_stops_all_and_is_no_failure(number: signal.Signals, tmp_path: Path) -> None:
    started = [tmp_path / "one", tmp_path / "two"]
    before = signal.getsignal(number)

    def tell() -> None:
        until(lambda: all(path.exists() for path in started), seconds=10)
        os.kill(os.getppid(), number)
        time.sleep(60)

    jobs = {path.name: sleeper(path) for path in started}
    assert run_together({**jobs, "teller": tell}, patience_seconds=10) is None
    assert not any(alive(int(path.read_text())) for path in started)
    assert signal.getsignal(number) is before


def test_who_does_not_stop_is_killed_when_the_patience_is_over(tmp_path: Path) -> None:
    started = tmp_path / "stubborn"

    def stubborn() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleeper(started)()

    def ends() -> None:
        until(started.exists, seconds=10)

    begun = time.monotonic()
    assert run_together({"stubborn": stubborn, "ends": ends}, patience_seconds=1) == "ends has ended with exit code 0"
    assert 1 <= time.monotonic() - begun < 15
    assert not alive(int(started.read_text()))


ORPHANS = """
import sys, time
from pathlib import Path
from evaluations.management.together import run_together
def job():
    Path(sys.argv[1]).write_text(str(__import__("os").getpid()))
    time.sleep(60)
run_together({"job": job}, patience_seconds=10)
"""


def test_a_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    started = tmp_path / "job"
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS, str(started)])
    until(lambda: started.exists() and bool(started.read_text()), seconds=10)
    parent.kill()
    parent.wait()
    until(lambda: not alive(int(started.read_text())), seconds=10)
