"""Answers judged again: no call, beside the run's verdict, and never in its place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from evaluations import tasks
from evaluations.enums import Decision, RunStatus
from evaluations.models import (
    Attempt,
    AuditEvent,
    Completion,
    CompletionContent,
    Endpoint,
    Plan,
    ReplayRun,
    Rescoring,
    ScoreRow,
)
from evaluations.selectors.completions import pair_content, pairs
from evaluations.selectors.raw_rows import answers_of
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import CriterionEntry, ScorerEntry
from evaluations.services.plans import freeze_plan
from evaluations.services.replays import end_run, resume_run, settle_run
from evaluations.services.rescoring import rescore_run, scorers_to_judge_by, settle_rescoring
from evaluations.services.scoring_turns import take_turn
from tests.replays import BY, answer, concluded, ready_plan, start, with_criteria
from tests.rescoring import install_newer, judged_run, said

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:9"


def ask(run: ReplayRun) -> Rescoring:
    return rescore_run(run=run, by=BY, at=timezone.now())


def judged_again(run: ReplayRun) -> Rescoring:
    rescoring = ask(run)
    assert settle_rescoring(rescoring=rescoring, at=timezone.now())
    return rescoring


def frozen_again(plan: Plan) -> None:
    freeze_plan(plan=plan, by=BY, at=timezone.now())


def shown(run: ReplayRun) -> list[Any]:
    """What pages and exports say of a run's answers."""
    rows, _ = pairs(run)
    one = pair_content(run, position=1)
    assert one is not None
    raw = [dict(row.scores) for row in answers_of([run.pk], content=False)]
    return [[row.candidate and dict(row.candidate.scores) for row in rows], one.answers["candidate"].details, raw]


def test_a_newer_scorer_judges_the_same_answers_and_leaves_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    run = judged_run(ready_plan(URL, n=40))
    assert (run.decision, scorers_to_judge_by(run)) == (Decision.KEEP_TESTING, [])
    before = (run.decision, list(run.comparisons.values("document")), shown(run))
    calls, flips = Attempt.objects.count(), list(Completion.objects.order_by("pk").values_list("flip", flat=True))
    install_newer(monkeypatch)
    assert scorers_to_judge_by(run) == ["answered: version 1 becomes 2"]
    with pytest.raises(Refused, match="freeze it again"):
        ask(run)
    frozen_again(run.plan_version.plan)
    rescoring = judged_again(run)
    (document,) = rescoring.comparisons
    assert document["table"] == {"both_pass": 20, "candidate_only": 0, "incumbent_only": 20, "neither": 0}
    assert (rescoring.decision, rescoring.evidence_samples) == (Decision.DO_NOT_SWITCH, 40)
    assert (rescoring.plan_version.number, rescoring.plan_version.after_the_fact) == (2, True)
    run.refresh_from_db()
    assert (run.decision, list(run.comparisons.values("document")), shown(run)) == before
    assert Attempt.objects.count() == calls
    assert list(Completion.objects.order_by("pk").values_list("flip", flat=True)) == flips
    assert set(ScoreRow.objects.values_list("scorer_version", flat=True)) == {"1", "2"}
    assert ScoreRow.objects.count() == 2 * run.total
    assert list(
        AuditEvent.objects.filter(action__contains="rescor").order_by("sequence").values_list("action", "data")
    ) == [
        ("replay_run.rescoring", {"plan_version": 2}),
        ("replay_run.rescored", {"plan_version": 2, "decision": "do_not_switch"}),
    ]
    assert scorers_to_judge_by(run) == []
    # Asked for again, it is the same one; settled again, nothing happens.
    assert ask(run) == rescoring
    assert not settle_rescoring(rescoring=rescoring, at=timezone.now())
    assert AuditEvent.objects.filter(action__contains="rescor").count() == 2


def test_other_scorers_of_a_changed_plan_judge_old_answers() -> None:
    run = judged_run(ready_plan(URL, n=10))
    yes = ScorerEntry(name="regex", key="says_yes", config={"pattern": "yes"})
    short = ScorerEntry(name="length", key="short", config={"maximum": 3})
    with_criteria(run.plan_version.plan, CriterionEntry(metric="says_yes", margin=Decimal("0.1")), scorers=[yes, short])
    run = ReplayRun.objects.get()
    assert scorers_to_judge_by(run) == ["says_yes: regex, new in the plan", "short: length, new in the plan"]
    rescoring = judged_again(run)
    assert [document["metric"] for document in rescoring.comparisons] == ["says_yes"]
    assert rescoring.comparisons[0]["incumbent_passes"] == 10
    assert rescoring.comparisons[0]["candidate_passes"] == 5


