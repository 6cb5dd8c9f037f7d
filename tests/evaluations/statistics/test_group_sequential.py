"""Planned looks. Expected boundaries as printed by the Lan-DeMets programs and by R's gsDesign."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from evaluations.statistics import StatisticsError
from evaluations.statistics.group_sequential import boundaries, level_at_look


def test_five_equal_looks() -> None:
    # Reboussin, DeMets, Kim & Lan 2000 (Control Clin Trials 21:190); gsDesign sfLDOF, one-sided 0.025.
    assert boundaries([0.2, 0.4, 0.6, 0.8, 1.0]).z == pytest.approx((4.8769, 3.3569, 2.6803, 2.2898, 2.0310), abs=2e-4)


def test_one_look_is_the_fixed_test() -> None:
    assert boundaries([1.0]).z == pytest.approx((1.959964,), abs=1e-6)


@pytest.mark.parametrize("fractions", [[0.5, 1.0], [0.3, 0.35, 0.9], [0.1, 0.45, 0.7, 0.75]])
def test_crossing_probability_is_what_was_to_be_spent(fractions: list[float]) -> None:
    t = np.array(fractions)
    z = boundaries(fractions).z
    correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    stay = multivariate_normal(cov=correlation, maxpts=2_000_000, abseps=1e-8, seed=1).cdf(np.array(z))
    spent = 2 - 2 * norm.cdf(norm.ppf(1 - 0.0125) / math.sqrt(t[-1]))
    assert 1 - stay == pytest.approx(spent, abs=2e-6)


def test_sixty_nights() -> None:
    # STATISTICS section 4: classic O'Brien-Fleming 2.171 on the score scale for 60 equal looks; Lan-DeMets is near it.
    z = boundaries([night / 60 for night in range(1, 61)]).z
    assert z[-1] == pytest.approx(2.171, abs=0.005)
    assert list(z) == sorted(z, reverse=True)  # type: ignore[type-var]


def test_a_look_too_early_to_spend_has_no_boundary_and_costs_nothing() -> None:
    early = boundaries([0.001, 0.5, 1.0]).z
    assert early[0] is None
    assert early[1:] == pytest.approx(boundaries([0.5, 1.0]).z, abs=1e-6)


@pytest.mark.parametrize("fractions", [[], [0.0, 1.0], [0.5, 0.5], [0.6, 0.5], [0.5, 1.1], [0.5, 0.5001], ["1"]])
def test_refused(fractions: list[float]) -> None:
    with pytest.raises(StatisticsError):
        boundaries(fractions)


def test_the_level_of_a_look_is_that_of_its_boundary() -> None:
    # The boundaries of test_five_equal_looks, as two-sided normal tails.
    for look, z in ((2, 3.3569), (3, 2.6803), (5, 2.0310)):
        level = level_at_look([300 * k for k in range(1, look + 1)], 1500)
        assert level == pytest.approx(2 * norm.sf(z), rel=1e-3)
    assert level_at_look([1500], 1500) == pytest.approx(0.05, abs=1e-9)


def test_a_look_past_the_maximum_spends_what_is_left_over_the_information_there_is() -> None:
    level = level_at_look([750, 3000], 1500)
    spent = 2 - 2 * norm.cdf(norm.ppf(1 - 0.0125) / math.sqrt(0.5))
    first, last = norm.isf(spent), norm.isf(level / 2)
    together = multivariate_normal(cov=[[1, 0.5], [0.5, 1]], seed=1).cdf([first, last])  # sqrt(750 / 3000)
    assert 1 - together == pytest.approx(0.025, abs=1e-5)


def test_too_early_or_too_close_has_no_level() -> None:
    assert level_at_look([25], 1500) is None  # z 17.3: STATISTICS section 4, first of sixty nights
    assert level_at_look([750, 751], 1500) is None
    with pytest.raises(StatisticsError):
        level_at_look([0], 1500)
