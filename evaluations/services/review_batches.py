"""Review batches: ask for one, give its open reviews to others, close it.

Public surface: ``create_batch``, ``hand_over``, ``close_batch``, ``QUESTION``, ``LARGEST``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from evaluations.capture.sampling import seeded_order
from evaluations.enums import ReviewChoice, TeamRole
from evaluations.models import PlanVersion, Review, ReviewBatch, ReviewItem, Team
from evaluations.models.reviews import candidate_stands_left
from evaluations.selectors.access import Access
from evaluations.selectors.evidence import evidence_for
from evaluations.selectors.judge_figures import read_judge
from evaluations.selectors.review_figures import read_reviews
from evaluations.selectors.reviewable import chosen
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused

if TYPE_CHECKING:
    from django.contrib.auth.models import User

QUESTION = "Which answer would you rather send?"
LARGEST = 2000  # samples in one batch: what people can read


@transaction.atomic
def create_batch(
    *,
    version: PlanVersion,
    method: ReviewChoice,
    size: int,
    seed: int,
    reviewers: Sequence[User],
    second_percent: int = 0,
    question: str = QUESTION,
    by: audit.Actor,
    at: datetime,
) -> ReviewBatch:
    """Choose samples and say who reads which: evenly in seeded order, ``second_percent`` of them by a second person.

    What stands left is drawn for each sample; a second reviewer sees the two answers the other way round. Raises
    ``Refused`` for reviewers who may not, for a second reading with one reviewer, and where nothing is left to choose.
    """
    if not 1 <= size <= LARGEST:
        raise Refused(f"must be 1 to {LARGEST:,}", field="size")
    if not 0 <= second_percent <= 100:
        raise Refused("must be 0 to 100", field="second_percent")
    if not question.strip() or len(question) > 300:
        raise Refused("must be 1 to 300 characters", field="question")
    people = _checked(reviewers, version.plan.workload.team)
    if second_percent and len(people) < 2:
        raise Refused("a second reading needs two reviewers", field="reviewers")
    # Two that choose at once would both ask for the same samples.
    PlanVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    pairs, population = chosen(version, method=method, size=size, seed=seed)
    if not pairs:
        raise Refused("no sample is left that both models answered and nobody was asked about", field="method")
    batch = ReviewBatch.objects.create(
        plan_version=version,
        method=method,
        seed=seed,
        question=question.strip(),
        size=len(pairs),
        population=population,
        second_percent=second_percent,
        created_at=at,
        created_by=by.user,
    )
    ReviewItem.objects.bulk_create(
        [
            ReviewItem(
                batch=batch,
                position=position,
                sample_id=pair.sample_id,
                incumbent_id=pair.incumbent_id,
                candidate_id=pair.candidate_id,
            )
            for position, pair in enumerate(pairs)
        ],
        batch_size=500,
    )
    _assign(batch, people)
    data = {"method": str(method), "samples": batch.size, "seed": seed, "second_percent": second_percent}
    names = [person.get_username() for person in people]
    _audit(batch, "review_batch.created", by=by, at=at, data=data | {"reviewers": names})
    return batch


@transaction.atomic
def hand_over(*, batch: ReviewBatch, reviewer: User, to: User, by: audit.Actor, at: datetime) -> int:
    """Give ``to`` what ``reviewer`` has never answered, but for samples that ``to`` reads already; how many that were.

    Raises ``Refused`` if ``to`` may not review, or there is nothing to give; ``Conflict`` for a closed batch.
    """
    _checked([to], batch.plan_version.plan.workload.team)
    if ReviewBatch.objects.select_for_update(no_key=True).get(pk=batch.pk).closed_at is not None:
        raise Conflict("the batch is closed")
    already = Review.objects.filter(item=OuterRef("item"), reviewer=to)
    waiting = Review.objects.filter(item__batch=batch, reviewer=reviewer, answers=0)
    moved = waiting.exclude(Exists(already)).update(reviewer=to)
    if not moved:
        raise Refused(f"{reviewer.get_username()} has no open review that could be given away", field="reviewer")
    data = {"from": reviewer.get_username(), "to": to.get_username(), "reviews": moved}
    _audit(batch, "review_batch.handed_over", by=by, at=at, data=data)
    return moved


def close_batch(*, batch: ReviewBatch, by: audit.Actor, at: datetime) -> ReviewBatch:
    """End the reviews, keep what all closed batches of this kind say together, and let the models be named.

    The evidence is read before anything is locked. Raises ``Conflict`` when it is closed already, ``Refused`` when
    nobody has answered.
    """
    evidence = evidence_for(batch.plan_version)
    with transaction.atomic():
        # An answer that is being given is waited for; those that come later find the batch closed.
        list(ReviewItem.objects.select_for_update(no_key=True).filter(batch=batch).order_by("pk").values_list("pk"))
        if not Review.objects.filter(item__batch=batch).exclude(side="").exists():
            raise Refused("nobody has answered yet")
        if not ReviewBatch.objects.filter(pk=batch.pk, closed_at=None).update(closed_at=at, closed_by=by.user):
            raise Conflict("somebody else has closed the batch")
        batch.refresh_from_db()
        batch.document = read_reviews(batch.plan_version, batch.method, evidence)
        # Held against what people say now.
        batch.document["judge"] = read_judge(batch.plan_version)
        batch.save(update_fields=["document"])
        _audit(batch, "review_batch.closed", by=by, at=at, data={"samples": batch.document["n"]})
    return batch


def _assign(batch: ReviewBatch, people: Sequence[User]) -> None:
    items = list(batch.items.order_by("position"))
    # Rounded up: a share above none is at least one sample.
    seconds = -(-batch.size * batch.second_percent // 100)
    twice = set(seeded_order([str(item.position) for item in items], batch.seed)[:seconds])
    reviews = []
    for item in items:
        for place in (0, 1) if str(item.position) in twice else (0,):
            reviewer = people[(item.position + place) % len(people)]
            order = candidate_stands_left(batch.seed, item.position, place)
            reviews.append(Review(item=item, place=place, reviewer=reviewer, candidate_left=order))
    Review.objects.bulk_create(reviews, batch_size=500)


def _checked(reviewers: Sequence[User], team: Team) -> list[User]:
    """Distinct, in order of name; each may review and read what is to be read."""
    people = sorted({person.pk: person for person in reviewers}.values(), key=lambda person: person.get_username())
    if not people:
        raise Refused("at least one reviewer is needed", field="reviewers")
    for person in people:
        access = Access(person)
        if not (access.has_role(team, TeamRole.REVIEWER) and access.may_read_content(team)):
            name = person.get_username()
            raise Refused(f"{name} may not read and review answers of {team.slug}", field="reviewers")
    return people


def _audit(batch: ReviewBatch, action: str, *, by: audit.Actor, at: datetime, data: dict[str, Any]) -> None:
    plan = batch.plan_version.plan
    audit.record(
        by=by,
        at=at,
        action=action,
        object_type="review_batch",
        object_id=batch.pk,
        object_label=f"review {batch.pk} of {plan.slug}",
        team=plan.workload.team,
        data=data,
    )
