"""Celery's doors into the pilots app. As in the engine, a message is only a hint: the database knows what is due."""

from __future__ import annotations

import logging

from django.utils import timezone

from evaluations.celery_app import send_hints
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
    if due := due_exports(now).count():
        hint_to_write(times=min(due, HINTS_AT_MOST))
    remove_old_files(now=now)


@task
def compare_customers() -> None:
    """Compare groups by customers, where somebody looks at a report that has them."""
    from pilots.services.customers import compute_due_comparisons

    compute_due_comparisons(clock=timezone.now, stopping=stopping)


@task
def tick_comparisons() -> None:
    """The safety net under lost hints, and the end of comparisons that were kept their time."""
    from pilots.services.customers import due_comparisons, forget_old_comparisons

    if due_comparisons().exists():
        hint_to_compare()
    forget_old_comparisons(now=timezone.now())


@task
def tick_traffic() -> None:
    """Read observed traffic against what is on record, and what it has saved, where either has changed."""
    from pilots.services.savings_readings import read_due_savings
    from pilots.services.traffic_readings import read_due_traffic

    now = timezone.now()
    read_due_traffic(now=now, stopping=stopping)
    read_due_savings(now=now, stopping=stopping)


@task
def tick_forecasts() -> None:
    """Read what changed prices mean for the pilots that go on."""
    from pilots.services.forecasts import read_due_forecasts

    read_due_forecasts(now=timezone.now(), stopping=stopping)


@task
def tick_notices() -> None:
    """Tell people and programs what there is to tell."""
    from pilots.services.deliveries import deliver_due
    from pilots.services.spreading import spread_notices, write_digests

    now = timezone.now()
    spread_notices(now=now)
    write_digests(now=now)
    deliver_due(clock=timezone.now, stopping=stopping)


@task
def tick_reminders() -> None:
    """Ask for follow-ups that are due, and warn of models that retire."""
    from pilots.services.asking import ask_for_follow_ups
    from pilots.services.retirements import warn_of_retirements

    now = timezone.now()
    ask_for_follow_ups(now=now)
    warn_of_retirements(now=now)


def hint_to_write(*, times: int = 1) -> None:
    """Tell workers that an export is due. A broker that is down costs one sweep, never the request."""
    if not send_hints(write_export_file, (), queue="export", times=times):
        logger.warning("no hint sent for an export: the broker does not answer")


@task
def read_upload() -> None:
    """Import one file that somebody brought, then leave a hint for the next."""
    from pilots.services.upload_jobs import due_uploads, read_due_upload

    if stopping() or read_due_upload(clock=timezone.now, stopping=stopping) is None:
        return
    if not stopping() and due_uploads(timezone.now()).exists():
        hint_to_read()


@task
def tick_uploads() -> None:
    """The safety net under lost hints, and the end of files that were left lying."""
    from pilots.services.upload_jobs import due_uploads, remove_old_uploads

    now = timezone.now()
    if due_uploads(now).exists():
        hint_to_read()
    remove_old_uploads(now=now)


def hint_to_read() -> None:
    """Tell a worker that a file is to be read. A broker that is down costs one sweep, never the request."""
    if not send_hints(read_upload, (), queue="default"):
        logger.warning("no hint sent for an upload: the broker does not answer")


def hint_to_read_traffic() -> None:
    """Tell a worker that traffic came in. A broker that is down costs one sweep, never the import."""
    if not send_hints(tick_traffic, (), queue="default"):
        logger.warning("no hint sent for traffic: the broker does not answer")


def hint_to_compare() -> None:
    """Tell a worker that a comparison is due. A broker that is down costs one sweep, never the request."""
    if not send_hints(compare_customers, (), queue="default"):
        logger.warning("no hint sent for a comparison: the broker does not answer")
