"""Intervals for every look. Expected numbers from plain products of the definition, and from STATISTICS tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluations.statistics import StatisticsError
from evaluations.statistics.paired import tango
from evaluations.statistics.sequential import Counts, asymptotic_cs, betting_cs, betting_first_night


def wealth(m: float, diffs: list[float], sign: int) -> float:
    """K+ or K- written as the product it is."""
    return sum(math.prod(1 + sign * bet * (d - m) for d in diffs) for bet in (1 / 2, 1 / 4, 1 / 8)) / 3


@pytest.mark.parametrize("seed", range(4))
def test_limits_are_where_the_capital_reaches_the_threshold(seed: int) -> None:
    diffs = np.random.default_rng(seed).uniform(-0.6, 0.9, 90).round(3).tolist()
    result = betting_cs(diffs=diffs, alpha=0.1, margin=0.2)
    assert wealth(result.lower, diffs, 1) == pytest.approx(20, rel=1e-8)
    assert wealth(result.upper, diffs, -1) == pytest.approx(20, rel=1e-8)
    assert result.log_e_noninferior == pytest.approx(math.log(wealth(-0.2, diffs, 1)))
    assert result.diff == pytest.approx(np.mean(diffs))
    assert result.n == 90


@pytest.mark.parametrize(("margin", "n"), [(0.05, 189), (0.03, 314), (0.02, 470), (0.01, 936)])
def test_ties_enough_for_the_margin(margin: float, n: int) -> None:
    # STATISTICS section 3, minimum n, all ties.
    assert betting_cs(counts=Counts(0, 0, n)).lower > -margin
    assert betting_cs(counts=Counts(0, 0, n - 1)).lower < -margin


def test_few_units_say_nothing_on_the_side_they_speak_against() -> None:
    won = betting_cs(counts=Counts(1, 0, 0), margin=0.05)
    assert (won.lower, won.upper) == (-1.0, 1.0)
    assert won.log_e_noninferior == pytest.approx(math.log((1.525 + 1.2625 + 1.13125) / 3))


def test_the_first_win_that_moves_the_lower_limit() -> None:
    # K+(-1) after k wins is (2^k + 1.5^k + 1.25^k) / 3: under 40 at 6, over it at 7.
    assert betting_cs(counts=Counts(6, 0, 0)).lower == -1.0
    assert -1.0 < betting_cs(counts=Counts(7, 0, 0)).lower < -0.8


def test_every_unit_won() -> None:
    result = betting_cs(counts=Counts(400, 0, 0))
    assert result.upper == 1.0
    assert wealth(result.lower, [1.0] * 400, 1) == pytest.approx(40, rel=1e-8)


def test_millions_stay_finite_and_order_free() -> None:
    counted = betting_cs(counts=Counts(10**6, 10**6 - 500, 10**6), margin=0.03)
    assert counted.lower < 500 / (3 * 10**6 - 500) < counted.upper
    # The smallest bet loses least, so much that the other two do not show.
    by_smallest_bet = sum(
        times * math.log1p((d + 0.03) / 8) for d, times in ((1, 10**6), (-1, 10**6 - 500), (0, 10**6))
    )
    assert counted.log_e_noninferior == pytest.approx(by_smallest_bet - math.log(3))
    swapped = betting_cs(counts=Counts(10**6 - 500, 10**6, 10**6))
    assert (swapped.lower, swapped.upper) == pytest.approx((-counted.upper, -counted.lower), abs=1e-11)


def test_rows_and_counts_are_the_same_question() -> None:
    rows = betting_cs(diffs=[0, 1, -1, 0, 1, 1, 0] * 20, margin=0.1)
    assert rows == betting_cs(counts=Counts(60, 20, 60), margin=0.1)


def test_wider_than_the_interval_for_one_look() -> None:
    result = betting_cs(counts=Counts(30, 25, 945))
    lower, upper = tango(wins=30, losses=25, n=1000)
    assert result.lower < lower
    assert result.upper > upper


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"counts": Counts(1, 1, 1), "diffs": [0.0]},
        {"diffs": [0.0, 1.0000001]},
        {"diffs": [-1.5]},
        {"diffs": [math.nan]},
        {"diffs": [True]},
        {"counts": Counts(-1, 0, 0)},
        {"counts": (1, 2)},
        {"counts": Counts(1, 1, 1), "margin": 0},
        {"counts": Counts(1, 1, 1), "alpha": 1},
    ],
)
def test_refused(evidence: dict[str, object]) -> None:
    with pytest.raises(StatisticsError):
        betting_cs(**evidence)  # type: ignore[arg-type]


def test_first_night_is_the_first_whose_capital_is_beyond_the_threshold() -> None:
    night = Counts(2, 1, 22)
    result = betting_first_night([night] * 60, margin=0.05)
    assert result.first_night is not None
    rows = [1.0, 1.0, -1.0, *[0.0] * 22]
    assert wealth(-0.05, rows * result.first_night, 1) > 40
    assert wealth(-0.05, rows * (result.first_night - 1), 1) < 40
    assert result.n == 25 * result.first_night
    assert result.lower == betting_cs(diffs=rows * result.first_night).lower


def test_first_night_never_reached_reports_the_last() -> None:
    result = betting_first_night([Counts(0, 1, 9)] * 5, margin=0.03)
    assert (result.first_night, result.n) == (None, 50)
    assert result.lower == betting_cs(counts=Counts(0, 5, 45)).lower
    assert betting_first_night([], margin=0.03).lower == -1.0


def test_asymptotic_is_narrowest_for_its_horizon() -> None:
    # Half width against the fixed-n 1.96 sd / sqrt n; the ratio is smallest at n = t_star.
    widths = {n: asymptotic_cs(n, 0.0, 1.0, 0.05, 750).half_width or 0 for n in (75, 750, 7500)}
    ratios = {n: width * math.sqrt(n) / 1.959964 for n, width in widths.items()}
    assert min(ratios, key=ratios.__getitem__) == 750
    assert ratios[750] > 1.4


def test_asymptotic_without_spread_has_no_interval() -> None:
    result = asymptotic_cs(400, 0.1, 0.0)
    assert (result.half_width, result.lower, result.upper) == (None, None, None)


@pytest.mark.parametrize("arguments", [(0, 0.0, 1.0), (10, 0.0, -1.0), (10, math.inf, 1.0), (10, 0.0, 1.0, 0.0)])
def test_asymptotic_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(StatisticsError):
        asymptotic_cs(*arguments)  # type: ignore[arg-type]
