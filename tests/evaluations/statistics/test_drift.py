"""CUSUM. Expected numbers from Montgomery, Introduction to Statistical Quality Control, table 9.1 and 9.2."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluations.statistics import StatisticsError
from evaluations.statistics.drift import cusum

# fmt: off
MONTGOMERY = [
    9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08,
    9.37, 10.62, 10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
]
# fmt: on


def test_montgomery() -> None:
    result = cusum(MONTGOMERY, target=10, sd=1, k=0.5, h=5)
    assert result.first_signal == 29
    assert [round(value, 2) for value in result.c_plus[-3:]] == [4.47, 5.28, 5.30]
    assert [round(value, 2) for value in result.c_minus[:3]] == [0.05, 1.56, 1.77]


def test_standardised_and_mirrored() -> None:
    result = cusum([100 - 20 * (value - 10) for value in MONTGOMERY], target=100, sd=20, k=0.5, h=5)
    assert result.first_signal == 29
    assert result.c_minus == pytest.approx(cusum(MONTGOMERY, target=10, sd=1, h=5).c_plus)


def test_exactly_h_is_not_a_signal() -> None:
    assert cusum([5.5, 0.5], target=0, sd=1, k=0.5, h=5).first_signal is None
    assert cusum([5.5, 0.625], target=0, sd=1, k=0.5, h=5).first_signal == 2


@pytest.mark.parametrize(
    ("values", "changed"), [([], {}), ([1], {"sd": 0}), ([1], {"h": 0}), ([1], {"k": -1}), ([math.nan], {})]
)
def test_refused(values: list[float], changed: dict[str, float]) -> None:
    with pytest.raises(StatisticsError):
        cusum(values, **({"target": 0.0, "sd": 1.0} | changed))


@pytest.mark.parametrize(("h", "textbook", "measured"), [(4, 168, 171), (5, 465, 460)])
def test_nights_until_a_false_alarm_where_nothing_moves(h: float, textbook: float, measured: float) -> None:
    """Average run length in control, k 0.5 and a known baseline: Montgomery, section 9.1.3 (table 9.3), and what
    STATISTICS.md section 9 measured. 500 alarms: standard error 4.5 %, so 10 % is beyond two of them.
    """
    drawn = np.random.default_rng(20261124)
    # Ten times as long as it lasts on average: one in e^10 would last longer.
    signals = [cusum(drawn.standard_normal(10 * textbook), target=0, sd=1, k=0.5, h=h).first_signal for _ in range(500)]
    lengths = [signal for signal in signals if signal is not None]
    assert len(lengths) == 500
    mean = sum(lengths) / len(lengths)
    assert mean == pytest.approx(textbook, rel=0.1)
    assert mean == pytest.approx(measured, rel=0.1)


def test_a_baseline_of_thirty_nights_and_h_10() -> None:
    """The recommended row of STATISTICS.md section 9: 5.1 % false alarms in 90 nights, a change of one standard
    deviation found within 30 nights in 80.1 % of series. 3,000 series: standard errors 0.4 and 0.7 points.
    """
    series = np.random.default_rng(9).standard_normal((3000, 120))
    false = found = 0
    for values in series:
        target, sd = float(values[:30].mean()), float(values[:30].std(ddof=1))
        false += cusum(values[30:], target=target, sd=sd).first_signal is not None
        found += cusum(values[30:60] + 1, target=target, sd=sd).first_signal is not None
    assert false / 3000 == pytest.approx(0.051, abs=0.013)
    assert found / 3000 == pytest.approx(0.801, abs=0.022)
