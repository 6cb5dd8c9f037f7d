"""Replays of a pilot: the engine's doors, with the pilot's stage moved along.

Public surface: ``start_replay``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from evaluations.enums import RunTrigger
from evaluations.models import ReplayRun, SampleSet
from evaluations.services import replays
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from evaluations.tasks import hint
from pilots.models import Pilot
from pilots.services.lifecycle import mark_evaluating


def start_replay(
    *,
    pilot: Pilot,
    by: Actor,
    at: datetime,
    sample_set: SampleSet | None = None,
    take: int | None = None,
    repeats: int = 1,
    budget: Decimal | None = None,
    trigger: RunTrigger = RunTrigger.MANUAL,
    enqueue: bool = True,
) -> ReplayRun:
    """Create the run, record that the pilot is evaluating, and tell the workers after commit.

    Raises ``Refused`` for a pilot without a frozen plan, and for whatever ``create_run`` refuses.
    """
    if pilot.plan is None:
        raise Refused(f"pilot {pilot.slug} has no plan", field="pilot")
    with transaction.atomic():
        run = replays.create_run(
            plan=pilot.plan,
            by=by,
            at=at,
            sample_set=sample_set,
            take=take,
            repeats=repeats,
            budget=budget,
            trigger=trigger,
        )
        mark_evaluating(pilot=pilot, by=by, at=at, run=run.pk)
        if enqueue:
            chunks = run.arms.count()
            transaction.on_commit(lambda: hint(run.pk, chunks=chunks))
    return run
