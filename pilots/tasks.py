"""Celery's doors into the pilots app. As in the engine, a message is only a hint: the database knows what is due."""

from __future__ import annotations

from django.utils import timezone

from evaluations.tasks import task


@task
def tick_schedules() -> None:
    """Start the scheduled replays that are due."""
    from evaluations.services.audit import Actor
    from pilots.services.slots import run_due_slots

    run_due_slots(now=timezone.now(), by=Actor.task("schedule"))
