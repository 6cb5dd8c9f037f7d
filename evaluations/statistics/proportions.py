"""How often something happens: ``rate`` with its two intervals, and ``wilson`` alone."""

from __future__ import annotations

import math

from evaluations.statistics.distributions import z_quantile
from evaluations.statistics.inputs import count, share
from evaluations.statistics.results import Rate, StatisticsError


def rate(k: int, n: int, alpha: float = 0.05) -> Rate:
    """k of n with the Wilson 1927 and the Clopper & Pearson 1934 interval.

    Raises ``StatisticsError`` when n is 0 (a rate of nothing is not a number) or k is above n.
    """
    from scipy.stats import binomtest

    n = count("n", n, smallest=1)
    if count("k", k) > n:
        raise StatisticsError("k must not be above n")
    exact = binomtest(k, n).proportion_ci(1 - share("alpha", alpha), method="exact")
    wilson_lower, wilson_upper = wilson(k, n, alpha)
    return Rate(
        k=k,
        n=n,
        estimate=k / n,
        wilson_lower=wilson_lower,
        wilson_upper=wilson_upper,
        exact_lower=float(exact.low),
        exact_upper=float(exact.high),
    )


def wilson(k: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Score limits for k of n (Wilson 1927); exactly 0 and 1 at the ends."""
    z = z_quantile(1 - share("alpha", alpha) / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half_width = z * math.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return (0.0 if k == 0 else centre - half_width), (1.0 if k == n else centre + half_width)
