"""Which teams switched and did not switch back. Public surface: ``retention``, ``RetentionReport``, ``Answer``,
``Funnel``, ``OfWhich``, ``SpellRow``, ``spell_row``, ``ReasonCount``, ``rollback_reasons``.

The unit of funnel and spells is one attempt to switch: each spell is one, and so is a pilot without a spell. Curves
leave forced switches out: they tell of those who chose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet

from evaluations.models import Vendor
from pilots.enums import KnownBy, SpellEnd, SpellStatus
from pilots.models import Pilot
from pilots.selectors.customers import CustomerTest, customer_test
from pilots.selectors.documents import plain
from pilots.selectors.filters import ReportFilters
from pilots.selectors.headline import headline
from pilots.selectors.measured import traffic_unread
from pilots.selectors.observation import Attempt, ObservedSpell, Stage, observe
from pilots.selectors.remembered import remembered
from pilots.selectors.staying import (
    CurveStep,
    LogRankTest,
    Point,
    Question,
    RestrictedMeanDays,
    compare_groups,
    compared_rows,
    read_curve,
    read_points,
)


@dataclass(frozen=True, slots=True)
class OfWhich:
    """Spells with a mark; one may carry several."""

    forced: int
    returned_to_vendor: int
    upgraded: int
    measured: int
    declared: int
    against_verdict: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """Every attempt counted once: opened is the sum down to switched, switched that of the six after it."""

    opened: int
    declined: int
    abandoned: int
    in_progress: int
    alongside: int
    failed_switch: int
    switched: int
    rolled_back: int
    superseded: int
    ended: int
    in_conflict: int
    lost_to_follow_up: int
    still_switched: int
    of_which: OfWhich


@dataclass(frozen=True, slots=True)
class SpellRow:
    """One time on the candidate. Models, team, workload and pilot are slugs; days count from the cutover."""

    pilot: str
    workload: str
    team: str
    incumbent: str
    candidate: str
    start: date
    end: date | None  # None: not ended, as far as is known
    status: SpellStatus
    days: int  # to the end, else to the last confirmation
    entry_day: int  # known about only from this day on
    forced: bool  # by the incumbent's retirement: not in the curves
    known_by: KnownBy
    last_confirmed: date
    verdict_at_cutover: str | None  # None: none was read
    upgraded: bool
    returned_to_vendor: bool
    against_verdict: bool
    reason: str | None  # of a rollback
    to_model: str | None  # where it went


@dataclass(frozen=True, slots=True)
class ReasonCount:
    code: str
    count: int  # spells rolled back for it
    pilots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The retention of one set of attempts."""

    headline: str
    funnel: Funnel
    at: tuple[Point, ...]  # still on the candidate
    not_rolled_back: tuple[Point, ...]
    not_returned_to_vendor: tuple[Point, ...]
    curve: tuple[CurveStep, ...]  # of ``at``, with the raw numbers
    median_days: int | None  # None: the curve stays above one half
    restricted_mean_days: RestrictedMeanDays
    spells: tuple[SpellRow, ...]
    reasons: tuple[ReasonCount, ...]  # most frequent first

    def to_document(self) -> dict[str, Any]:
        return dict(plain(self))


@dataclass(frozen=True, slots=True)
class RetentionReport:
    as_of: date
    known_at: datetime
    filters: ReportFilters
    answer: Answer
    groups: tuple[tuple[str, Answer], ...]  # key and answer, by key; empty unless grouped
    logrank: LogRankTest | None  # of the groups; None under two that can be compared
    logrank_by_customer: CustomerTest | None  # the same with customers exchanged as wholes; None as above
    traffic_unread: int  # workloads whose newest traffic is not in these figures yet
    compared: Mapping[str, Any] | None = None  # the spells that it is of, not part of the document

    def to_document(self) -> dict[str, Any]:
        """The retention document of the public interface."""
        answer = self.answer.to_document()
        spells, reasons = answer.pop("spells"), answer.pop("reasons")
        return {
            "as_of": self.as_of.isoformat(),
            "known_at": plain(self.known_at),
            "filters": self.filters.to_document(),
            **answer,
            "groups": [{"key": key, **group.to_document()} for key, group in self.groups],
            "logrank": plain(self.logrank),
            "logrank_by_customer": plain(self.logrank_by_customer),
            "traffic_unread": self.traffic_unread,
            "spells": spells,
            "reasons": reasons,
        }


