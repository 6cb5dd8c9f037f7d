"""From an interval to a word, from the words to a decision: ``verdict``, ``ratio_verdict``, ``overall_decision``.

All comparisons are strict: equal to the margin is not enough, equal to zero is not better. ``None`` as a limit is
unbounded. After the figure of the CONSORT non-inferiority extension, Piaggio et al. 2012 (JAMA 308:2594).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from evaluations.enums import Decision, Verdict
from evaluations.statistics.inputs import flag, limit, positive
from evaluations.statistics.results import StatisticsError, VerdictResult


def verdict(lower: float | None, upper: float | None, margin: float, lower_is_better: bool = False) -> VerdictResult:
    """Word for an interval of candidate - incumbent; ``lower_is_better`` mirrors it first.

    ``margin`` is the largest accepted loss, above 0, in the unit of the interval.
    """
    margin = positive("margin", margin)
    low, high = _bounds(lower, upper)
    if flag("lower_is_better", lower_is_better):
        low, high = -high, -low
    if low > 0:
        return VerdictResult(Verdict.BETTER, measurably_lower=None, beyond_margin=None)
    if low > -margin:
        return VerdictResult(Verdict.NON_INFERIOR, measurably_lower=high < 0, beyond_margin=None)
    if high < 0:
        return VerdictResult(Verdict.WORSE, measurably_lower=None, beyond_margin=high < -margin)
    return VerdictResult(Verdict.INCONCLUSIVE, measurably_lower=None, beyond_margin=None)


def ratio_verdict(lower: float | None, upper: float | None, max_ratio: float) -> VerdictResult:
    """Word for an interval of candidate / incumbent where less is better (cost, latency).

    ``max_ratio`` r under 1 asks for a saving: upper < r better, lower > r worse. From 1 on it allows a loss: upper < 1
    better, upper < r non-inferior, lower > 1 worse.
    """
    r = positive("max_ratio", max_ratio)
    low, high = _bounds(lower, upper)
    if high < min(r, 1):
        return VerdictResult(Verdict.BETTER, measurably_lower=None, beyond_margin=None)
    if high < r:
        return VerdictResult(Verdict.NON_INFERIOR, measurably_lower=low > 1, beyond_margin=None)
    if low > min(r, 1):
        return VerdictResult(Verdict.WORSE, measurably_lower=None, beyond_margin=low > r)
    return VerdictResult(Verdict.INCONCLUSIVE, measurably_lower=None, beyond_margin=None)


def overall_decision(gates: Sequence[Verdict]) -> Decision:
    """Intersection-union over the gates' verdicts: any worse stops, all better or non-inferior is safe.

    Needs no correction for several gates, since all of them must pass (Berger 1982, Technometrics 24:295). The horizon
    is not known here; past it the caller turns ``keep_testing`` into ``keep_incumbent``.
    """
    if not gates:
        raise StatisticsError("a decision needs at least one gate")
    if Verdict.WORSE in gates:
        return Decision.DO_NOT_SWITCH
    if all(word in (Verdict.BETTER, Verdict.NON_INFERIOR) for word in gates):
        return Decision.SAFE_TO_SWITCH
    return Decision.KEEP_TESTING


def _bounds(lower: float | None, upper: float | None) -> tuple[float, float]:
    low, high = limit("lower", lower), limit("upper", upper)
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if low > high:
        raise StatisticsError("lower must not be above upper")
    return low, high
