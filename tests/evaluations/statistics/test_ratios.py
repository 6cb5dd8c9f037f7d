"""Cost ratios. Fieller against scipy's t test of candidate - ratio x incumbent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from evaluations.statistics import StatisticsError
from evaluations.statistics.ratios import ratio_of_totals


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_fieller_limits_are_where_the_paired_t_test_rejects(alpha: float) -> None:
    generator = np.random.default_rng(8)
    incumbent = generator.lognormal(0, 1, 60)
    candidate = 0.8 * incumbent * generator.lognormal(0, 0.4, 60)
    result = ratio_of_totals(candidate, incumbent, alpha)
    assert result.ratio == pytest.approx(candidate.sum() / incumbent.sum())
    for limit in (result.lower, result.upper):
        assert limit is not None
        assert ttest_1samp(candidate - limit * incumbent, 0).pvalue == pytest.approx(alpha, rel=1e-6)


def test_unbounded_set_has_no_limits_but_keeps_log_delta() -> None:
    # One sample holds nearly all of the incumbent's bill: its mean is not clearly above 0.
    result = ratio_of_totals([1.0, 1.1, 0.9, 30.0], [0.01, 0.02, 0.01, 50.0])
    assert (result.lower, result.upper) == (None, None)
    assert result.logdelta_lower is not None
    assert result.logdelta_upper is not None
    assert result.logdelta_lower < result.ratio < result.logdelta_upper


@pytest.mark.parametrize("factor", [0.0, 0.3, 2.0])
def test_exact_proportion_shows_no_spread(factor: float) -> None:
    incumbent = np.array([0.1, 0.2, 0.7])
    result = ratio_of_totals(factor * incumbent, incumbent)
    assert result.ratio == pytest.approx(factor)
    assert (result.lower, result.upper, result.logdelta_lower, result.logdelta_upper) == (None, None, None, None)


@pytest.mark.parametrize(
    ("candidate", "incumbent"), [([1.0], [1.0]), ([1.0, 2.0], [0.0, 0.0]), ([1.0, 2.0], [1.0]), ([], [])]
)
def test_refused(candidate: list[float], incumbent: list[float]) -> None:
    with pytest.raises(StatisticsError):
        ratio_of_totals(candidate, incumbent)
