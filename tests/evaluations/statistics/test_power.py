"""Sample sizes. Expected numbers from the planning table of STATISTICS section 3."""

from __future__ import annotations

import math

import pytest

from evaluations.statistics import StatisticsError
from evaluations.statistics.paired import tango
from evaluations.statistics.power import sample_size_noninferiority, smallest_n_for_a_tie


@pytest.mark.parametrize(
    ("margin", "discordant", "at_80", "at_90"),
    [
        (0.05, 0.05, 157, 211),
        (0.05, 0.10, 314, 421),
        (0.03, 0.04, 349, 467),
        (0.03, 0.08, 698, 934),
        (0.03, 0.16, 1396, 1868),
        (0.02, 0.04, 785, 1051),
        (0.02, 0.08, 1570, 2102),
    ],
)
def test_equal_models(margin: float, discordant: float, at_80: int, at_90: int) -> None:
    # The page rounds to the nearest pair, this rounds up.
    for power, expected in ((0.8, at_80), (0.9, at_90)):
        result = sample_size_noninferiority(
            p_candidate_only=discordant / 2, p_incumbent_only=discordant / 2, margin=margin, power=power
        )
        assert (result.n_pairs, result.design_effect) == (expected, 1.0)


def test_the_size_is_the_first_that_reaches_the_power() -> None:
    from scipy.stats import norm

    wins, losses, margin = 0.05, 0.06, 0.04
    n = sample_size_noninferiority(p_candidate_only=wins, p_incumbent_only=losses, margin=margin).n_pairs

    def reached(pairs: int) -> float:
        diff = wins - losses
        return float(norm.cdf((diff + margin) / math.sqrt((wins + losses - diff**2) / pairs) - norm.ppf(0.975)))

    assert reached(n) >= 0.9 > reached(n - 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"p_candidate_only": 0.05, "p_incumbent_only": 0.08},  # exactly at the margin, though not in floating point
        {"p_candidate_only": 0.0, "p_incumbent_only": 0.0},
        {"p_candidate_only": 0.6, "p_incumbent_only": 0.6},
        {"p_candidate_only": -0.1},
        {"margin": 0},
        {"icc": 1.5},
        {"cluster_size": 0},
        {"power": 0.01},
        {"power": 1},
        {"alpha": 0},
    ],
)
def test_refused(wrong: dict[str, float]) -> None:
    plan = {"p_candidate_only": 0.04, "p_incumbent_only": 0.04, "margin": 0.03} | wrong
    with pytest.raises(StatisticsError):
        sample_size_noninferiority(**plan)


@pytest.mark.parametrize(("margin", "one_look", "every_night"), [(0.05, 73, 189), (0.03, 125, 314), (0.02, 189, 470)])
def test_smallest_n_for_a_tie(margin: float, one_look: int, every_night: int) -> None:
    result = smallest_n_for_a_tie(margin)
    assert (result.one_look, result.every_night) == (one_look, every_night)
    assert tango(wins=0, losses=0, n=one_look)[0] > -margin > tango(wins=0, losses=0, n=one_look - 1)[0]


@pytest.mark.parametrize("margin", [0, 1, -0.1])
def test_tie_refused(margin: float) -> None:
    with pytest.raises(StatisticsError):
        smallest_n_for_a_tie(margin)
