"""What the evidence would say at production's mix of segments. Public surface: ``read_weighted``, ``WEIGHT_CAP``.

Exploratory, beside the verdict: the frozen plan compares the samples as they are, and its verdict stays what they say.
Production's mix is that of the workload's pool, into which production's requests are imported or posted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluations.models import ReplayRun, SampleSetMember
from evaluations.selectors.comparisons import criteria_of
from evaluations.selectors.criteria import Criterion, Pairs, paired_values
from evaluations.selectors.evidence import Evidence, runs_until
from evaluations.selectors.sample_mix import VALUES_SHOWN, pool_mix
from evaluations.selectors.sentences import label_of, points
from evaluations.statistics.weighting import post_stratified

WEIGHT_CAP = 5.0  # of one sample
MINIMUM = 30  # samples, for limits
SEGMENTS = 10  # at the most, by name
_OTHERS = ""  # the values that are too rare to stand alone
_ROUNDING = 1e-9


def read_weighted(run: ReplayRun, evidence: Evidence) -> list[dict[str, Any]]:
    """Each criterion of a difference by each segment, at the mix of the pool as it is now; none without segments.

    Two queries, and eight bytes a sample and segment.
    """
    found = _segments(run, evidence)
    if not found:
        return []
    in_pool, size = pool_mix(run.plan_version.plan.workload_id)
    document = run.plan_version.document
    rows: list[dict[str, Any]] = []
    for criterion in criteria_of(document):
        if criterion.margin is None or not (criterion.scorer or criterion.metric == "failure_rate"):
            continue
        pairs = _pairs(evidence, criterion)
        for segment in sorted(found)[:SEGMENTS]:
            values, codes = found[segment]
            weighted = _weighted(
                criterion, evidence, pairs, values, codes, in_pool.get(segment, Counter()), size, document
            )
            if weighted is not None:
                rows.append({"metric": criterion.metric, "segment": segment, **weighted})
    return rows


def _segments(run: ReplayRun, evidence: Evidence) -> dict[str, tuple[list[str | None], NDArray[np.int64]]]:
    """By segment, the values that occur and for each sample the place of its own; the first stands for no value."""
    sets = runs_until(run).order_by().values("sample_set").distinct()
    members = SampleSetMember.objects.filter(sample_set__in=sets).exclude(sample__segments={}).order_by()
    places: dict[str, dict[str | None, int]] = {}
    codes: dict[str, NDArray[np.int64]] = {}
    for sample, segments in members.values_list("sample_id", "sample__segments").iterator(chunk_size=2000):
        at = int(np.searchsorted(evidence.samples, sample))
        if at == evidence.n or evidence.samples[at] != sample:
            continue  # not answered
        for segment, value in segments.items():
            if segment not in places:
                places[segment], codes[segment] = {None: 0}, np.zeros(evidence.n, dtype=np.int64)
            codes[segment][at] = places[segment].setdefault(value, len(places[segment]))
    return {segment: (list(of), codes[segment]) for segment, of in places.items()}


def _pairs(evidence: Evidence, criterion: Criterion) -> Pairs:
    if criterion.scorer is None:
        return paired_values(evidence, lambda arm: arm.failure)
    return paired_values(evidence, lambda arm: arm.scores[criterion.metric])


def _weighted(
    criterion: Criterion,
    evidence: Evidence,
    pairs: Pairs,
    values: list[str | None],
    codes: NDArray[np.int64],
    in_pool: Counter[str | None],
    size: int,
    document: Mapping[str, Any],
) -> dict[str, Any] | None:
    n = len(pairs.places)
    if n == 0 or size == 0:
        return None
    own = codes[pairs.places]
    names, stratum = _strata(values, own, in_pool)
    if len(names) < 2:
        return None
    alone = {name for name in names if name != _OTHERS}
    merged = {values[code] for code in np.unique(own).tolist()} - alone
    together = sum(in_pool[each] for each in merged)
    shares = [(together if name == _OTHERS else in_pool[name]) / size for name in names]
    if min(shares) <= 0:
        return None  # the pool has lost what was answered
    clusters = evidence.clusters[pairs.places]
    read = post_stratified(
        diffs=pairs.candidate - pairs.incumbent,
        strata=stratum,
        shares=shares,
        clusters=clusters if len(np.unique(clusters)) < n else None,
        cap=WEIGHT_CAP,
        alpha=float(document["alpha"]),
    )
    enough = n >= MINIMUM
    disagrees = _disagree(criterion, read.diff, read.unweighted)
    return {
        "n": n,
        "effective_n": read.effective_n,
        "unweighted": read.unweighted,
        "difference": read.diff,
        "lower": read.lower if enough else None,
        "upper": read.upper if enough else None,
        "largest_weight": max(read.weights),
        "capped": read.capped,
        "covered": sum(shares),
        "strata": [
            {"value": name, "share": share, "samples": int(count), "weight": weight}
            for name, share, count, weight in zip(names, shares, np.bincount(stratum), read.weights, strict=True)
        ],
        "disagrees": disagrees,
        "sentence": _sentence(criterion, read.diff, read.unweighted, disagrees=disagrees),
    }


def _strata(
    values: list[str | None], own: NDArray[np.int64], in_pool: Counter[str | None]
) -> tuple[list[str | None], NDArray[np.int64]]:
    """Values with two samples and more, the most frequent of the pool; all others together."""
    counts = np.bincount(own, minlength=len(values)).tolist()
    told = [code for code, count in enumerate(counts) if count >= 2]
    told.sort(key=lambda code: (-in_pool[values[code]], values[code] or ""))
    place = {code: at for at, code in enumerate(told[:VALUES_SHOWN])}
    of = np.array([place.get(code, len(place)) for code in range(len(values))], dtype=np.int64)
    stratum = of[own]
    names = [values[code] for code in place]
    return (names if stratum.max() < len(place) else [*names, _OTHERS]), stratum


def _disagree(criterion: Criterion, weighted: float, unweighted: float) -> bool:
    """They point to different sides, or one of them alone is past the margin."""
    if min(abs(weighted), abs(unweighted)) > _ROUNDING and (weighted < 0) != (unweighted < 0):
        return True
    loss = 1 if criterion.lower_is_better else -1
    limit = (criterion.margin or 0.0) + _ROUNDING
    return (loss * weighted > limit) != (loss * unweighted > limit)


def _sentence(criterion: Criterion, weighted: float, unweighted: float, *, disagrees: bool) -> str:
    label = label_of(criterion.metric)
    if not disagrees:
        return f"At production's mix {label} differs by {points(weighted)} points, {points(unweighted)} as sampled."
    return (
        f"The samples say {points(unweighted)} points in {label}, production's mix would say {points(weighted)}:"
        " the set does not stand for production there."
    )
