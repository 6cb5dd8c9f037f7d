"""A replay from its start to its end.

Public surface: ``create_run``, ``newest_set``, ``cancel_run``, ``resume_run``, ``note_pause``,
``end_run``, ``settle_run``.

What happens in between, the calls, is in ``work.py``; what may be spent, in ``budget.py``; what the evidence says at
the end, in ``conclusions.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from heapq import merge
from itertools import islice
from itertools import repeat as again
from typing import Any

from django.db import transaction
from django.db.models import F

from evaluations.conf import setting
from evaluations.enums import (
    OTHER_CAPS,
    ArmRole,
    ChunkState,
    Outcome,
    PauseReason,
    RunStatus,
    RunTrigger,
    StopReason,
)
from evaluations.models import (
    Chunk,
    Completion,
    Endpoint,
    Plan,
    ReplayRun,
    RunArm,
    SampleSet,
)
from evaluations.selectors.consent import called_arms, refusals
from evaluations.selectors.drift import period_of
from evaluations.selectors.estimates import Estimate, estimate_replay
from evaluations.selectors.evidence import ENDED
from evaluations.selectors.purging import purged_of
from evaluations.selectors.unreplayed import unreplayed
from evaluations.services import audit
from evaluations.services.conclusions import conclude_run
from evaluations.services.errors import Conflict, NotPermitted, Refused
from evaluations.services.judging import conclude_judging
from evaluations.services.pacing import lift_pauses
from evaluations.services.plan_document import BudgetEntry, check_scorers, definition_of
from evaluations.services.purging import lock_contents
from evaluations.services.run_arms import chunk_calls, frozen_arm
from evaluations.services.run_audit import audit_refused_start, audit_run
from evaluations.services.sample_sets import INBOX, freeze_part
from evaluations.services.scoring import score_run


@transaction.atomic
def create_run(
    *,
    plan: Plan,
    by: audit.Actor,
    at: datetime,
    sample_set: SampleSet | None = None,
    take: int | None = None,
    repeats: int = 1,
    budget: Decimal | None = None,
    trigger: RunTrigger = RunTrigger.MANUAL,
) -> ReplayRun:
    """Freeze configuration, prices and samples of a replay and write its pending work.

    ``sample_set`` defaults to the workload's newest; ``take`` replays that many of it which this plan has not replayed.
    ``budget`` (the plan's currency) defaults to the plan's. Nothing left to take: a finished run without a call, reason
    ``no_new_samples``. Raises ``Refused`` for an unfrozen plan, no samples, purged ones where nothing is taken, an arm
    whose spending nothing limits, a budget in another currency than the team's monthly cap, or a data agreement that
    permits no call at all.
    """
    version = plan.versions.order_by("-number").first()
    if version is None:
        raise Refused(f"plan {plan.slug} is not frozen: run freeze_plan first", field="plan")
    check_scorers(version.document)
    if not 1 <= repeats <= 100:
        raise Refused("must be between 1 and 100", field="repeats")
    if take is not None and take < 1:
        raise Refused("must be at least 1", field="take")
    amount: Decimal = budget if budget is not None else plan.budget_amount or setting("DEFAULT_BUDGET")[0]
    if amount <= 0:
        raise Refused("must be above 0", field="budget")
    team = plan.workload.team
    if team.monthly_cap_amount is not None and team.monthly_cap_currency != plan.budget_currency:
        # Nothing here knows an exchange rate, so such a cap could not be kept.
        raise Refused(
            f"the budget is in {plan.budget_currency}, {team.slug}'s monthly cap in {team.monthly_cap_currency}",
            field="budget.currency",
        )
    sample_set = newest_set(plan, sample_set)
    lock_contents(plan.workload_id)
    if take is not None:
        sample_set = _taken(plan, sample_set, take, by=by, at=at)
    elif purged := purged_of(sample_set):
        left = sample_set.size - purged
        told = f"take {left:,} replays the others" if left else "none is left"
        raise Refused(f"{purged:,} of the {sample_set.size:,} samples of the set were purged: {told}", field="take")
    arms = _arms(plan, at=at)
    size = 0 if sample_set is None else sample_set.size
    refused = refusals(plan, at=at)
    if size and len(refused) == len(called_arms(plan)):
        why = ", ".join(dict.fromkeys(refused.values()))
        record = partial(audit_refused_start, plan, by=by, at=at, samples=size, why=why)
        raise NotPermitted(f"no sample may be sent: {why}", field="data_agreement", record=record)
    expected = None
    if sample_set is not None:
        expected = estimate_replay(plan=plan, sample_set=sample_set, at=at, repeats=repeats, budget=amount)
    run = ReplayRun.objects.create(
        plan_version=version,
        sample_set=sample_set,
        status=RunStatus.PENDING if size else RunStatus.RUNNING,
        trigger=trigger,
        period=period_of(version),
        repeats=repeats,
        total=size * len(arms) * repeats,
        currency=plan.budget_currency,
        budget_amount=amount,
        max_calls=plan.max_calls,
        assume_per_mtok=plan.assume_per_mtok,
        in_step=expected is not None and expected.may_be_stopped,
        created_at=at,
        created_by=by.user,
        started_at=None if size else at,
    )
    for arm in arms:
        arm.run = run
    RunArm.objects.bulk_create(arms)
    chunks = _chunks(arms, size=size, repeats=repeats, at_most=_paid_at_once(run, expected))
    while part := list(islice(chunks, 2000)):
        Chunk.objects.bulk_create(part)
    audit_run(
        run,
        "replay_run.created",
        by=by,
        at=at,
        data={
            "samples": size,
            "repeats": repeats,
            "budget": f"{amount} {run.currency}",
            "plan_version": version.number,
        },
    )
    if not size:
        end_run(run=run, status=RunStatus.FINISHED, reason="no_new_samples", at=at)
        conclude_run(run=run, at=at)
    return run


def newest_set(plan: Plan, sample_set: SampleSet | None = None) -> SampleSet:
    """``sample_set`` if given and of the plan's workload, else the workload's newest imported set."""
    if sample_set is None:
        imported = plan.workload.sample_sets.filter(parent__isnull=True).exclude(method__kind=INBOX)
        sample_set = imported.first()
    if sample_set is None:
        raise Refused(f"workload {plan.workload.slug} has no sample set: import samples first", field="set")
    if sample_set.workload_id != plan.workload_id:
        raise Refused(f"set {sample_set.pk} belongs to another workload", field="set")
    return sample_set


def _taken(plan: Plan, sample_set: SampleSet, take: int, *, by: audit.Actor, at: datetime) -> SampleSet | None:
    """A set of the first ``take`` members that this plan has not replayed, in the set's own order."""
    members = unreplayed(plan, sample_set)
    return freeze_part(parent=sample_set, members=members, take=take, name="not yet replayed", by=by, at=at)


def _arms(plan: Plan, *, at: datetime) -> list[RunArm]:
    candidate = plan.candidate_endpoint
    if candidate is None:
        raise Refused("the candidate needs an endpoint", field="candidate.endpoint")
    limited = plan.assume_per_mtok is not None or plan.max_calls is not None
    common: dict[str, Any] = {"currency": plan.budget_currency, "limited": limited, "at": at}
    return [
        frozen_arm(ArmRole.INCUMBENT, plan.incumbent_model, plan.incumbent_endpoint, plan.incumbent_request, **common),
        frozen_arm(ArmRole.CANDIDATE, plan.candidate_model, candidate, plan.candidate_request, **common),
    ]


def _paid_at_once(run: ReplayRun, expected: Estimate | None) -> int:
    """Calls in one chunk, by money: where a cap may stop the run both arms go in step, a twentieth of it at a time."""
    calls = int(setting("CHUNK_MAX_CALLS"))
    if expected is None or not run.in_step:
        return calls
    return max(1, min(calls, int(expected.samples * run.repeats * expected.share_paid_for / 20)))


def _chunks(arms: Sequence[RunArm], *, size: int, repeats: int, at_most: int) -> Iterator[Chunk]:
    """Slices of about 20 s of work, ``at_most`` of so many calls; the arms take turns, so that both advance."""
    steps = [min(chunk_calls(arm.endpoint), at_most) for arm in arms]
    for repeat in range(repeats):
        for start, place in merge(*(zip(range(0, size, step), again(place)) for place, step in enumerate(steps))):
            yield Chunk(arm=arms[place], repeat=repeat, start=start, stop=min(start + steps[place], size))


@transaction.atomic
def cancel_run(*, run: ReplayRun, by: audit.Actor, at: datetime) -> None:
    """No further calls; those in flight are settled, answers so far stay. Raises ``Conflict`` if it has ended."""
    if not end_run(run=run, status=RunStatus.CANCELLED, reason="", at=at):
        raise Conflict("the run has already ended")
    audit_run(run, "replay_run.cancelled", by=by, at=at)


@transaction.atomic
def resume_run(*, run: ReplayRun, by: audit.Actor, at: datetime, budget: Decimal | None = None) -> None:
    """Go on with a run that was cancelled, failed, or stopped by its budget.

    ``budget`` raises the cap first; without it a plan's budget that was raised meanwhile does. A run that the team's
    month stopped goes on when that has room, one that came to its ``max_calls`` when the plan's allow more, one whose
    samples were purged never. Answers that exist are not paid for again. Vendors that are left alone are called again
    at once. A run that goes on already (its command was interrupted, say) is otherwise left as it is. Raises
    ``Conflict`` for a run that is finished, ``Refused`` for a cap that the run has already reached.
    """
    plan = run.plan_version.plan
    if budget is None and run.status in (RunStatus.PENDING, RunStatus.RUNNING):
        _lift_pauses(run, by=by, at=at)
        return
    caps = _caps(run)
    if budget is None and run.status is RunStatus.STOPPED_BY_BUDGET and caps is not None:
        budget = caps.amount if caps.currency == run.currency and caps.amount > run.budget_amount else None
    lock_contents(plan.workload_id)
    if run.sample_set is not None and (purged := purged_of(run.sample_set)):
        raise Refused(f"{purged:,} of its {run.sample_set.size:,} samples were purged: start another", field="run")
    changes: dict[str, Any] = {}
    if budget is not None:
        if budget <= run.spent_amount + run.reserved_amount:
            raise Refused("the cap is already reached: raise it", field="budget")
        changes["budget_amount"] = budget
    elif run.status is RunStatus.STOPPED_BY_BUDGET and run.status_reason not in OTHER_CAPS:
        raise Refused("raise the cap to resume a run that its budget stopped", field="budget")
    judged = None if caps is None else caps.max_calls
    now_planned = run.plan_version.plan.max_calls if run.judges_id is None else judged
    # Where no price limits a run, its number of calls does: that limit is raised, never lifted.
    max_calls = run.max_calls if now_planned is None and run.assume_per_mtok is None else now_planned
    if run.status_reason == StopReason.MAX_CALLS and max_calls is not None and max_calls <= run.calls:
        raise Refused(f"all {run.calls:,} calls are used up: raise max_calls in the plan's budget", field="max_calls")
    stopped = [RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.STOPPED_BY_BUDGET]
    if not ReplayRun.objects.filter(pk=run.pk, status__in=stopped).update(
        status=RunStatus.RUNNING,
        status_reason="",
        finished_at=None,
        progressed_at=at,
        decision="",
        decision_reason="",
        drift_read=False,
        judged=None,
        max_calls=max_calls,
        version=F("version") + 1,
        **changes,
    ):
        raise Conflict("the run is not stopped")
    run.arms.update(stopped_outcome="")
    _lift_pauses(run, by=by, at=at)
    run.comparisons.all().delete()
    run.rescorings.all().delete()
    run.refresh_from_db()
    audit_run(run, "replay_run.resumed", by=by, at=at, data={"budget": f"{run.budget_amount} {run.currency}"})


def _caps(run: ReplayRun) -> BudgetEntry | None:
    """What the plan allows now: a replay, or, if it still has a judge, a judging. None: nothing is said."""
    plan = run.plan_version.plan
    if run.judges_id is not None:
        judge = definition_of(plan).judge
        return None if judge is None else judge.budget
    return None if plan.budget_amount is None else BudgetEntry(plan.budget_amount, plan.budget_currency)


def _lift_pauses(run: ReplayRun, *, by: audit.Actor, at: datetime) -> None:
    endpoints = Endpoint.objects.select_related("model").filter(pk__in=run.arms.values("endpoint"))
    if reasons := lift_pauses(endpoints):
        ReplayRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(status_reason="")
        run.refresh_from_db()
        audit_run(run, "replay_run.unpaused", by=by, at=at, data={"reasons": [str(reason) for reason in reasons]})


@transaction.atomic
def note_pause(*, run: ReplayRun, reason: PauseReason, until: datetime, at: datetime) -> None:
    """Tell the owner of what only a person mends; a vendor that is slow or away is back without."""
    if reason is PauseReason.QUOTA_EXHAUSTED:
        data = {"reason": str(reason), "next_call_at": until.isoformat()}
        audit_run(run, "replay_run.paused", by=audit.Actor.task("replay"), at=at, data=data)


def is_complete(run: ReplayRun) -> bool:
    return not Chunk.objects.filter(arm__run=run, state=ChunkState.PENDING).exists()


def is_quiet(run: ReplayRun, *, at: datetime) -> bool:
    """Whether no worker has a call of ``run`` in flight."""
    return not Chunk.objects.filter(arm__run=run, state=ChunkState.PENDING, lease_expires_at__gt=at).exists()


def end_run(*, run: ReplayRun, status: RunStatus, reason: str, at: datetime) -> bool:
    """No further calls from here on; False if the run has already ended. Its evidence is read by ``conclude_run``."""
    ended = ReplayRun.objects.filter(pk=run.pk, status__in=[RunStatus.PENDING, RunStatus.RUNNING]).update(
        status=status, status_reason=reason[:60], finished_at=at, version=F("version") + 1
    )
    run.refresh_from_db()
    return bool(ended)


def settle_run(*, run: ReplayRun, at: datetime, stopping: Callable[[], bool] = lambda: False) -> bool:
    """End a run whose work is done, and read the evidence of a run that has ended; True if this call did.

    Whoever releases a chunk calls this, and the sweep does for a worker that died before it could.
    """
    run.refresh_from_db()
    scored = run.status is RunStatus.RUNNING and is_complete(run)
    if scored:
        # Scores first: the run is finished only when its evidence can be read.
        if run.judges_id is None and not score_run(run, stopping=stopping):
            return False
        refused = Completion.objects.filter(arm__run=run, outcome=Outcome.NOT_PERMITTED).exists()
        end_run(run=run, status=RunStatus.FINISHED, reason=Outcome.NOT_PERMITTED if refused else "", at=at)
    if run.status in ENDED and not run.is_read and is_quiet(run, at=at):
        if run.judges_id is not None:
            return conclude_judging(run=run, at=at)
        return conclude_run(run=run, at=at, scored=scored)
    return False
