"""What the evidence says at a run's end. Public surface: ``conclude_run``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from evaluations.enums import CriterionRole, Decision, Looks, Outcome, RunStatus, Verdict
from evaluations.faults import reached
from evaluations.models import Attempt, ComparisonRow, Completion, PlanVersion, ReplayRun, RunArm, Sample, ScoreRow
from evaluations.selectors.arms import figures_of
from evaluations.selectors.breakeven import arm_prices
from evaluations.selectors.comparisons import DRIFTED, frozen_by_drift, read_once, read_plan
from evaluations.selectors.costs import read_costs
from evaluations.selectors.drift import drift_ended, drift_in
from evaluations.selectors.evidence import evidence_for
from evaluations.selectors.planned_looks import LooksTaken, looks_taken
from evaluations.selectors.weighted import read_weighted
from evaluations.services import audit
from evaluations.services.bulk import recount
from evaluations.services.drift import raise_alarm
from evaluations.services.judging import judge_when_finished
from evaluations.services.run_audit import audit_run
from evaluations.services.scoring import score_run
from evaluations.signals import replay_run_concluded, replay_run_finished

# Answers of one run: with so many a plan made for empty tables takes minutes.
MANY = 10_000


class _Read(NamedTuple):
    comparisons: list[tuple[str, CriterionRole, Verdict, dict[str, Any]]]  # metric, role, verdict, document
    decision: Decision
    reason: str
    samples: int | None
    costs: dict[str, Any] | None
    weighted: list[dict[str, Any]] | None


def conclude_run(*, run: ReplayRun, at: datetime, scored: bool = False) -> bool:
    """Read the plan version with this run's evidence, keep the reading, and tell the storey above; once per end.

    Nothing is locked while the evidence is read, which takes seconds at 100,000 samples: calls of other runs go on
    being committed. Whoever comes second keeps nothing and gets False.
    """
    if not scored and not score_run(run):
        return False
    if run.done >= MANY:
        recount(Sample, Completion, ScoreRow, Attempt)
    look = _the_look(run)
    taken = looks_taken(run.plan_version, period=run.period)
    read = _read(run, taken, at=at) if look is None else _as_read(look)
    drift = None if drift_ended(run) else drift_in(run)
    figures = {arm.pk: figures_of(arm) for arm in run.arms.select_related("endpoint", "model", "run")}
    with transaction.atomic():
        if not ReplayRun.objects.filter(pk=run.pk, decision="", version=run.version).update(version=F("version") + 1):
            return False
        # One run of a plan version at a time: of two that end together the first takes the look.
        PlanVersion.objects.select_for_update(no_key=True).get(pk=run.plan_version_id)
        if look is None and (look := _the_look(run)) is not None:
            read = _as_read(look)
        elif (now_taken := looks_taken(run.plan_version, period=run.period)) != taken:
            # The other one took the planned check: rare enough to read again under the lock.
            read = _read(run, now_taken, at=at)
        if drift is not None:
            raise_alarm(run=run, drift=drift, at=at)
        if look is None and drift_ended(run):
            read = _frozen(read, run, at=at)
        for arm_id, kept in figures.items():
            RunArm.objects.filter(pk=arm_id).update(figures=kept)
        _keep(run, read, after_the_look=look is not None, at=at)
        judge_when_finished(run=run, at=at)
        replay_run_concluded.send(sender=ReplayRun, run=run, at=at)
        transaction.on_commit(lambda: replay_run_finished.send(sender=ReplayRun, run=run))
    return True


def _read(run: ReplayRun, taken: LooksTaken, *, at: datetime) -> _Read:
    version = run.plan_version
    evidence = evidence_for(version, at_end_of=run)
    prices = arm_prices(run, at=run.created_at)
    kept = read_once(version, period=run.period)
    # A run that can be resumed takes no planned check: its reading would be thrown away with it, and taken again.
    final = run.status is RunStatus.FINISHED
    reading = read_plan(
        version.document, evidence, on=at.date(), prices=prices, kept=kept, taken=taken, may_check=final
    )
    return _Read(
        [(c.criterion.metric, c.criterion.role, c.reading.verdict, c.to_document()) for c in reading.comparisons],
        reading.decision,
        (reading.reason or "")[:300],
        evidence.n,
        read_costs(version.document, evidence, prices=prices).to_document(),
        read_weighted(run, evidence),
    )


def _as_read(look: ReplayRun) -> _Read:
    """One look has been taken: later evidence never changes its verdict."""
    rows = [(row.metric, row.role, row.verdict, row.document) for row in look.comparisons.all()]
    return _Read(rows, look.decision, look.decision_reason, look.evidence_samples, look.costs, look.weighted)


def _frozen(read: _Read, run: ReplayRun, *, at: datetime) -> _Read:
    """A model has changed under the test: what was read before and after it is not one answer."""
    document = run.plan_version.document
    frozen, decision, reason = frozen_by_drift(
        document, [each for *_, each in read.comparisons], n=read.samples or 0, on=at.date()
    )
    rows = [
        (metric, role, Verdict(new["verdict"]), new)
        for (metric, role, _, _), new in zip(read.comparisons, frozen, strict=True)
    ]
    return read._replace(comparisons=rows, decision=decision, reason=(reason or "")[:300])


def _keep(run: ReplayRun, read: _Read, *, after_the_look: bool, at: datetime) -> None:
    reached("before_aggregate")
    ComparisonRow.objects.bulk_create(
        ComparisonRow(
            run=run,
            plan_version=run.plan_version,
            position=position,
            metric=metric,
            role=role,
            verdict=verdict,
            document=document,
        )
        for position, (metric, role, verdict, document) in enumerate(read.comparisons)
    )
    ReplayRun.objects.filter(pk=run.pk).update(
        decision=read.decision,
        decision_reason=read.reason,
        evidence_samples=read.samples,
        costs=read.costs,
        weighted=read.weighted,
        after_the_look=after_the_look,
        drift_read=True,
    )
    run.refresh_from_db()
    actor = audit.Actor.task("replay")
    refused = Completion.objects.filter(arm__run=run, outcome=Outcome.NOT_PERMITTED)
    if count := refused.count():
        why = refused.values_list("error", flat=True)[0]
        audit_run(run, "sample.not_permitted", by=actor, at=at, data={"samples": count, "reason": why})
    audit_run(
        run, "replay_run.ended", by=actor, at=at, data={"status": str(run.status), "decision": str(read.decision)}
    )


def _the_look(run: ReplayRun) -> ReplayRun | None:
    """For a plan of one look: the first finished run that had enough samples, if it is not this one.

    A run of a period that a drift alarm ended before the look was not it.
    """
    document = run.plan_version.document
    if document["looks"] != Looks.ONE_LOOK:
        return None
    return (
        run.plan_version.runs.filter(
            status=RunStatus.FINISHED,
            evidence_samples__gte=document["minimum_samples"],
            after_the_look=False,
        )
        .exclude(pk=run.pk)
        .exclude(Exists(ComparisonRow.objects.filter(run=OuterRef("pk"), document__reason=DRIFTED)))
        .order_by("finished_at", "id")
        .first()
    )
