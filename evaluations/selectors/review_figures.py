"""What reviewers prefer, how far they agree with each other, and each scorer with them.

Public surface: ``METRIC``, ``read_reviews``, ``stored_reviews``, ``preferences_by``; ``Label``, ``labels``,
``against_people``, ``unread_by_people``, ``limits_of``, ``word_of`` for what else prefers one of two answers.

A sample counts once: with what its reviewers agree on, what a third decided, the one answer that there is, or, while
two disagree, with the mean of both. Figures are kept when a batch is closed; nothing is counted again to show them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluations.enums import CriterionRole, Preferred, ReviewChoice, ReviewState, Side, Verdict
from evaluations.models import PlanVersion, Review, ReviewBatch
from evaluations.models.reviews import DISPUTE
from evaluations.selectors.criteria import MINIMUM_CLUSTERS
from evaluations.selectors.evidence import Evidence
from evaluations.selectors.reviewable import preferences, reviewable
from evaluations.selectors.sentences import REASONS, points
from evaluations.statistics.distributions import sign_test
from evaluations.statistics.judges import cohens_kappa, prediction_powered_mean
from evaluations.statistics.noninferiority import verdict
from evaluations.statistics.paired import clustered_mean, paired_mean, tango

METRIC = "human_preference"
_VALUE = {Preferred.CANDIDATE: 1.0, Preferred.INCUMBENT: -1.0, Preferred.BOTH_GOOD: 0.0, Preferred.BOTH_BAD: 0.0}
_WORDS = list(Preferred)


class Label(NamedTuple):
    """One sample that somebody answered."""

    sample_id: int
    cluster: str
    value: float  # 1: the candidate is better, -1: the incumbent, 0: as good or as bad
    settled: bool  # not a dispute that stands


def read_reviews(version: PlanVersion, method: ReviewChoice, evidence: Evidence) -> dict[str, Any]:
    """Of all closed batches of ``version`` that were chosen by ``method``; the document that is kept and shown.

    Only samples that were chosen at random say what people would prefer of all of them; of others the document counts,
    and its interval is of those samples.
    """
    batches, of_item = _read(version, method)
    reviews = [review for rows in of_item.values() for review in rows]
    judged = [row for rows in of_item.values() if (row := _label(rows)) is not None]
    states = Counter(rows[0].item.state for rows in of_item.values())
    words = Counter(rows[0].item.preferred for rows in of_item.values() if rows[0].item.preferred)
    alpha = float(version.document["alpha"])
    return {
        **_preference(version, judged, alpha=alpha),
        "method_of_choice": str(method),
        "batches": batches,
        "samples": len(of_item),
        "unanswered": len(of_item) - len(judged),
        "disputed": states[ReviewState.DISPUTED],
        "resolved": states[ReviewState.RESOLVED],
        "words": {str(word): words[word] for word in _WORDS},
        "reviewers": len({review.reviewer_id for review in reviews if review.side}),
        "agreement": _agreement(of_item.values()),
        "sides": _sides(reviews),
        "scorers": [
            _scorer(version, method, entry["key"], judged, evidence, alpha=alpha)
            for entry in version.document["scorers"]
        ],
    }


def labels(version: PlanVersion, method: ReviewChoice) -> list[Label]:
    """What people said of each sample of the closed batches that were chosen by ``method``."""
    _, of_item = _read(version, method)
    return [row for rows in of_item.values() if (row := _label(rows)) is not None]


def _read(version: PlanVersion, method: ReviewChoice) -> tuple[int, dict[int, list[Review]]]:
    """How many closed batches there are, and their reviews by item."""
    batches = ReviewBatch.objects.filter(plan_version=version, method=method, closed_at__isnull=False)
    reviews = (
        Review.objects.filter(item__batch__in=batches)
        .select_related("item__sample")
        .only("place", "candidate_left", "side", "reviewer", "item__state", "item__preferred", "item__sample__cluster")
        .order_by("item", "place")
    )
    of_item: dict[int, list[Review]] = {}
    for review in reviews:
        of_item.setdefault(review.item_id, []).append(review)
    return batches.count(), of_item


def stored_reviews(version: PlanVersion, *, until: datetime | None = None) -> dict[ReviewChoice, Mapping[str, Any]]:
    """By way of choosing: what the batches that were closed by ``until`` said together."""
    closed = ReviewBatch.objects.filter(plan_version=version, document__isnull=False)
    if until is not None:
        closed = closed.filter(closed_at__lte=until)
    return {batch.method: batch.document or {} for batch in closed.order_by("closed_at", "id")}


def preferences_by(versions: Iterable[int], *, until: datetime) -> dict[int, Mapping[str, Any]]:
    """By plan version: what people said of samples chosen at random, as of the last batch that was closed by then."""
    closed = ReviewBatch.objects.filter(
        plan_version__in=versions, method=ReviewChoice.RANDOM, document__isnull=False, closed_at__lte=until
    )
    rows = closed.order_by("closed_at", "id").values_list("plan_version", "document")
    return {version: document for version, document in rows if document is not None}


def _label(reviews: Sequence[Review]) -> Label | None:
    item = reviews[0].item
    said = [review.preferred for review in reviews if review.place < DISPUTE]
    values = [_VALUE[item.preferred]] if item.preferred else [_VALUE[word] for word in said if word is not None]
    if not values:
        return None
    settled = item.state is not ReviewState.DISPUTED
    return Label(item.sample_id, item.sample.cluster, float(np.mean(values)), settled)


def _preference(version: PlanVersion, judged: Sequence[Label], *, alpha: float) -> dict[str, Any]:
    """The metric's row, in the terms of a comparison document."""
    values = np.array([row.value for row in judged])
    agreed = next((entry for entry in version.document["criteria"] if entry["metric"] == METRIC), None)
    margin = None if agreed is None or agreed["margin"] is None else float(agreed["margin"])
    difference = float(values.mean()) if len(values) else None
    lower, upper, method, groups, reason = limits_of(judged, values, alpha=alpha)
    word = Verdict.NOT_COMPUTABLE if difference is None else word_of(lower, upper, margin)
    if word is Verdict.INCONCLUSIVE:
        reason = reason or "wide"
    return {
        "metric": METRIC,
        "role": str(CriterionRole.ADVISORY if agreed is None else agreed["role"]),
        "after_the_fact": agreed is None or version.after_the_fact,
        "n": len(judged),
        "n_clusters": groups,
        "incumbent": float(np.maximum(-values, 0).mean()) if len(values) else None,
        "candidate": float(np.maximum(values, 0).mean()) if len(values) else None,
        "difference": difference,
        "lower": lower,
        "upper": upper,
        "method": method,
        "margin": margin,
        "verdict": str(word),
        "reason": reason,
        "sentence": _sentence(version, len(judged), difference, lower, upper, word, reason),
    }


