"""Criteria of a ratio: cost and latency of the candidate against the incumbent, read from evidence.

Public surface: ``read_ratio``, ``QUANTILES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from evaluations.enums import Looks, Verdict
from evaluations.selectors.criteria import Criterion, Pairs, Reading, costs_are_known, paired_values
from evaluations.selectors.evidence import ArmEvidence, Column, Evidence
from evaluations.statistics.noninferiority import ratio_verdict
from evaluations.statistics.quantiles import paired_quantile_ratio
from evaluations.statistics.ratios import in_proportion, ratio_of_totals
from evaluations.statistics.resampling import resampled_totals
from evaluations.statistics.sequential import asymptotic_cs

# STATISTICS: a p95 gate needs 200 calls, any cost sequence 100 units, a Fieller interval 30.
MINIMUM_FOR_QUANTILE = 200
MINIMUM_FOR_SEQUENCE = 100
MINIMUM_FOR_RATIO = 30
_ROUNDING = 1e-12


def read_ratio(
    evidence: Evidence,
    criterion: Criterion,
    *,
    looks: Looks,
    alpha: float,
    successes: str | None,
    t_star: float,
    level: float | None = None,
) -> Reading:
    """Cost or latency of the candidate against the incumbent, same samples; lower is better.

    ``successes`` is the metric that says which answers solved their task, for cost per success. ``level`` is that of
    the interval at a planned check, where it is another than ``alpha``; not of what is read once.
    """
    if criterion.max_ratio is None:
        raise ValueError(f"{criterion.metric} has no max_ratio")
    if criterion.metric in QUANTILES:
        return _read_quantile(evidence, criterion, alpha=alpha)
    pairs = paired_values(evidence, lambda arm: arm.cost)
    n = len(pairs.places)
    if not costs_are_known(evidence, n):
        answered = paired_values(evidence, lambda arm: arm.failure).places
        reason = "cost_unknown" if len(answered) else "no_pairs"
        return Reading(n=n, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason=reason)
    incumbent, candidate = pairs.incumbent, pairs.candidate
    if criterion.metric == "cost_per_success":
        return _read_cost_per_success(evidence, pairs, criterion, successes=successes, alpha=alpha)
    if math.fsum(incumbent) <= 0:
        return Reading(n=n, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason="incumbent_costs_nothing")
    common = {
        "n": n,
        "incumbent": math.fsum(incumbent) / n,
        "candidate": math.fsum(candidate) / n,
        "difference": (math.fsum(candidate) - math.fsum(incumbent)) / n,
        "ratio": math.fsum(candidate) / math.fsum(incumbent),
        "missing": pairs.missing,
    }
    if looks is Looks.ONE_LOOK:
        if n < MINIMUM_FOR_RATIO:
            return Reading(**common, method="fieller", reason="too_few")  # type: ignore[arg-type]
        fieller = ratio_of_totals(candidate, incumbent, alpha if level is None else level)
        word = ratio_verdict(fieller.lower, fieller.upper, criterion.max_ratio)
        open_for = "no_spread" if in_proportion(candidate, incumbent) else "wide"
        return Reading(
            **common,  # type: ignore[arg-type]
            lower=fieller.lower,
            upper=fieller.upper,
            method="fieller",
            verdict=word.verdict,
            reason=open_for if word.verdict is Verdict.INCONCLUSIVE else None,
            measurably_lower=bool(word.measurably_lower),
            beyond_margin=bool(word.beyond_margin),
        )
    return _read_cost_sequence(pairs, criterion, common, alpha=alpha, t_star=t_star)


def _read_cost_sequence(
    pairs: Pairs, criterion: Criterion, common: dict[str, float], *, alpha: float, t_star: float
) -> Reading:
    """At every look: the asymptotic sequence on candidate - r x incumbent, shown as a ratio."""
    n, r = len(pairs.places), criterion.max_ratio or 1.0
    if n < MINIMUM_FOR_SEQUENCE:
        return Reading(**common, method="asymptotic_cs", reason="too_few")  # type: ignore[arg-type]

    def limits(ratio: float) -> tuple[float, float]:
        values = (pairs.candidate - ratio * pairs.incumbent).tolist()
        mean = math.fsum(values) / n
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
        sequence = asymptotic_cs(n=n, mean=mean, sd=sd, alpha=alpha, t_star=t_star)
        return (
            -math.inf if sequence.lower is None else sequence.lower,
            math.inf if sequence.upper is None else sequence.upper,
        )

    low_r, high_r = limits(r)
    low_1, high_1 = limits(min(r, 1.0))
    if high_1 < 0:
        word = Verdict.BETTER
    elif high_r < 0:
        word = Verdict.NON_INFERIOR
    elif low_1 > 0:
        word = Verdict.WORSE
    else:
        word = Verdict.INCONCLUSIVE
    base = common["incumbent"] or 1.0
    return Reading(
        **common,  # type: ignore[arg-type]
        lower=None if low_r == -math.inf else r + low_r / base,
        upper=None if high_r == math.inf else r + high_r / base,
        method="asymptotic_cs",
        verdict=word,
        reason=None if word is not Verdict.INCONCLUSIVE else "no_spread" if math.inf in (high_r, high_1) else "wide",
    )


def _read_cost_per_success(
    evidence: Evidence, pairs: Pairs, criterion: Criterion, *, successes: str | None, alpha: float
) -> Reading:
    """Errors cost and solve nothing: money over solved tasks, by a paired bootstrap of whole samples."""

    def solved(arm: ArmEvidence) -> Column:
        if successes is not None:
            return np.nan_to_num(arm.scores[successes][pairs.places])
        return 1.0 - np.nan_to_num(arm.failure[pairs.places])

    n = len(pairs.places)
    columns = np.array([pairs.candidate, solved(evidence.candidate), pairs.incumbent, solved(evidence.incumbent)])
    total = columns.sum(axis=1)
    if total[1] <= 0 or total[3] <= 0 or total[2] <= 0:
        return Reading(n=n, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason="no_success")
    candidate, incumbent = float(total[0] / total[1]), float(total[2] / total[3])
    lower = upper = None
    if n >= MINIMUM_FOR_RATIO:
        ratios = [
            drawn[0] / drawn[1] * drawn[3] / drawn[2]
            for drawn in resampled_totals(columns, 2000)
            if drawn[1] > 0 and drawn[2] > 0 and drawn[3] > 0
        ]
        lower, upper = (float(limit) for limit in np.quantile(ratios, [alpha / 2, 1 - alpha / 2]))
    open_for = "too_few" if lower is None or upper is None else "wide"
    if lower is not None and upper is not None and upper - lower <= _ROUNDING * upper:
        # Every draw gave the same: no interval has width zero.
        lower, upper, open_for = None, None, "no_spread"
    word = ratio_verdict(lower, upper, criterion.max_ratio or 1.0)
    return Reading(
        n=n,
        incumbent=incumbent,
        candidate=candidate,
        difference=candidate - incumbent,
        ratio=candidate / incumbent,
        lower=lower,
        upper=upper,
        method="paired_bootstrap",
        missing=pairs.missing,
        verdict=word.verdict,
        reason=open_for if word.verdict is Verdict.INCONCLUSIVE else None,
    )


QUANTILES: dict[str, tuple[Callable[[ArmEvidence], Column], float]] = {
    "latency_p50_ms": (lambda arm: arm.latency_ms, 0.5),
    "latency_p95_ms": (lambda arm: arm.latency_ms, 0.95),
    "ttft_p95_ms": (lambda arm: arm.ttft_ms, 0.95),
}


def _read_quantile(evidence: Evidence, criterion: Criterion, *, alpha: float) -> Reading:
    """A latency percentile: failures rank last, pairs are resampled together."""
    values, q = QUANTILES[criterion.metric]
    pairs = paired_values(evidence, values)
    n = len(pairs.places)
    if n == 0:
        reason = "no_pairs" if evidence.n == 0 else "not_measured"
        return Reading(n=0, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason=reason)
    read = paired_quantile_ratio(pairs.incumbent, pairs.candidate, q, alpha=alpha)
    word = ratio_verdict(read.lower, read.upper, criterion.max_ratio or 1.0)
    few = n < MINIMUM_FOR_QUANTILE
    difference = None if read.candidate is None or read.incumbent is None else read.candidate - read.incumbent
    decided = Verdict.INCONCLUSIVE if few else word.verdict
    return Reading(
        n=n,
        incumbent=read.incumbent,
        candidate=read.candidate,
        difference=difference,
        ratio=read.ratio,
        lower=read.lower,
        upper=read.upper,
        method="paired_bootstrap",
        missing=pairs.missing,
        verdict=decided,
        reason=None if decided is not Verdict.INCONCLUSIVE else "too_few" if few else "wide",
        measurably_lower=bool(word.measurably_lower),
    )
