"""What a pilot's daily traffic says, as plain values. Public surface: ``Day``, ``Measured``, ``Found``, ``Origin``,
``ShareDrift``, ``measure``, ``of_switch``.

No Django, no database. Days are UTC dates, in order; a day without data is missing: it neither counts nor breaks a run,
unless more than ``GAP_DAYS`` lie between two days with data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import NamedTuple

from pilots.enums import ConflictKind, MeasuredState, PilotStatus
from pilots.facts import Model, Spell, Switch, Timeline
from pilots.transitions import NO_SWITCH_YET

GAP_DAYS = 7
SWITCHED_DAYS = 14  # with at least 80 % on the candidate
BACK_DAYS = 7  # with less than 50 %
REPLACED_DAYS = 30  # with less than 5 % on the incumbent
DRIFT_DAYS = 7  # with a share that lies off the recorded one, always on the same side
DRIFT_POINTS = Decimal("0.10")  # by more than this


class Day(NamedTuple):
    """One day with data, and at least one request."""

    day: date
    candidate: int  # requests on the candidate or its successors
    incumbent: int
    total: int
    others: Mapping[str, int]  # requests on models that are not the candidate's, by slug

    @property
    def switched(self) -> bool:
        return self.candidate * 5 >= self.total * 4

    @property
    def back(self) -> bool:
        return self.candidate * 2 < self.total

    @property
    def replaced(self) -> bool:
        return self.incumbent * 20 < self.total


class Origin(NamedTuple):
    """Where no cutover is recorded: the run of days that is read as one."""

    day: date  # day one of it
    established_on: date  # from this day on the rule held


class Found(NamedTuple):
    """A contradiction between what was declared and what was observed."""

    kind: ConflictKind
    spell: int  # the number of the period that it is about; 0: none, or the one that was only measured
    since_on: date
    established_on: date  # from this day on the rule held
    last_on: date
    share: float  # of its traffic on ``model``
    model: str  # slug: where the traffic is
    vendor: str  # that model's, as slug


class ShareDrift(NamedTuple):
    """A measured share that stays off the recorded one, up to the newest day with data."""

    since_on: date
    last_on: date
    share: float  # on the candidate, over those days
    recorded: Decimal
    recorded_on: date


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that is read from the traffic of one pilot."""

    observed_days: int
    first_on: date | None  # None: nothing was observed, here and below
    last_on: date | None
    state: MeasuredState | None
    state_since: date | None
    confirmed: tuple[tuple[int, date, date], ...]  # a period's number (0: only measured), first and last day seen in it
    found: tuple[Found, ...]  # in order of time
    share_drift: ShareDrift | None = None  # None: none, or not asked of the days themselves
    origin: Origin | None = None  # None: a cutover is recorded, or the candidate was never seen to be primary


def of_switch(day: date, models: Mapping[str, int], switch: Switch, known: Mapping[str, Model]) -> Day | None:
    """A day's requests by model as seen from a switch; None where nothing was asked."""
    total = sum(models.values())
    if not total:
        return None
    incumbent = switch.incumbent.slug
    others = {
        slug: n
        for slug, n in models.items()
        # An incumbent may be of the candidate's own family.
        if slug == incumbent or slug not in known or not known[slug].same_line_as(switch.candidate)
    }
    return Day(day, total - sum(others.values()), models.get(incumbent, 0), total, others)


def measure(days: Sequence[Day], timeline: Timeline, switch: Switch, known: Mapping[str, Model]) -> Measured:
    """What ``days`` say, and where they contradict ``timeline``."""
    state, since = _state(days)
    origin = _origin(days, timeline)
    periods = [(spell.number, _within(days, spell)) for spell in timeline.spells]
    if origin is not None:
        periods.append((0, [day for day in days if day.day >= origin.day]))
    confirmed = []
    for number, within in periods:
        on_it = [day.day for day in within if not day.back]
        if on_it:
            confirmed.append((number, on_it[0], on_it[-1]))
    return Measured(
        observed_days=len(days),
        first_on=days[0].day if days else None,
        last_on=days[-1].day if days else None,
        state=state,
        state_since=since,
        confirmed=tuple(confirmed),
        found=tuple(sorted(_found(days, periods, timeline, switch.candidate, known), key=lambda found: found.since_on)),
        share_drift=_share_drift(days, timeline),
        origin=origin,
    )


def _share_drift(days: Sequence[Day], timeline: Timeline) -> ShareDrift | None:
    """Of a pilot that is switched, or runs alongside with an agreed share: its traffic after that share was recorded.

    The rule is that of the other states: so many days with data in a row, the last of them the newest.
    """
    recorded, recorded_on = timeline.traffic_share, timeline.share_on
    if timeline.status not in (PilotStatus.SWITCHED, PilotStatus.ALONGSIDE) or recorded is None or recorded_on is None:
        return None
    since = [day for day in days if day.day > recorded_on]
    for holds in (
        lambda day: day.candidate < (recorded - DRIFT_POINTS) * day.total,
        lambda day: day.candidate > (recorded + DRIFT_POINTS) * day.total,
    ):
        runs = _runs(since, holds, DRIFT_DAYS)
        if runs and runs[-1][-1] is since[-1]:
            share = sum(day.candidate for day in runs[-1]) / sum(day.total for day in runs[-1])
            return ShareDrift(runs[-1][0].day, runs[-1][-1].day, share, recorded, recorded_on)
    return None


