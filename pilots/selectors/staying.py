"""The three retention answers over a list of spells. Public surface: ``Question``, ``Reading``, ``read_points``,
``read_curve``, ``compare_groups``, ``compared_rows``, ``Point``, ``CurveStep``, ``RestrictedMeanDays``,
``LogRankTest``.

Kaplan-Meier and Aalen-Johansen with late entry; a spell counts up to its end or its last confirmation, never to today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from evaluations.statistics.competing import CompetingRisks, cumulative_incidence
from evaluations.statistics.inputs import Whole
from evaluations.statistics.survival import SurvivalCurve, kaplan_meier, logrank, restricted_mean
from pilots.selectors.observation import ObservedSpell


class Question(Enum):
    """What counts as having left."""

    STILL_ON_IT = "every end"
    NOT_ROLLED_BACK = "back on the incumbent model; other ends compete, shutdown of the incumbent ends follow-up"
    NOT_RETURNED = "back on any model of the incumbent's vendor; other ends compete"


class Lost(Enum):
    """What became of those lost to follow-up."""

    CENSORED = "unknown from the last confirmation on"
    LEFT = "went back the day after the last confirmation"
    STAYED = "stayed to the end"


@dataclass(frozen=True, slots=True)
class Point:
    """One answer on one day. All shares are None where ``withheld``."""

    day: int
    still_switched: float | None
    lower: float | None  # 95 % log-log limits, exact without events; None: not defined
    upper: float | None
    at_risk: int  # spells under observation just before that day
    withheld: bool  # fewer at risk than asked for
    worst: float | None  # had those lost to follow-up gone back the day after
    best: float | None  # had they stayed
    customers: int  # distinct teams at risk


@dataclass(frozen=True, slots=True)
class CurveStep:
    day: int
    at_risk: int
    events: int
    censored: int
    survival: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class RestrictedMeanDays:
    """Mean days on the candidate, of the first ``tau``. All None while too few are at risk."""

    tau: int | None
    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class LogRankTest:
    chi2: float
    df: int
    p: float


class Unit(NamedTuple):
    """One spell as one question sees it: under observation on (entry, time]."""

    team: str
    time: int
    cause: int  # 0: followed no further, 1: the end that was asked about, 2: another end
    entry: int


Spells = Sequence[tuple[str, ObservedSpell]]  # team, spell


def units(spells: Spells, question: Question, lost: Lost = Lost.CENSORED) -> list[Unit]:
    """Without the spells of which nothing was seen: their entry is not before their end."""
    found = []
    for team, spell in spells:
        time, cause = _followed(spell, question, lost)
        if spell.entry_day == 0 or spell.entry_day < time:
            found.append(Unit(team, time, cause, spell.entry_day))
    return found


def _followed(spell: ObservedSpell, question: Question, lost: Lost) -> tuple[int, int]:
    time, cause = spell.days, 0
    if spell.ended:
        cause = 1 if _asked_about(spell, question) else 2
    elif spell.lost and lost is Lost.LEFT:
        time, cause = spell.days + 1, 1
    elif spell.lost and lost is Lost.STAYED:
        time = spell.possible_days
    limit = spell.impossible_from
    if question is Question.NOT_ROLLED_BACK and limit is not None and time > limit:
        return limit, 0
    return time, cause


def _asked_about(spell: ObservedSpell, question: Question) -> bool:
    if question is Question.NOT_ROLLED_BACK:
        return spell.back_on_incumbent
    return question is Question.STILL_ON_IT or spell.returned_to_vendor


def _columns(rows: Sequence[Unit]) -> tuple[Whole, Whole, Whole]:
    """Times, causes and entries."""
    table = np.array([(row.time, row.cause, row.entry) for row in rows], dtype=np.int64)
    return table[:, 0], table[:, 1], table[:, 2]


class Reading:
    """The estimate of one answer."""

    def __init__(self, rows: Sequence[Unit], question: Question) -> None:
        self.rows = rows
        self._incidence: CompetingRisks | None = None
        self._curve: SurvivalCurve | None = None
        if rows:
            times, causes, entries = _columns(rows)
            if question is not Question.STILL_ON_IT and (causes == 1).any():
                self._incidence = cumulative_incidence(times, causes, entries)
            else:
                self._curve = kaplan_meier(times, causes == 1, entries)

    def at(self, day: int) -> tuple[float, float | None, float | None]:
        """Share that has not left by ``day``, with its limits; 1 without anybody to look at."""
        if self._incidence is not None:
            gone = self._incidence.by_cause[1].at(day)
            lower = None if gone.upper is None else 1 - gone.upper
            return 1 - gone.incidence, lower, None if gone.lower is None else 1 - gone.lower
        if self._curve is not None:
            point = self._curve.at(day)
            return point.survival, point.lower, point.upper
        return 1.0, None, None

    def at_risk(self, day: int) -> list[Unit]:
        """Those under observation just before ``day``."""
        return [row for row in self.rows if row.time >= day and (row.entry < day or row.entry == 0)]


def read_points(spells: Spells, question: Question, days: Sequence[int], min_at_risk: int) -> tuple[Point, ...]:
    """The answer on each of ``days``."""
    lost = [(team, spell) for team, spell in spells if spell.lost]
    followed = units([(team, spell) for team, spell in spells if not spell.lost], question)
    observed = Reading([*followed, *units(lost, question)], question)
    worst = best = observed
    if lost:
        worst = Reading([*followed, *units(lost, question, Lost.LEFT)], question)
        best = Reading([*followed, *units(lost, question, Lost.STAYED)], question)
    points = []
    for day in days:
        at_risk = observed.at_risk(day)
        customers = len({row.team for row in at_risk})
        if len(at_risk) < max(min_at_risk, 1):
            points.append(Point(day, None, None, None, len(at_risk), True, None, None, customers))
            continue
        share, lower, upper = observed.at(day)
        points.append(
            Point(day, share, lower, upper, len(at_risk), False, worst.at(day)[0], best.at(day)[0], customers)
        )
    return tuple(points)


def read_curve(
    spells: Spells, *, min_at_risk: int, last_day: int
) -> tuple[tuple[CurveStep, ...], int | None, RestrictedMeanDays]:
    """Still on the candidate: the whole curve, its median (None: not reached), and the mean days of the first tau.

    tau is the last day, up to ``last_day``, with at least ``min_at_risk`` spells at risk.
    """
    rows = units(spells, Question.STILL_ON_IT)
    unknown = RestrictedMeanDays(None, None, None, None)
    if not rows:
        return (), None, unknown
    times, causes, entries = _columns(rows)
    curve = kaplan_meier(times, causes == 1, entries)
    steps = tuple(
        CurveStep(int(step.day), step.at_risk, step.events, step.censored, step.survival, step.lower, step.upper)
        for step in curve.steps
    )
    median = None if curve.median is None else int(curve.median)
    tau = _last_day_at_risk(curve, steps, max(min_at_risk, 1), last_day)
    if tau is None:
        return steps, median, unknown
    mean = restricted_mean(times, causes == 1, tau, entries)
    return steps, median, RestrictedMeanDays(tau, mean.rmst, mean.lower, mean.upper)


def _last_day_at_risk(curve: SurvivalCurve, steps: Sequence[CurveStep], needed: int, last_day: int) -> int | None:
    """The number at risk falls only after a day on which a spell ended: one of those days, or the limit itself."""
    days = [step.day for step in steps if 0 < step.day <= last_day and step.at_risk >= needed]
    if last_day > 0 and curve.at(last_day).at_risk_before >= needed:
        days.append(last_day)
    return max(days, default=None)


def compared_rows(groups: Mapping[str, Spells]) -> dict[str, list[Any]] | None:
    """The spells that a comparison of groups is of, as columns; None under two groups in which somebody could have
    left."""
    rows = [(key, row) for key, spells in groups.items() for row in units(spells, Question.STILL_ON_IT)]
    if len({key for key, _ in rows}) < 2:
        return None
    rows.sort()
    return {
        "time": [row.time for _, row in rows],
        "event": [int(row.cause == 1) for _, row in rows],
        "entry": [row.entry for _, row in rows],
        "group": [key for key, _ in rows],
        "customer": [row.team for _, row in rows],
    }


def compare_groups(groups: Mapping[str, Spells]) -> LogRankTest | None:
    """Log-rank of still being on the candidate; None under two groups in which somebody could have left."""
    rows = [(key, row) for key, spells in groups.items() for row in units(spells, Question.STILL_ON_IT)]
    if len({key for key, _ in rows}) < 2:
        return None
    times, causes, entries = _columns([row for _, row in rows])
    result = logrank(times, causes == 1, [key for key, _ in rows], entries)
    if result.chi2 is None or result.p_value is None:
        return None
    return LogRankTest(result.chi2, result.df, result.p_value)
