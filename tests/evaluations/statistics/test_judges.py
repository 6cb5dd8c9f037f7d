"""Judges. Expected numbers from Agresti's baseball season, Cohen's table, statsmodels, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.inter_rater import cohens_kappa as reference_kappa

from evaluations.statistics import StatisticsError
from evaluations.statistics.judges import bradley_terry, cohens_kappa, pairwise_judge, prediction_powered_mean
from evaluations.statistics.paired import tango

C, INC, TIE = "candidate", "incumbent", "tie"
# American League East 1987, Agresti, Categorical Data Analysis, table 10.10: Milwaukee ... Baltimore.
BASEBALL = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]


def test_a_win_needs_both_orders() -> None:
    verdicts = [[C, C]] * 9 + [[INC, INC]] * 2 + [[C, INC]] * 3 + [[INC, C]] + [[TIE, C], [INC, TIE], [TIE, TIE]]
    result = pairwise_judge(verdicts)
    assert (result.n, result.wins, result.losses, result.ties) == (18, 9, 2, 7)
    assert (result.flips, result.flips_to_first) == (4, 3)
    assert result.net_win_rate == pytest.approx(7 / 18)
    assert (result.lower, result.upper) == tango(wins=9, losses=2, n=18)
    assert result.sign_p == pytest.approx(binomtest(2, 11).pvalue)


def test_only_ties() -> None:
    result = pairwise_judge([[TIE, TIE]] * 5)
    assert (result.net_win_rate, result.sign_p) == (0.0, 1.0)
    assert (result.lower, result.upper) == tango(wins=0, losses=0, n=5)


@pytest.mark.parametrize("verdicts", [[], [[C]], [[C, "draw"]], [[C, None]], [C, C], "cc"])
def test_pairwise_refused(verdicts: object) -> None:
    with pytest.raises(StatisticsError):
        pairwise_judge(verdicts)  # type: ignore[arg-type]


def test_prediction_powered_by_hand() -> None:
    # Rest: mean 0.75, variance 3/16 of 4; errors 1, 0, 0, 0: mean 0.25, variance 3/16 of 4.
    result = prediction_powered_mean(human=[1, 1, 0, 1], judge_on_human=[0, 1, 0, 1], judge_rest=[1, 1, 0, 1])
    half_width = 1.959964 * math.sqrt(2 * 3 / 64)
    assert (result.estimate, result.judge_only) == (1.0, 0.625)
    assert (result.lower, result.upper) == pytest.approx((1 - half_width, 1 + half_width))
    assert result.human_lower == pytest.approx(0.75 - 1.959964 * math.sqrt(3 / 64))


def test_prediction_powered_without_spread_has_no_limits() -> None:
    result = prediction_powered_mean(human=[1, 1], judge_on_human=[1, 1], judge_rest=[1])
    assert (result.estimate, result.lower, result.upper) == (1.0, None, None)
    assert (result.human_lower, result.human_upper) == (None, None)


@pytest.mark.parametrize(("human", "judged", "rest"), [([], [], [1]), ([1], [1], []), ([1, 0], [1], [1])])
def test_prediction_powered_refused(human: list[int], judged: list[int], rest: list[int]) -> None:
    with pytest.raises(StatisticsError):
        prediction_powered_mean(human=human, judge_on_human=judged, judge_rest=rest)


@pytest.mark.parametrize("table", [[[20, 5], [10, 15]], [[7, 1, 0], [2, 9, 3], [0, 4, 11]], [[0, 5], [5, 0]]])
def test_kappa(table: list[list[int]]) -> None:
    result = cohens_kappa(table)
    reference = reference_kappa(np.array(table))
    assert result.kappa == pytest.approx(reference.kappa)
    assert result.agreement == pytest.approx(np.trace(table) / np.sum(table))


@pytest.mark.parametrize("table", [[[9, 0], [0, 0]], [[4]], [[0, 0, 0], [0, 10**6, 0], [0, 0, 0]]])
def test_kappa_is_not_defined_when_chance_agrees_fully(table: list[list[int]]) -> None:
    assert cohens_kappa(table).kappa is None
    assert cohens_kappa(table).agreement == 1


@pytest.mark.parametrize("table", [[], [[]], [[1, 2]], [[1, 2], [3]], [[0, 0], [0, 0]], [[-1, 2], [3, 4]], [[0.5]], 3])
def test_kappa_refused(table: object) -> None:
    with pytest.raises(StatisticsError):
        cohens_kappa(table)  # type: ignore[arg-type]


def test_bradley_terry_baseball() -> None:
    # Agresti: 1.58, 1.44, 1.29, 1.25, 1.11, 0.68 against Baltimore.
    ability = bradley_terry(BASEBALL, reference=6).ability
    assert [round(value, 2) for value in ability] == [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]


def test_bradley_terry_two_models_is_the_log_odds() -> None:
    assert bradley_terry([[0, 30], [10, 0]], reference=1).ability == pytest.approx((math.log(3), 0))
    lopsided = bradley_terry([[0, 1], [10**6, 0]]).ability
    assert lopsided == pytest.approx((0, math.log(10**6)))


def test_bradley_terry_cycle_is_even() -> None:
    assert bradley_terry([[0, 5, 0], [0, 0, 5], [5, 0, 0]]).ability == pytest.approx((0, 0, 0), abs=1e-9)


@pytest.mark.parametrize(
    "wins",
    [
        [[0, 3], [0, 0]],
        [[0, 3, 1], [2, 0, 1], [0, 0, 0]],
        [[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 2], [0, 0, 2, 0]],
        [[1, 3], [2, 0]],
        [[0, -3], [2, 0]],
        [[0, 3]],
        [],
    ],
)
def test_bradley_terry_refused(wins: list[list[float]]) -> None:
    with pytest.raises(StatisticsError):
        bradley_terry(wins)
    with pytest.raises(StatisticsError):
        bradley_terry(BASEBALL, reference=7)
