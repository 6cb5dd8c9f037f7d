"""The words, at and around every border. Expected words by hand from the contract's rules."""

from __future__ import annotations

import math

import pytest

from evaluations.enums import Decision, Verdict
from evaluations.statistics import StatisticsError
from evaluations.statistics.noninferiority import overall_decision, ratio_verdict, verdict

BETTER, NON_INFERIOR, WORSE = Verdict.BETTER, Verdict.NON_INFERIOR, Verdict.WORSE
INCONCLUSIVE, NOT_COMPUTABLE = Verdict.INCONCLUSIVE, Verdict.NOT_COMPUTABLE


@pytest.mark.parametrize(
    ("lower", "upper", "lower_is_better", "word", "measurably_lower", "beyond_margin"),
    [
        (0.001, None, False, BETTER, None, None),
        (-0.029, None, False, NON_INFERIOR, False, None),
        (-0.029, 0.0, False, NON_INFERIOR, False, None),
        (-0.029, -0.001, False, NON_INFERIOR, True, None),
        (-0.03, 0.0, False, INCONCLUSIVE, None, None),
        (None, -0.001, False, WORSE, None, False),
        (None, -0.03, False, WORSE, None, False),
        (None, -0.031, False, WORSE, None, True),
        (None, None, False, INCONCLUSIVE, None, None),
        (None, -0.001, True, BETTER, None, None),
        (0.001, 0.029, True, NON_INFERIOR, True, None),
        (0.001, 0.03, True, WORSE, None, False),
        (0.031, None, True, WORSE, None, True),
        (-1.0, None, True, INCONCLUSIVE, None, None),
    ],
)
def test_verdict(
    lower: float | None,
    upper: float | None,
    lower_is_better: bool,
    word: Verdict,
    measurably_lower: bool | None,
    beyond_margin: bool | None,
) -> None:
    result = verdict(lower, upper, 0.03, lower_is_better)
    assert (result.verdict, result.measurably_lower, result.beyond_margin) == (word, measurably_lower, beyond_margin)


@pytest.mark.parametrize(
    ("lower", "upper", "max_ratio", "word"),
    [
        (0.5, 0.89, 0.9, BETTER),
        (0.5, 0.9, 0.9, INCONCLUSIVE),
        (0.5, 0.95, 0.9, INCONCLUSIVE),
        (0.91, 0.95, 0.9, WORSE),
        (0.9, 0.95, 0.9, INCONCLUSIVE),
        (0.91, None, 0.9, WORSE),
        (0.5, 0.99, 1.25, BETTER),
        (0.5, 1.0, 1.25, NON_INFERIOR),
        (1.1, 1.2, 1.25, NON_INFERIOR),
        (1.1, 1.25, 1.25, WORSE),
        (1.0, 1.25, 1.25, INCONCLUSIVE),
        (None, 1.2, 1.25, NON_INFERIOR),
        (None, None, 1.25, INCONCLUSIVE),
        (0.8, 0.99, 1.0, BETTER),
        (0.8, 1.0, 1.0, INCONCLUSIVE),
        (1.01, 1.2, 1.0, WORSE),
    ],
)
def test_ratio_verdict(lower: float | None, upper: float | None, max_ratio: float, word: Verdict) -> None:
    assert ratio_verdict(lower, upper, max_ratio).verdict == word


def test_ratio_verdict_tells_measurably_dearer_from_beyond_the_limit() -> None:
    assert ratio_verdict(1.1, 1.2, 1.25).measurably_lower is True
    assert ratio_verdict(0.9, 1.2, 1.25).measurably_lower is False
    assert ratio_verdict(1.1, 1.3, 1.25).beyond_margin is False
    assert ratio_verdict(1.3, 1.4, 1.25).beyond_margin is True


@pytest.mark.parametrize(
    ("lower", "upper", "margin"),
    [(-0.1, 0.1, 0), (-0.1, 0.1, -0.03), (0.1, -0.1, 0.03), (math.nan, 0.1, 0.03), (-math.inf, 0.1, 0.03), ("0", 1, 1)],
)
def test_refused(lower: float, upper: float, margin: float) -> None:
    with pytest.raises(StatisticsError):
        verdict(lower, upper, margin)
    with pytest.raises(StatisticsError):
        ratio_verdict(lower, upper, margin)


@pytest.mark.parametrize(
    ("gates", "decision"),
    [
        ([BETTER], Decision.SAFE_TO_SWITCH),
        ([NON_INFERIOR, BETTER], Decision.SAFE_TO_SWITCH),
        ([NON_INFERIOR, INCONCLUSIVE], Decision.KEEP_TESTING),
        ([BETTER, NOT_COMPUTABLE], Decision.KEEP_TESTING),
        ([INCONCLUSIVE, NOT_COMPUTABLE, WORSE], Decision.DO_NOT_SWITCH),
    ],
)
def test_overall_decision(gates: list[Verdict], decision: Decision) -> None:
    assert overall_decision(gates) == decision


def test_overall_decision_needs_a_gate() -> None:
    with pytest.raises(StatisticsError):
        overall_decision([])
