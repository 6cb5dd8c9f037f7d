"""Survival. Expected numbers from scipy.stats.ecdf, statsmodels (entry, strata) and R as printed in its manuals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from evaluations.statistics import StatisticsError
from evaluations.statistics.survival import kaplan_meier, logrank, mean_counts, restricted_mean

# R survival::aml, maintained and not.
AML = ([9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161], [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0])
AML_NOT = ([5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45], [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1])


def sample(seed: int, n: int, longest: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole days with many ties, a third censored, half of the units entering late."""
    generator = np.random.default_rng(seed)
    time = generator.integers(2, longest, n).astype(float)
    entry = np.where(generator.random(n) < 0.5, generator.integers(0, time), 0).astype(float)
    return time, (generator.random(n) < 0.67).astype(int), entry


def test_curve_and_limits_against_scipy() -> None:
    time, event, _ = sample(1, 60)
    curve = kaplan_meier(time, event, alpha=0.1)
    reference = stats.ecdf(stats.CensoredData.right_censored(time, event == 0)).sf
    limits = reference.confidence_interval(0.9, method="log-log")
    for day, survival, low, high in zip(
        reference.quantiles, reference.probabilities, limits.low.probabilities, limits.high.probabilities, strict=True
    ):
        point = curve.at(day)
        assert point.survival == pytest.approx(survival)
        if 0 < survival < 1:
            assert (point.lower, point.upper) == pytest.approx((low, high))


def test_late_entry_against_statsmodels() -> None:
    time, event, entry = sample(2, 80)
    curve = kaplan_meier(time, event, entry)
    reference = SurvfuncRight(time, event, entry=entry)
    assert [curve.at(day).survival for day in reference.surv_times] == pytest.approx(reference.surv_prob)
    assert [curve.at(day).at_risk_before for day in reference.surv_times] == reference.n_risk.tolist()


def test_late_entry_changes_the_answer() -> None:
    time, event, entry = sample(2, 80)
    assert kaplan_meier(time, event, entry).at(10).survival < kaplan_meier(time, event).at(10).survival


def test_steps_list_every_day_on_which_something_ended() -> None:
    curve = kaplan_meier([1, 3, 3, 3, 5], [0, 1, 0, 1, 0], [0, 0, 2, 0, 4])
    assert [(s.day, s.at_risk, s.events, s.censored) for s in curve.steps] == [(1, 3, 0, 1), (3, 3, 2, 1), (5, 1, 0, 1)]
    assert [s.survival for s in curve.steps] == pytest.approx([1, 1 / 3, 1 / 3])
    for step in curve.steps:
        point = curve.at(step.day)
        assert (point.survival, point.lower, point.upper) == (step.survival, step.lower, step.upper)


def test_events_come_before_censorings_of_the_same_day() -> None:
    assert kaplan_meier([5, 5], [1, 0]).at(5).survival == 0.5


def test_at_risk_on_a_day_counts_those_followed_past_it() -> None:
    curve = kaplan_meier([10, 20, 30], [1, 0, 0], [0, 10, 20])
    assert [(curve.at(day).at_risk_before, curve.at(day).at_risk) for day in (9, 10, 20, 30)] == [
        (1, 1),
        (1, 1),
        (1, 1),
        (1, 0),
    ]


def test_no_event_gives_the_exact_limit() -> None:
    # STATISTICS section 7: none of 8 came back, 6 followed past day 90: as low as 54%.
    curve = kaplan_meier([30, 90, 100, 100, 100, 100, 100, 100], [0] * 8)
    point = curve.at(90)
    assert (point.survival, point.upper, point.at_risk, point.events) == (1.0, 1.0, 6, 0)
    assert point.lower == pytest.approx(0.025 ** (1 / 6))
    assert round(point.lower, 2) == 0.54
    assert (curve.at(100).lower, curve.at(100).upper) == (None, 1.0)
    assert (curve.median, curve.median_interval) == (None, (None, None))
    assert curve.at(0).lower == pytest.approx(0.025 ** (1 / 8))


def test_everyone_gone_has_no_upper_limit() -> None:
    curve = kaplan_meier([1, 2], [1, 1])
    point = curve.at(7)
    assert (point.survival, point.lower, point.upper, point.at_risk, point.events) == (0.0, 0.0, None, 0, 2)
    assert curve.median == 1


def test_one_unit() -> None:
    assert kaplan_meier([4], [1]).at(4).survival == 0.0
    assert kaplan_meier([4], [0]).at(3).lower == pytest.approx(0.025)


def test_a_spell_of_zero_days_was_at_risk_on_day_zero() -> None:
    for entry in (None, [0, 0]):
        point = kaplan_meier([0, 5], [1, 0], entry).at(0)
        assert (point.survival, point.events, point.at_risk_before, point.at_risk) == (0.5, 1, 2, 1)


def test_median_is_reached_at_exactly_one_half() -> None:
    # (1 - 1/10)(1 - 1/9)...(1 - 1/6) = 1/2, but not in floating point.
    assert kaplan_meier(list(range(1, 11)), [1] * 10).median == 5


def test_median_interval_against_the_limits() -> None:
    # R: survfit(Surv(time, status) ~ x, aml, conf.type = "log-log"): medians 31 and 23.
    maintained, other = kaplan_meier(*AML), kaplan_meier(*AML_NOT)
    assert (maintained.median, maintained.median_interval) == (31, (13, None))
    assert (other.median, other.median_interval) == (23, (5, 33))


