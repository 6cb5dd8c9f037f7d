"""The few distribution functions the room needs: ``z_quantile``, ``t_quantile``, ``chi2_upper_tail``, ``sign_test``.

scipy is imported at the first call, so that importing the room stays cheap.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def z_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution."""
    return _NORMAL.inv_cdf(probability)


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; ``df`` need not be whole. Infinite past 1e100, where scipy's inversion saturates."""
    from scipy.special import stdtrit

    value = float(stdtrit(df, probability))
    return value if abs(value) < 1e100 else math.copysign(math.inf, value)


def chi2_upper_tail(statistic: float, df: int) -> float:
    """P(chi-square with ``df`` degrees of freedom >= statistic)."""
    from scipy.special import chdtrc

    return float(chdtrc(df, statistic))


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided sign test: 1 where nothing was won or lost. Also McNemar's exact conditional p value."""
    from scipy.special import bdtr

    if wins == losses:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))
