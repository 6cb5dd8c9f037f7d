"""Competing ends. Incidence and standard errors from statsmodels; without competing ends, Kaplan-Meier's limits."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight

from evaluations.statistics import StatisticsError
from evaluations.statistics.competing import cumulative_incidence
from evaluations.statistics.survival import kaplan_meier

# The 15 teams of oracle S12.
TIME = [12, 20, 20, 33, 41, 41, 47, 55, 60, 72, 88, 90, 90, 101, 120]
CAUSE = [1, 2, 0, 1, 1, 2, 0, 3, 1, 0, 2, 0, 1, 0, 0]


def sample(seed: int) -> tuple[list[int], list[int]]:
    generator = np.random.default_rng(seed)
    return generator.integers(1, 30, 120).tolist(), generator.choice([0, 1, 2, 3], 120, p=[0.3, 0.4, 0.2, 0.1]).tolist()


@pytest.mark.parametrize(("time", "cause"), [(TIME, CAUSE), sample(1), sample(2)])
def test_incidence_and_standard_error_against_statsmodels(time: list[int], cause: list[int]) -> None:
    reference = CumIncidenceRight(np.array(time), np.array(cause))
    risks = cumulative_incidence(time, cause)
    assert list(risks.by_cause) == [1, 2, 3]
    for code, incidence, se in zip((1, 2, 3), reference.cinc, reference.cinc_se, strict=True):
        points = [risks.by_cause[code].at(day) for day in reference.times]
        assert [point.incidence for point in points] == pytest.approx(incidence)
        # The last day may hold the last unit, where the reference divides by zero.
        known = np.isfinite(se)
        assert known[:-1].all()
        assert np.array([point.se for point in points])[known] == pytest.approx(se[known])


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_without_competing_ends_the_limits_are_those_of_kaplan_meier(alpha: float) -> None:
    time, cause = sample(3)
    event = [int(code > 0) for code in cause]
    entry = [max(day - 12, 0) for day in time]
    curve = kaplan_meier(time, event, entry, alpha)
    incidence = cumulative_incidence(time, event, entry, alpha).by_cause[1]
    for day in [0, 0.5, *time, 40]:
        km, cif = curve.at(day), incidence.at(day)
        assert cif.incidence == pytest.approx(1 - km.survival, abs=1e-9)
        assert cif.lower == (None if km.upper is None else pytest.approx(1 - km.upper, abs=1e-9))
        assert cif.upper == (None if km.lower is None else pytest.approx(1 - km.lower, abs=1e-9))
        assert (cif.events, cif.at_risk) == (km.events, km.at_risk)


def test_parts_add_up_to_everyone_who_left() -> None:
    time, cause = sample(4)
    risks = cumulative_incidence(time, cause)
    for day in range(31):
        left = sum(curve.at(day).incidence for curve in risks.by_cause.values())
        assert left == pytest.approx(1 - risks.any_cause.at(day).survival)


def test_before_the_first_event_of_a_cause_the_limit_is_exact() -> None:
    point = cumulative_incidence(TIME, CAUSE).by_cause[3].at(30)
    assert (point.incidence, point.se, point.lower, point.events, point.at_risk) == (0.0, 0.0, 0.0, 0, 12)
    assert point.upper == pytest.approx(1 - 0.025 ** (1 / 12))


def test_everyone_gone_for_one_cause() -> None:
    point = cumulative_incidence([1, 2, 3], [1, 1, 1]).by_cause[1].at(3)
    assert (point.incidence, point.lower, point.upper) == (pytest.approx(1), None, 1.0)


def test_event_of_a_cause_after_the_curve_reached_zero() -> None:
    # Late entry can empty the risk set: the first unit takes the curve to 0, the second finds nothing left to add.
    point = cumulative_incidence([1, 9], [1, 2], [0, 5]).by_cause[2].at(9)
    assert (point.incidence, point.lower, point.upper) == (0.0, 0.0, None)


def test_only_censored() -> None:
    risks = cumulative_incidence([5, 6], [0, 0])
    assert risks.by_cause == {}
    assert risks.any_cause.at(5).survival == 1.0


@pytest.mark.parametrize("cause", [[1], [1, -1], [1, 0.5], [1, True], [1, "2"], [1, None]])
def test_refused(cause: list[int]) -> None:
    with pytest.raises(StatisticsError):
        cumulative_incidence([5, 6], cause)
