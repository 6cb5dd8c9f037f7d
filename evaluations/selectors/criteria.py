"""One criterion read from evidence: numbers, interval, word. Pure functions over ``Evidence``.

Public surface: ``Criterion``, ``Reading``, ``read_score``, ``read_failure_rate``, ``read_ratio``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from evaluations.enums import CriterionRole, Looks, Verdict
from evaluations.selectors.evidence import ArmEvidence, Evidence
from evaluations.statistics.noninferiority import ratio_verdict, verdict
from evaluations.statistics.paired import clustered_mean, paired_binary, paired_mean
from evaluations.statistics.proportions import rate
from evaluations.statistics.quantiles import paired_quantile_ratio
from evaluations.statistics.ratios import ratio_of_totals
from evaluations.statistics.results import PairedBinary
from evaluations.statistics.sequential import Counts, asymptotic_cs, betting_cs

# STATISTICS: a p95 gate needs 200 calls, any cost sequence 100 units, a Fieller interval 30.
MINIMUM_FOR_QUANTILE = 200
MINIMUM_FOR_SEQUENCE = 100
MINIMUM_FOR_RATIO = 30
MINIMUM_CLUSTERS = 5
MISSING_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a frozen plan."""

    metric: str
    role: CriterionRole
    margin: float | None
    max_ratio: float | None
    scorer: str | None  # plugin behind the metric; None for what is measured on every call
    binary: bool = False
    lower_is_better: bool = False


class Table(NamedTuple):
    """Pass/fail of both arms over the same samples."""

    both_pass: int
    candidate_only: int
    incumbent_only: int
    neither: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What the evidence says on one criterion. The limits bound ``ratio`` where that is set, else ``difference``."""

    n: int
    n_clusters: int | None = None
    incumbent: float | None = None
    candidate: float | None = None
    difference: float | None = None
    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    method: str = ""
    table: Table | None = None
    newcombe: tuple[float, float] | None = None
    mcnemar_exact_p: float | None = None
    mcnemar_midp: float | None = None
    incumbent_wilson: tuple[float, float] | None = None
    candidate_wilson: tuple[float, float] | None = None
    missing: int = 0
    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str | None = None
    measurably_lower: bool = False
    beyond_margin: bool = False
    per_protocol: dict[str, float | int | str | None] | None = None


class _Interval(NamedTuple):
    difference: float | None
    lower: float | None
    upper: float | None
    method: str
    n_clusters: int | None
    reason: str | None = None
    from_table: bool = False  # the limits are of pass rates

    def mirrored(self) -> _Interval:
        """The same interval for rates of failure."""
        lower, upper = (None if limit is None else -limit for limit in (self.upper, self.lower))
        return self._replace(difference=-(self.difference or 0.0), lower=lower, upper=upper)


def read_score(evidence: Evidence, criterion: Criterion, *, looks: Looks, alpha: float) -> Reading:
    """A scorer's metric: counted (failures are failed answers), with the per-protocol reading beside it."""
    key = criterion.metric
    counted = _pairs(evidence, lambda arm: arm.scores[key])
    reading = _read(evidence, counted, criterion, looks=looks, alpha=alpha)
    protocol = _pairs(evidence, lambda arm: arm.answered_scores[key])
    beside = _read(evidence, protocol, criterion, looks=looks, alpha=alpha)
    reading = replace(
        reading,
        per_protocol={
            "n": beside.n,
            "difference": beside.difference,
            "lower": beside.lower,
            "upper": beside.upper,
            "verdict": str(beside.verdict),
        },
    )
    passed = (Verdict.BETTER, Verdict.NON_INFERIOR)
    if reading.verdict in passed and beside.verdict not in passed and beside.n:
        return replace(reading, verdict=Verdict.INCONCLUSIVE, reason="sensitive")
    return reading


def read_failure_rate(evidence: Evidence, criterion: Criterion, *, looks: Looks, alpha: float) -> Reading:
    """Share of samples that the vendor failed to answer, paired; lower is better."""
    return _read(evidence, _pairs(evidence, lambda arm: arm.failure), criterion, looks=looks, alpha=alpha)


