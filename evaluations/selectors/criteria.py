"""Criteria of a difference: scores and failure rates, read from evidence. Pure functions over ``Evidence``.

Public surface: ``Criterion``, ``Reading``, ``read_score``, ``read_failure_rate``; ``Pairs``, ``paired_values`` and
``costs_are_known`` for the criteria of a ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluations.enums import CriterionRole, Looks, Verdict
from evaluations.selectors.evidence import ArmEvidence, Column, Evidence
from evaluations.selectors.planned_looks import Look
from evaluations.statistics.noninferiority import verdict
from evaluations.statistics.paired import clustered_mean, paired_binary, paired_mean
from evaluations.statistics.proportions import wilson
from evaluations.statistics.results import PairedBinary
from evaluations.statistics.sequential import Counts, betting_cs

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
    look: Look | None = None  # the planned check it was read at


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


def read_score(
    evidence: Evidence, criterion: Criterion, *, looks: Looks, alpha: float, level: float | None = None
) -> Reading:
    """A scorer's metric: counted (failures are failed answers), with the per-protocol reading beside it.

    ``level``: that of the interval where it is another than ``alpha``, at a planned check.
    """
    key = criterion.metric
    counted = paired_values(evidence, lambda arm: arm.scores[key])
    reading = _read(evidence, counted, criterion, looks=looks, alpha=alpha, level=level)
    protocol = paired_values(evidence, lambda arm: arm.answered_scores[key])
    beside = _read(evidence, protocol, criterion, looks=looks, alpha=alpha, level=level)
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


def read_failure_rate(
    evidence: Evidence, criterion: Criterion, *, looks: Looks, alpha: float, level: float | None = None
) -> Reading:
    """Share of samples that the vendor failed to answer, paired; lower is better."""
    failures = paired_values(evidence, lambda arm: arm.failure)
    return _read(evidence, failures, criterion, looks=looks, alpha=alpha, level=level)


class Pairs(NamedTuple):
    places: NDArray[np.intp]  # positions in the evidence
    incumbent: Column
    candidate: Column
    missing: int


def paired_values(evidence: Evidence, values: Callable[[ArmEvidence], Column]) -> Pairs:
    """The samples for which ``values`` is known for both arms."""
    left, right = values(evidence.incumbent), values(evidence.candidate)
    places = np.flatnonzero(~(np.isnan(left) | np.isnan(right)))
    return Pairs(places, left[places], right[places], evidence.n - len(places))


def costs_are_known(evidence: Evidence, known: int) -> bool:
    """Whether the costs of ``known`` samples speak for all that both arms answered or failed.

    A sample that was left out (no recorded answer, not permitted, an error of our own) has no cost to be known.
    """
    counted = len(paired_values(evidence, lambda arm: arm.failure).places)
    return known > 0 and counted - known <= MISSING_SHARE * counted


def _read(
    evidence: Evidence, pairs: Pairs, criterion: Criterion, *, looks: Looks, alpha: float, level: float | None
) -> Reading:
    """The verdict follows from the interval at ``level``; what is shown beside it is at ``alpha``."""
    margin, decides_at = criterion.margin, alpha if level is None else level
    if margin is None:
        raise ValueError(f"{criterion.metric} has no margin")
    n = len(pairs.places)
    if n == 0:
        return Reading(n=0, missing=pairs.missing, verdict=Verdict.NOT_COMPUTABLE, reason="no_pairs")
    binary = criterion.binary and all(np.isin(side, (0.0, 1.0)).all() for side in (pairs.incumbent, pairs.candidate))
    table = _table(pairs, failures=criterion.lower_is_better) if binary else None
    interval = _interval(pairs, table, evidence.clusters[pairs.places], looks=looks, alpha=decides_at)
    if table is not None and interval.from_table and criterion.lower_is_better:
        interval = interval.mirrored()
    word = verdict(interval.lower, interval.upper, margin, criterion.lower_is_better)
    reason = interval.reason
    decided = word.verdict
    if reason is not None:
        decided = Verdict.INCONCLUSIVE
    elif decided is Verdict.INCONCLUSIVE:
        reason = "too_few" if _tie_is_not_enough(n, margin, looks=looks, alpha=decides_at) else "wide"
        if interval.lower is None and interval.upper is None:
            reason = "no_spread"
    if decided is not Verdict.INCONCLUSIVE and _missing_matters(
        pairs, table, criterion, alpha=decides_at, word=decided
    ):
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


def _interval(
    pairs: Pairs, table: Table | None, clusters: NDArray[np.int64], *, looks: Looks, alpha: float
) -> _Interval:
    """The one interval for this kind of metric: fixed at one look, else valid at every look."""
    differences = pairs.candidate - pairs.incumbent
    names, codes, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    clustered = len(names) < len(clusters)
    mean = math.fsum(differences) / len(differences)
    if clustered and len(names) < MINIMUM_CLUSTERS:
        return _Interval(mean, None, None, "none", len(names), "too_few_clusters")
    if looks is Looks.ONE_LOOK:
        if clustered:
            by_cluster = clustered_mean(diff=differences, cluster=codes.tolist(), alpha=alpha)
            return _Interval(mean, by_cluster.lower, by_cluster.upper, "clustered_cr3", len(names))
        if table is not None:
            exact = paired_binary(**table._asdict(), alpha=alpha)
            return _Interval(exact.diff, exact.lower, exact.upper, "tango", None, from_table=True)
        if len(differences) < 2:
            return _Interval(mean, None, None, "none", None, "too_few")
        graded = paired_mean(incumbent=pairs.incumbent, candidate=pairs.candidate, alpha=alpha)
        return _Interval(mean, graded.lower, graded.upper, "paired_t", None)
    if clustered:
        means = np.bincount(codes, weights=differences) / sizes
        sequence = betting_cs(diffs=means, alpha=alpha)
        return _Interval(mean, sequence.lower, sequence.upper, "betting_cs_clusters", len(names))
    if table is not None:
        counts = Counts(table.candidate_only, table.incumbent_only, table.both_pass + table.neither)
        sequence = betting_cs(counts=counts, alpha=alpha)
        passes = (table.candidate_only - table.incumbent_only) / len(differences)
        return _Interval(passes, sequence.lower, sequence.upper, "betting_cs", None, from_table=True)
    sequence = betting_cs(diffs=differences, alpha=alpha)
    return _Interval(mean, sequence.lower, sequence.upper, "betting_cs", None)


def _table(pairs: Pairs, *, failures: bool) -> Table:
    """``failures``: the values say who failed, so a pass is a 0."""
    before, after = (side == (0.0 if failures else 1.0) for side in (pairs.incumbent, pairs.candidate))
    cells = (before & after, ~before & after, before & ~after, ~before & ~after)
    return Table(*(int(np.count_nonzero(cell)) for cell in cells))


def _wilson(values: Column, alpha: float) -> tuple[float, float]:
    return wilson(int(np.count_nonzero(values)), len(values), alpha)


def _newcombe(exact: PairedBinary, *, mirrored: bool) -> tuple[float, float]:
    if mirrored:
        return -exact.newcombe_upper, -exact.newcombe_lower
    return exact.newcombe_lower, exact.newcombe_upper


def _tie_is_not_enough(n: int, margin: float, *, looks: Looks, alpha: float) -> bool:
    """Whether even n pairs without a single difference could not show non-inferiority."""
    if looks is Looks.ONE_LOOK:
        return paired_binary(both_pass=n, candidate_only=0, incumbent_only=0, neither=0, alpha=alpha).lower <= -margin
    return betting_cs(counts=Counts(0, 0, n), alpha=alpha).lower <= -margin


def _missing_matters(pairs: Pairs, table: Table | None, criterion: Criterion, *, alpha: float, word: Verdict) -> bool:
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
