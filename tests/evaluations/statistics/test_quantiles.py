"""Percentiles with timeouts. Expected intervals from scipy.stats.quantile_test, estimates from numpy (hazen)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, quantile_test

from evaluations.statistics import StatisticsError
from evaluations.statistics.quantiles import _Resampled, paired_quantile_ratio, quantile
from evaluations.statistics.results import Quantile


@pytest.mark.parametrize("n", [1, 5, 20, 73, 200, 501])
@pytest.mark.parametrize("q", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_interval_and_estimate(n: int, q: float, alpha: float) -> None:
    values = np.random.default_rng(n).lognormal(6, 1, n)
    result = quantile(values, 0, q, alpha)
    reference = quantile_test(values, p=q).confidence_interval(1 - alpha)
    assert result.estimate == pytest.approx(np.quantile(values, q, method="hazen"))
    for got, expected in ((result.lower, reference.low), (result.upper, reference.high)):
        assert got == (None if math.isnan(expected) else pytest.approx(expected))


def test_72_calls_give_p95_an_upper_limit_and_71_do_not() -> None:
    # STATISTICS section 3: 0.95^72 < 0.025.
    assert quantile(range_of(72), 0, 0.95).upper == 72
    assert quantile(range_of(71), 0, 0.95).upper is None


def test_timeouts_rank_last() -> None:
    whole = quantile(range_of(200), 0, 0.95)
    cut = quantile(range_of(200)[:192], 8, 0.95)
    assert (cut.n, cut.estimate, cut.lower) == (200, whole.estimate, whole.lower)
    assert whole.upper is not None
    assert cut.upper is None


def test_a_timeout_at_the_rank_is_not_a_number() -> None:
    # The Hazen p95 of 200 lies half way between ranks 190 and 191.
    assert quantile(range_of(200)[:191], 9, 0.95).estimate == 190.5
    assert quantile(range_of(200)[:190], 10, 0.95).estimate is None
    # The p95 of 30 is rank 29, exactly.
    assert quantile(range_of(30)[:29], 1, 0.95).estimate == 29
    assert quantile([], 5, 0.5).estimate is None
    assert quantile([3.0], 10**12, 1e-9) == Quantile(n=10**12 + 1, estimate=None, lower=None, upper=None)


@pytest.mark.parametrize(
    ("values", "timeouts", "q"),
    [([], 0, 0.5), ([1.0], -1, 0.5), ([1.0], 0, 0.0), ([1.0], 0, 1.0), ([math.inf], 0, 0.5), ([math.nan], 0, 0.5)],
)
def test_refused(values: list[float], timeouts: int, q: float) -> None:
    with pytest.raises(StatisticsError):
        quantile(values, timeouts, q)


def test_ratio_against_scipys_paired_percentile_bootstrap() -> None:
    generator = np.random.default_rng(11)
    incumbent = generator.lognormal(6, 0.5, 300)
    candidate = incumbent * generator.lognormal(0.1, 0.3, 300)
    result = paired_quantile_ratio(incumbent, candidate, 0.9, repetitions=4000, seed=5)

    def ratio(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.quantile(y, 0.9, method="hazen", axis=axis) / np.quantile(x, 0.9, method="hazen", axis=axis)

    reference = bootstrap(
        (incumbent, candidate),
        ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(6),
        batch=500,
    ).confidence_interval
    assert result.ratio == pytest.approx(ratio(incumbent, candidate, 0))
    # Two bootstraps with different draws: the limits agree to their Monte Carlo error.
    assert (result.lower, result.upper) == pytest.approx((reference.low, reference.high), abs=0.03)


def test_ratio_is_the_same_for_the_same_seed_and_moves_with_another() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.lognormal(size=80), generator.lognormal(size=80)
    first = paired_quantile_ratio(x, y, 0.9, seed=1)
    assert first == paired_quantile_ratio(x, y, 0.9, repetitions=2000, seed=1, alpha=0.05)
    assert (first.lower, first.upper) != (
        paired_quantile_ratio(x, y, 0.9, seed=2).lower,
        paired_quantile_ratio(x, y, 0.9, seed=2).upper,
    )


@pytest.mark.parametrize(("n", "q"), [(30, 0.99), (81, 0.9), (1000, 0.5), (5000, 0.95)])
def test_ratio_is_numpys_own_percentile_of_the_same_draws(n: int, q: float) -> None:
    """Only ranks near the quantile are sorted: the quantiles are those of the whole resamples, timeouts included."""
    generator = np.random.default_rng(12)
    x, y = generator.lognormal(6, 0.5, n).round(1), generator.lognormal(6, 0.5, n).round(1)
    y[: n // 200] = math.inf
    draws = np.random.default_rng(3).integers(0, n, size=(200, n))
    above, below = (np.quantile(values[draws], q, axis=1, method="hazen") for values in (y, x))
    limits = [float(np.quantile(above / below, tail, method="inverted_cdf")) for tail in (0.025, 0.975)]
    result = paired_quantile_ratio(x, y, q, repetitions=200, seed=3)
    assert (result.lower, result.upper) == pytest.approx(limits, rel=1e-12)


@pytest.mark.parametrize("draw", ["rare", "usual"])
def test_a_resample_however_rare_has_its_own_quantile(draw: str) -> None:
    values = np.arange(10_000.0)[::-1]
    chosen = np.full(10_000, 3) if draw == "rare" else np.arange(10_000)
    assert _Resampled(values, 0.95).quantile(chosen) == (9996 if draw == "rare" else 9499.5)


def test_pairs_are_resampled_together() -> None:
    # The candidate takes exactly twice as long on every sample: no resample can say otherwise, so no width, no limits.
    incumbent = np.random.default_rng(4).lognormal(size=100)
    result = paired_quantile_ratio(incumbent, 2 * incumbent, 0.95)
    assert (result.ratio, result.lower, result.upper) == (pytest.approx(2), None, None)


def test_under_30_pairs_there_is_a_ratio_and_no_limits() -> None:
    result = paired_quantile_ratio(range_of(29), [2.0, *range_of(29)[1:]], 0.5)
    assert (result.n, result.ratio, result.lower, result.upper) == (29, 1.0, None, None)


def test_timeouts_of_the_candidate_leave_no_upper_limit() -> None:
    incumbent = np.random.default_rng(4).lognormal(size=100)
    candidate = np.where(np.arange(100) < 4, math.inf, incumbent[::-1])
    result = paired_quantile_ratio(incumbent, candidate, 0.95)
    assert result.ratio is not None
    assert result.lower is not None
    assert result.upper is None


def test_a_quantile_that_is_a_timeout_has_no_ratio() -> None:
    values = np.random.default_rng(4).lognormal(size=100)
    slow = np.where(np.arange(100) < 20, math.inf, values)
    stuck = paired_quantile_ratio(values, slow, 0.95)
    assert (stuck.candidate, stuck.ratio, stuck.upper) == (None, None, None)
    old_stuck = paired_quantile_ratio(slow, values, 0.95)
    assert (old_stuck.incumbent, old_stuck.ratio, old_stuck.lower) == (None, None, None)
    both = paired_quantile_ratio(slow, slow, 0.95)
    assert (both.ratio, both.lower, both.upper) == (None, None, None)


@pytest.mark.parametrize(
    ("incumbent", "candidate"),
    [([], []), ([1.0], [1.0, 2.0]), ([-1.0], [1.0]), ([math.nan], [1.0]), ([1.0], [-math.inf])],
)
def test_ratio_refused(incumbent: list[float], candidate: list[float]) -> None:
    with pytest.raises(StatisticsError):
        paired_quantile_ratio(incumbent, candidate, 0.5)


def range_of(n: int) -> list[float]:
    return [float(value) for value in range(1, n + 1)]
