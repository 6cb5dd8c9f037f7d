"""Runs from start to end, in this process, against simulated vendors over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.utils import timezone

from evaluations.enums import AttemptState, CriterionRole, Decision, Outcome, RunStatus
from evaluations.models import (
    Attempt,
    AuditEvent,
    Chunk,
    Completion,
    DataAgreement,
    Endpoint,
    Plan,
    ReplayRun,
    ScoreRow,
    Team,
)
from evaluations.selectors.progress import run_document, run_progress
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.leases import claim_chunk
from evaluations.services.plan_document import CriterionEntry, definition_of, stored_definition
from evaluations.services.plans import freeze_plan
from evaluations.services.replays import cancel_run, create_run, resume_run, settle_run
from evaluations.services.work import new_owner, work_once
from evaluations.signals import replay_run_finished
from evaluations.simulator.server import SimulatedVendors
from tests.replays import BY, add_samples, ready_plan, start, vendors

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors()) as running:
        yield running


def work(run: ReplayRun) -> ReplayRun:
    """Work until there is nothing left to claim."""
    while work_once(run=run) is not None:
        pass
    settle_run(run=run, at=timezone.now())
    run.refresh_from_db()
    return run


def test_a_run_answers_every_sample_with_both_arms_and_ends_with_a_verdict(simulated) -> None:
    ended = []
    replay_run_finished.connect(receiver := lambda sender, run, **kwargs: ended.append(run.pk), weak=False)
    run = work(start(ready_plan(simulated.url, n=300, concurrency=16)))
    replay_run_finished.disconnect(receiver)
    document = run_document(run)
    assert (document["status"], document["total"], document["done"]) == ("finished", 600, 600)
    assert document["decision"] == Decision.SAFE_TO_SWITCH
    assert document["comparisons"][0]["n"] == 300
    for role in ("incumbent", "candidate"):
        arm = document["arms"][role]
        assert (arm["succeeded"], arm["calls"], arm["retries"], arm["failed"]) == (300, 300, 0, {})
        assert arm["cost"]["unknown_calls"] == 0
    assert ScoreRow.objects.count() == 600
    assert ended == [run.pk]


def test_the_ledger_equals_the_vendors_own_bill(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=60)))
    bill = simulated.bill()
    totals = Completion.objects.aggregate(Sum("input_uncached_tokens"), Sum("output_total_tokens"))
    assert bill["billed"] == Attempt.objects.filter(state=AttemptState.SETTLED).count() == run.calls == 120
    assert bill["input_tokens"] == totals["input_uncached_tokens__sum"]
    assert bill["output_tokens"] == totals["output_total_tokens__sum"]
    owed = (bill["input_tokens"] * Decimal(2) + bill["output_tokens"] * Decimal(8)) / 1_000_000
    assert run.spent_amount == owed
    assert run.reserved_amount == 0


def test_the_recorded_arm_makes_no_call_and_counts_in_the_total(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=50, recorded=True), repeats=2))
    arm = run_document(run)["arms"]["incumbent"]
    assert (run.total, run.done) == (200, 200)
    assert (arm["recorded"], arm["calls"], arm["succeeded"], arm["ttft_ms"]) == (True, 0, 100, None)
    assert arm["latency_ms"] == {"p50": 250.0, "p95": 250.0}
    assert Decimal(arm["cost"]["amount"]) == 100 * (Decimal(20) + Decimal(40)) / 1_000_000
    assert set(simulated.bill()["models"]) == {"new"}


def test_a_sample_without_a_recorded_answer_is_missing_and_left_out(simulated) -> None:
    plan = ready_plan(simulated.url, n=50, recorded=True)
    add_samples(plan.workload, 10, stem="x")
    run = work(start(plan))
    assert (run.total, run.done) == (20, 20)
    document = run_document(run)
    assert document["arms"]["incumbent"]["missing"] == 10
    assert document["comparisons"][0]["verdict"] == "not_computable"


def test_an_unfrozen_plan_is_refused(simulated) -> None:
    plan = ready_plan(simulated.url)
    plan.versions.all().delete()
    with pytest.raises(Refused, match="not frozen"):
        start(plan)
    assert ReplayRun.objects.count() == 0


def test_take_replays_what_this_plan_has_not_replayed_and_then_nothing(simulated) -> None:
    plan = ready_plan(simulated.url, n=25)
    first, second = work(start(plan, take=10)), work(start(plan, take=20))
    assert (first.total, second.total) == (20, 30)
    assert Completion.objects.values("sample").distinct().count() == 25
    calls = simulated.bill()["requests"]
    third = start(plan, take=10)
    assert (third.status, third.status_reason, third.total) == (RunStatus.FINISHED, "no_new_samples", 0)
    assert third.comparisons.count() == 1
    assert simulated.bill()["requests"] == calls


def test_an_unpriced_endpoint_needs_an_assumption_or_a_number_of_calls(simulated) -> None:
    plan = ready_plan(simulated.url, n=10, priced=False)
    with pytest.raises(Refused, match="no USD price in force") as refusal:
        start(plan)
    assert refusal.value.field == "incumbent.endpoint"


def test_an_unpriced_endpoint_runs_to_its_number_of_calls_and_costs_unknown(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=20, priced=False, max_calls=15)))
    document = run_document(run)
    assert (document["status"], document["status_reason"], run.calls) == ("stopped_by_budget", "max_calls", 15)
    assert simulated.bill()["requests"] == 15
    assert document["arms"]["candidate"]["cost"]["amount"] is None


def test_a_run_that_came_to_its_number_of_calls_goes_on_when_the_plan_allows_more(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=20, max_calls=15)))
    with pytest.raises(Refused, match="all 15 calls are used up") as refusal:
        resume_run(run=run, by=BY, at=timezone.now(), budget=Decimal(100))
    assert refusal.value.field == "max_calls"
    Plan.objects.update(max_calls=40)
    resume_run(run=ReplayRun.objects.get(), by=BY, at=timezone.now())
    assert work(run).status is RunStatus.FINISHED
    assert simulated.bill()["requests"] == 40


def test_an_assumed_price_limits_an_unpriced_endpoint(simulated) -> None:
    assume = {"input": Decimal(2), "output": Decimal(8)}
    run = work(start(ready_plan(simulated.url, n=200, priced=False, budget="0.02", assume_per_mtok=assume)))
    bill = simulated.bill()
    owed = (bill["input_tokens"] * Decimal(2) + bill["output_tokens"] * Decimal(8)) / 1_000_000
    assert run.status is RunStatus.STOPPED_BY_BUDGET
    assert owed <= run.reserved_amount <= Decimal("0.02")
    assert run.spent_amount == 0


def test_the_cap_is_never_passed_and_raising_it_resumes_without_paying_twice(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=100, budget="0.02")))
    bill = simulated.bill()
    owed = (bill["input_tokens"] * Decimal(2) + bill["output_tokens"] * Decimal(8)) / 1_000_000
    assert (run.status, run.status_reason) == (RunStatus.STOPPED_BY_BUDGET, "budget")
    assert run.spent_amount == owed <= Decimal("0.02")
    assert 0 < run.done < run.total
    with pytest.raises(Refused, match="raise the cap"):
        resume_run(run=run, by=BY, at=timezone.now())
    resume_run(run=run, by=BY, at=timezone.now(), budget=Decimal(1))
    run = work(run)
    assert (run.status, run.done) == (RunStatus.FINISHED, 200)
    assert simulated.bill()["requests"] == simulated.bill()["distinct"] == 200


def test_reservations_of_calls_in_flight_end_no_run_that_its_cap_can_pay(simulated) -> None:
    """Eight calls reserve eight times what they cost: the ninth waits for them instead of ending the run."""
    paid = work(start(ready_plan(simulated.url, n=100))).spent_amount
    tight = work(start(Plan.objects.get(), budget=paid + Decimal("0.002")))
    assert (tight.status, tight.done, tight.spent_amount) == (RunStatus.FINISHED, 200, paid)


def test_a_cap_is_used_up_to_less_than_one_reservation(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=100, budget="0.02")))
    one_call = max(Attempt.objects.values_list("reserved_amount", flat=True))
    assert run.status is RunStatus.STOPPED_BY_BUDGET
    assert Decimal("0.02") - one_call < run.spent_amount <= Decimal("0.02")
    assert run.reserved_amount == 0


def test_the_document_of_a_run_that_goes_on_holds_no_decision(simulated) -> None:
    run = start(ready_plan(simulated.url, n=5))
    assert run_document(run)["decision"] is None
    assert run_document(ReplayRun.objects.get())["decision"] is None


def test_a_raised_budget_of_the_plan_is_the_raised_cap_of_a_resumed_run(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=100, budget="0.02")))
    Plan.objects.update(budget_amount=Decimal(1))
    resume_run(run=ReplayRun.objects.get(), by=BY, at=timezone.now())
    run = work(run)
    assert (run.status, run.done, run.budget_amount) == (RunStatus.FINISHED, 200, 1)


def test_a_run_that_its_teams_month_stopped_goes_on_when_the_month_has_room(simulated) -> None:
    plan = ready_plan(simulated.url, n=60)
    Team.objects.update(monthly_cap_amount=Decimal("0.005"), monthly_cap_currency="USD")
    stopped = work(start(plan))
    assert (stopped.status, stopped.status_reason) == (RunStatus.STOPPED_BY_BUDGET, "monthly_cap")
    Team.objects.update(monthly_cap_amount=Decimal(5))
    run = ReplayRun.objects.get()
    resume_run(run=run, by=BY, at=timezone.now())
    assert work(run).status is RunStatus.FINISHED


def test_resuming_a_run_that_goes_on_changes_nothing(simulated) -> None:
    run = start(ready_plan(simulated.url, n=30))
    assert work_once(run=run) is not None
    before = ReplayRun.objects.values().get()
    resume_run(run=ReplayRun.objects.get(), by=BY, at=timezone.now())
    assert ReplayRun.objects.values().get() == before


def test_a_team_s_monthly_cap_stops_a_run_below_its_own(simulated) -> None:
    plan = ready_plan(simulated.url, n=100)
    plan.workload.team.monthly_cap_amount = Decimal("0.02")
    plan.workload.team.monthly_cap_currency = "USD"
    plan.workload.team.save()
    run = work(start(plan))
    month = plan.workload.team.budget_months.get()
    assert run.status is RunStatus.STOPPED_BY_BUDGET
    assert month.spent_amount == run.spent_amount <= Decimal("0.02")
    assert month.reserved_amount == 0


def test_samples_go_nowhere_that_the_agreement_does_not_list(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=30, permitted=("openai",))))
    document = run_document(run)
    assert document["status"] == "finished"
    assert document["arms"]["candidate"]["not_permitted"] == 30
    assert document["arms"]["candidate"]["calls"] == 0
    assert document["arms"]["candidate"]["failed"] == {}
    assert set(simulated.bill()["models"]) == {"old"}
    refusal = AuditEvent.objects.get(action="sample.not_permitted")
    assert refusal.data == {
        "samples": 30,
        "reason": "the data agreement of team support does not list vendor microsoft",
    }


def test_revoking_the_agreement_stops_a_run_that_is_on(simulated) -> None:
    run = start(ready_plan(simulated.url, n=30))
    assert work_once(run=run) is not None
    DataAgreement.objects.update(ended_at=timezone.now())
    run = work(run)
    assert Completion.objects.filter(outcome=Outcome.NOT_PERMITTED).count() == 30
    assert simulated.bill()["requests"] == 30


def test_a_cancelled_run_keeps_its_answers_and_can_go_on(simulated) -> None:
    run = start(ready_plan(simulated.url, n=30))
    work_once(run=run)
    cancel_run(run=run, by=BY, at=timezone.now())
    with pytest.raises(Conflict):
        cancel_run(run=run, by=BY, at=timezone.now())
    assert work_once(run=run) is None
    run = work(run)
    assert (run.status, run.done) == (RunStatus.CANCELLED, 30)
    # What was read is not the one planned look: that is the run's own end.
    assert run_document(run)["not_the_look"]
    resume_run(run=run, by=BY, at=timezone.now())
    run = work(run)
    assert (run.status, run.done) == (RunStatus.FINISHED, 60)
    assert not run_document(run)["not_the_look"]
    assert simulated.bill()["requests"] == 60
    with pytest.raises(Conflict, match="not stopped"):
        resume_run(run=run, by=BY, at=timezone.now())


def test_refused_credentials_end_the_run_as_failed(monkeypatch) -> None:
    with SimulatedVendors(vendors(new={"script": ["auth"] * 100})) as simulated:
        run = work(start(ready_plan(simulated.url, n=100)))
    document = run_document(run)
    assert (document["status"], document["status_reason"]) == ("failed", "auth")
    assert 1 <= document["arms"]["candidate"]["failed"]["auth"] <= 8


def test_a_missing_key_ends_the_run_before_any_call(simulated, monkeypatch) -> None:
    run = start(ready_plan(simulated.url, n=5))
    Endpoint.objects.update(credential_env="NO_SUCH_KEY")
    run = work(run)
    assert (run.status, simulated.bill()["requests"]) == (RunStatus.FAILED, 0)
    assert "NO_SUCH_KEY" in run.status_reason


def test_failures_are_stored_counted_and_get_no_score() -> None:
    with SimulatedVendors(vendors(new={"behaviour": "refusing"})) as simulated:
        run = work(start(ready_plan(simulated.url, n=40)))
    document = run_document(run)
    failed = document["arms"]["candidate"]["failed"]
    assert sum(failed.values()) + document["arms"]["candidate"]["succeeded"] == 40
    assert failed.get("refused", 0) > 0
    refused = Completion.objects.filter(outcome=Outcome.REFUSED)
    assert ScoreRow.objects.filter(completion__in=refused).count() == 0
    assert document["comparisons"][0]["n"] == 40


def test_one_look_is_taken_once_and_later_runs_never_change_it(simulated) -> None:
    plan = ready_plan(simulated.url, n=60, minimum_samples=40)
    early = work(start(plan, take=20))
    look = work(start(plan, take=30))
    later = work(start(plan))
    assert early.comparisons.get().document["reason"] == "too_few"
    assert look.comparisons.get().document["n"] == 50
    assert later.comparisons.get().document == look.comparisons.get().document
    assert [early.after_the_look, look.after_the_look, later.after_the_look] == [False, False, True]


def test_a_percentile_is_read_once_under_a_plan_of_many_looks(simulated, monkeypatch) -> None:
    monkeypatch.setattr("evaluations.selectors.ratio_criteria.MINIMUM_FOR_QUANTILE", 45)
    plan = ready_plan(simulated.url, n=80, looks="every_night")
    latency = CriterionEntry(metric="latency_p95_ms", role=CriterionRole.GUARDRAIL, max_ratio=Decimal(50))
    definition = definition_of(plan)
    definition.criteria = [CriterionEntry(metric="answered", margin=Decimal("0.4")), latency]
    Plan.objects.update(definition=stored_definition(definition))
    freeze_plan(plan=Plan.objects.get(), by=BY, at=timezone.now())
    looks = [work(start(Plan.objects.get(), take=20)).comparisons.get(metric="latency_p95_ms") for _ in range(4)]
    assert [look.document["n"] for look in looks] == [20, 40, 60, 60]
    assert [look.document["reason"] for look in looks] == ["not_yet_due", "too_few", None, None]
    assert looks[3].document == looks[2].document


def test_a_sample_answered_twice_counts_once(simulated) -> None:
    plan = ready_plan(simulated.url, n=30, looks="every_night")
    for _ in range(2):
        run = work(start(plan))
    assert run.comparisons.get().document["n"] == 30


def test_the_work_of_a_lost_worker_is_taken_over_and_what_it_sent_stays_on_the_ledger(simulated) -> None:
    run = start(ready_plan(simulated.url, n=30))
    lost = claim_chunk(owner=new_owner(), now=timezone.now(), run=run)
    sample = run.sample_set.members.first().sample
    Attempt.objects.create(
        run=run,
        arm=lost.arm,
        sample=sample,
        endpoint=lost.arm.endpoint,
        lease_owner=lost.owner,
        sent_at=timezone.now(),
        reserved_amount=Decimal("0.001"),
    )
    ReplayRun.objects.update(reserved_amount=Decimal("0.001"), calls=1)
    Chunk.objects.filter(pk=lost.chunk.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    run = work(run)
    assert (run.status, run.done, run.calls) == (RunStatus.FINISHED, 60, 61)
    assert Attempt.objects.get(lease_owner=lost.owner).state is AttemptState.ABANDONED
    again = Attempt.objects.get(arm=lost.arm, sample=sample, number=2)
    assert again.state is AttemptState.SETTLED
    # The lost call is no cost of the answer, which is that of an undisturbed run; the cap goes on counting it.
    assert Completion.objects.get(arm=lost.arm, sample=sample).cost_amount == again.cost_amount is not None
    assert run.reserved_amount == Decimal("0.001")


def test_a_sample_that_takes_its_worker_down_is_given_up_after_four_lost_calls(simulated) -> None:
    run = start(ready_plan(simulated.url, n=10))
    arm = run.arms.get(role="candidate")
    sample = run.sample_set.members.first().sample
    Attempt.objects.bulk_create(
        Attempt(
            run=run,
            arm=arm,
            sample=sample,
            endpoint=arm.endpoint,
            number=number,
            state=AttemptState.ABANDONED,
            sent_at=timezone.now(),
        )
        for number in range(1, 5)
    )
    run = work(run)
    given_up = Completion.objects.get(arm=arm, sample=sample)
    assert (run.status, run.done) == (RunStatus.FINISHED, 20)
    assert (given_up.outcome, given_up.attempts) == (Outcome.HARNESS_ERROR, 4)
    assert run.comparisons.get().document["missing"] == 1
    assert simulated.bill()["requests"] == 19


def test_a_leased_chunk_is_nobody_else_s(simulated) -> None:
    run = start(ready_plan(simulated.url, n=5))
    owners = [claim_chunk(owner=new_owner(), now=timezone.now(), run=run) for _ in range(3)]
    assert [claim is None for claim in owners] == [False, False, True]
    assert owners[0].chunk.pk != owners[1].chunk.pk


def test_creating_a_run_is_audited_and_without_audit_nothing_is_stored(simulated, monkeypatch) -> None:
    plan = ready_plan(simulated.url)
    run = start(plan)
    event = AuditEvent.objects.get(action="replay_run.created")
    assert (event.object_id, event.actor, event.team) == (str(run.pk), "manage.py test", "support")
    monkeypatch.setattr(audit, "record", lambda **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        create_run(plan=plan, by=BY, at=timezone.now())
    assert ReplayRun.objects.count() == 1


def test_progress_says_how_fast_how_long_and_how_much(simulated) -> None:
    run = work(start(ready_plan(simulated.url, n=20)))
    progress = run_progress(run, now=timezone.now())
    assert (progress.done, progress.total, progress.share, progress.ended) == (40, 40, 1.0, True)
    assert progress.per_second > 0
    assert progress.eta_seconds is None
    assert progress.failures == {}
