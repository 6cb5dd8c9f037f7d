"""Weighting and adjustment. Expected numbers by hand, from scipy's Welch test, and from the HC2 formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from evaluations.statistics import StatisticsError
from evaluations.statistics.weighting import cuped, post_stratified, stratified_mean


def test_stratified_by_hand() -> None:
    result = stratified_mean([(30, [1, 2, 3]), (10, [0, 4]), (0, [9])])
    assert (result.diff, result.unweighted) == (pytest.approx(0.75 * 2 + 0.25 * 2), pytest.approx(19 / 6))
    assert result.se == pytest.approx(math.sqrt(0.75**2 * 1 / 3 + 0.25**2 * 8 / 2))


def test_stratified_single_row_has_no_standard_error() -> None:
    result = stratified_mean([(1, [1.0, 2.0]), (1, [4.0])])
    assert (result.diff, result.se) == (2.75, None)


@pytest.mark.parametrize("strata", [[], [(1, [])], [(0, [1, 2])], [(-1, [1, 2]), (2, [1, 2])], [(math.nan, [1, 2])]])
def test_stratified_refused(strata: list[tuple[float, list[float]]]) -> None:
    with pytest.raises(StatisticsError):
        stratified_mean(strata)


def test_constant_covariate_is_welch() -> None:
    generator = np.random.default_rng(1)
    outcome, arm = generator.normal(size=50), np.arange(50) % 3 == 0
    result = cuped(outcome=outcome, covariate=[2.0] * 50, candidate=arm)
    assert result.diff == pytest.approx(result.raw_diff)
    welch = ttest_ind(outcome[arm], outcome[~arm], equal_var=False)
    assert result.diff / result.se == pytest.approx(welch.statistic)


def test_adjustment_is_the_gap_between_the_two_lines_at_the_overall_mean() -> None:
    generator = np.random.default_rng(2)
    covariate, arm = generator.normal(size=80), np.arange(80) % 2
    outcome = 0.3 * arm + (1 + 0.5 * arm) * covariate + generator.normal(0, 0.2, 80)
    result = cuped(outcome=outcome, covariate=covariate, candidate=arm.tolist())
    lines = [np.polyfit(covariate[arm == side], outcome[arm == side], 1) for side in (0, 1)]
    at_mean = [np.polyval(line, covariate.mean()) for line in lines]
    assert result.diff == pytest.approx(at_mean[1] - at_mean[0])
    assert result.raw_diff == pytest.approx(outcome[arm == 1].mean() - outcome[arm == 0].mean())
    design = np.column_stack(
        [np.ones(80), arm, covariate - covariate.mean(), arm * (covariate - covariate.mean())]
    ).astype(float)
    bread = np.linalg.inv(design.T @ design)
    residuals = outcome - design @ bread @ design.T @ outcome
    leverage = np.einsum("ij,jk,ik->i", design, bread, design)
    meat = design.T @ (design * (residuals**2 / (1 - leverage))[:, None])
    assert result.se == pytest.approx(math.sqrt((bread @ meat @ bread)[1, 1]))


@pytest.mark.parametrize(
    ("covariate", "candidate"),
    [
        ([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 1, 1]),  # too few in one arm
        ([1, 2, 3, 4, 4, 4], [0, 0, 0, 1, 1, 1]),  # no slope in one arm
        ([1, 1, 9, 4, 5, 6], [0, 0, 0, 1, 1, 1]),  # one unit decides it
        ([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 2]),
        ([1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1]),
    ],
)
def test_cuped_refused(covariate: list[float], candidate: list[int]) -> None:
    with pytest.raises(StatisticsError):
        cuped(outcome=[1.0, 3.0, 2.0, 5.0, 4.0, 6.0], covariate=covariate, candidate=candidate)


def test_post_stratified_by_hand() -> None:
    """The strata of the first test: weights 0.75 x 5 / 3 and 0.25 x 5 / 2, t with 3 degrees of freedom 3.182446."""
    read = post_stratified(diffs=[1, 0, 2, 4, 3], strata=[0, 1, 0, 1, 0], shares=[3, 1])
    se = math.sqrt(0.75**2 * 1 / 3 + 0.25**2 * 8 / 2)
    assert (read.n, read.diff, read.unweighted, read.capped) == (5, pytest.approx(2), pytest.approx(2), False)
    assert read.weights == (pytest.approx(1.25), pytest.approx(0.625))
    assert read.effective_n == pytest.approx(25 / 5.46875)
    assert read.se == pytest.approx(se)
    assert (read.lower, read.upper) == (pytest.approx(2 - 3.182446305284 * se), pytest.approx(2 + 3.182446305284 * se))


def test_post_stratified_weights_are_capped() -> None:
    """Wanted are 0.8 x 20 / 2 = 8 and 0.2 x 20 / 18: capped at 5 the strata count 4 to 10."""
    read = post_stratified(diffs=[*[0.0, 1.0] * 9, 1.0, 0.0], strata=[0] * 18 + [1] * 2, shares=[0.2, 0.8])
    assert read.weights == (pytest.approx(2 / 9), 5)
    assert read.capped
    assert read.diff == pytest.approx(0.5)
    skewed = post_stratified(diffs=[0.0] * 18 + [1.0, 2.0], strata=[0] * 18 + [1] * 2, shares=[0.2, 0.8])
    assert skewed.diff == pytest.approx(1.5 * 10 / 14)
    assert skewed.effective_n == pytest.approx(14**2 / (18 * (2 / 9) ** 2 + 2 * 25))


def test_post_stratified_in_clusters_is_the_sandwich_of_statsmodels() -> None:
    import statsmodels.api as sm

    generator = np.random.default_rng(3)
    strata, clusters = np.arange(60) % 3, np.arange(60) // 4
    diffs = generator.normal(size=60) + generator.normal(size=15)[clusters]
    shares = np.array([0.5, 0.3, 0.2])
    fit = sm.OLS(diffs, np.eye(3)[strata]).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    expected = fit.t_test(shares)
    read = post_stratified(diffs=diffs, strata=strata, shares=shares.tolist(), clusters=clusters)
    assert (read.diff, read.se) == (pytest.approx(float(expected.effect[0])), pytest.approx(float(expected.sd[0, 0])))
    low, high = expected.conf_int()[0]
    assert (read.lower, read.upper) == (pytest.approx(low), pytest.approx(high))


def test_post_stratified_without_spread_has_no_limits() -> None:
    for strata, clusters in (([0, 0, 0, 1], None), ([0, 0, 1, 1], [1, 1, 1, 1]), ([0, 0, 0, 1], [1, 2, 3, 4])):
        read = post_stratified(diffs=[1.0, 2.0, 3.0, 3.0], strata=strata, shares=[1, 1], clusters=clusters)
        assert (read.se, read.lower, read.upper) == (None, None, None)
    same = post_stratified(diffs=[1.0, 1.0, 0.0, 0.0], strata=[0, 0, 1, 1], shares=[1, 1])
    assert (same.diff, same.lower) == (0.5, None)


@pytest.mark.parametrize(
    "changed",
    [{"shares": [1]}, {"shares": [1, 0]}, {"shares": [1, 1, 1]}, {"strata": [0, 0, 0]}, {"strata": [0]}, {"cap": 0}],
)
def test_post_stratified_refused(changed: dict[str, list[float]]) -> None:
    given = {"diffs": [1.0, 2.0, 3.0], "strata": [0, 0, 1], "shares": [1, 1]} | changed
    with pytest.raises(StatisticsError):
        post_stratified(**given)  # type: ignore[arg-type]
