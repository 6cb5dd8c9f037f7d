"""A model judges the answers of a replay that has ended.

Public surface: ``start_judging``, ``judge_when_finished``, ``conclude_judging``, ``close_unanswered``.

A judging is a run of its own with the judge as its one arm: what sends, paces, retries, pays, stops and resumes the
calls of a replay does so here, under the judge's own cap. It gives no verdict: what the judge prefers stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from evaluations.enums import ArmRole, Outcome, Purpose, RunStatus, RunTrigger
from evaluations.models import Chunk, Completion, CompletionContent, DataAgreement, ReplayRun, RunArm
from evaluations.providers.base import CompletionRequest, CompletionResult
from evaluations.replay.ledger import Work
from evaluations.scorers.judge import JUDGE_VERSION
from evaluations.selectors.arms import figures_of
from evaluations.selectors.consent import consent_of
from evaluations.selectors.judge_figures import read_judge
from evaluations.services import audit
from evaluations.services.answers import FinalAnswer, store_uncalled
from evaluations.services.errors import Conflict, Refused
from evaluations.services.judge_requests import read_answers
from evaluations.services.leases import Claim, open_members
from evaluations.services.plan_document import check_judge, definition_of, frozen_judge
from evaluations.services.run_arms import chunk_calls, frozen_arm
from evaluations.services.run_audit import audit_run

ROUNDS = 2  # both orders, or both answers
# Samples at most: a judging that its budget stops has then asked about nearly all of them in both orders.
_CHUNK_SAMPLES = 100


@transaction.atomic
def start_judging(*, run: ReplayRun, by: audit.Actor, at: datetime, trigger: RunTrigger) -> ReplayRun:
    """Freeze prices and write the pending work: ``run``'s first answers, each sample twice.

    Raises ``Refused`` for a run that is not finished or has no answers, a plan without a judge, a judge that is no
    longer as frozen or has become kin of an arm, spending that nothing limits, a budget in another currency than the
    team's monthly cap, and a data agreement that does not permit judging; ``Conflict`` where it is judged already.
    """
    version = run.plan_version
    plan, team = version.plan, version.plan.workload.team
    if run.judges_id is not None or run.status is not RunStatus.FINISHED or run.sample_set is None:
        raise Refused("only a replay that is finished can be judged", field="run")
    definition = definition_of(plan)
    if version.document["judge"] is None or definition.judge is None:
        raise Refused("the plan names no judge", field="plan.judge")
    endpoint = check_judge(plan, definition)
    assert endpoint is not None
    if frozen_judge(definition) != version.document["judge"] or (
        version.document["judge"]["scorer"]["version"] != JUDGE_VERSION
    ):
        raise Refused("the judge is no longer as the run's plan was frozen with", field="plan.judge")
    budget = definition.judge.budget
    if team.monthly_cap_amount is not None and team.monthly_cap_currency != budget.currency:
        raise Refused(
            f"the judge's budget is in {budget.currency}, {team.slug}'s monthly cap in {team.monthly_cap_currency}",
            field="plan.judge.budget.currency",
        )
    agreement = DataAgreement.objects.filter(team=team, ended_at__isnull=True).first()
    consent = consent_of(agreement, team=team, endpoint=endpoint, purpose=Purpose.JUDGING, at=at)
    if consent.refusal is not None:
        raise Refused(f"no sample may be sent to the judge: {consent.refusal}", field="data_agreement")
    if not CompletionContent.objects.filter(completion__arm__run=run).exists():
        raise Refused("the run has no answers to judge, or they were purged", field="run")
    limited = budget.assume_per_mtok is not None or budget.max_calls is not None
    arm = frozen_arm(ArmRole.JUDGE, endpoint.model, endpoint, {}, currency=budget.currency, limited=limited, at=at)
    try:
        with transaction.atomic():
            judging = ReplayRun.objects.create(
                plan_version=version,
                judges=run,
                sample_set=run.sample_set,
                period=run.period,
                trigger=trigger,
                total=run.sample_set.size * ROUNDS,
                currency=budget.currency,
                budget_amount=budget.amount,
                max_calls=budget.max_calls,
                assume_per_mtok=None
                if budget.assume_per_mtok is None
                else {name: str(value) for name, value in budget.assume_per_mtok.items()},
                created_at=at,
                created_by=by.user,
            )
    except IntegrityError:
        raise Conflict("the run is judged already") from None
    arm.run = judging
    arm.save()
    Chunk.objects.bulk_create(_chunks(arm, size=run.sample_set.size), batch_size=2000)
    data = {"judges": run.pk, "judge": endpoint.model.slug, "budget": f"{budget.amount} {budget.currency}"}
    audit_run(judging, "judging.created", by=by, at=at, data=data)
    return judging


def _chunks(arm: RunArm, *, size: int) -> Iterator[Chunk]:
    """Both rounds of some samples, then those of the next."""
    step = min(chunk_calls(arm.endpoint), _CHUNK_SAMPLES)
    for start in range(0, size, step):
        for round_ in range(ROUNDS):
            yield Chunk(arm=arm, repeat=round_, start=start, stop=min(start + step, size))


def judge_when_finished(*, run: ReplayRun, at: datetime) -> None:
    """Begin, inside the transaction that keeps what ``run`` ended with, if its plan has a judge.

    What forbids it (the data agreement, most often) is audited, and the replay's own verdict stands without a judge.
    """
    wanted = run.plan_version.document["judge"] is not None and run.status is RunStatus.FINISHED
    if not wanted or run.after_the_look or not run.done:
        return
    by = audit.Actor.task("judging")
    try:
        start_judging(run=run, by=by, at=at, trigger=run.trigger)
    except (Refused, Conflict) as refused:
        audit_run(run, "judging.refused", by=by, at=at, data={"reason": str(refused)})


def close_unanswered(claim: Claim, asked: dict[int, CompletionRequest]) -> None:
    """The chunk's samples about which nothing can be asked: done without a call, as missing."""
    result = CompletionResult(outcome=Outcome.MISSING, error="not both answers can be read")
    store_uncalled(
        claim,
        [
            FinalAnswer(
                Work(member.sample_id, member.position, claim.chunk.repeat, CompletionRequest({})),
                result,
                attempts=0,
                cost=None,
            )
            for member in open_members(claim)
            if member.sample_id not in asked
        ],
        now=timezone.now(),
    )


def conclude_judging(*, run: ReplayRun, at: datetime) -> bool:
    """Read the judge's answers and keep what they say together; once per end."""
    read_answers(run)
    document = read_judge(run.plan_version, at_end_of=run)
    figures = {arm.pk: figures_of(arm) for arm in run.arms.select_related("endpoint", "model", "run")}
    with transaction.atomic():
        open_still = ReplayRun.objects.filter(pk=run.pk, judged__isnull=True, version=run.version)
        if not open_still.update(judged=document, version=F("version") + 1):
            return False
        for arm_id, kept in figures.items():
            RunArm.objects.filter(pk=arm_id).update(figures=kept)
        run.refresh_from_db()
        actor = audit.Actor.task("judging")
        refused = Completion.objects.filter(arm__run=run, outcome=Outcome.NOT_PERMITTED)
        if count := refused.count():
            why = refused.values_list("error", flat=True)[0]
            audit_run(run, "sample.not_permitted", by=actor, at=at, data={"samples": count, "reason": why})
        audit_run(run, "judging.ended", by=actor, at=at, data={"status": str(run.status), "judges": run.judges_id})
    return True