@pytest.mark.parametrize(
    ("time", "event", "entry"),
    [
        ([], [], None),
        ([-1], [1], None),
        ([1, 2], [1], None),
        ([1], [2], None),
        ([1], [1], [1]),
        ([1], [1], [2]),
        ([1], [1], [0, 0]),
        ([math.nan], [1], None),
        (["1"], [1], None),
        ([1], [None], None),
        ([[1]], [1], None),
    ],
)
def test_refused(time: list[float], event: list[int], entry: list[float] | None) -> None:
    with pytest.raises(StatisticsError):
        kaplan_meier(time, event, entry)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("groups", [2, 4])
def test_logrank_with_entry_or_strata_against_statsmodels(seed: int, groups: int) -> None:
    time, event, entry = sample(seed, 150)
    group = np.arange(150) % groups
    stratum = np.arange(150) // 50
    late = logrank(time, event, group.tolist(), entry)
    chi2, p_value = survdiff(time, event, group, entry=entry)
    assert (late.chi2, late.p_value, late.df) == (pytest.approx(chi2), pytest.approx(p_value), groups - 1)
    stratified = logrank(time, event, [f"g{code}" for code in group], stratum=stratum.tolist())
    chi2, p_value = survdiff(time, event, group, strata=stratum)
    assert (stratified.chi2, stratified.p_value) == (pytest.approx(chi2), pytest.approx(p_value))
    assert sum(stratified.observed.values()) == pytest.approx(sum(stratified.expected.values()))


def test_logrank_entry_is_kept_within_its_stratum() -> None:
    # statsmodels 0.15 fails on entry and strata together; the same data in two strata is twice the evidence.
    time, event, entry = sample(7, 60)
    group = np.arange(60) % 2
    once = logrank(time, event, group.tolist(), entry)
    twice = logrank(
        np.tile(time, 2), np.tile(event, 2), np.tile(group, 2).tolist(), np.tile(entry, 2), [0] * 60 + [1] * 60
    )
    assert once.chi2 is not None
    assert twice.chi2 == pytest.approx(2 * once.chi2)


def test_logrank_does_not_depend_on_the_order_of_groups() -> None:
    time, event, _ = sample(5, 90)
    group = [("c", "a", "b")[i % 3] for i in range(90)]
    one, other = logrank(time, event, group), logrank(time[::-1], event[::-1], group[::-1])
    assert one.chi2 == pytest.approx(other.chi2)
    assert one.expected == pytest.approx(other.expected)


def test_logrank_without_an_event_has_no_answer() -> None:
    result = logrank([1, 2, 3, 4], [0, 0, 0, 0], ["a", "a", "b", "b"])
    assert (result.chi2, result.df, result.p_value) == (None, 0, None)


def test_logrank_groups_never_at_risk_together_cannot_be_compared() -> None:
    result = logrank([5, 6, 20, 21], [1, 1, 1, 1], ["a", "a", "b", "b"], [0, 0, 10, 10])
    assert (result.chi2, result.df) == (None, 0)
    # Two pairs of groups, each comparable within itself only: two degrees of freedom, not three.
    time, event = [5, 6, 7, 20, 21, 22], [1, 1, 1, 1, 1, 1]
    apart = logrank(time, event, ["a", "b", "a", "c", "d", "c"], [0, 0, 0, 10, 10, 10])
    pair = logrank(time[:3], event[:3], ["a", "b", "a"])
    assert apart.df == 2
    assert pair.chi2 is not None
    assert apart.chi2 == pytest.approx(2 * pair.chi2)


def test_logrank_needs_two_groups() -> None:
    with pytest.raises(StatisticsError, match="two groups"):
        logrank([1, 2], [1, 1], ["a", "a"])


@pytest.mark.parametrize(
    ("data", "mean", "se"),
    # R: print(survfit(Surv(time, status) ~ x, aml), rmean = 161).
    [(AML, 52.65, 19.83), (AML_NOT, 22.71, 4.18)],
)
def test_restricted_mean(data: tuple[list[int], list[int]], mean: float, se: float) -> None:
    result = restricted_mean(*data, 161)
    assert (round(result.rmst, 2), round(result.se, 2)) == (mean, se)
    assert (result.lower, result.upper) == pytest.approx(
        (result.rmst - 1.959964 * result.se, result.rmst + 1.959964 * result.se)
    )


def test_restricted_mean_without_an_event_is_tau_without_limits() -> None:
    result = restricted_mean([10, 12], [0, 0], 8)
    assert (result.rmst, result.se, result.lower, result.upper) == (8.0, 0.0, None, None)


def test_restricted_mean_stays_within_tau() -> None:
    result = restricted_mean([1, 10, 10], [1, 0, 0], 10)
    assert result.rmst == pytest.approx(1 + 9 * 2 / 3)
    assert result.upper == 10


def test_restricted_mean_past_observation_is_refused_unless_everybody_left() -> None:
    with pytest.raises(StatisticsError, match="past the last day"):
        restricted_mean([10, 12], [1, 0], 13)
    assert restricted_mean([10, 12], [1, 1], 13).rmst == 11


def test_mean_counts_by_hand() -> None:
    units = [{"events": [1, 3], "end": 4}, {"events": [3], "end": 3}, {"events": [], "end": 2}]
    assert [(row.at, row.mcf) for row in mean_counts(units, [0, 1, 2, 3, 10])] == [
        (0, 0),
        (1, pytest.approx(1 / 3)),
        (2, pytest.approx(1 / 3)),
        (3, pytest.approx(1 / 3 + 2 / 2)),
        (10, pytest.approx(1 / 3 + 2 / 2)),
    ]


@pytest.mark.parametrize(
    "units", [[], [{"events": [1]}], [{"events": [5], "end": 4}], [{"events": [-1], "end": 4}], [3], {"events": []}]
)
def test_mean_counts_refused(units: object) -> None:
    with pytest.raises(StatisticsError):
        mean_counts(units, [1])  # type: ignore[arg-type]