def test_a_key_keeps_its_meaning() -> None:
    """Scores are found by key and version: with other settings they would be taken for those that exist."""
    run = judged_run(ready_plan(URL, n=4))
    other = ScorerEntry(name="regex", key="answered", config={"pattern": "yes"})
    plan = with_criteria(
        run.plan_version.plan, CriterionEntry(metric="answered", margin=Decimal("0.1")), scorers=[other]
    )
    with pytest.raises(Refused, match="give the changed scorer 'answered' a key of its own"):
        ask(run)
    fine = ScorerEntry(name="regex", key="yes", config={"pattern": "yes"})
    with_criteria(plan, CriterionEntry(metric="yes", margin=Decimal("0.1")), scorers=[fine])
    judged_again(run)
    worse = ScorerEntry(name="regex", key="yes", config={"pattern": "ye"})
    with_criteria(plan, CriterionEntry(metric="yes", margin=Decimal("0.1")), scorers=[worse])
    with pytest.raises(Refused, match="give the changed scorer 'yes' a key of its own"):
        ask(run)


def test_the_reading_rests_on_the_same_runs_as_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ready_plan(URL, n=9, looks="every_night")
    runs = [judged_run(plan, take=3) for _ in range(3)]
    install_newer(monkeypatch)
    frozen_again(plan)
    rescoring = judged_again(runs[1])
    assert rescoring.evidence_samples == 6
    judged = ScoreRow.objects.filter(scorer_version="2").values_list("completion__arm__run", flat=True)
    assert set(judged) == {runs[0].pk, runs[1].pk}


def test_what_can_not_be_judged_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ready_plan(URL, n=3)
    with pytest.raises(Conflict, match="no verdict yet"):
        ask(start(plan))
    run = judged_run(plan)
    with pytest.raises(Refused, match="judged this run already"):
        ask(run)
    install_newer(monkeypatch)
    frozen_again(plan)
    contents = list(CompletionContent.objects.all())
    CompletionContent.objects.all().delete()
    with pytest.raises(Refused, match="purged"):
        ask(run)
    CompletionContent.objects.bulk_create(contents)
    Endpoint.objects.filter(slug="new-prod").update(wire_model="another")
    plan.refresh_from_db()
    frozen_again(Plan.objects.get(pk=plan.pk))
    with pytest.raises(Refused, match="version 3 of the plan compares other models or requests"):
        ask(run)
    assert not Rescoring.objects.exists()


def test_without_an_audit_row_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = judged_run(ready_plan(URL, n=3))
    install_newer(monkeypatch)
    frozen_again(run.plan_version.plan)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "record", fail)
        with pytest.raises(OSError, match="disk full"):
            ask(run)
    assert not Rescoring.objects.exists()
    rescoring = ask(run)
    with monkeypatch.context() as broken:
        broken.setattr(audit, "record", fail)
        with pytest.raises(OSError, match="disk full"):
            settle_rescoring(rescoring=rescoring, at=timezone.now())
    assert Rescoring.objects.get().finished_at is None
    assert settle_rescoring(rescoring=rescoring, at=timezone.now())


def test_the_sweep_goes_on_with_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = judged_run(ready_plan(URL, n=3))
    install_newer(monkeypatch)
    frozen_again(run.plan_version.plan)
    rescoring = ask(run)
    sent: list[tuple[str, tuple[Any, ...], str]] = []
    monkeypatch.setattr(
        tasks, "send_hints", lambda task, args, queue, times=1: sent.append((task.name, args, queue)) or True
    )
    tasks.sweep()
    assert sent == [("evaluations.tasks.settle_rescoring", (rescoring.pk,), "scoring")]
    turn = take_turn(run)  # somebody else is scoring the run
    assert turn is not None
    tasks.settle_rescoring(rescoring.pk)
    assert Rescoring.objects.get().finished_at is None
    turn.end()
    tasks.settle_rescoring(rescoring.pk)
    assert Rescoring.objects.get().comparisons[0]["table"]["incumbent_only"] == 1
    tasks.settle_rescoring(rescoring.pk)
    sent.clear()
    tasks.sweep()
    assert sent == []


def test_a_run_that_goes_on_forgets_what_was_said_of_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ready_plan(URL, n=3)
    run = answer(start(plan), said)
    end_run(run=run, status=RunStatus.CANCELLED, reason="", at=timezone.now())
    settle_run(run=run, at=timezone.now())
    run.refresh_from_db()
    install_newer(monkeypatch)
    frozen_again(plan)
    rescoring = ask(run)
    resume_run(run=run, by=BY, at=timezone.now())
    assert not Rescoring.objects.exists()
    rescoring.run.refresh_from_db()
    assert not settle_rescoring(rescoring=rescoring, at=timezone.now())


def test_no_run_starts_under_scorers_that_are_no_longer_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ready_plan(URL, n=3)
    going_on = start(plan)
    install_newer(monkeypatch)
    with pytest.raises(Refused, match="scorer regex is of version 2 here, the plan was frozen with 1") as refused:
        start(plan)
    assert refused.value.field == "plan.scorers[0]"
    # What was paid for under the old one is not judged by the new one in its name; judging it again mends that.
    run = concluded(going_on, said)
    assert list(ScoreRow.objects.values_list("scorer_version", "value", "detail").distinct()) == [
        ("1", None, "scorer_changed: version 2 is installed, the plan has 1")
    ]
    assert run.decision is Decision.KEEP_TESTING
    frozen_again(plan)
    assert judged_again(run).comparisons[0]["n"] == 3
    assert start(plan).plan_version.number == 2
