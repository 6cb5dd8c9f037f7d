"""Intervals that hold at every look: ``betting_cs``, ``betting_first_night``, ``asymptotic_cs``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics.inputs import Vector, count, listed, number, positive, share, vector
from evaluations.statistics.results import AsymptoticSequence, BettingSequence, FirstNight, StatisticsError

_BETS = np.array([[1 / 2], [1 / 4], [1 / 8]])


class Counts(NamedTuple):
    """Units on which only the candidate passed, only the incumbent passed, and neither differed."""

    plus: int
    minus: int
    zero: int


def betting_cs(
    *,
    counts: Counts | None = None,
    diffs: ArrayLike | None = None,
    alpha: float = 0.05,
    margin: float | None = None,
) -> BettingSequence:
    """Confidence sequence for a mean difference in [-1, 1], from counts or from one difference per unit.

    Mixture of three constant bets, Waudby-Smith & Ramdas 2024 (JRSS-B 86:1), capital process of section 4: with
    K+(m) = mean over bets b of prod(1 + b (d - m)) and K-(m) likewise with -b, the values m at which both stay under
    2 / alpha. ``log_e_noninferior`` is log K+(-margin). The order of units does not matter; no unit gives [-1, 1].
    Raises ``StatisticsError`` on a value outside [-1, 1], and unless exactly one of counts and diffs is given.
    """
    values, weights = _weighted(counts, diffs)
    wealth_at_decision = math.log(2 / share("alpha", alpha))
    n = int(weights.sum())
    diff = float(values @ weights) / n if n else None
    log_e = _log_wealth(-positive("margin", margin), values, weights) if margin is not None else None
    return BettingSequence(
        n=n,
        diff=diff,
        lower=_lower_limit(values, weights, diff, wealth_at_decision),
        upper=-_lower_limit(-values, weights, None if diff is None else -diff, wealth_at_decision),
        log_e_noninferior=log_e,
    )


def betting_first_night(nights: Sequence[Counts], *, margin: float, alpha: float = 0.05) -> FirstNight:
    """The first night (1-based) whose sequence over everything so far lies above -margin."""
    margin = positive("margin", margin)
    so_far = Counts(0, 0, 0)
    read = betting_cs(counts=so_far, alpha=alpha)
    for night, counts in enumerate(listed("nights", nights), start=1):
        so_far = Counts(*(old + new for old, new in zip(so_far, as_counts(counts), strict=True)))
        read = betting_cs(counts=so_far, alpha=alpha)
        if read.lower > -margin:
            return FirstNight(first_night=night, n=read.n, lower=read.lower)
    return FirstNight(first_night=None, n=read.n, lower=read.lower)


def as_counts(values: Sequence[int]) -> Counts:
    """[plus, minus, zero], checked."""
    if len(listed("counts", values)) != 3:
        raise StatisticsError("counts must be plus, minus and zero")
    return Counts(*(count(name, value) for name, value in zip(Counts._fields, values, strict=True)))


def asymptotic_cs(n: int, mean: float, sd: float, alpha: float = 0.05, t_star: float = 750) -> AsymptoticSequence:
    """Two-sided asymptotic confidence sequence for the mean of an unbounded metric, narrowest near n = t_star.

    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024 (Ann Stat 52:2613), theorem 2.2 with the rho of their section
    on tuning. A standard deviation of 0 gives no interval. Not for pass/fail: see ``betting_cs``.
    """
    n = count("n", n, smallest=1)
    mean, sd, t_star = number("mean", mean), number("sd", sd), positive("t_star", t_star)
    if sd < 0:
        raise StatisticsError("sd must not be negative")
    if sd == 0:
        return AsymptoticSequence(half_width=None, lower=None, upper=None)
    evidence = -2 * math.log(share("alpha", alpha))
    scale = n * (evidence + math.log1p(evidence)) / t_star
    half_width = sd * math.sqrt((scale + 1) / (n * scale) * (math.log1p(scale) + evidence))
    return AsymptoticSequence(half_width=half_width, lower=mean - half_width, upper=mean + half_width)


def _weighted(counts: Counts | None, diffs: ArrayLike | None) -> tuple[Vector, Vector]:
    if (counts is None) == (diffs is None):
        raise StatisticsError("give either counts or differences")
    if counts is not None:
        plus, minus, zero = as_counts(counts)
        values, weights = np.array([-1.0, 0.0, 1.0]), np.array([minus, zero, plus], dtype=np.float64)
        return values[weights > 0], weights[weights > 0]
    rows = vector("diff", diffs, at_least=0)  # type: ignore[arg-type]
    if (np.abs(rows) > 1).any():
        raise StatisticsError("diff holds a value outside -1 to 1")
    distinct, times = np.unique(rows, return_counts=True)
    return distinct, times.astype(np.float64)


def _log_wealth(m: float, values: Vector, weights: Vector) -> float:
    """log K+(m): the log of the mean over bets of the product over units, without leaving double precision."""
    by_bet = np.log1p(_BETS * (values - m)) @ weights
    largest = by_bet.max()
    return float(largest + math.log(np.exp(by_bet - largest).mean()))


def _lower_limit(values: Vector, weights: Vector, mean: float | None, wealth_at_decision: float) -> float:
    """Where log K+ falls to the threshold: it decreases in m and is at most 0 at the mean."""
    from scipy.optimize import brentq

    def excess(m: float) -> float:
        return _log_wealth(m, values, weights) - wealth_at_decision

    if mean is None or excess(-1.0) < 0:
        return -1.0
    return float(brentq(excess, -1.0, mean, xtol=1e-12))
