"""A model judges the answers of a replay, against simulated vendors over real HTTP.

The counts are functions of the simulator's seed; what is expected of them is worked out from the answers themselves.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from django.db.models import Sum
from django.utils import timezone

from evaluations.enums import ArmRole, AttemptPurpose, AttemptState, Decision, Outcome, RunStatus
from evaluations.models import Attempt, AuditEvent, Completion, DataAgreement, Judgement, ReplayRun
from evaluations.selectors.judge_figures import stored_judge
from evaluations.services.replays import resume_run
from evaluations.simulator.server import SimulatedVendors
from evaluations.statistics.paired import tango
from evaluations.tasks import hint
from tests.judges import judged_plan, judged_vendors, work
from tests.replays import BY, start
from tests.workers import Worker, until

pytestmark = pytest.mark.django_db(transaction=True)
N = 100
CONCURRENCY = 4


@contextmanager
def simulated(judge: str, **given: object) -> Iterator[SimulatedVendors]:
    with SimulatedVendors(judged_vendors(judge, n=N, **given)) as running:  # type: ignore[arg-type]
        yield running


def judging_of(run: ReplayRun) -> ReplayRun:
    return ReplayRun.objects.get(judges=run)


def rights(run: ReplayRun) -> dict[ArmRole, set[int]]:
    """By arm, the positions whose answer is the reference."""
    found: dict[ArmRole, set[int]] = {ArmRole.INCUMBENT: set(), ArmRole.CANDIDATE: set()}
    rows = Completion.objects.filter(arm__run=run).values_list("arm__role", "position", "content__text")
    for role, position, text in rows:
        if text == str(2 * position):
            found[role].add(position)
    return found


def test_a_judge_that_prefers_what_it_sees_first_shows_its_bias_and_does_not_win() -> None:
    with simulated("first_shown") as vendors:
        run = work(start(judged_plan(vendors.url, n=N)))
        judging = work(judging_of(run))
    assert (judging.status, judging.done, judging.total, judging.calls) == (RunStatus.FINISHED, 2 * N, 2 * N, 2 * N)
    read = stored_judge(run.plan_version)
    assert read is not None
    assert read["pairs"] == {
        "n": N, "wins": 0, "losses": 0, "ties": N, "flips": N, "flips_to_first": N, "sign_p": 1.0,
    }  # fmt: skip
    assert read["places"] == {"first": 2 * N, "second": 0, "tie": 0, "p": pytest.approx(0, abs=1e-12)}
    assert (read["verdict"], read["reason"], read["role"]) == ("inconclusive", "position_bias", "advisory")
    # 100 ties of 100 would be "no worse than the agreed 5 points" by Tango's interval alone.
    assert (read["lower"], read["upper"]) == tango(wins=0, losses=0, n=N)
    assert read["lower"] > -0.05
    assert read["sentence"] == (
        "Not shown: umpire prefers neither of old and new (95 % interval \N{MINUS SIGN}3.7 to +3.7 points,"
        " 100 samples), but it prefers whatever is shown first, so that its answers say nothing of the models."
        " Shown the same two answers in the other order it changed its mind on 100 of 100 pairs,"
        " 100 times for the one shown first."
    )
    # The verdict of the replay is that of its gates, judge or no judge.
    run.refresh_from_db()
    row = run.comparisons.get(metric="judge_preference")
    assert (run.decision, run.decision_reason) == (Decision.KEEP_TESTING, "answered: too_few")
    assert (row.role, row.document["reason"]) == ("advisory", "judged_later")


def test_an_honest_judge_wins_and_loses_what_the_models_do_and_is_not_believed_alone() -> None:
    with simulated("honest") as vendors:
        run = work(start(judged_plan(vendors.url, n=N)))
        work(judging_of(run))
    right = rights(run)
    wins = len(right[ArmRole.CANDIDATE] - right[ArmRole.INCUMBENT])
    losses = len(right[ArmRole.INCUMBENT] - right[ArmRole.CANDIDATE])
    read = stored_judge(run.plan_version)
    assert read is not None
    assert wins > losses > 0
    pairs = {name: read["pairs"][name] for name in ("n", "wins", "losses", "ties", "flips")}
    assert pairs == {"n": N, "wins": wins, "losses": losses, "ties": N - wins - losses, "flips": 0}
    assert (read["lower"], read["upper"]) == pytest.approx(tango(wins=wins, losses=losses, n=N))
    assert read["difference"] == pytest.approx((wins - losses) / N)
    assert read["lower"] > 0
    assert (read["verdict"], read["reason"]) == ("inconclusive", "no_human_labels")


def test_a_judge_that_answers_in_its_own_words_has_said_nothing() -> None:
    with simulated("chatty") as vendors:
        run = work(start(judged_plan(vendors.url, n=N)))
        judging = work(judging_of(run))
    read = stored_judge(run.plan_version)
    assert read is not None
    assert (read["n"], read["missing"], read["unscored"]) == (0, N, {"not_json": 2 * N})
    assert (read["verdict"], read["reason"]) == ("not_computable", "not_judged")
    assert Judgement.objects.filter(completion__arm__run=judging, preferred="").count() == 2 * N


def test_a_judge_marks_one_answer_at_a_time() -> None:
    with simulated("honest") as vendors:
        run = work(start(judged_plan(vendors.url, n=N, mode="rubric")))
        work(judging_of(run))
    right = rights(run)
    read = stored_judge(run.plan_version)
    assert read is not None
    means = {role: 1 + 4 * len(right[role]) / N for role in right}
    assert (read["incumbent"], read["candidate"]) == pytest.approx(tuple(means.values()))
    assert read["difference"] == pytest.approx((means[ArmRole.CANDIDATE] - means[ArmRole.INCUMBENT]) / 4)
    assert (read["metric"], read["pairs"], read["reason"]) == ("judge_score", None, "no_human_labels")


def test_what_a_judge_is_asked_is_paid_for_under_its_own_cap() -> None:
    with simulated("honest") as vendors:
        run = work(start(judged_plan(vendors.url, n=N, judge_budget="0.1")))
        before = run.spent_amount, run.calls
        judging = work(judging_of(run))
        assert (judging.status, judging.status_reason) == (RunStatus.STOPPED_BY_BUDGET, "budget")
        assert 0 < judging.spent_amount + judging.reserved_amount <= Decimal("0.1")
        read = stored_judge(run.plan_version)
        assert read is not None
        # Both orders of some samples before those of the next.
        assert 0 < judging.done < 2 * N
        resume_run(run=judging, by=BY, at=timezone.now(), budget=Decimal(5))
        judging = work(judging)
        assert (judging.status, judging.done) == (RunStatus.FINISHED, 2 * N)
        bill = vendors.bill()["models"]["umpire"]
    paid = Attempt.objects.filter(run=judging)
    assert bill["billed"] == paid.count() == judging.calls == 2 * N
    owed = (bill["input_tokens"] * Decimal(2) + bill["output_tokens"] * Decimal(8)) / 1_000_000
    assert paid.aggregate(all=Sum("cost_amount"))["all"] == judging.spent_amount == owed
    assert set(paid.values_list("purpose", flat=True)) == {AttemptPurpose.JUDGE}
    run.refresh_from_db()
    assert (run.spent_amount, run.calls) == before
    assert stored_judge(run.plan_version) != read


def test_without_consent_to_judging_nothing_is_sent_and_the_refusal_is_on_record() -> None:
    with simulated("honest") as vendors:
        run = work(start(judged_plan(vendors.url, n=4, purposes=["evaluation"])))
        assert "umpire" not in vendors.bill()["models"]
    assert not ReplayRun.objects.filter(judges=run).exists()
    event = AuditEvent.objects.get(action="judging.refused")
    assert event.data == {
        "reason": "no sample may be sent to the judge: the data agreement of team support does not list purpose judging"
    }


def test_consent_is_asked_again_at_each_send() -> None:
    with simulated("honest") as vendors:
        run = work(start(judged_plan(vendors.url, n=4)))
        DataAgreement.objects.update(purposes=["evaluation"])
        judging = work(judging_of(run))
        assert "umpire" not in vendors.bill()["models"]
    outcomes = Counter(Completion.objects.filter(arm__run=judging).values_list("outcome", flat=True))
    assert outcomes == {Outcome.NOT_PERMITTED: 8}
    assert (judging.status, judging.status_reason, judging.calls) == (RunStatus.FINISHED, "not_permitted", 0)
    assert AuditEvent.objects.filter(action="sample.not_permitted", object_id=str(judging.pk)).count() == 1


def test_a_failed_answer_loses_without_a_judge() -> None:
    with simulated("first_shown", new=1.0) as vendors:
        run = work(start(judged_plan(vendors.url, n=N)))
        failed = Completion.objects.filter(arm__run=run, arm__role=ArmRole.CANDIDATE, position__lt=10)
        failed.update(outcome=Outcome.REFUSED)
        judging = work(judging_of(run))
    assert judging.calls == 2 * (N - 10)
    read = stored_judge(run.plan_version)
    assert read is not None
    assert (read["failures"], read["pairs"]["n"], read["n"]) == (
        {"incumbent": 0, "candidate": 10, "both": 0},
        N - 10,
        N,
    )
    assert read["difference"] == pytest.approx(-0.1)


@pytest.mark.fault
@pytest.mark.parametrize("step", ["before_send:40", "after_send:40", "before_save:3"])
def test_killed_while_it_judges_it_goes_on_and_pays_for_nothing_that_is_stored(step: str, tmp_path: Path) -> None:
    with simulated("honest") as vendors:
        run = work(start(judged_plan(vendors.url, n=N, concurrency=CONCURRENCY)))
        judging = judging_of(run)
        killed = Worker(tmp_path / "worker.log", fault=step)
        hint(judging.pk, chunks=1)
        assert killed.ended(seconds=60) == -signal.SIGKILL
        stored = Completion.objects.filter(arm__run=judging).count()
        assert 0 < stored < judging.total
        time.sleep(0.5)  # what the killed worker had sent arrives
        sent = vendors.bill()["models"]["umpire"]["requests"]
        second = Worker(tmp_path / "worker.log")
        try:
            until(lambda: ReplayRun.objects.filter(pk=judging.pk, judged__isnull=False).exists(), seconds=60)
        finally:
            second.kill()
        assert vendors.bill()["models"]["umpire"]["requests"] - sent == judging.total - stored
        judging.refresh_from_db()
        attempts = Attempt.objects.filter(run=judging)
        lost = attempts.filter(state=AttemptState.ABANDONED).count()
        billed = vendors.bill()["models"]["umpire"]["billed"]
        # Every billed call has a row; those without a result are the ones that were in flight.
        assert attempts.filter(state=AttemptState.SETTLED).count() == judging.total
        assert judging.total <= billed <= attempts.count() == judging.calls
        assert lost <= 2 * 2 * CONCURRENCY
    right = rights(run)
    read = stored_judge(run.plan_version)
    assert read is not None
    assert read["pairs"]["wins"] == len(right[ArmRole.CANDIDATE] - right[ArmRole.INCUMBENT])
