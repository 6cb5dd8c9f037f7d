"""Working on a run in the command's own process. Public surface: ``wait_for``."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from django.db import connection
from django.utils import timezone

from evaluations.enums import PauseReason, RunStatus
from evaluations.models import ReplayRun
from evaluations.selectors.progress import RunProgress, run_progress
from evaluations.selectors.queue import work_for
from evaluations.services.replays import is_quiet, settle_run
from evaluations.services.work import work_once

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.5
ARMS = 2


def wait_for(run: ReplayRun, *, say: Callable[[str], None]) -> bool:
    """Claim chunks by lease like any worker until ``run`` has ended, or waits for money; True if it finished.

    Ctrl-C lets calls in flight end, releases the chunks and leaves the run for a worker or a later ``--wait``. Raises
    what broke the last of its workers.
    """
    stop = threading.Event()

    def interrupted(signum: int, frame: FrameType | None) -> None:
        say("stopping: calls in flight are awaited, the run stays resumable")
        stop.set()

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    broken: list[Exception] = []
    workers = [threading.Thread(target=_work, args=(run.pk, stop, broken), daemon=True) for _ in range(ARMS)]
    try:
        for worker in workers:
            worker.start()
        said = 0.0
        while True:
            run.refresh_from_db()
            if run.is_read or stop.is_set():
                break
            progress = run_progress(run, now=timezone.now())
            if time.monotonic() - said >= 1:
                said = time.monotonic()
                say(_line(progress))
            if _is_out_of_money(run):
                say(f"run {run.pk} waits: {PauseReason.QUOTA_EXHAUSTED.label}; mend it and run {run.pk} --resume")
                break
            if not any(worker.is_alive() for worker in workers):
                if broken:
                    raise broken[0]
                settle_run(run=run, at=timezone.now())
            time.sleep(POLL_SECONDS / 5 if progress.done == progress.total else POLL_SECONDS)
        stop.set()
        for worker in workers:
            worker.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    run.refresh_from_db()
    say(_line(run_progress(run, now=timezone.now())))
    judging = ReplayRun.objects.filter(judges=run, judged__isnull=True).first()
    if run.is_read and judging is not None:
        say(f"run {run.pk} has ended; its answers are judged: {judging}")
        wait_for(judging, say=say)
    return run.status is RunStatus.FINISHED


def _is_out_of_money(run: ReplayRun) -> bool:
    """Only a person mends that, or a long time: nothing else is left to do for it now."""
    now = timezone.now()
    waits = run.status_reason == PauseReason.QUOTA_EXHAUSTED
    return waits and is_quiet(run=run, at=now) and not work_for(run, now, at_most=1)


def _work(run_id: int, stop: threading.Event, broken: list[Exception]) -> None:
    """One worker: claim, work, and look again until the run has ended (another worker's lease may run out)."""
    try:
        run = ReplayRun.objects.get(pk=run_id)
        while not stop.is_set():
            run.refresh_from_db()
            if run.is_read:
                return
            if work_once(run=run, stopping=stop.is_set) is None:
                settle_run(run=run, at=timezone.now())
                stop.wait(POLL_SECONDS)
    except Exception as error:
        logger.exception("a worker of run %s broke", run_id)
        broken.append(error)
    finally:
        connection.close()


def _line(progress: RunProgress) -> str:
    reason = f" ({progress.status_reason})" if progress.status_reason else ""
    rate = "" if progress.per_second is None else f", {progress.per_second:.0f}/s"
    eta = "" if progress.eta_seconds is None else f", about {progress.eta_seconds:.0f} s left"
    return (
        f"run {progress.run_id}: {progress.status}{reason} {progress.done:,} of {progress.total:,}{rate}{eta},"
        f" {progress.spent:.4f} of {progress.budget:f} {progress.currency}"
    )
