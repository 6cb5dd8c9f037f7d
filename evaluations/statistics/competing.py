"""Why they left: ``cumulative_incidence`` per cause, when one end rules out the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics.inputs import Vector, number, same_length, share, whole
from evaluations.statistics.results import StatisticsError
from evaluations.statistics.risksets import ROUNDING, Spells, loglog_limits, maybe, spells
from evaluations.statistics.survival import SurvivalCurve, kaplan_meier


@dataclass(frozen=True)
class IncidencePoint:
    day: float
    incidence: float
    se: float
    lower: float | None  # None where incidence is 1
    upper: float | None  # None where nobody is left without any event of the cause before
    at_risk: int  # followed past the day: entry <= day < time
    events: int  # of this cause, up to and with the day


@dataclass(frozen=True, eq=False)
class IncidenceCurve:
    """Aalen-Johansen estimate for one cause. The arrays have one value per distinct end, ascending."""

    alpha: float
    observed: Spells
    events: Vector  # of this cause
    incidence: Vector
    variance: Vector

    def at(self, day: float) -> IncidencePoint:
        """The curve on a day; past the last end it stays where it was."""
        if number("day", day) < 0:
            raise StatisticsError("a day must not be negative")
        last = int(np.searchsorted(self.observed.days, day, "right")) - 1
        past = self.observed.followed_past(np.array([day]))
        incidence = float(self.incidence[last]) if last >= 0 else 0.0
        variance = float(self.variance[last]) if last >= 0 else 0.0
        events = int(self.events[: last + 1].sum())
        without = 1 - incidence if 1 - incidence > ROUNDING else 0.0
        relative = variance / without**2 if without else 0.0
        # The limits of staying clear of this cause, mirrored: without competing ends, those of Kaplan-Meier.
        lower, upper = loglog_limits(
            np.array([without]), np.array([relative]), np.array([incidence > 0]), past, self.alpha
        )
        return IncidencePoint(
            day=float(day),
            incidence=incidence,
            se=variance**0.5,
            lower=maybe(1 - upper)[0],
            upper=maybe(1 - lower)[0],
            at_risk=int(past[0]),
            events=events,
        )


@dataclass(frozen=True, eq=False)
class CompetingRisks:
    any_cause: SurvivalCurve  # no end of any kind
    by_cause: Mapping[int, IncidenceCurve]  # causes seen, ascending


def cumulative_incidence(
    time: ArrayLike, cause: ArrayLike, entry: ArrayLike | None = None, alpha: float = 0.05
) -> CompetingRisks:
    """Share that has left for each cause, over time (Aalen & Johansen 1978, Scand J Stat 5:141).

    ``cause`` is 0 where observation stopped before any end, else the number of the cause. Ties count exactly. Variance
    by the delta method (Marubini & Valsecchi 1995, section 10.2.4); limits on the log(-log) scale of 1 - incidence,
    exact before the first event of the cause. Raises ``StatisticsError`` as ``kaplan_meier``.
    """
    observed = spells(time, entry)
    causes = whole("cause", cause)
    same_length(time=observed.time, cause=causes)
    alpha = share("alpha", alpha)
    staying = kaplan_meier(time, causes > 0, entry, alpha)
    return CompetingRisks(
        any_cause=staying,
        by_cause={
            int(code): _curve(staying, observed.ends(causes == code).astype(np.float64))
            for code in np.unique(causes[causes > 0])
        },
    )


def _curve(staying: SurvivalCurve, events: Vector) -> IncidenceCurve:
    observed = staying.observed
    at_risk = observed.at_risk(observed.days).astype(np.float64)
    before = np.concatenate([[1.0], staying.survival[:-1]])
    incidence = np.cumsum(before * events / at_risk)
    # The sum over earlier days i of (F(t) - F(i))^2 g(i) + h(i) - 2 (F(t) - F(i)) c(i), by powers of F(t).
    left = at_risk - staying.events
    g = np.divide(staying.events, at_risk * left, out=np.zeros(len(events)), where=left > 0)
    h = before**2 * events * (at_risk - events) / at_risk**3
    c = before * events / at_risk**2
    variance = (
        incidence**2 * np.cumsum(g)
        - 2 * incidence * np.cumsum(incidence * g + c)
        + np.cumsum(incidence**2 * g + h + 2 * incidence * c)
    )
    return IncidenceCurve(
        alpha=staying.alpha,
        observed=observed,
        events=events,
        incidence=incidence,
        variance=np.maximum(variance, 0.0),
    )
