"""Celery's doors into the engine. A message is only a hint that work exists; the database row is the truth."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import signal
from functools import partial

from celery import shared_task
from celery.signals import after_task_publish, beat_init, worker_init, worker_process_init, worker_shutting_down
from django.db import close_old_connections
from django.utils import timezone

from evaluations.celery_app import outlive_the_broker, send_hints
from evaluations.enums import Beat, RunStatus

logger = logging.getLogger(__name__)

# Made before the pool forks, so that every child hears that the worker is told to stop.
_stopping = multiprocessing.get_context("fork").Event()
HINTS_AT_MOST = 8

# On the tasks, and the queue where they are sent: so it holds under a host's own Celery app as well, and only for ours.
# A hint expires, or they would pile up for as long as all workers are busy, or there are none: the sweep sends others.
task = partial(
    shared_task, acks_late=True, reject_on_worker_lost=True, ignore_result=True, serializer="json", expires=120
)


def preload() -> None:
    """Seconds to import: once, before a pool forks, and not in each child when a run is about to end."""
    importlib.import_module("scipy.stats")
    importlib.import_module("scipy.optimize")


@worker_init.connect
def _start(**kwargs: object) -> None:
    _stopping.clear()
    outlive_the_broker()
    preload()


@worker_shutting_down.connect
def _shut_down(**kwargs: object) -> None:
    _stopping.set()


@worker_process_init.connect
def _leave_the_stop_to_the_main_process(**kwargs: object) -> None:
    """Service managers send SIGTERM to every process of a group; a child that died of it would lose paid answers."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stopping() -> bool:
    return _stopping.is_set()


@task
def work_on_run(run_id: int) -> None:
    """Work on one chunk, then leave a hint for the next. The message says no more than that there is work: which run's
    turn it is, the rows tell."""
    from evaluations.services.work import work_on_chunk

    run = None if stopping() else work_on_chunk(stopping=stopping)
    if run is None:
        return
    hint_to_settle(run.pk)
    if not stopping():
        # Where the arms go in step, the chunk that is done now may be what the other arm has waited for.
        hint(run.pk, chunks=2 if run.in_step else 1)


@task
def settle_run(run_id: int) -> None:
    """Score, compare and end a run whose work is done."""
    from evaluations.models import ReplayRun
    from evaluations.services import replays

    run = ReplayRun.objects.filter(pk=run_id).first()
    if run is not None and replays.settle_run(run=run, at=timezone.now(), stopping=stopping):
        judging = ReplayRun.objects.filter(judges=run, status=RunStatus.PENDING).first()
        if judging is not None:
            hint(judging.pk, chunks=1)


@task
def settle_rescoring(rescoring_id: int) -> None:
    """Judge the answers of a run again, and keep what they say."""
    from evaluations.models import Rescoring
    from evaluations.services import rescoring

    found = Rescoring.objects.filter(pk=rescoring_id, finished_at=None).first()
    if found is not None and not stopping():
        rescoring.settle_rescoring(rescoring=found, at=timezone.now())


@task
def sweep() -> None:
    """The safety net under every lost message: hints again for whatever is due and in nobody's hands."""
    from evaluations.selectors.queue import work_for
    from evaluations.services.drift import read_for_drift
    from evaluations.services.heartbeats import beat
    from evaluations.services.old_costs import read_missing_costs
    from evaluations.services.rescoring import open_rescorings
    from evaluations.services.work import open_runs

    now = timezone.now()
    for run in open_runs():
        if due := work_for(run, now, at_most=HINTS_AT_MOST):
            hint(run.pk, chunks=due)
        else:
            hint_to_settle(run.pk)
    for rescoring in open_rescorings():
        hint_to_rescore(rescoring.pk)
    beat(Beat.SWEEP, at=now)
    read_for_drift(at=now)
    read_missing_costs()


@task
def purge() -> None:
    """Remove prompts and answers that were kept their time; what is left when the worker is to stop goes next time."""
    from evaluations.services.audit import Actor
    from evaluations.services.purging import purge_contents

    purge_contents(by=Actor.task("purge"), at=timezone.now(), stopping=stopping)


@task
def tick_purge() -> None:
    """Hourly, where contents are kept for a time: have those removed whose time is over, beside what is short."""
    from evaluations.selectors.purging import periods

    if any(periods()):
        send_hints(purge, (), queue="export")


@beat_init.connect
def _sweep_at_once(**kwargs: object) -> None:
    """The scheduler's own first tick is an interval away; what was left lying when all was stopped goes on now."""
    send_hints(sweep, (), queue="default")


@after_task_publish.connect(sender=sweep.name)
def _sweep_sent(**kwargs: object) -> None:
    """In the scheduler's own process: it lives, and so does the broker, however busy the workers are."""
    from evaluations.services.heartbeats import beat

    close_old_connections()
    beat(Beat.SCHEDULER, at=timezone.now())


def hint_to_settle(run_id: int) -> None:
    send_hints(settle_run, (run_id,), queue="scoring")


def hint_to_rescore(rescoring_id: int) -> None:
    send_hints(settle_rescoring, (rescoring_id,), queue="scoring")


def hint(run_id: int, *, chunks: int) -> None:
    """Tell workers that a run has work. A broker that is down costs one sweep, never the request."""
    if not send_hints(work_on_run, (run_id,), queue="replay", times=min(chunks, HINTS_AT_MOST)):
        logger.warning("no hint sent for run %s: the broker does not answer", run_id)
