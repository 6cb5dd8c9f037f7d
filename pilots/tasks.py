"""Celery's doors into the pilots app. As in the engine, a message is only a hint: the database knows what is due."""

from __future__ import annotations

import logging

from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable

from evaluations.tasks import HINTS_AT_MOST, stopping, task

logger = logging.getLogger(__name__)


@task
def tick_schedules() -> None:
    """Start the scheduled replays that are due."""
    from evaluations.services.audit import Actor
    from pilots.services.slots import run_due_slots

    run_due_slots(now=timezone.now(), by=Actor.task("schedule"))


@task
def write_export_file() -> None:
    """Write one export that is due, then leave a hint for the next."""
    from pilots.services.export_jobs import due_exports, write_due_export

    if stopping() or write_due_export(clock=timezone.now, stopping=stopping) is None:
        return
    if not stopping() and due_exports(timezone.now()).exists():
        hint_to_write()


@task
def tick_exports() -> None:
    """The safety net under lost hints, and the end of files that were kept their time."""
    from pilots.services.export_jobs import due_exports, remove_old_files

    now = timezone.now()
    for _ in range(min(due_exports(now).count(), HINTS_AT_MOST)):
        hint_to_write()
    remove_old_files(now=now)


def hint_to_write() -> None:
    """Tell workers that an export is due. A broker that is down costs one sweep, never the request."""
    try:
        write_export_file.apply_async(queue="export")
    except BrokerUnavailable as error:
        logger.warning("no hint sent for an export: %s", error)
