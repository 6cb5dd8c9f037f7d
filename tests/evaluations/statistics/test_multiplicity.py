"""Several tests at once. The worked numbers are the oracles'; here the edges."""

from __future__ import annotations

import math

import pytest
from scipy.stats import false_discovery_control

from evaluations.statistics import StatisticsError
from evaluations.statistics.multiplicity import adjust_pvalues


def test_untested_slices_stay_in_the_list_and_do_not_count() -> None:
    result = adjust_pvalues([None, 0.01, None, 0.04, 0.03], method="holm")
    assert result.adjusted == (None, pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06))
    assert (result.n_tests, result.n_rejected) == (3, 1)


def test_bh_in_any_order_against_scipy() -> None:
    p_values = [0.9, 0.001, 0.03, 0.03, 0.2, 0.0]
    assert adjust_pvalues(p_values, method="bh").adjusted == pytest.approx(false_discovery_control(p_values))


@pytest.mark.parametrize("p_values", [[], [None, None]])
def test_nothing_tested(p_values: list[float | None]) -> None:
    result = adjust_pvalues(p_values, method="bh")
    assert (result.adjusted, result.n_tests, result.n_rejected) == (tuple(p_values), 0, 0)


def test_rejects_at_exactly_alpha() -> None:
    assert adjust_pvalues([0.05], method="holm").n_rejected == 1


@pytest.mark.parametrize(
    ("p_values", "method"),
    [([1.1], "bh"), ([-0.1], "bh"), ([math.nan], "bh"), (["0.1"], "bh"), ([0.1], "bonferroni"), ([0.1], None)],
)
def test_refused(p_values: list[float], method: str) -> None:
    with pytest.raises(StatisticsError):
        adjust_pvalues(p_values, method=method)  # type: ignore[arg-type]