def limits_of(
    judged: Sequence[Label], values: NDArray[np.float64], *, alpha: float
) -> tuple[float | None, float | None, str, int | None, str | None]:
    """Limits of the mean, method, number of groups, and why there are none."""
    if not len(values):
        return None, None, "none", None, "no_reviews"
    groups = [row.cluster or f"\0{row.sample_id}" for row in judged]
    if len(set(groups)) < len(groups):
        count = len(set(groups))
        if count < MINIMUM_CLUSTERS:
            return None, None, "none", count, "too_few_clusters"
        spread = clustered_mean(diff=values, cluster=groups, alpha=alpha)
        return spread.lower, spread.upper, "cr3", count, None if spread.lower is not None else "no_spread"
    if np.isin(values, (-1, 0, 1)).all():
        wins, losses = int((values == 1).sum()), int((values == -1).sum())
        return *tango(wins=wins, losses=losses, n=len(values), alpha=alpha), "tango", None, None
    if len(values) < 2:
        return None, None, "none", None, "too_few"
    graded = paired_mean(incumbent=np.zeros(len(values)), candidate=values, alpha=alpha)
    return graded.lower, graded.upper, "paired_t", None, None if graded.lower is not None else "no_spread"


def word_of(lower: float | None, upper: float | None, margin: float | None) -> Verdict:
    """Without a margin that was agreed before, only what is shown to be better or worse has a word."""
    if margin is not None:
        return verdict(lower, upper, margin).verdict
    if lower is not None and lower > 0:
        return Verdict.BETTER
    return Verdict.WORSE if upper is not None and upper < 0 else Verdict.INCONCLUSIVE


