"""Weighting and adjustment. Expected numbers by hand, from scipy's Welch test, and from the HC2 formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from evaluations.statistics import StatisticsError
from evaluations.statistics.weighting import cuped, stratified_mean


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
