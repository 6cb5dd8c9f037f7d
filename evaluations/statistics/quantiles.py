"""Percentiles with timeouts among the calls: ``quantile``, ``paired_quantile_ratio``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluations.statistics.inputs import Vector, count, defined, same_length, share, vector
from evaluations.statistics.results import Quantile, QuantileRatio, StatisticsError

SMALLEST_BOOTSTRAP = 30


def quantile(values: ArrayLike, n_timeouts: int, q: float, alpha: float = 0.05) -> Quantile:
    """Quantile q of the calls with its order-statistic interval (Conover 1999, section 3.2); Hazen estimate.

    ``values`` are the completed calls, any unit; timeouts rank above all of them. A rank that does not exist, or that
    is a timeout, is None. Raises ``StatisticsError`` without a call.
    """
    from scipy.stats import binom

    completed = np.sort(vector("values", values, at_least=0))
    n = len(completed) + count("n_timeouts", n_timeouts)
    q, alpha = share("q", q), share("alpha", alpha)
    if n == 0:
        raise StatisticsError("there is no call to take a quantile of")
    tail = alpha / 2
    # Largest rank l with P(B <= l - 1) <= tail, and smallest rank u with P(B >= u) <= tail, for B binomial(n, q).
    lower_rank = int(binom.ppf(tail, n, q))
    if binom.cdf(lower_rank, n, q) <= tail:
        lower_rank += 1
    upper_rank = int(binom.isf(tail, n, q)) + 1
    return Quantile(
        n=n,
        estimate=defined(_hazen(completed, n, q)),
        lower=defined(_at(completed, lower_rank - 1)) if lower_rank >= 1 else None,
        upper=defined(_at(completed, upper_rank - 1)) if upper_rank <= n else None,
    )


def paired_quantile_ratio(
    incumbent: ArrayLike,
    candidate: ArrayLike,
    q: float,
    *,
    repetitions: int = 2000,
    seed: int = 0,
    alpha: float = 0.05,
) -> QuantileRatio:
    """Quantile q of the candidate over that of the incumbent, same samples, with a paired percentile bootstrap.

    Pairs are resampled together (Efron & Tibshirani 1993, section 13.3; the percentile form is the one that held its
    coverage for this ratio). A timeout is ``math.inf`` and ranks last. Where both quantiles of a resample are timeouts
    the ratio could be anything, and counts against either limit. Raises ``StatisticsError`` without a pair.
    """
    x = vector("incumbent", incumbent, infinite=True)
    y = vector("candidate", candidate, infinite=True)
    same_length(incumbent=x, candidate=y)
    q, tail = share("q", q), share("alpha", alpha) / 2
    if min(x.min(), y.min()) < 0:
        raise StatisticsError("incumbent and candidate must not hold negative values")
    n = len(x)
    of_incumbent, of_candidate = defined(_hazen(np.sort(x), n, q)), defined(_hazen(np.sort(y), n, q))
    ratio = of_candidate / of_incumbent if of_candidate is not None and of_incumbent else None
    lower = upper = None
    if n >= SMALLEST_BOOTSTRAP:
        lower, upper = _bootstrap_limits(x, y, q, count("repetitions", repetitions, smallest=100), seed, tail)
    return QuantileRatio(n=n, candidate=of_candidate, incumbent=of_incumbent, ratio=ratio, lower=lower, upper=upper)


def _bootstrap_limits(
    x: Vector, y: Vector, q: float, repetitions: int, seed: int, tail: float
) -> tuple[float | None, float | None]:
    generator = np.random.default_rng(count("seed", seed))
    n, sides = len(x), (_Resampled(x, q), _Resampled(y, q))
    drawn = np.empty((repetitions, 2))
    for row in drawn:
        chosen = generator.integers(0, n, n)
        row[:] = [side.quantile(chosen) for side in sides]
    below, above = drawn.T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = above / below
    unknown = np.isnan(ratios)
    lower = float(np.quantile(np.where(unknown, 0.0, ratios), tail, method="inverted_cdf"))
    upper = float(np.quantile(np.where(unknown, math.inf, ratios), 1 - tail, method="inverted_cdf"))
    if lower == upper:
        return None, None
    return (lower if 0 < lower < math.inf else None), defined(upper)


class _Resampled:
    """Hazen's quantile of one resample after another, each in one pass: only ranks near the quantile are sorted."""

    def __init__(self, values: Vector, q: float) -> None:
        n = len(values)
        order = np.argsort(values, kind="stable")
        self._ordered = values[order]
        self._rank = np.empty(n, dtype=np.int32)  # of each value
        self._rank[order] = np.arange(n, dtype=np.int32)
        self._low, self._high, self._weight = _ranks(n, q)
        # Ranks in a resample spread by the binomial's deviation: beyond nine of them lies what is never seen.
        spread = math.ceil(9 * math.sqrt(n * q * (1 - q)))
        self._near = (self._low - spread, self._high + spread)

    def quantile(self, chosen: NDArray[np.int64]) -> float:
        ranks = self._rank[chosen]
        least, most = self._near
        before = int(np.count_nonzero(ranks < least))
        near = ranks[(ranks >= least) & (ranks <= most)]
        if not before <= self._low <= self._high < before + len(near):
            before, near = 0, ranks
        near.sort()
        low, high = (float(self._ordered[near[rank - before]]) for rank in (self._low, self._high))
        return low if self._weight == 0 else (1 - self._weight) * low + self._weight * high


def _ranks(n: int, q: float) -> tuple[int, int, float]:
    """The two neighbouring 0-based ranks of Hazen's quantile and the weight of the upper one."""
    # Rounding keeps a whole rank whole, so that it does not lean on its neighbour.
    position = min(max(round(n * q - 0.5, 9), 0.0), float(n - 1))
    low = math.floor(position)
    weight = position - low
    return low, low + (weight > 0), weight


def _at(ordered: Vector, rank: int) -> float:
    """The value at a 0-based rank; past the completed calls, a timeout."""
    return float(ordered[rank]) if rank < len(ordered) else math.inf


def _hazen(ordered: Vector, n: int, q: float) -> float:
    """Hazen's quantile of n calls of which the ordered ones are known, and any others rank above."""
    low, high, weight = _ranks(n, q)
    return _at(ordered, low) if weight == 0 else (1 - weight) * _at(ordered, low) + weight * _at(ordered, high)