class _Pairs(NamedTuple):
    places: list[int]  # positions in the evidence
    incumbent: list[float]
    candidate: list[float]
    missing: int


def _pairs(evidence: Evidence, values: Callable[[ArmEvidence], Sequence[float | None]]) -> _Pairs:
    index, left, right = [], [], []
    for i, (a, b) in enumerate(zip(values(evidence.incumbent), values(evidence.candidate), strict=True)):
        if a is not None and b is not None:
            index.append(i)
            left.append(a)
            right.append(b)
    return _Pairs(index, left, right, evidence.n - len(index))


def _read(evidence: Evidence, pairs: _Pairs, criterion: Criterion, *, looks: Looks, alpha: float) -> Reading:
    margin = criterion.margin
    if margin is None:
        raise ValueError(f"{criterion.metric} has no margin")
    n = len(pairs.places)
    if n == 0:
        return Reading(n=0, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason="no_pairs")
    binary = criterion.binary and all(value in (0.0, 1.0) for value in (*pairs.incumbent, *pairs.candidate))
    table = _table(pairs, failures=criterion.lower_is_better) if binary else None
    clusters = [evidence.clusters[i] for i in pairs.places]
    interval = _interval(pairs, table, clusters, looks=looks, alpha=alpha)
    if table is not None and interval.from_table and criterion.lower_is_better:
        interval = interval.mirrored()
    word = verdict(interval.lower, interval.upper, margin, criterion.lower_is_better)
    reason = interval.reason
    decided = word.verdict
    if reason is not None:
        decided = Verdict.INCONCLUSIVE
    elif decided is Verdict.INCONCLUSIVE:
        reason = "too_few" if _tie_is_not_enough(n, margin, looks=looks, alpha=alpha) else "wide"
    if decided is not Verdict.INCONCLUSIVE and _missing_matters(pairs, table, criterion, alpha=alpha, word=decided):
        decided, reason = Verdict.INCONCLUSIVE, "missing"
    exact = None if table is None else paired_binary(**table._asdict(), alpha=alpha)
    return Reading(
        n=n,
        n_clusters=interval.n_clusters,
        incumbent=math.fsum(pairs.incumbent) / n,
        candidate=math.fsum(pairs.candidate) / n,
        difference=interval.difference,
        lower=interval.lower,
        upper=interval.upper,
        method=interval.method,
        table=table,
        newcombe=None if exact is None else _newcombe(exact, mirrored=criterion.lower_is_better),
        mcnemar_exact_p=None if exact is None else exact.mcnemar_exact_p,
        mcnemar_midp=None if exact is None else exact.mcnemar_midp,
        incumbent_wilson=None if table is None else _wilson(pairs.incumbent, alpha),
        candidate_wilson=None if table is None else _wilson(pairs.candidate, alpha),
        missing=pairs.missing,
        verdict=decided,
        reason=reason,
        measurably_lower=bool(word.measurably_lower),
        beyond_margin=bool(word.beyond_margin),
    )


