"""Processes forked from one that has everything imported, watched and stopped together.

Public surface: ``run_together``, ``end_with_parent``.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait

Job = Callable[[], None]


def run_together(jobs: Mapping[str, Job], *, patience_seconds: float) -> str | None:
    """Run each job in a process of its own until SIGTERM or Ctrl-C, or until one of them ends by itself.

    Then all are told to stop (SIGTERM), and killed if they outlast the patience. Returns None when told to stop, else
    which job ended and how. The processes stay in this one's group: a signal to the group reaches them as well.
    """
    told: list[int] = []
    before = {number: signal.signal(number, lambda n, _: told.append(n)) for number in (signal.SIGTERM, signal.SIGINT)}
    gc.collect()
    gc.freeze()  # what is imported stays in memory that the processes share
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_run, args=(job, os.getpid()), name=name) for name, job in jobs.items()]
    try:
        for process in processes:
            process.start()
        while not told and all(process.is_alive() for process in processes):
            wait([process.sentinel for process in processes], timeout=0.5)
        ended = next((process for process in processes if not process.is_alive()), None)
        # A signal to the whole group reaches us and them at once.
        return None if told or ended is None else f"{ended.name} {_how(ended.exitcode)}"
    finally:
        gc.unfreeze()
        _stop([process for process in processes if process.is_alive()], patience_seconds)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent(parent: int, number: int) -> None:
    """Signal this process as soon as its parent is no longer ``parent``: no orphan goes on working unwatched."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def _run(job: Job, parent: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(parent, signal.SIGTERM)
    job()


def _stop(processes: list[multiprocessing.process.BaseProcess], patience_seconds: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + patience_seconds
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"has ended with exit code {exitcode}"