def retention(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> RetentionReport:
    """The retention report over ``pilots`` (default: all) that ``filters`` leave. A constant number of queries."""
    everything = Pilot.objects.all() if pilots is None else pilots
    answer, groups, logrank, compared = remembered("retention", everything, filters, lambda: _read(everything, filters))
    return RetentionReport(
        as_of=filters.as_of,
        known_at=filters.known_at,
        filters=filters,
        answer=answer,
        groups=groups,
        logrank=logrank,
        # That test is made by a worker: it may have come in since.
        logrank_by_customer=None if compared is None else customer_test(compared),
        traffic_unread=traffic_unread(everything, filters),
        compared=compared,
    )


_Read = tuple[Answer, tuple[tuple[str, Answer], ...], LogRankTest | None, Mapping[str, Any] | None]


def _read(pilots: QuerySet[Pilot], filters: ReportFilters) -> _Read:
    """The answer to all, that to each group, and the groups compared."""
    attempts = observe(pilots, filters)
    vendors = dict(Vendor.objects.values_list("slug", "name"))
    groups: dict[str, list[Attempt]] = defaultdict(list)
    if filters.by:
        for attempt in attempts:
            groups[attempt.group(filters.by)].append(attempt)
    # To compare forced with chosen is to look at the forced ones.
    with_forced = filters.by == "forced"
    followed = {key: _spells(_followed(members, with_forced)) for key, members in sorted(groups.items())}
    logrank = compare_groups(followed)
    return (
        _answer(attempts, filters, vendors),
        tuple(
            (key, _answer(members, filters, vendors, with_forced=with_forced))
            for key, members in sorted(groups.items())
        ),
        logrank,
        None if logrank is None else compared_rows(followed),
    )


def _answer(
    attempts: Sequence[Attempt], filters: ReportFilters, vendors: dict[str, str], *, with_forced: bool = False
) -> Answer:
    followed = _followed(attempts, with_forced)
    spells = _spells(followed)
    days, min_at_risk = filters.days, filters.min_at_risk
    curve, median_days, mean = read_curve(spells, min_at_risk=min_at_risk, last_day=max(days))
    not_returned = read_points(spells, Question.NOT_RETURNED, days, min_at_risk)
    return Answer(
        headline=headline(attempts, followed, not_returned, min_at_risk=min_at_risk, vendors=vendors),
        funnel=_funnel(attempts),
        at=read_points(spells, Question.STILL_ON_IT, days, min_at_risk),
        not_rolled_back=read_points(spells, Question.NOT_ROLLED_BACK, days, min_at_risk),
        not_returned_to_vendor=not_returned,
        curve=curve,
        median_days=median_days,
        restricted_mean_days=mean,
        spells=tuple(spell_row(attempt, attempt.spell) for attempt in attempts if attempt.spell is not None),
        reasons=rollback_reasons(attempts),
    )


def _followed(attempts: Iterable[Attempt], with_forced: bool) -> list[Attempt]:
    """Those whose spell the curves are read from."""
    return [attempt for attempt in attempts if attempt.spell and (with_forced or not attempt.spell.forced)]


def _spells(attempts: Iterable[Attempt]) -> list[tuple[str, ObservedSpell]]:
    return [(attempt.team, attempt.spell) for attempt in attempts if attempt.spell]


def _funnel(attempts: Sequence[Attempt]) -> Funnel:
    stages = Counter(attempt.stage for attempt in attempts)
    spells = [attempt.spell for attempt in attempts if attempt.spell is not None]
    statuses = Counter(spell.status for spell in spells)
    return Funnel(
        opened=len(attempts),
        **{stage.value: stages[stage] for stage in Stage},
        **{status.value: statuses[status] for status in SpellStatus},
        of_which=OfWhich(
            forced=sum(spell.forced for spell in spells),
            returned_to_vendor=sum(spell.returned_to_vendor for spell in spells),
            upgraded=sum(spell.upgraded for spell in spells),
            measured=sum(spell.known_by is KnownBy.MEASURED for spell in spells),
            declared=sum(spell.known_by is KnownBy.DECLARED for spell in spells),
            against_verdict=sum(spell.against_verdict for spell in spells),
        ),
    )


def spell_row(attempt: Attempt, spell: ObservedSpell) -> SpellRow:
    return SpellRow(
        pilot=attempt.pilot,
        workload=attempt.workload,
        team=attempt.team,
        incumbent=attempt.incumbent.slug,
        candidate=attempt.candidate.slug,
        start=spell.start,
        end=spell.end,
        status=spell.status,
        days=spell.days,
        entry_day=spell.entry_day,
        forced=spell.forced,
        known_by=spell.known_by,
        last_confirmed=spell.last_confirmed,
        verdict_at_cutover=spell.verdict_at_cutover,
        upgraded=spell.upgraded,
        returned_to_vendor=spell.returned_to_vendor,
        against_verdict=spell.against_verdict,
        reason=spell.reason.value if spell.reason else None,
        to_model=spell.end_model or None,
    )


def rollback_reasons(attempts: Sequence[Attempt]) -> tuple[ReasonCount, ...]:
    pilots: dict[str, list[str]] = defaultdict(list)
    for attempt in attempts:
        spell = attempt.spell
        if spell is not None and spell.status.value == SpellEnd.ROLLED_BACK.value and spell.reason is not None:
            pilots[spell.reason.value].append(attempt.pilot)
    ranked = sorted(pilots.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(ReasonCount(code, len(names), tuple(sorted(set(names)))) for code, names in ranked)
