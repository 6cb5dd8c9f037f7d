"""What the candidate costs for each unit of the incumbent: ``ratio_of_totals``, ``in_proportion``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics.distributions import t_quantile
from evaluations.statistics.inputs import LARGEST, same_length, share, vector
from evaluations.statistics.results import StatisticsError, TotalsRatio

# Spread around the ratio below this share of the totals is rounding.
_ROUNDING = 1e-12


def ratio_of_totals(candidate: ArrayLike, incumbent: ArrayLike, alpha: float = 0.05) -> TotalsRatio:
    """Total of the candidate over total of the incumbent, same samples; Fieller 1954 (JRSS-B 16:175) with covariance.

    The ratio r is inside when the paired t statistic of candidate - r x incumbent is: a quadratic in r. Where the
    incumbent's mean is not clearly different from 0 the set is unbounded: no limits. The log-delta interval is beside
    it (too narrow under 200 pairs). Raises ``StatisticsError`` under 2 pairs, or when the incumbent's total is 0.
    """
    y, x = vector("candidate", candidate, at_least=2), vector("incumbent", incumbent, at_least=2)
    same_length(candidate=y, incumbent=x)
    n = len(x)
    t = t_quantile(1 - share("alpha", alpha) / 2, n - 1)
    mean_y, mean_x = float(y.mean()), float(x.mean())
    if mean_x == 0:
        raise StatisticsError("the incumbent's total is 0")
    ratio = mean_y / mean_x
    if in_proportion(y, x):
        return TotalsRatio(n=n, ratio=ratio, lower=None, upper=None, logdelta_lower=None, logdelta_upper=None)

    # Variances and covariance of the two means.
    (var_y, cov), (_, var_x) = np.cov(y, x) / n
    lower, upper = _fieller(mean_y, mean_x, float(var_y), float(var_x), float(cov), t)
    logdelta_lower = logdelta_upper = None
    if ratio > 0:
        spread = t * math.sqrt(max(var_y / mean_y**2 + var_x / mean_x**2 - 2 * cov / (mean_y * mean_x), 0.0))
        # Past this factor a limit says nothing, and would leave double precision.
        if spread < math.log(LARGEST):
            logdelta_lower, logdelta_upper = ratio * math.exp(-spread), ratio * math.exp(spread)
    return TotalsRatio(
        n=n, ratio=ratio, lower=lower, upper=upper, logdelta_lower=logdelta_lower, logdelta_upper=logdelta_upper
    )


def in_proportion(candidate: ArrayLike, incumbent: ArrayLike) -> bool:
    """Whether every pair has the ratio of the totals: nothing says then how far that is from chance."""
    y, x = np.asarray(candidate, float), np.asarray(incumbent, float)
    return bool(np.abs(y - y.mean() / x.mean() * x).max() <= _ROUNDING * np.abs(y).max())


def _fieller(
    mean_y: float, mean_x: float, var_y: float, var_x: float, cov: float, t: float
) -> tuple[float | None, float | None]:
    a = mean_x**2 - t**2 * var_x
    if a <= 0:
        return None, None
    b = mean_x * mean_y - t**2 * cov
    c = mean_y**2 - t**2 * var_y
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (b - root) / a, (b + root) / a
