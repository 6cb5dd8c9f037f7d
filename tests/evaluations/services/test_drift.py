"""A model that moves under the test: an alarm once, a verdict that waits, a period that begins anew.

The figures are those of ``tests/pilots/selectors/test_drift.py``: with a baseline of three nights of four answers, a
candidate that passes 4, 3, 4 and then 1 of 4 is past the threshold on the sixth night.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from evaluations.enums import ArmRole, Decision, Outcome, RunStatus, Verdict
from evaluations.models import AuditEvent, Completion, DriftAlarm, Plan, PlanVersion, ReplayRun
from evaluations.selectors import drift as room
from evaluations.selectors.comparisons import stored_comparisons
from evaluations.selectors.drift import night_series, period_of, unread_runs
from evaluations.selectors.progress import run_document
from evaluations.services.drift import acknowledge_drift, read_for_drift
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import CriterionEntry, ScorerEntry
from evaluations.services.replays import cancel_run, resume_run, settle_run
from evaluations.signals import drift_alarmed
from evaluations.tasks import sweep
from tests import factories as make
from tests.replays import BY, Decimal, answer, concluded, ready_plan, start, with_criteria

pytestmark = pytest.mark.django_db
UNTIL_THE_ALARM = (4, 3, 4, 1, 1, 1)


@pytest.fixture(autouse=True)
def short_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BASELINE_NIGHTS", 3)


@pytest.fixture
def plan() -> Plan:
    return ready_plan("http://127.0.0.1:9", n=4, looks="every_night")


def said(right: int) -> Any:
    """The incumbent passes all four, the candidate the first ``right`` of them."""

    def one(role: ArmRole, position: int) -> tuple[Outcome, str]:
        return Outcome.OK, "yes" if role is ArmRole.INCUMBENT or position < right else ""

    return one


def nights(plan: Plan, *passed: int) -> list[ReplayRun]:
    return [concluded(start(plan), said(right)) for right in passed]


def verdicts(run: ReplayRun) -> list[tuple[str, str, str | None]]:
    return [(row["metric"], row["verdict"], row["reason"]) for row in stored_comparisons(run)]


def test_an_alarm_is_raised_once_and_freezes_the_verdict(plan: Plan) -> None:
    told: list[DriftAlarm] = []
    drift_alarmed.connect(lambda alarm, **kwargs: told.append(alarm), weak=False, dispatch_uid="test")
    try:
        *_, before, last = nights(plan, *UNTIL_THE_ALARM)
        read_for_drift(at=timezone.now())
    finally:
        drift_alarmed.disconnect(dispatch_uid="test")
    [alarm] = DriftAlarm.objects.all()
    assert told == [alarm]
    assert (alarm.run, alarm.period, alarm.acknowledged_at) == (last, 1, None)
    day = f"{timezone.now():%-d %b %Y}"
    assert alarm.words == (
        f"answered of the candidate fell from 91.7 % to 25.0 % since about {day}, and 1 more figure moved"
    )
    # Of the model alone first, then of the difference; what stays the same has not moved.
    assert [(move["metric"], move["side"], move["now"]) for move in alarm.moved] == [
        ("answered", "candidate", 0.25),
        ("answered", "difference", -0.75),
    ]
    assert {move["since_run"] for move in alarm.moved} == {last.pk - 2}
    assert verdicts(before)[0][2] != "drifted"
    assert verdicts(last) == [("answered", "inconclusive", "drifted")]
    assert (last.decision, last.decision_reason) == (Decision.KEEP_TESTING, "answered: drifted")
    assert stored_comparisons(last)[0]["sentence"].endswith("(a model changed under the test).")
    document = run_document(last)
    assert (document["decision_reason"], document["period"]) == ("answered: drifted", 1)
    assert AuditEvent.objects.filter(action="drift.alarmed").count() == 1


def test_evidence_before_and_after_is_not_mixed(plan: Plan) -> None:
    """The four samples again and again: n stays 4, and the new period knows nothing of the old one."""
    runs = nights(plan, *UNTIL_THE_ALARM)
    assert [run.evidence_samples for run in runs] == [4] * 6
    [version] = PlanVersion.objects.all()
    assert period_of(version) == 2
    [after] = nights(plan, 1)
    assert (after.period, after.evidence_samples) == (2, 4)
    # Of the old nights the mean would be 14/24 passed.
    assert stored_comparisons(after)[0]["candidate"] == 0.25
    assert verdicts(after)[0][2] != "drifted"
    reading = night_series([version], until=timezone.now())[version.pk]
    assert (reading.period, {len(one.nights) for one in reading.series}) == (2, {1})


def test_a_second_move_is_a_second_alarm_against_a_baseline_of_its_own(plan: Plan) -> None:
    nights(plan, *UNTIL_THE_ALARM)
    nights(plan, 1, 2, 1, 4, 4, 4)
    assert list(DriftAlarm.objects.values_list("period", flat=True)) == [1, 2]
    assert DriftAlarm.objects.get(period=2).words.startswith("answered of the candidate rose from 33.3 % to 100.0 %")


def test_a_run_that_was_under_way_belongs_to_the_period_that_ended(plan: Plan) -> None:
    nights(plan, *UNTIL_THE_ALARM[:-1])
    under_way = start(plan)
    [last] = nights(plan, UNTIL_THE_ALARM[-1])
    late = concluded(under_way, said(1))
    assert [run.period for run in (last, late)] == [1, 1]
    assert verdicts(late) == [("answered", "inconclusive", "drifted")]
    assert DriftAlarm.objects.count() == 1


def test_a_run_that_is_resumed_stays_in_its_period(plan: Plan) -> None:
    nights(plan, *UNTIL_THE_ALARM[:-1])
    stopped = start(plan)
    cancel_run(run=stopped, by=BY, at=timezone.now())
    settle_run(run=stopped, at=timezone.now())
    nights(plan, UNTIL_THE_ALARM[-1])
    stopped.refresh_from_db()
    resume_run(run=stopped, by=BY, at=timezone.now())
    settle_run(run=answer(stopped, said(4)), at=timezone.now())
    stopped.refresh_from_db()
    assert (stopped.status, stopped.period) == (RunStatus.FINISHED, 1)
    assert verdicts(stopped) == [("answered", "inconclusive", "drifted")]


def test_a_look_that_was_taken_before_stands(plan: Plan) -> None:
    """The contract: later evidence never changes the verdict of one look. The alarm is raised all the same."""
    plan = ready_plan_of_one_look(plan)
    first, *_, last = nights(plan, *UNTIL_THE_ALARM)
    assert (last.after_the_look, verdicts(last)) == (True, verdicts(first))
    assert DriftAlarm.objects.count() == 1


def ready_plan_of_one_look(plan: Plan, minimum_samples: int = 1) -> Plan:
    plan.definition |= {"looks": "one_look", "minimum_samples": minimum_samples}
    plan.save(update_fields=["definition"])
    return with_criteria(plan, CriterionEntry(metric="answered", margin=Decimal("0.03")))


def test_a_period_that_ended_before_the_look_is_not_the_look(plan: Plan) -> None:
    """With too few for a look until the alarm: the run after it takes the look, and the next is after it."""
    plan = ready_plan_of_one_look(plan)
    version = PlanVersion.objects.order_by("-number")[0]
    version.document["minimum_samples"] = 5
    version.save(update_fields=["document"])
    runs = nights(plan, *UNTIL_THE_ALARM[:-1])
    version.document["minimum_samples"] = 4
    version.save(update_fields=["document"])
    ReplayRun.objects.filter(pk__in=[run.pk for run in runs]).update(evidence_samples=3)
    [alarmed, next_one, after] = nights(plan, 1, 1, 1)
    assert verdicts(alarmed) == [("answered", "inconclusive", "drifted")]
    assert (next_one.after_the_look, after.after_the_look) == (False, True)


def test_only_what_a_gate_rests_on_raises_an_alarm(plan: Plan) -> None:
    """The candidate's answers change, but the plan's gate is the failure rate, and the scorer only advises."""
    with_criteria(
        plan,
        CriterionEntry(metric="failure_rate", margin=Decimal("0.03")),
        CriterionEntry(metric="answered", role="advisory", margin=Decimal("0.03")),
        scorers=[ScorerEntry(name="regex", key="answered", config={"pattern": "."})],
    )
    nights(plan, *UNTIL_THE_ALARM)
    assert not DriftAlarm.objects.exists()


def test_the_models_own_names_are_kept_beside_the_pinned_one(plan: Plan) -> None:
    runs = nights(plan, *UNTIL_THE_ALARM[:-1])
    for run, name in zip(runs, ["new-0301"] * 3 + ["new-0901"] * 2, strict=True):
        Completion.objects.filter(arm__run=run, arm__role="candidate").update(served_model=name)
    nights(plan, 1)
    alarm = DriftAlarm.objects.get()
    assert alarm.served == {
        "incumbent": {"pinned": "old", "before": [], "since": []},
        "candidate": {"pinned": "new", "before": ["new-0301"], "since": ["new-0901"]},
    }


def test_the_sweep_finds_what_nobody_has_read(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that an older release concluded: the alarm is raised by the sweep, and freezes the verdict that stands."""
    monkeypatch.setattr(room, "BASELINE_NIGHTS", 30)
    runs = nights(plan, *UNTIL_THE_ALARM, 1)
    ReplayRun.objects.update(drift_read=False)
    monkeypatch.setattr(room, "BASELINE_NIGHTS", 3)
    assert unread_runs().count() == 7
    sweep()
    assert not unread_runs().exists()
    [alarm] = DriftAlarm.objects.all()
    assert (alarm.run, alarm.period) == (runs[5], 1)
    standing, before = ReplayRun.objects.get(pk=runs[6].pk), ReplayRun.objects.get(pk=runs[5].pk)
    assert verdicts(standing) == [("answered", "inconclusive", "drifted")]
    assert (standing.decision, standing.decision_reason) == (Decision.KEEP_TESTING, "answered: drifted")
    assert standing.comparisons.get().verdict is Verdict.INCONCLUSIVE
    assert verdicts(before)[0][2] != "drifted"  # what was read that day was read
    assert read_for_drift(at=timezone.now()) == 0


