"""Replays of a pilot: the engine's doors, with the pilot's stage moved along.

Public surface: ``start_replay``, ``judge_again``, ``have_judged``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from evaluations.enums import RunTrigger
from evaluations.models import ReplayRun, Rescoring, SampleSet
from evaluations.services import replays, rescoring
from evaluations.services.audit import Actor
from evaluations.services.errors import NotPermitted, Refused
from evaluations.services.judging import start_judging
from evaluations.tasks import hint, hint_to_rescore
from pilots.models import Pilot
from pilots.services.lifecycle import mark_evaluating
from pilots.services.planning import freeze_pilot_plan


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
    try:
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
    except NotPermitted as refusal:
        refusal.record()
        raise
    return run


def judge_again(*, run: ReplayRun, by: Actor, at: datetime) -> Rescoring:
    """Have a run's answers judged by the plan's scorers as they are now, without a call; workers are told after commit.

    Where a newer version of a scorer is installed than the plan was frozen with, the plan is frozen again first. Raises
    ``Refused`` and ``Conflict`` as ``rescore_run`` does; then nothing is frozen either.
    """
    with transaction.atomic():
        pilot = Pilot.objects.filter(plan=run.plan_version.plan_id).first()
        if pilot is not None and run.decision:
            freeze_pilot_plan(pilot=pilot, by=by, at=at)
        asked = rescoring.rescore_run(run=run, by=by, at=at)
        transaction.on_commit(lambda: hint_to_rescore(asked.pk))
    return asked


def have_judged(*, run: ReplayRun, by: Actor, at: datetime, trigger: RunTrigger) -> ReplayRun:
    """Have the plan's model judge ``run``'s answers; workers are told after commit. Refuses as ``start_judging``."""
    with transaction.atomic():
        judging = start_judging(run=run, by=by, at=at, trigger=trigger)
        transaction.on_commit(lambda: hint(judging.pk, chunks=1))
    return judging
