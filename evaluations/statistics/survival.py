"""Time to an end, with censoring and late entry: ``kaplan_meier``, ``logrank``, ``restricted_mean``, ``mean_counts``.

Times are days from the origin. ``event`` is 1 where the end was seen, 0 where observation stopped before it. ``entry``
is the day from which a unit was under observation (late entry); left out, all are from the origin on.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluations.statistics.distributions import chi2_upper_tail, z_quantile
from evaluations.statistics.inputs import (
    Vector,
    Whole,
    flags,
    labels,
    listed,
    number,
    positive,
    same_length,
    share,
    vector,
)
from evaluations.statistics.results import LogRank, MeanCount, RestrictedMean, StatisticsError
from evaluations.statistics.risksets import ROUNDING, Spells, loglog_limits, maybe, spells

# A variance this small beside the largest one is rounding around 0.
_SINGULAR = 1e-10


@dataclass(frozen=True)
class SurvivalStep:
    day: float
    at_risk: int  # entry < day <= time
    events: int  # on this day
    censored: int  # on this day
    survival: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class SurvivalPoint:
    day: float
    survival: float
    lower: float | None  # None where nobody is left without any event before
    upper: float | None  # None where survival is 0
    at_risk: int  # followed past the day: entry <= day < time
    at_risk_before: int  # just before the day: entry < day <= time
    events: int  # up to and with the day


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """Kaplan-Meier estimate; build with ``kaplan_meier``. The arrays have one value per distinct end, ascending."""

    n: int
    n_events: int
    alpha: float
    observed: Spells
    events: Whole
    ended: Whole  # events and censorings
    survival: Vector
    relative_variance: Vector  # Greenwood's sum

    @cached_property
    def steps(self) -> tuple[SurvivalStep, ...]:
        """One per day on which a spell ended or was censored."""
        lower, upper = self._limits
        columns = zip(
            self.observed.days.tolist(),
            self.observed.at_risk(self.observed.days).tolist(),
            self.events.tolist(),
            (self.ended - self.events).tolist(),
            self.survival.tolist(),
            maybe(lower),
            maybe(upper),
            strict=True,
        )
        return tuple(SurvivalStep(*column) for column in columns)

    def at(self, day: float) -> SurvivalPoint:
        """The curve on a day; past the last end it stays where it was, with nobody at risk."""
        day = _day(day)
        last = int(np.searchsorted(self.observed.days, day, "right")) - 1
        past = self.observed.followed_past(np.array([day]))
        survival = self.survival[[last]] if last >= 0 else np.ones(1)
        variance = self.relative_variance[[last]] if last >= 0 else np.zeros(1)
        events = int(self.events[: last + 1].sum())
        lower, upper = loglog_limits(survival, variance, np.array([events > 0]), past, self.alpha)
        return SurvivalPoint(
            day=day,
            survival=float(survival[0]),
            lower=maybe(lower)[0],
            upper=maybe(upper)[0],
            at_risk=int(past[0]),
            at_risk_before=int(self.observed.at_risk(np.array([day]))[0]),
            events=events,
        )

    @property
    def median(self) -> float | None:
        """The first day on which survival is at most 0.5; None while it is above."""
        return self._first_day(self.survival)

    @property
    def median_interval(self) -> tuple[float | None, float | None]:
        """Where each limit first reaches 0.5 (Brookmeyer & Crowley 1982, Biometrics 38:29); None = not reached."""
        lower, upper = self._limits
        seen = self.events.cumsum() > 0
        return self._first_day(np.where(seen, lower, np.nan)), self._first_day(np.where(seen, upper, np.nan))

    @cached_property
    def _limits(self) -> tuple[Vector, Vector]:
        past = self.observed.followed_past(self.observed.days)
        return loglog_limits(self.survival, self.relative_variance, self.events.cumsum() > 0, past, self.alpha)

    def _first_day(self, curve: Vector) -> float | None:
        reached = np.flatnonzero(curve <= 0.5 + ROUNDING)
        return float(self.observed.days[reached[0]]) if len(reached) else None


def kaplan_meier(
    time: ArrayLike, event: ArrayLike, entry: ArrayLike | None = None, alpha: float = 0.05
) -> SurvivalCurve:
    """Share without the event over time (Kaplan & Meier 1958), log-log Greenwood limits, exact before any event.

    A unit is at risk on day t when entry < t <= time; events come before censorings of the same day. Raises
    ``StatisticsError`` without a unit, on negative times and on an entry at or after the end.
    """
    observed = spells(time, entry)
    happened = flags("event", event)
    same_length(time=observed.time, event=happened)
    events = observed.ends(happened)
    at_risk = observed.at_risk(observed.days)
    return SurvivalCurve(
        n=len(happened),
        n_events=int(events.sum()),
        alpha=share("alpha", alpha),
        observed=observed,
        events=events,
        ended=observed.ends(np.ones(len(happened), dtype=np.bool_)),
        survival=np.cumprod(1 - events / at_risk, dtype=np.float64),
        relative_variance=np.cumsum(_greenwood(events, at_risk)),
    )


def restricted_mean(
    time: ArrayLike, event: ArrayLike, tau: float, entry: ArrayLike | None = None, alpha: float = 0.05
) -> RestrictedMean:
    """Mean days without the event among the first ``tau``: the area under Kaplan-Meier, with the Greenwood plug-in se.

    Royston & Parmar 2013 (BMC Med Res Methodol 13:152). Raises ``StatisticsError`` when tau lies past the last day
    under observation and the curve has not reached 0: nobody knows the area there.
    """
    tau = positive("tau", tau)
    curve = kaplan_meier(time, event, entry, alpha)
    days = curve.observed.days
    if tau > days[-1] and curve.survival[-1] > 0:
        raise StatisticsError("tau lies past the last day under observation")
    inside = days <= tau
    edges = np.concatenate([[0.0], days[inside], [tau]])
    areas = np.diff(edges) * np.concatenate([[1.0], curve.survival[inside]])
    # Area from each end on to tau.
    remaining = np.cumsum(areas[::-1])[::-1][1:]
    at_risk = curve.observed.at_risk(days[inside])
    se = math.sqrt(float(remaining**2 @ _greenwood(curve.events[inside], at_risk)))
    value, half_width = float(areas.sum()), z_quantile(1 - alpha / 2) * se
    return RestrictedMean(
        tau=tau,
        rmst=value,
        se=se,
        lower=max(value - half_width, 0.0) if se else None,
        upper=min(value + half_width, tau) if se else None,
    )


def logrank(
    time: ArrayLike,
    event: ArrayLike,
    group: Sequence[Hashable],
    entry: ArrayLike | None = None,
    stratum: Sequence[Hashable] | None = None,
) -> LogRank:
    """Do two or more groups leave at the same rate? Mantel-Haenszel variance, summed over strata.

    Peto & Peto 1972 (JRSS-A 135:185). Degrees of freedom are the rank of that variance: groups less one, fewer where
    groups were never at risk together when somebody left, 0 without a test. Raises ``StatisticsError`` under 2 groups.
    """
    observed = spells(time, entry)
    happened = flags("event", event)
    codes, names = labels("group", group)
    strata, _ = labels("stratum", stratum) if stratum is not None else (np.zeros(len(codes), dtype=np.intp), [])
    same_length(time=observed.time, event=happened, group=codes, stratum=strata)
    if len(names) < 2:
        raise StatisticsError("group must name at least two groups")
    seen, expected = np.zeros(len(names)), np.zeros(len(names))
    covariance = np.zeros((len(names), len(names)))
    for code in np.unique(strata):
        rows = strata == code
        part = Spells(time=observed.time[rows], entry=observed.entry[rows])
        for total, term in zip(
            (seen, expected, covariance), _logrank_terms(part, happened[rows], codes[rows], len(names)), strict=True
        ):
            total += term
    # The differences sum to zero, and groups never at risk together cannot be compared: only directions with variance.
    variances, directions = np.linalg.eigh(covariance)
    kept = variances > _SINGULAR * max(variances.max(), _SINGULAR)
    df = int(kept.sum())
    chi2 = float((((seen - expected) @ directions[:, kept]) ** 2 / variances[kept]).sum()) if df else None
    return LogRank(
        chi2=chi2,
        df=df,
        p_value=None if chi2 is None else chi2_upper_tail(chi2, df),
        observed=dict(zip(names, seen.tolist(), strict=True)),
        expected=dict(zip(names, expected.tolist(), strict=True)),
    )


def mean_counts(units: Sequence[Mapping[str, ArrayLike | float]], at: Sequence[float]) -> tuple[MeanCount, ...]:
    """Mean cumulative number of events per unit (Nelson 1988, J Qual Technol 20:24), for ends that can recur.

    ``units`` are {"events": days, "end": last day under observation}. Each event adds one over the number of units
    with end on or after its day. Raises ``StatisticsError`` on an event past its unit's end.
    """
    ends, days = [], []
    for unit in listed("units", units):
        if not isinstance(unit, Mapping) or not {"events", "end"} <= unit.keys():
            raise StatisticsError("each of units needs events and end")
        end = _day(unit["end"])
        events = vector("events", unit["events"], at_least=0)
        if len(events) and (events.min() < 0 or events.max() > end):
            raise StatisticsError("events must lie between 0 and the unit's end")
        ends.append(end)
        days.append(events)
    if not ends:
        raise StatisticsError("units is empty")
    observed, happened = np.sort(ends), np.sort(np.concatenate(days))
    under_observation = len(observed) - np.searchsorted(observed, happened, "left")
    steps = np.concatenate([[0.0], np.cumsum(1 / under_observation)])
    wanted = [_day(day) for day in listed("at", at)]
    return tuple(MeanCount(at=day, mcf=float(steps[np.searchsorted(happened, day, "right")])) for day in wanted)


def _day(value: float) -> float:
    if number("day", value) < 0:
        raise StatisticsError("a day must not be negative")
    return float(value)


def _greenwood(events: Whole, at_risk: Whole) -> Vector:
    """Terms of Greenwood's sum. Where all at risk left, survival is 0 and the term has nothing to add."""
    left = at_risk - events
    return np.divide(events, at_risk * left, out=np.zeros(len(events)), where=left > 0)


def _logrank_terms(
    observed: Spells, happened: NDArray[np.bool_], codes: NDArray[np.intp], groups: int
) -> tuple[Vector, Vector, Vector]:
    """Events seen and expected by group, and the covariance of their difference, within one stratum."""
    events = observed.ends(happened)
    days, events = observed.days[events > 0], events[events > 0]
    at_risk = np.array(
        [
            Spells(time=observed.time[codes == code], entry=observed.entry[codes == code]).at_risk(days)
            for code in range(groups)
        ]
    )
    total = at_risk.sum(axis=0)
    shares = at_risk / total
    # Hypergeometric variance of the day; a risk set of one has none.
    weight = events * (total - events) / np.maximum(total - 1, 1)
    covariance = np.diag(shares @ weight) - (shares * weight) @ shares.T
    return np.bincount(codes[happened], minlength=groups).astype(np.float64), shares @ events, covariance
