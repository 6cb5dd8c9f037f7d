"""Retention by verdict: names below 30 periods, shares from there on; and what the replays had said."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from evaluations.enums import Decision, Verdict
from evaluations.models import ComparisonRow, ReplayRun
from pilots.enums import PilotStatus, Reason
from pilots.models import Pilot
from pilots.selectors import predictiveness as room
from pilots.selectors.filters import ReportFilters
from pilots.selectors.predictiveness import Finding, PredictivenessReport, VerdictRow, predictiveness
from pilots.services import lifecycle
from tests import factories as make
from tests.pilots.exporters.replayed import replayed_pilot

pytestmark = pytest.mark.django_db


def read(**filters: str) -> PredictivenessReport:
    return predictiveness(ReportFilters.parse(filters, now=make.NOW))


def decided(slug: str, verdict: Decision, *, go: bool = True) -> Pilot:
    pilot = make.pilot(slug, workload=make.workload(f"w-{slug}", f"team-{slug}"))
    lifecycle.decide(
        pilot=pilot, by=make.actor(), at=make.day(-2), go=go, rationale="as read", verdict={"decision": verdict.value}
    )
    if go and verdict is not Decision.SAFE_TO_SWITCH:
        lifecycle.approve_decision(pilot=pilot, by=make.actor("ben"), at=make.day(-1))
    return pilot


def cut_over(slug: str, verdict: Decision, *, back_on: int | None = None, to: int = 100) -> None:
    """Followed to day ``to``, or rolled back."""
    pilot = decided(slug, verdict)
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=make.day(0))
    if back_on is None:
        lifecycle.record_follow_up(pilot=pilot, by=make.actor(), at=make.day(to))
    else:
        lifecycle.record_rollback(
            pilot=pilot, by=make.actor(), at=make.day(back_on), reason=Reason.QUALITY, attachments=["incident:I-1"]
        )


def rows(report: PredictivenessReport) -> dict[Decision | None, VerdictRow]:
    return {row.verdict: row for row in report.verdicts}


def test_few_periods_are_listed_by_name_without_a_share() -> None:
    cut_over("a", Decision.SAFE_TO_SWITCH)
    cut_over("b", Decision.SAFE_TO_SWITCH, back_on=40)
    cut_over("c", Decision.DO_NOT_SWITCH, back_on=10)
    for slug in ("d", "e"):
        assert decided(slug, Decision.DO_NOT_SWITCH, go=False).status is PilotStatus.DECLINED
    make.switched_pilot("f")
    report = read()
    found = rows(report)
    assert list(found) == [Decision.SAFE_TO_SWITCH, Decision.DO_NOT_SWITCH, None]
    safe, worse = found[Decision.SAFE_TO_SWITCH], found[Decision.DO_NOT_SWITCH]
    assert (safe.attempts, safe.switched, safe.rolled_back, safe.calibrated, safe.not_rolled_back) == (
        2,
        2,
        1,
        False,
        (),
    )
    assert [(spell.pilot, spell.days) for spell in safe.spells] == [("a", 100), ("b", 40)]
    assert (worse.attempts, worse.switched, worse.rolled_back, worse.against_verdict) == (3, 1, 1, 1)
    few = "All agreed criteria met: 2, A criterion failed: 1"
    assert report.sentences == (
        "Pilots judged worse rarely cut over: 1 of 3 did. How the others would have fared, no report can say.",
        f"No shares below 30 periods that were chosen ({few}): the periods are listed by name.",
        "1 period began without any verdict that was read here.",
    )
    assert report.logrank is None


def test_enough_periods_of_a_verdict_have_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five of the verdict, two back on day 40, three followed to day 100: 3/5 at 90, with three at risk."""
    monkeypatch.setattr(room, "CALIBRATED_FROM", 5)
    for number in range(5):
        cut_over(f"s{number}", Decision.SAFE_TO_SWITCH, back_on=40 if number < 2 else None)
    for number in range(4):
        cut_over(f"k{number}", Decision.KEEP_TESTING)
    report = read(days="30,90", min_at_risk="3")
    safe, testing = rows(report)[Decision.SAFE_TO_SWITCH], rows(report)[Decision.KEEP_TESTING]
    assert [(point.day, point.still_switched, point.at_risk) for point in safe.not_rolled_back] == [
        (30, 1.0, 5),
        (90, pytest.approx(0.6), 3),
    ]
    assert (testing.calibrated, testing.not_rolled_back) == (False, ())


def test_it_takes_thirty() -> None:
    assert room.CALIBRATED_FROM == 30
    assert read().sentences == (
        "No pilot was judged worse: whether such a verdict would have foretold a rollback cannot be seen here.",
    )


def missed_after(reason: Reason, verdict: Verdict, metric: str = "answered") -> Any:
    """What is said of a rollback for ``reason`` after a replay whose one criterion, on ``metric``, said ``verdict``."""
    pilot = replayed_pilot(n=4)
    ComparisonRow.objects.update(verdict=verdict, metric=metric)
    lifecycle.record_rollback(
        pilot=pilot, by=make.actor(), at=timezone.now(), reason=reason, attachments=["incident:I-1"]
    )
    [row] = predictiveness(ReportFilters.parse({}, now=timezone.now())).missed
    assert (row.code, row.count, row.findings) == (reason, 1, {row.rollbacks[0].finding.value: 1})
    return row.rollbacks[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("reason", "verdict", "metric", "finding"),
    [
        (Reason.QUALITY, Verdict.NON_INFERIOR, "answered", Finding.PASSED),
        (Reason.QUALITY, Verdict.WORSE, "answered", Finding.WARNED),
        (Reason.QUALITY, Verdict.INCONCLUSIVE, "answered", Finding.UNDECIDED),
        (Reason.LATENCY, Verdict.BETTER, "answered", Finding.NOT_MEASURED),
        (Reason.LATENCY, Verdict.BETTER, "latency_p95_ms", Finding.PASSED),
        (Reason.REFUSALS, Verdict.BETTER, "failure_rate", Finding.PASSED),
        (Reason.COST, Verdict.WORSE, "cost_per_request", Finding.WARNED),
        (Reason.COMPLIANCE, Verdict.BETTER, "answered", Finding.NOT_TESTABLE),
    ],
)
def test_a_rollback_is_held_against_what_had_been_read(
    reason: Reason, verdict: Verdict, metric: str, finding: Finding
) -> None:
    found = missed_after(reason, verdict, metric)
    named = finding not in (Finding.NOT_MEASURED, Finding.NOT_TESTABLE)
    assert (found.finding, [(row.metric, row.verdict) for row in found.criteria]) == (
        finding,
        [(metric, verdict)] if named else [],
    )
    assert found.run == ReplayRun.objects.get().pk


def test_a_rollback_without_a_replay_before_it() -> None:
    make.rolled_back_pilot("a", reason=Reason.QUALITY)
    [row] = read().missed
    assert (row.rollbacks[0].finding, row.rollbacks[0].run) == (Finding.NO_READING, None)
