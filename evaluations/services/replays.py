"""A replay from its start to its end.

Public surface: ``create_run``, ``has_new_samples``, ``cancel_run``, ``resume_run``, ``note_pause``,
``end_run``, ``settle_run``.

What happens in between, the calls, is in ``work.py``; what may be spent, in ``budget.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F

from evaluations.conf import setting
from evaluations.enums import (
    OTHER_CAPS,
    ArmRole,
    ChunkState,
    Looks,
    Outcome,
    PauseReason,
    RunStatus,
    RunTrigger,
    StopReason,
)
from evaluations.faults import reached
from evaluations.models import (
    Chunk,
    ComparisonRow,
    Completion,
    Endpoint,
    EndpointPace,
    ModelVersion,
    Plan,
    ReplayRun,
    RunArm,
    SampleSet,
)
from evaluations.pricing import PriceRow, price_in_force
from evaluations.providers.recorded import RECORDED_VERSION
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.usage import tier_of
from evaluations.selectors.breakeven import arm_prices
from evaluations.selectors.comparisons import percentiles_read, read_plan
from evaluations.selectors.consent import called_arms, refusals
from evaluations.selectors.estimates import Estimate, estimate_replay
from evaluations.selectors.evidence import ENDED, evidence_for
from evaluations.selectors.prices import prices_for
from evaluations.selectors.unreplayed import unreplayed
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.pacing import lift_pauses
from evaluations.services.samples import freeze_set
from evaluations.services.scoring import score_run
from evaluations.signals import replay_run_finished

CHUNK_SECONDS = 20.0


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
    ``no_new_samples``. Raises ``Refused`` for an unfrozen plan, no samples, an arm whose spending nothing limits, a
    budget in another currency than the team's monthly cap, or a data agreement that permits no call at all.
    """
    version = plan.versions.order_by("-number").first()
    if version is None:
        raise Refused(f"plan {plan.slug} is not frozen: run freeze_plan first", field="plan")
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
    if take is not None:
        sample_set = _taken(plan, sample_set, take, by=by, at=at)
    arms = _arms(plan, at=at)
    size = 0 if sample_set is None else sample_set.size
    refused = refusals(plan, at=at)
    if size and len(refused) == len(called_arms(plan)):
        raise Refused(f"no sample may be sent: {', '.join(dict.fromkeys(refused.values()))}", field="data_agreement")
    expected = None
    if sample_set is not None:
        expected = estimate_replay(plan=plan, sample_set=sample_set, at=at, repeats=repeats, budget=amount)
    run = ReplayRun.objects.create(
        plan_version=version,
        sample_set=sample_set,
        status=RunStatus.PENDING if size else RunStatus.RUNNING,
        trigger=trigger,
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
    Chunk.objects.bulk_create(_chunks(arms, size=size, repeats=repeats, at_most=_paid_at_once(run, expected)))
    _audit(
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
        sample_set = plan.workload.sample_sets.filter(parent__isnull=True).first()
    if sample_set is None:
        raise Refused(f"workload {plan.workload.slug} has no sample set: import samples first", field="set")
    if sample_set.workload_id != plan.workload_id:
        raise Refused(f"set {sample_set.pk} belongs to another workload", field="set")
    return sample_set


def has_new_samples(plan: Plan, sample_set: SampleSet | None = None) -> bool:
    """Whether ``take`` would find any. Raises ``Refused`` as ``newest_set`` does."""
    return unreplayed(plan, newest_set(plan, sample_set)).exists()


def _taken(plan: Plan, sample_set: SampleSet, take: int, *, by: audit.Actor, at: datetime) -> SampleSet | None:
    """A set of the first ``take`` members that this plan has not replayed, in the set's own order."""
    members = unreplayed(plan, sample_set)
    sample_ids = list(members.order_by("position").values_list("sample_id", flat=True)[:take])
    if not sample_ids:
        return None
    return freeze_set(
        workload=plan.workload,
        sample_ids=sample_ids,
        name=f"{sample_set.name}: {len(sample_ids)} not yet replayed",
        method={"kind": "take", "take": take, "from": sample_set.pk},
        parent=sample_set,
        by=by,
        at=at,
    )


def _arms(plan: Plan, *, at: datetime) -> list[RunArm]:
    candidate = plan.candidate_endpoint
    if candidate is None:
        raise Refused("the candidate needs an endpoint", field="candidate.endpoint")
    return [
        _arm(ArmRole.INCUMBENT, plan, plan.incumbent_model, plan.incumbent_endpoint, plan.incumbent_request, at=at),
        _arm(ArmRole.CANDIDATE, plan, plan.candidate_model, candidate, plan.candidate_request, at=at),
    ]


def _arm(
    role: ArmRole, plan: Plan, model: ModelVersion, endpoint: Endpoint | None, request: dict[str, Any], *, at: datetime
) -> RunArm:
    prices = prices_for(model=model, endpoint=endpoint, currency=plan.budget_currency)
    if endpoint is not None and plan.assume_per_mtok is None and plan.max_calls is None:
        tier = tier_of({**request.get("parameters", {}), **endpoint.parameters}.get("service_tier"))
        price = price_in_force(prices, at=at, service_tier=tier)
        if price is None or not price.disclosed:
            served = f" for service tier {tier}" if tier else ""
            raise Refused(
                f"{model.slug} has no {plan.budget_currency} price in force{served}: give the budget assume_per_mtok"
                " or max_calls",
                field=f"{role}.endpoint",
            )
    return RunArm(
        role=role,
        model=model,
        endpoint=endpoint,
        request=request,
        prices=[row.to_json() for row in prices],
        provider_version=PROVIDERS.get(endpoint.protocol).version if endpoint else RECORDED_VERSION,
    )


def prices_of(arm: RunArm) -> list[PriceRow]:
    return [PriceRow.from_json(row) for row in arm.prices]


def _paid_at_once(run: ReplayRun, expected: Estimate | None) -> int:
    """Calls in one chunk, by money: where a cap may stop the run both arms go in step, a twentieth of it at a time."""
    calls = int(setting("CHUNK_MAX_CALLS"))
    if expected is None or not run.in_step:
        return calls
    return max(1, min(calls, int(expected.samples * run.repeats * expected.share_paid_for / 20)))


def _chunks(arms: Sequence[RunArm], *, size: int, repeats: int, at_most: int) -> list[Chunk]:
    """Slices of about 20 s of work, ``at_most`` of so many calls; the arms take turns, so that both advance."""
    chunks = []
    for arm in arms:
        step = min(_chunk_calls(arm.endpoint), at_most)
        chunks += [
            Chunk(arm=arm, repeat=repeat, start=start, stop=min(start + step, size))
            for repeat in range(repeats)
            for start in range(0, size, step)
        ]
    return sorted(chunks, key=lambda chunk: (chunk.repeat, chunk.start))


def _chunk_calls(endpoint: Endpoint | None) -> int:
    """As many as the endpoint's pace allows in that time: its limits, and how long it took for a call so far."""
    if endpoint is None:
        return int(setting("CHUNK_MAX_CALLS"))
    seen = EndpointPace.objects.filter(endpoint=endpoint).first() or EndpointPace(endpoint=endpoint)
    per_second = [setting("CHUNK_DEFAULT_CALLS") / CHUNK_SECONDS]
    if seen.call_seconds:
        per_second = [endpoint.max_concurrency / seen.call_seconds]
    if requests := endpoint.requests_per_minute or seen.stated_requests_per_minute:
        per_second.append(requests / 60)
    if (tokens := endpoint.tokens_per_minute or seen.stated_tokens_per_minute) and seen.call_tokens:
        per_second.append(tokens / 60 / seen.call_tokens)
    return max(20, min(int(CHUNK_SECONDS * min(per_second)), int(setting("CHUNK_MAX_CALLS"))))


@transaction.atomic
def cancel_run(*, run: ReplayRun, by: audit.Actor, at: datetime) -> None:
    """No further calls; those in flight are settled, answers so far stay. Raises ``Conflict`` if it has ended."""
    if not end_run(run=run, status=RunStatus.CANCELLED, reason="", at=at):
        raise Conflict("the run has already ended")
    _audit(run, "replay_run.cancelled", by=by, at=at)


@transaction.atomic
def resume_run(*, run: ReplayRun, by: audit.Actor, at: datetime, budget: Decimal | None = None) -> None:
    """Go on with a run that was cancelled, failed, or stopped by its budget.

    ``budget`` raises the cap first; without it a plan's budget that was raised meanwhile does. A run that the team's
    month stopped goes on when that has room, one that came to its ``max_calls`` when the plan's allow more. Answers
    that exist are not paid for again. Vendors that are left alone are called again at once. A run that goes on already
    (its command was interrupted, say) is otherwise left as it is. Raises ``Conflict`` for a run that is finished,
    ``Refused`` for a cap that the run has already reached.
    """
    plan = run.plan_version.plan
    if budget is None and run.status in (RunStatus.PENDING, RunStatus.RUNNING):
        _lift_pauses(run, by=by, at=at)
        return
    if budget is None and run.status is RunStatus.STOPPED_BY_BUDGET and plan.budget_currency == run.currency:
        budget = plan.budget_amount if (plan.budget_amount or 0) > run.budget_amount else None
    changes: dict[str, Any] = {}
    if budget is not None:
        if budget <= run.spent_amount + run.reserved_amount:
            raise Refused("the cap is already reached: raise it", field="budget")
        changes["budget_amount"] = budget
    elif run.status is RunStatus.STOPPED_BY_BUDGET and run.status_reason not in OTHER_CAPS:
        raise Refused("raise the cap to resume a run that its budget stopped", field="budget")
    if run.status_reason == StopReason.MAX_CALLS and plan.max_calls is not None and plan.max_calls <= run.calls:
        raise Refused(f"all {run.calls:,} calls are used up: raise max_calls in the plan's budget", field="max_calls")
    stopped = [RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.STOPPED_BY_BUDGET]
    if not ReplayRun.objects.filter(pk=run.pk, status__in=stopped).update(
        status=RunStatus.RUNNING,
        status_reason="",
        finished_at=None,
        progressed_at=at,
        decision="",
        decision_reason="",
        max_calls=plan.max_calls,
        version=F("version") + 1,
        **changes,
    ):
        raise Conflict("the run is not stopped")
    run.arms.update(stopped_outcome="")
    _lift_pauses(run, by=by, at=at)
    run.comparisons.all().delete()
    run.refresh_from_db()
    _audit(run, "replay_run.resumed", by=by, at=at, data={"budget": f"{run.budget_amount} {run.currency}"})


def _lift_pauses(run: ReplayRun, *, by: audit.Actor, at: datetime) -> None:
    endpoints = Endpoint.objects.select_related("model").filter(pk__in=run.arms.values("endpoint"))
    if reasons := lift_pauses(endpoints):
        ReplayRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(status_reason="")
        run.refresh_from_db()
        _audit(run, "replay_run.unpaused", by=by, at=at, data={"reasons": [str(reason) for reason in reasons]})


@transaction.atomic
def note_pause(*, run: ReplayRun, reason: PauseReason, until: datetime, at: datetime) -> None:
    """Tell the owner of what only a person mends; a vendor that is slow or away is back without."""
    if reason is PauseReason.QUOTA_EXHAUSTED:
        data = {"reason": str(reason), "next_call_at": until.isoformat()}
        _audit(run, "replay_run.paused", by=audit.Actor.task("replay"), at=at, data=data)


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


def settle_run(*, run: ReplayRun, at: datetime) -> bool:
    """End a run whose work is done, and read the evidence of a run that has ended; True if this call did.

    Whoever releases a chunk calls this, and the sweep does for a worker that died before it could.
    """
    run.refresh_from_db()
    if run.status is RunStatus.RUNNING and is_complete(run):
        # Scores first: the run is finished only when its evidence can be read.
        if not score_run(run):
            return False
        refused = Completion.objects.filter(arm__run=run, outcome=Outcome.NOT_PERMITTED).exists()
        end_run(run=run, status=RunStatus.FINISHED, reason=Outcome.NOT_PERMITTED if refused else "", at=at)
    if run.status in ENDED and not run.decision and is_quiet(run, at=at):
        return conclude_run(run=run, at=at)
    return False


def conclude_run(*, run: ReplayRun, at: datetime) -> bool:
    """Read the plan version with this run's evidence, keep the reading, and tell the storey above; once per end."""
    if not score_run(run):
        return False
    with transaction.atomic():
        if not ReplayRun.objects.filter(pk=run.pk, decision="", version=run.version).update(version=F("version") + 1):
            return False
        _keep_reading(run, at=at)
        transaction.on_commit(lambda: replay_run_finished.send(sender=ReplayRun, run=run))
    return True


def _keep_reading(run: ReplayRun, *, at: datetime) -> None:
    version = run.plan_version
    look = _the_look(run)
    if look is not None:
        # One look has been taken: later evidence never changes its verdict.
        read = [(row.metric, row.role, row.verdict, row.document) for row in look.comparisons.all()]
        decision, reason, samples = look.decision, look.decision_reason, look.evidence_samples
    else:
        evidence = evidence_for(version, at_end_of=run)
        prices = arm_prices(run, at=run.created_at)
        kept = percentiles_read(version)
        reading = read_plan(version.document, evidence, on=at.date(), prices=prices, kept=kept)
        read = [(c.criterion.metric, c.criterion.role, c.reading.verdict, c.to_document()) for c in reading.comparisons]
        decision, reason = reading.decision, (reading.reason or "")[:300]
        samples = evidence.n
    reached("before_aggregate")
    ComparisonRow.objects.bulk_create(
        ComparisonRow(
            run=run,
            plan_version=version,
            position=position,
            metric=metric,
            role=role,
            verdict=verdict,
            document=document,
        )
        for position, (metric, role, verdict, document) in enumerate(read)
    )
    ReplayRun.objects.filter(pk=run.pk).update(
        decision=decision, decision_reason=reason, evidence_samples=samples, after_the_look=look is not None
    )
    run.refresh_from_db()
    actor = audit.Actor.task("replay")
    refused = Completion.objects.filter(arm__run=run, outcome=Outcome.NOT_PERMITTED)
    if count := refused.count():
        why = refused.values_list("error", flat=True)[0]
        _audit(run, "sample.not_permitted", by=actor, at=at, data={"samples": count, "reason": why})
    _audit(run, "replay_run.ended", by=actor, at=at, data={"status": str(run.status), "decision": str(decision)})


def _the_look(run: ReplayRun) -> ReplayRun | None:
    """For a plan of one look: the first finished run that had enough samples, if it is not this one."""
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
        .order_by("finished_at", "id")
        .first()
    )


def _audit(run: ReplayRun, action: str, *, by: audit.Actor, at: datetime, data: dict[str, Any] | None = None) -> None:
    audit.record(
        by=by,
        at=at,
        action=action,
        object_type="replay_run",
        object_id=run.pk,
        object_label=f"run {run.pk} of {run.plan_version.plan.slug}",
        team=run.plan_version.plan.workload.team,
        data=data,
    )
