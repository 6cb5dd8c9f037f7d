"""Rates. Expected limits from scipy's binomtest and statsmodels."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from evaluations.statistics import StatisticsError
from evaluations.statistics.proportions import rate


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 300), (3, 300), (7, 11), (999_999, 1_000_000)])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_limits(k: int, n: int, alpha: float) -> None:
    result = rate(k, n, alpha)
    wilson = binomtest(k, n).proportion_ci(1 - alpha, method="wilson")
    exact = binomtest(k, n).proportion_ci(1 - alpha, method="exact")
    assert (result.k, result.n, result.estimate) == (k, n, k / n)
    assert (result.wilson_lower, result.wilson_upper) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    assert (result.exact_lower, result.exact_upper) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_none_of_300_is_under_1_2_percent() -> None:
    assert round(rate(0, 300).exact_upper, 4) == round(1 - 0.025 ** (1 / 300), 4) == 0.0122


@pytest.mark.parametrize(("k", "n"), [(1, 0), (0, 0), (2, 1), (-1, 5), (True, 5), (1.0, 5), (1, 10**20)])
def test_refused(k: int, n: int) -> None:
    with pytest.raises(StatisticsError):
        rate(k, n)