def _interval(pairs: _Pairs, table: Table | None, clusters: Sequence[str], *, looks: Looks, alpha: float) -> _Interval:
    """The one interval for this kind of metric: fixed at one look, else valid at every look."""
    sizes = Counter(clusters)
    clustered = len(sizes) < len(clusters)
    differences = [b - a for a, b in zip(pairs.incumbent, pairs.candidate, strict=True)]
    mean = math.fsum(differences) / len(differences)
    if clustered and len(sizes) < MINIMUM_CLUSTERS:
        return _Interval(mean, None, None, "none", len(sizes), "too_few_clusters")
    if looks is Looks.ONE_LOOK:
        if clustered:
            by_cluster = clustered_mean(diff=differences, cluster=list(clusters), alpha=alpha)
            return _Interval(mean, by_cluster.lower, by_cluster.upper, "clustered_cr3", len(sizes))
        if table is not None:
            exact = paired_binary(**table._asdict(), alpha=alpha)
            return _Interval(exact.diff, exact.lower, exact.upper, "tango", None, from_table=True)
        if len(differences) < 2:
            return _Interval(mean, None, None, "none", None, "too_few")
        graded = paired_mean(incumbent=pairs.incumbent, candidate=pairs.candidate, alpha=alpha)
        return _Interval(mean, graded.lower, graded.upper, "paired_t", None)
    if clustered:
        sums: dict[str, float] = {}
        for cluster, difference in zip(clusters, differences, strict=True):
            sums[cluster] = sums.get(cluster, 0.0) + difference
        means = [sums[cluster] / size for cluster, size in sizes.items()]
        sequence = betting_cs(diffs=means, alpha=alpha)
        return _Interval(mean, sequence.lower, sequence.upper, "betting_cs_clusters", len(sizes))
    if table is not None:
        counts = Counts(table.candidate_only, table.incumbent_only, table.both_pass + table.neither)
        sequence = betting_cs(counts=counts, alpha=alpha)
        passes = (table.candidate_only - table.incumbent_only) / len(differences)
        return _Interval(passes, sequence.lower, sequence.upper, "betting_cs", None, from_table=True)
    sequence = betting_cs(diffs=differences, alpha=alpha)
    return _Interval(mean, sequence.lower, sequence.upper, "betting_cs", None)


def _table(pairs: _Pairs, *, failures: bool) -> Table:
    """``failures``: the values say who failed, so a pass is a 0."""
    tally = Counter(zip(pairs.incumbent, pairs.candidate, strict=True))
    yes, no = (0.0, 1.0) if failures else (1.0, 0.0)
    return Table(tally[yes, yes], tally[no, yes], tally[yes, no], tally[no, no])


def _wilson(values: Sequence[float], alpha: float) -> tuple[float, float]:
    interval = rate(round(sum(values)), len(values), alpha)
    return interval.wilson_lower, interval.wilson_upper


def _newcombe(exact: PairedBinary, *, mirrored: bool) -> tuple[float, float]:
    if mirrored:
        return -exact.newcombe_upper, -exact.newcombe_lower
    return exact.newcombe_lower, exact.newcombe_upper


def _tie_is_not_enough(n: int, margin: float, *, looks: Looks, alpha: float) -> bool:
    """Whether even n pairs without a single difference could not show non-inferiority."""
    if looks is Looks.ONE_LOOK:
        return paired_binary(both_pass=n, candidate_only=0, incumbent_only=0, neither=0, alpha=alpha).lower <= -margin
    return betting_cs(counts=Counts(0, 0, n), alpha=alpha).lower <= -margin


def _missing_matters(pairs: _Pairs, table: Table | None, criterion: Criterion, *, alpha: float, word: Verdict) -> bool:
    """Over 5 % of pairs left out, and the word would change if all of them had gone one way."""
    if (
        table is None
        or criterion.margin is None
        or pairs.missing <= MISSING_SHARE * (pairs.missing + len(pairs.places))
    ):
        return False
    for extreme in (
        table._replace(incumbent_only=table.incumbent_only + pairs.missing),
        table._replace(candidate_only=table.candidate_only + pairs.missing),
    ):
        bound = paired_binary(**extreme._asdict(), alpha=alpha)
        # The table is of passes, whatever the criterion counts: higher is better.
        if verdict(bound.lower, bound.upper, criterion.margin).verdict is not word:
            return True
    return False


