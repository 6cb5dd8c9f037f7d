"""What of a plan version's answers people can compare. Public surface: ``Pair``, ``reviewable``, ``chosen``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from django.db.models import Exists, Max, OuterRef, QuerySet

from evaluations.capture.sampling import take
from evaluations.enums import ANSWERED, ArmRole, Flip, ReviewChoice
from evaluations.models import Completion, PlanVersion, ReviewItem
from evaluations.selectors.evidence import ENDED, Evidence, evidence_for

_AT_ONCE = 500


class Pair(NamedTuple):
    sample_id: int
    incumbent_id: int  # completions
    candidate_id: int


def reviewable(version: PlanVersion) -> QuerySet[Completion]:
    """The candidate's first answers of ended runs where both arms' answers can still be read."""
    theirs = Completion.objects.filter(
        arm__run=OuterRef("arm__run"),
        arm__role=ArmRole.INCUMBENT,
        position=OuterRef("position"),
        repeat=0,
        outcome__in=ANSWERED,
        content__isnull=False,
    )
    return Completion.objects.filter(
        Exists(theirs),
        arm__run__plan_version=version,
        arm__run__status__in=ENDED,
        arm__role=ArmRole.CANDIDATE,
        repeat=0,
        outcome__in=ANSWERED,
        content__isnull=False,
    )


def chosen(version: PlanVersion, *, method: ReviewChoice, size: int, seed: int) -> tuple[list[Pair], int]:
    """``size`` pairs in seeded order, and how many there were to choose from; one pair a sample, its newest.

    What an earlier batch of the same method asked is not asked again: random batches stay a random part of the whole.
    """
    found = reviewable(version)
    if method is ReviewChoice.FLIPS:
        found = found.exclude(flip=Flip.NONE)
    asked = ReviewItem.objects.filter(batch__plan_version=version, batch__method=method, sample=OuterRef("sample"))
    rows = found.exclude(Exists(asked)).order_by().values("sample_id").annotate(newest=Max("id"))
    newest = dict(rows.values_list("sample_id", "newest").iterator(chunk_size=2000))
    if method is ReviewChoice.DISAGREEMENTS:
        newest = {pk: newest[pk] for pk in _disagreed(evidence_for(version)) if pk in newest}
    samples = [int(key) for key in take(map(str, newest), size, seed)]
    return _pairs([(pk, newest[pk]) for pk in samples]), len(newest)


def _disagreed(evidence: Evidence) -> Iterable[int]:
    """Samples on which one of the plan's scorers prefers one arm, and another does not."""
    keys = list(evidence.candidate.answered_scores)
    if len(keys) < 2:
        return ()
    signs = np.stack([preferences(evidence, key) for key in keys])
    known = ~np.isnan(signs)
    with_all = known.sum(axis=0) > 1
    highest = np.where(known, signs, -np.inf).max(axis=0)
    lowest = np.where(known, signs, np.inf).min(axis=0)
    found: list[int] = evidence.samples[with_all & (highest > lowest)].tolist()
    return found


def preferences(evidence: Evidence, key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What a scorer prefers, by sample: 1 the candidate, -1 the incumbent, 0 neither; NaN: it did not score both."""
    ours, theirs = (arm.answered_scores[key] for arm in (evidence.candidate, evidence.incumbent))
    return np.sign(ours - theirs)


def _pairs(chosen: list[tuple[int, int]]) -> list[Pair]:
    """With the incumbent's answers to the same samples in the same runs."""
    incumbents: dict[int, int] = {}
    for start in range(0, len(chosen), _AT_ONCE):
        ids = [candidate for _, candidate in chosen[start : start + _AT_ONCE]]
        ours = Completion.objects.filter(pk__in=ids)
        places = {(run, position): pk for pk, run, position in ours.values_list("id", "arm__run", "position")}
        theirs = Completion.objects.filter(
            arm__run__in={run for run, _ in places},
            arm__role=ArmRole.INCUMBENT,
            repeat=0,
            sample__in=[sample for sample, _ in chosen[start : start + _AT_ONCE]],
        )
        for pk, run, position in theirs.values_list("id", "arm__run", "position"):
            if (run, position) in places:
                incumbents[places[run, position]] = pk
    return [Pair(sample, incumbents[candidate], candidate) for sample, candidate in chosen]