def _origin(days: Sequence[Day], timeline: Timeline) -> Origin | None:
    """The first run of 14 days at 80 % or more that the pilot lived to see, where it has no cutover of its own."""
    if timeline.spells or timeline.opened_at is None:
        return None
    opened_on = timeline.opened_at.astimezone(UTC).date()
    runs = _runs(days, lambda day: day.switched, SWITCHED_DAYS)
    run = next((run for run in runs if run[-1].day >= opened_on), None)
    return None if run is None else Origin(run[0].day, run[SWITCHED_DAYS - 1].day)


def _within(days: Iterable[Day], spell: Spell) -> list[Day]:
    return [day for day in days if day.day >= spell.started_on and (spell.ended_on is None or day.day < spell.ended_on)]


def _found(
    days: Sequence[Day],
    periods: Iterable[tuple[int, Sequence[Day]]],
    timeline: Timeline,
    candidate: Model,
    known: Mapping[str, Model],
) -> Iterable[Found]:
    for number, within in periods:
        for run in _runs(within, lambda day: day.back, BACK_DAYS):
            yield _left_for(known, number, run)
    last = timeline.spells[-1] if timeline.spells else None
    if last is not None and last.ended_on is not None and timeline.status in _LEFT:
        later = [day for day in days if day.day > (last.ended_on or day.day)]
        for run in _runs(later, lambda day: day.switched, SWITCHED_DAYS):
            yield _on_it(ConflictKind.STILL_ON_IT, last.number, run, candidate)
    elif last is None and timeline.opened_at and timeline.status in (*NO_SWITCH_YET, PilotStatus.ALONGSIDE):
        for run in _runs(days, lambda day: day.switched, SWITCHED_DAYS):
            yield _on_it(ConflictKind.UNRECORDED, 0, run, candidate)


_LEFT = (PilotStatus.ROLLED_BACK, PilotStatus.SUPERSEDED, PilotStatus.ENDED)


def _left_for(known: Mapping[str, Model], spell: int, run: Sequence[Day]) -> Found:
    """The traffic is on the largest of the other models."""
    volume = Counter[str]()
    for day in run:
        volume.update(day.others)
    model, n = max(volume.items(), key=lambda item: (item[1], item[0]))
    share = n / sum(day.total for day in run)
    vendor = known[model].vendor if model in known else ""
    days = (run[0].day, run[BACK_DAYS - 1].day, run[-1].day)
    return Found(ConflictKind.WENT_BACK, spell, *days, share, model, vendor)


def _on_it(kind: ConflictKind, spell: int, run: Sequence[Day], candidate: Model) -> Found:
    share = sum(day.candidate for day in run) / sum(day.total for day in run)
    days = (run[0].day, run[SWITCHED_DAYS - 1].day, run[-1].day)
    return Found(kind, spell, *days, share, candidate.slug, candidate.vendor)


def _runs(days: Sequence[Day], holds: Callable[[Day], bool], needed: int) -> list[list[Day]]:
    """Every run of days with data of which the rule holds, of at least ``needed`` of them."""
    found: list[list[Day]] = []
    run: list[Day] = []
    for day in days:
        if run and (day.day - run[-1].day > timedelta(days=GAP_DAYS) or not holds(day)):
            found.append(run)
            run = []
        if holds(day):
            run.append(day)
    return [run for run in (*found, run) if len(run) >= needed]


def _state(days: Sequence[Day]) -> tuple[MeasuredState | None, date | None]:
    """Where the traffic stands at its newest day, and since when."""
    if not days:
        return None, None
    last = days[-1].day
    rules: tuple[tuple[MeasuredState, Callable[[Day], bool], int], ...] = (
        (MeasuredState.BACK, lambda day: day.back and day.candidate > 0, BACK_DAYS),
        (MeasuredState.NOT_ON_IT, lambda day: day.candidate == 0, 1),
        (MeasuredState.REPLACED, lambda day: day.replaced and day.switched, REPLACED_DAYS),
        (MeasuredState.SWITCHED, lambda day: day.switched, SWITCHED_DAYS),
    )
    for state, holds, needed in rules:
        runs = _runs(days, holds, needed)
        if runs and runs[-1][-1].day == last:
            return state, runs[-1][0].day
    both = _runs(days, lambda day: day.candidate > 0, 1)
    return MeasuredState.ALONGSIDE, both[-1][0].day