def test_an_alarm_whose_audit_fails_leaves_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    nights(plan, *UNTIL_THE_ALARM[:-1])
    run = answer(start(plan), said(1))

    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr("evaluations.services.drift.audit_run", refuse)
    with pytest.raises(RuntimeError, match="no audit"):
        settle_run(run=run, at=timezone.now())
    run.refresh_from_db()
    assert (run.decision, DriftAlarm.objects.count(), run.comparisons.count()) == (None, 0, 0)


def test_acknowledging_needs_a_note_and_is_done_once(plan: Plan) -> None:
    nights(plan, *UNTIL_THE_ALARM)
    alarm = DriftAlarm.objects.get()
    at = timezone.now()
    with pytest.raises(Refused, match="say what you found"):
        acknowledge_drift(alarm=alarm, by=make.actor(), at=at, note="  ")
    with pytest.raises(Refused, match="at most 2,000"):
        acknowledge_drift(alarm=alarm, by=make.actor(), at=at, note="x" * 2001)
    done = acknowledge_drift(alarm=alarm, by=make.actor(), at=at, note=" moved to 0901 ", model_version="new-0901")
    assert (done.acknowledged_by, done.note, done.model_version) == ("ana", "moved to 0901", "new-0901")
    with pytest.raises(Conflict, match="already"):
        acknowledge_drift(alarm=alarm, by=make.actor("ben"), at=at, note="me too")
    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.note) == ("ana", "moved to 0901")
    [event] = AuditEvent.objects.filter(action="drift.acknowledged")
    assert event.data == {"period": 1, "note": "moved to 0901", "model_version": "new-0901"}


def test_a_night_of_few_answers_is_measured_by_how_much_more_they_scatter() -> None:
    """Baseline 1, 0.75, 1: mean 11/12, sd 0.1443. One wrong answer, not four: (0 - 11/12) / 0.1443 x sqrt(1/4)."""
    at = timezone.now()
    rows = [(night, at, value, size) for night, (value, size) in enumerate([(1, 4), (0.75, 4), (1, 4), (0, 1)], 1)]
    of_one = room._read("answered", room.Side.CANDIDATE, rows)
    assert of_one.nights[-1].down == pytest.approx(11 / 12 / 0.1443376 / 2 - 0.5, abs=1e-5)
    of_four = room._read("answered", room.Side.CANDIDATE, [*rows[:3], (4, at, 0, 4)])
    assert of_four.nights[-1].down == pytest.approx(11 / 12 / 0.1443376 - 0.5, abs=1e-5)
