"""Geometry of the drawings, against distances worked out by hand in the comments."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilots.charts import bar_length, interval_bar, sparkline, survival_chart


def test_an_interval_lies_where_its_numbers_say() -> None:
    # Axis -4 to 4 over 184 units from 8: one unit is 23.
    bar = interval_bar(estimate=-1.0, lower=-2.0, upper=1.0, margin=-4.0)
    assert (bar.reference, bar.margin, bar.lower, bar.estimate, bar.upper) == (100.0, 8.0, 54.0, 77.0, 123.0)
    assert (bar.beyond_x, bar.beyond_width) == (0.0, 8.0)


def test_where_higher_is_worse_the_zone_is_on_the_right() -> None:
    # Axis 0.5 to 1.5 over 184 units from 8; the bound of a saving is left of "equal".
    bar = interval_bar(estimate=0.6, lower=0.5, upper=0.7, reference=1.0, margin=0.9, higher_is_worse=True)
    assert bar.margin is not None
    assert bar.margin < bar.reference
    assert (bar.beyond_x, bar.beyond_width) == (bar.margin, round(200 - bar.margin, 1))


def test_what_is_unknown_is_not_drawn() -> None:
    bar = interval_bar(estimate=None, lower=None, upper=None)
    assert (bar.estimate, bar.lower, bar.upper, bar.margin, bar.beyond_x) == (None, None, None, None, None)
    half = interval_bar(estimate=0.1, lower=None, upper=0.3, margin=-0.1)
    assert (half.lower, half.upper is None) == (None, False)


@dataclass(frozen=True)
class Step:
    day: int
    at_risk: int
    censored: int
    survival: float
    lower: float | None
    upper: float | None


STEPS = [Step(30, 10, 0, 0.9, 0.6, 0.98), Step(60, 8, 1, 0.9, 0.6, 0.98), Step(90, 7, 0, 0.5, 0.2, 0.8)]


def test_the_curve_steps_down_on_its_days() -> None:
    chart = survival_chart(STEPS, width=156.0, height=172.0)
    # Axis 0 to 90 over 100 units from 44; 100 % at 10, 0 % at 110.
    assert (chart.left, chart.right, chart.top, chart.bottom) == (44.0, 144.0, 10.0, 110.0)
    assert chart.curve == "M44.0 10.0H77.3V20.0H110.7V20.0H144.0V60.0"
    assert chart.censored == ((110.7, 20.0),)
    # Just before each day: 10 up to day 30, then 8 up to day 60, then 7.
    assert [(day.label, tick.label) for day, tick in zip(chart.days, chart.at_risk, strict=True)] == [
        ("0", "10"),
        ("15", "10"),
        ("30", "10"),
        ("45", "8"),
        ("60", "8"),
        ("75", "7"),
        ("90", "7"),
    ]


def test_the_band_goes_out_along_the_upper_and_back_along_the_lower_limit() -> None:
    chart = survival_chart(STEPS, width=156.0, height=172.0)
    assert chart.band == ("M44.0 10.0H77.3V12.0H110.7V12.0H144.0V30.0V90.0H144.0V50.0H110.7V50.0H77.3V10.0Z")
    numbers = [float(number) for number in re.findall(r"[\d.]+", chart.band)]
    assert max(numbers) <= 144.0


def test_a_curve_without_steps_is_an_empty_frame() -> None:
    chart = survival_chart([])
    assert (chart.curve, chart.band, chart.censored) == ("", "", ())
    assert {tick.label for tick in chart.at_risk} == {"0"}


def test_bars_keep_proportion_and_a_sliver() -> None:
    assert [bar_length(value, 100, 96) for value in (100, 50, 0.1, 0)] == [96.0, 48.0, 2.0, 0.0]
    assert bar_length(1, 0, 96) == 0.0


def test_a_sparkline_runs_from_edge_to_edge_over_its_band() -> None:
    drawn = sparkline([0.0, 1.0, 2.0], band=(0.5, 1.5), marked=2, width=108, height=28)
    assert drawn.line == "M4.0 24.0L54.0 14.0L104.0 4.0"
    assert (drawn.band_y, drawn.band_height, drawn.marked) == (9.0, 10.0, (104.0, 4.0))
    assert sparkline([1.0]).line == ""
    assert sparkline([]).marked is None
