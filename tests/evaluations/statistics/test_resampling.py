"""Totals of resamples against numpy's own sums of the same draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluations.statistics.resampling import resampled_totals


def test_totals_are_those_of_the_same_draws() -> None:
    generator = np.random.default_rng(5)
    money, passed = generator.lognormal(-9, 0.5, 500), (generator.random(500) < 0.9).astype(float)
    totals = list(resampled_totals([money, passed], 20))
    draws = np.random.default_rng(0)
    for found in totals:
        chosen = draws.integers(0, 500, 500)
        assert found == pytest.approx([math.fsum(money[chosen]), math.fsum(passed[chosen])], rel=1e-13)
        assert found[1] == passed[chosen].sum()


def test_figures_are_added_in_the_order_of_drawing() -> None:
    """1e16 swallows a 1 that is added to it: only one order of adding gives these totals."""
    figures = np.array([1e16, 0.5, 1.0, 1.5] * 64)
    draws = np.random.default_rng(0)
    for found in resampled_totals([figures], 10):
        total = 0.0
        for place in draws.integers(0, len(figures), len(figures)):
            total += float(figures[place])
        assert found.tolist() == [total]
