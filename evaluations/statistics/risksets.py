"""Who is under observation when: ``Spells`` (checked input) and ``loglog_limits``, shared by the survival methods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluations.statistics.distributions import z_quantile
from evaluations.statistics.inputs import Vector, Whole, defined, same_length, vector
from evaluations.statistics.results import StatisticsError

Day = TypeVar("Day", float, Vector)
# A survival or an incidence this close to a limit differs from it by rounding only.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Spells:
    """Times under observation, one row per unit: (entry, time]. Build with ``spells``."""

    time: Vector  # days from the origin to the end, or to the last confirmation
    entry: Vector  # days from the origin to the first day of observation; -inf = from the origin

    @cached_property
    def days(self) -> Vector:
        """The distinct ends, ascending."""
        return np.unique(self.time)

    def ends(self, chosen: NDArray[np.bool_]) -> Whole:
        """How many of the chosen rows end on each of ``days``."""
        return np.bincount(np.searchsorted(self.days, self.time[chosen]), minlength=len(self.days))

    def at_risk(self, day: Vector) -> Whole:
        """Units with entry < day <= time: the risk set of an event on that day."""
        return np.searchsorted(self._entries, day, "left") - np.searchsorted(self._times, day, "left")

    def followed_past(self, day: Vector) -> Whole:
        """Units with entry <= day < time: still under observation after that day."""
        return np.searchsorted(self._entries, day, "right") - np.searchsorted(self._times, day, "right")

    @cached_property
    def _times(self) -> Vector:
        return np.sort(self.time)

    @cached_property
    def _entries(self) -> Vector:
        return np.sort(self.entry)


def spells(time: ArrayLike, entry: ArrayLike | None) -> Spells:
    """Checked times. An entry of 0, or none, means under observation from the origin on, day 0 included.

    Raises ``StatisticsError`` without a row, on a negative time, and on a late entry at or after the end: nothing was
    seen of such a spell.
    """
    times = vector("time", time)
    if times.min() < 0:
        raise StatisticsError("time must not be negative")
    if entry is None:
        return Spells(time=times, entry=np.full(len(times), -np.inf))
    entries = vector("entry", entry)
    same_length(time=times, entry=entries)
    late = entries > 0
    if (entries[late] >= times[late]).any():
        raise StatisticsError("entry must lie before time")
    return Spells(time=times, entry=np.where(late, entries, -np.inf))


def loglog_limits(
    survival: Vector, relative_variance: Vector, any_event: NDArray[np.bool_], followed_past: Whole, alpha: float
) -> tuple[Vector, Vector]:
    """Lower and upper limits on the log(-log) scale; NaN = not defined. All arrays have one length.

    ``relative_variance`` is the variance over the squared estimate (Greenwood's sum; Kalbfleisch & Prentice 2002,
    section 1.4). Before any event: the exact lower limit (alpha/2)^(1/n) for n units without one, and 1 above.
    At 0: 0, and no upper limit.
    """
    inner = any_event & (survival > 0)
    lower, upper = np.zeros(len(survival)), np.full(len(survival), np.nan)
    log_survival = np.log(survival[inner])
    spread = np.exp(z_quantile(1 - alpha / 2) * np.sqrt(relative_variance[inner]) / -log_survival)
    lower[inner], upper[inner] = np.exp(log_survival * spread), np.exp(log_survival / spread)
    observed = ~any_event & (followed_past > 0)
    lower[~any_event] = np.nan
    lower[observed] = (alpha / 2) ** (1 / followed_past[observed])
    upper[~any_event] = 1.0
    return lower, upper


def maybe(values: Vector) -> list[float | None]:
    return [defined(value) for value in values.tolist()]