def read_ratio(
    evidence: Evidence, criterion: Criterion, *, looks: Looks, alpha: float, successes: str | None, t_star: float
) -> Reading:
    """Cost or latency of the candidate against the incumbent, same samples; lower is better.

    ``successes`` is the metric that says which answers solved their task, for cost per success.
    """
    if criterion.max_ratio is None:
        raise ValueError(f"{criterion.metric} has no max_ratio")
    if criterion.metric in QUANTILES:
        return _read_quantile(evidence, criterion, alpha=alpha)
    pairs = _pairs(evidence, lambda arm: arm.cost)
    n = len(pairs.places)
    if n == 0 or pairs.missing > MISSING_SHARE * evidence.n:
        reason = "no_pairs" if evidence.n == 0 else "cost_unknown"
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
        fieller = ratio_of_totals(candidate, incumbent, alpha)
        word = ratio_verdict(fieller.lower, fieller.upper, criterion.max_ratio)
        return Reading(
            **common,  # type: ignore[arg-type]
            lower=fieller.lower,
            upper=fieller.upper,
            method="fieller",
            verdict=word.verdict,
            reason="wide" if word.verdict is Verdict.INCONCLUSIVE else None,
            measurably_lower=bool(word.measurably_lower),
            beyond_margin=bool(word.beyond_margin),
        )
    return _read_cost_sequence(pairs, criterion, common, alpha=alpha, t_star=t_star)


def _read_cost_sequence(
    pairs: _Pairs, criterion: Criterion, common: dict[str, float], *, alpha: float, t_star: float
) -> Reading:
    """At every look: the asymptotic sequence on candidate - r x incumbent, shown as a ratio."""
    n, r = len(pairs.places), criterion.max_ratio or 1.0
    if n < MINIMUM_FOR_SEQUENCE:
        return Reading(**common, method="asymptotic_cs", reason="too_few")  # type: ignore[arg-type]

    def limits(ratio: float) -> tuple[float, float]:
        values = [b - ratio * a for a, b in zip(pairs.incumbent, pairs.candidate, strict=True)]
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
        reason="wide" if word is Verdict.INCONCLUSIVE else None,
    )


def _read_cost_per_success(
    evidence: Evidence, pairs: _Pairs, criterion: Criterion, *, successes: str | None, alpha: float
) -> Reading:
    """Errors cost and solve nothing: money over solved tasks, by a paired bootstrap of whole samples."""
    import numpy as np

    def solved(arm: ArmEvidence) -> list[float]:
        if successes is not None:
            return [arm.scores[successes][i] or 0.0 for i in pairs.places]
        return [1.0 - (arm.failure[i] or 0.0) for i in pairs.places]

    n = len(pairs.places)
    columns = np.array([pairs.candidate, solved(evidence.candidate), pairs.incumbent, solved(evidence.incumbent)])
    total = columns.sum(axis=1)
    if total[1] <= 0 or total[3] <= 0 or total[2] <= 0:
        return Reading(n=n, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason="no_success")
    candidate, incumbent = float(total[0] / total[1]), float(total[2] / total[3])
    lower = upper = None
    if n >= MINIMUM_FOR_RATIO:
        generator = np.random.default_rng(0)
        ratios = []
        for _ in range(2000):
            drawn = columns[:, generator.integers(0, n, n)].sum(axis=1)
            if drawn[1] > 0 and drawn[2] > 0 and drawn[3] > 0:
                ratios.append(drawn[0] / drawn[1] * drawn[3] / drawn[2])
        lower, upper = (float(limit) for limit in np.quantile(ratios, [alpha / 2, 1 - alpha / 2]))
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
        reason=None if word.verdict is not Verdict.INCONCLUSIVE else "wide" if lower is not None else "too_few",
    )


QUANTILES: dict[str, tuple[Callable[[ArmEvidence], list[float | None]], float]] = {
    "latency_p50_ms": (lambda arm: arm.latency_ms, 0.5),
    "latency_p95_ms": (lambda arm: arm.latency_ms, 0.95),
    "ttft_p95_ms": (lambda arm: arm.ttft_ms, 0.95),
}


def _read_quantile(evidence: Evidence, criterion: Criterion, *, alpha: float) -> Reading:
    """A latency percentile: failures rank last, pairs are resampled together."""
    values, q = QUANTILES[criterion.metric]
    pairs = _pairs(evidence, values)
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
