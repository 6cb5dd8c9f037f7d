"""Does the verdict predict staying, and what did the replays miss? Public surface: ``predictiveness``,
``PredictivenessReport``, ``VerdictRow``, ``MissedReason``, ``Missed``, ``Finding``, ``CALIBRATED_FROM``.

A table with names. Shares by verdict come only with enough periods of that verdict: before, they would be anecdotes
with a percent sign.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from evaluations.enums import Choice, Decision, Verdict
from evaluations.models import ComparisonRow, ReplayRun
from pilots.enums import ClaimKind, Reason, SpellStatus
from pilots.models import Pilot
from pilots.selectors.claims import kind_of
from pilots.selectors.documents import report_document
from pilots.selectors.filters import ReportFilters
from pilots.selectors.measured import traffic_unread
from pilots.selectors.observation import Attempt, ObservedSpell, observe
from pilots.selectors.retention import SpellRow, spell_row
from pilots.selectors.staying import LogRankTest, Point, Question, compare_groups, read_points

CALIBRATED_FROM = 30  # chosen periods of a verdict: fewer are listed, not averaged


class Finding(Choice):
    """What the replays before a cutover had said on what the team later went back for."""

    PASSED = "passed", "replays passed it"
    WARNED = "warned", "replays warned"
    UNDECIDED = "undecided", "replays had not decided it"
    NOT_MEASURED = "not_measured", "no criterion was on it"
    NO_READING = "no_reading", "nothing had been read"
    NOT_TESTABLE = "not_testable", "no replay shows it"


# What a criterion would have to tell of, to see a reason coming; the other reasons no replay shows.
SEEN_BY: Mapping[Reason, ClaimKind] = {
    Reason.QUALITY: ClaimKind.QUALITY,
    Reason.REFUSALS: ClaimKind.RELIABILITY,
    Reason.RELIABILITY: ClaimKind.RELIABILITY,
    Reason.LATENCY: ClaimKind.SPEED,
    Reason.COST: ClaimKind.COST,
}
_PASSED = frozenset({Verdict.BETTER, Verdict.NON_INFERIOR})


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """All attempts with one verdict: at the cutover, or of the latest decision where there was none."""

    verdict: Decision | None  # None: no verdict was read
    attempts: int
    switched: int  # periods on the candidate
    forced: int  # of which by the incumbent's retirement: not in the shares
    rolled_back: int
    still_switched: int
    against_verdict: int
    calibrated: bool  # there are enough chosen periods for shares
    not_rolled_back: tuple[Point, ...]  # empty unless calibrated
    spells: tuple[SpellRow, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """A criterion on the matter, as read before the cutover."""

    metric: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Missed:
    """One rollback, against what was known when the team switched."""

    pilot: str
    team: str
    switched_on: date
    rolled_back_on: date
    finding: Finding
    run: int | None  # whose reading stood at the cutover; None: there was none
    criteria: tuple[Heard, ...]  # those on the matter


@dataclass(frozen=True, slots=True)
class MissedReason:
    code: Reason
    kind: ClaimKind | None  # of the criteria that could have seen it; None: none could
    count: int
    findings: dict[str, int]  # finding -> rollbacks
    rollbacks: tuple[Missed, ...]


@dataclass(frozen=True, slots=True)
class PredictivenessReport:
    as_of: date
    known_at: datetime
    filters: ReportFilters
    calibrated_from: int  # chosen periods per verdict
    sentences: tuple[str, ...]  # what can be said, and what cannot
    verdicts: tuple[VerdictRow, ...]
    logrank: LogRankTest | None  # of the calibrated verdicts; None under two of them
    missed: tuple[MissedReason, ...]  # most frequent first
    traffic_unread: int  # workloads whose newest traffic is not in these figures yet

    def to_document(self) -> dict[str, Any]:
        return report_document(self)


def predictiveness(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> PredictivenessReport:
    """Retention by verdict over ``pilots`` (default: all) that the filters leave. A constant number of queries."""
    seen = Pilot.objects.all() if pilots is None else pilots
    by_verdict: dict[str, list[Attempt]] = defaultdict(list)
    attempts = observe(seen, filters)
    for attempt in attempts:
        by_verdict[attempt.verdict].append(attempt)
    ordered = [*(decision.value for decision in Decision), ""]
    rows = tuple(_row(verdict, by_verdict[verdict], filters) for verdict in ordered if by_verdict[verdict])
    calibrated = {row.verdict.value for row in rows if row.calibrated and row.verdict is not None}
    return PredictivenessReport(
        as_of=filters.as_of,
        known_at=filters.known_at,
        filters=filters,
        calibrated_from=CALIBRATED_FROM,
        sentences=_sentences(rows),
        verdicts=rows,
        logrank=compare_groups({verdict: _chosen(by_verdict[verdict]) for verdict in sorted(calibrated)}),
        missed=_missed(seen, attempts, filters),
        traffic_unread=traffic_unread(seen, filters),
    )


def _chosen(attempts: Iterable[Attempt]) -> list[tuple[str, ObservedSpell]]:
    return [(one.team, one.spell) for one in attempts if one.spell is not None and not one.spell.forced]


def _row(verdict: str, attempts: Sequence[Attempt], filters: ReportFilters) -> VerdictRow:
    spells = [attempt.spell for attempt in attempts if attempt.spell is not None]
    chosen = _chosen(attempts)
    calibrated = bool(verdict) and len(chosen) >= CALIBRATED_FROM
    return VerdictRow(
        verdict=Decision(verdict) if verdict else None,
        attempts=len(attempts),
        switched=len(spells),
        forced=sum(spell.forced for spell in spells),
        rolled_back=sum(spell.status is SpellStatus.ROLLED_BACK for spell in spells),
        still_switched=sum(spell.status is SpellStatus.STILL_SWITCHED for spell in spells),
        against_verdict=sum(spell.against_verdict for spell in spells),
        calibrated=calibrated,
        not_rolled_back=read_points(chosen, Question.NOT_ROLLED_BACK, filters.days, filters.min_at_risk)
        if calibrated
        else (),
        spells=tuple(spell_row(attempt, attempt.spell) for attempt in attempts if attempt.spell is not None),
    )


def _sentences(rows: Sequence[VerdictRow]) -> tuple[str, ...]:
    judged = {row.verdict: row for row in rows}
    worse = judged.get(Decision.DO_NOT_SWITCH)
    said = []
    if worse is None:
        said.append(
            "No pilot was judged worse: whether such a verdict would have foretold a rollback cannot be seen here."
        )
    else:
        said.append(
            f"Pilots judged worse rarely cut over: {worse.switched:,} of {worse.attempts:,} did."
            " How the others would have fared, no report can say."
        )
    few = [row for row in rows if row.verdict is not None and row.switched and not row.calibrated]
    if few:
        named = ", ".join(f"{row.verdict.label}: {row.switched - row.forced:,}" for row in few if row.verdict)
        said.append(
            f"No shares below {CALIBRATED_FROM} periods that were chosen ({named}): the periods are listed by name."
        )
    unread = judged.get(None)
    if unread is not None and unread.switched:
        were = "period" if unread.switched == 1 else "periods"
        said.append(f"{unread.switched:,} {were} began without any verdict that was read here.")
    return tuple(said)


class _WentBack(NamedTuple):
    attempt: Attempt
    spell: ObservedSpell
    end: date


class _Reading(NamedTuple):
    """The newest reading by the day of a cutover."""

    run: int
    criteria: tuple[Heard, ...]


def _missed(pilots: QuerySet[Pilot], attempts: Iterable[Attempt], filters: ReportFilters) -> tuple[MissedReason, ...]:
    back = [
        _WentBack(attempt, attempt.spell, attempt.spell.end)
        for attempt in attempts
        if attempt.spell is not None
        and attempt.spell.end is not None
        and attempt.spell.status is SpellStatus.ROLLED_BACK
    ]
    readings = _readings(pilots, back, filters)
    by_reason: dict[Reason, list[Missed]] = defaultdict(list)
    for one in back:
        reason = one.spell.reason or Reason.UNEXPLAINED
        by_reason[reason].append(_against(one, reason, readings.get((one.attempt.pilot, one.spell.number))))
    ranked = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0].value))
    return tuple(
        MissedReason(
            code=reason,
            kind=SEEN_BY.get(reason),
            count=len(found),
            findings={
                finding.value: sum(row.finding is finding for row in found)
                for finding in Finding
                if any(row.finding is finding for row in found)
            },
            rollbacks=tuple(sorted(found, key=lambda row: (row.rolled_back_on, row.pilot), reverse=True)),
        )
        for reason, found in ranked
    )


def _against(one: _WentBack, reason: Reason, reading: _Reading | None) -> Missed:
    kind = SEEN_BY.get(reason)
    heard = tuple(row for row in (reading.criteria if reading else ()) if kind_of(row.metric) is kind)
    verdicts = {row.verdict for row in heard}
    if kind is None:
        finding = Finding.NOT_TESTABLE
    elif reading is None:
        finding = Finding.NO_READING
    elif not heard:
        finding = Finding.NOT_MEASURED
    elif Verdict.WORSE in verdicts:
        finding = Finding.WARNED
    else:
        finding = Finding.PASSED if verdicts <= _PASSED else Finding.UNDECIDED
    return Missed(
        pilot=one.attempt.pilot,
        team=one.attempt.team,
        switched_on=one.spell.start,
        rolled_back_on=one.end,
        finding=finding,
        run=None if reading is None else reading.run,
        criteria=heard,
    )


def _readings(
    pilots: QuerySet[Pilot], back: Sequence[_WentBack], filters: ReportFilters
) -> dict[tuple[str, int], _Reading]:
    """By pilot and period, what the pilot's plan said when the team switched. Three queries."""
    slugs = {one.attempt.pilot for one in back}
    plans = dict(pilots.filter(slug__in=slugs, plan__isnull=False).values_list("slug", "plan"))
    ended = ReplayRun.objects.filter(plan_version__plan__in=plans.values(), finished_at__lte=filters.known_at)
    runs: dict[int, list[tuple[date, int]]] = defaultdict(list)
    rows = ended.exclude(decision="").order_by("finished_at", "pk")
    for plan, finished_at, run in rows.values_list("plan_version__plan", "finished_at", "pk"):
        if finished_at is not None:
            runs[plan].append((finished_at.astimezone(UTC).date(), run))
    stood: dict[tuple[str, int], int] = {}
    for one in back:
        before = [run for day, run in runs[plans.get(one.attempt.pilot, 0)] if day <= one.spell.start]
        if before:
            stood[one.attempt.pilot, one.spell.number] = before[-1]
    criteria: dict[int, list[Heard]] = defaultdict(list)
    compared = ComparisonRow.objects.filter(run__in=set(stood.values())).order_by("run", "position")
    for run, metric, verdict in compared.values_list("run", "metric", "verdict"):
        criteria[run].append(Heard(metric, verdict))
    return {key: _Reading(run, tuple(criteria[run])) for key, run in stood.items()}