def _sentence(
    version: PlanVersion,
    n: int,
    difference: float | None,
    lower: float | None,
    upper: float | None,
    word: Verdict,
    reason: str | None,
) -> str:
    if difference is None:
        return "Not computable: nobody has answered."
    arms = version.document["arms"]
    incumbent, candidate = arms["incumbent"]["model"], arms["candidate"]["model"]
    samples = f"{n:,} sample{'' if n == 1 else 's'} read blind"
    basis = f"95 % interval {points(lower)} to {points(upper)} points, {samples}"
    if word in (Verdict.BETTER, Verdict.WORSE):
        first, second = (candidate, incumbent) if word is Verdict.BETTER else (incumbent, candidate)
        return f"Reviewers prefer {first} to {second} by {100 * abs(difference):.1f} points ({basis})."
    if word is Verdict.NON_INFERIOR:
        return f"Reviewers prefer {incumbent} by no more than the agreed margin ({basis})."
    return f"Not yet known which model reviewers prefer ({basis}; {REASONS.get(reason or '', 'unknown')})."


def _agreement(items: Iterable[Sequence[Review]]) -> dict[str, Any]:
    """Of the first and the second reader, in all four words; disputes that a third resolved included."""
    table = [[0] * len(_WORDS) for _ in _WORDS]
    for reviews in items:
        said = [review.preferred for review in reviews if review.place < DISPUTE]
        if len(said) == 2 and said[0] is not None and said[1] is not None:
            table[_WORDS.index(said[0])][_WORDS.index(said[1])] += 1
    n = sum(map(sum, table))
    if not n:
        return {"n": 0, "agreed": None, "kappa": None}
    found = cohens_kappa(table)
    return {"n": n, "agreed": found.agreement, "kappa": found.kappa}


def _sides(reviews: Sequence[Review]) -> dict[str, Any]:
    """Whether the side of the screen was preferred, whatever stood there."""
    said = Counter(review.side for review in reviews if review.side)
    left, right = said[Side.LEFT], said[Side.RIGHT]
    return {"left": left, "right": right, "p": sign_test(left, right)}


def _scorer(
    version: PlanVersion,
    method: ReviewChoice,
    key: str,
    judged: Sequence[Label],
    evidence: Evidence,
    *,
    alpha: float,
) -> dict[str, Any]:
    """How often a scorer prefers what people prefer, and, from a random part, what people would say of all samples."""
    signs = preferences(evidence, key)
    scored = {int(evidence.samples[place]): float(signs[place]) for place in np.flatnonzero(~np.isnan(signs))}
    clustered = len(np.unique(evidence.clusters)) < evidence.n
    rest = None
    if method is ReviewChoice.RANDOM and not clustered:
        rest = unread_by_people(version, judged, scored)
    return {"key": key, **against_people(judged, scored, rest, alpha=alpha)}


def unread_by_people(version: PlanVersion, judged: Sequence[Label], said: Mapping[int, float]) -> list[float]:
    """What was ``said`` of the samples that people could have read and have not."""
    known = {row.sample_id for row in judged}
    readable = set(reviewable(version).order_by().values_list("sample_id", flat=True).iterator(chunk_size=2000))
    return [sign for pk, sign in said.items() if pk not in known and pk in readable]


def against_people(
    judged: Sequence[Label], said: Mapping[int, float], rest: Sequence[float] | None, *, alpha: float
) -> dict[str, Any]:
    """Agreement of what was ``said`` by sample (from -1, the incumbent, to 1) with people, and what they would say of
    all samples: from ``rest``, what was said of those that they have not read; None: what they read is no random part.
    """
    pairs = [(row, said[row.sample_id]) for row in judged if row.sample_id in said]
    table = [[0] * 3 for _ in range(3)]
    for row, sign in pairs:
        if row.settled:
            table[int(np.sign(row.value)) + 1][int(np.sign(sign)) + 1] += 1
    n = sum(map(sum, table))
    found = cohens_kappa(table) if n else None
    estimate: dict[str, Any] = {"estimate": None, "lower": None, "upper": None, "rest": 0}
    if rest and len(pairs) > 1:
        powered = prediction_powered_mean(
            human=[row.value for row, _ in pairs],
            judge_on_human=[sign for _, sign in pairs],
            judge_rest=rest,
            alpha=alpha,
        )
        estimate = {"estimate": powered.estimate, "lower": powered.lower, "upper": powered.upper, "rest": len(rest)}
    return {
        "n": n,
        "agreed": None if found is None else found.agreement,
        "kappa": None if found is None else found.kappa,
        **estimate,
    }
