"""A run with answers of both arms, and people who judge them blind, for tests of reviews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from evaluations.enums import ArmRole, AuditSource, Outcome, Preferred, ReviewChoice, Side, TeamRole
from evaluations.models import PlanVersion, ReplayRun, Review, ReviewBatch, Team
from evaluations.services.audit import Actor
from evaluations.services.review_batches import create_batch
from evaluations.services.reviews import give_answer
from tests import factories as make
from tests.replays import BY, concluded, ready_plan, start

URL = "http://127.0.0.1:9"


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    """The incumbent's answer to the sixth sample, and every candidate's but to the fifth, pass the plan's scorer."""
    if role is ArmRole.CANDIDATE:
        return (Outcome.OK, "" if position == 4 else f"new says {position}")
    return (Outcome.OK, f"old says {position}")


def answered_run(n: int = 8) -> ReplayRun:
    return concluded(start(ready_plan(URL, n=n)), said)


def people(*names: str) -> list[User]:
    team = Team.objects.get(slug="support")
    return [make.member(team, name, TeamRole.REVIEWER) for name in names]


def batch_of(version: PlanVersion, reviewers: Sequence[User], **given: Any) -> ReviewBatch:
    wanted: dict[str, Any] = {"method": ReviewChoice.RANDOM, "size": 8, "seed": 7, **given}
    return create_batch(version=version, reviewers=reviewers, by=BY, at=timezone.now(), **wanted)


def actor(user: User) -> Actor:
    return Actor.person(user, AuditSource.WEB)


def prefer(review: Review, preferred: Preferred, note: str = "") -> Review:
    """Say of the arms what a person says of left and right."""
    if preferred in (Preferred.BOTH_GOOD, Preferred.BOTH_BAD):
        side = Side(preferred.value)
    else:
        side = Side.LEFT if (preferred is Preferred.CANDIDATE) == review.candidate_left else Side.RIGHT
    review.refresh_from_db()
    assert review.reviewer is not None
    return give_answer(
        review=review, side=side, note=note, seen=review.answers, by=actor(review.reviewer), at=timezone.now()
    )


def prefer_all(batch: ReviewBatch, words: Mapping[int, Preferred], *, place: int = 0) -> None:
    """Of one reader's reviews, by position; candidate where nothing is said."""
    for review in Review.objects.filter(item__batch=batch, place=place).select_related("item"):
        prefer(review, words.get(review.item.position, Preferred.CANDIDATE))
