"""One person's judgement of two answers. Public surface: ``give_answer``, ``take_back``, ``resolve_dispute``.

Answers are kept for good: a change of mind is one more. They can change until the batch is closed, or a third has
resolved what two disagreed on. Who answered what is not written to the audit: the other reviewer may read that.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from evaluations.enums import Preferred, ReviewState, Side
from evaluations.models import Review, ReviewAnswer, ReviewItem, ReviewNote
from evaluations.models.reviews import DISPUTE, candidate_stands_left
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NOTE = 1000  # characters


@transaction.atomic
def give_answer(*, review: Review, side: Side, note: str = "", seen: int, by: audit.Actor, at: datetime) -> Review:
    """Keep what the reviewer says now; ``seen`` is how many answers of theirs the page knew of.

    The same answer again changes nothing. Raises ``Refused`` for somebody else's review and a note that is too long;
    ``Conflict`` for a closed batch, a dispute that is resolved, and an answer given elsewhere meanwhile.
    """
    item, own = _locked(review, by=by)
    if own.side is side and own.history.select_related("written").get(number=own.answers).note == note:
        return own
    if own.place != DISPUTE and item.state is ReviewState.RESOLVED:
        raise Conflict("a third has resolved the dispute over this sample; the answers to it stand")
    _keep(own, side, note, seen=seen, by=by, at=at)
    _settle(item)
    _audit(own, "review.resolved" if own.place == DISPUTE else "review.answered", by=by, at=at)
    return own


@transaction.atomic
def take_back(*, review: Review, by: audit.Actor, at: datetime) -> Review:
    """Leave the item unanswered again; what was said stays in its history. Refusals as of ``give_answer``."""
    item, own = _locked(review, by=by)
    if not own.side:
        return own
    if own.place != DISPUTE and item.state is ReviewState.RESOLVED:
        raise Conflict("a third has resolved the dispute over this sample; the answers to it stand")
    _keep(own, "", "", seen=own.answers, by=by, at=at)
    _settle(item)
    _audit(own, "review.taken_back", by=by, at=at)
    return own


@transaction.atomic
def resolve_dispute(
    *, item: ReviewItem, side: Side, note: str = "", seen: int, resolver: User, by: audit.Actor, at: datetime
) -> Review:
    """A third person's word decides what two disagreed on; the two answers stay as they are.

    Raises ``Refused`` for one of the two; ``Conflict`` where there is no dispute, or somebody else has resolved it.
    """
    item = ReviewItem.objects.select_for_update(no_key=True).get(pk=item.pk)
    if item.reviews.filter(place__lt=DISPUTE, reviewer=resolver).exists():
        raise Refused("whoever is one of the two who disagree cannot decide between them")
    third = item.reviews.filter(place=DISPUTE).first()
    if item.state is not ReviewState.DISPUTED and (third is None or third.reviewer_id != resolver.pk):
        raise Conflict("there is no dispute over this sample any more")
    if third is None:
        order = candidate_stands_left(item.batch.seed, item.position, DISPUTE)
        third = Review.objects.create(item=item, place=DISPUTE, reviewer=resolver, candidate_left=order)
    elif third.reviewer_id != resolver.pk:  # who took their word back
        Review.objects.filter(pk=third.pk).update(reviewer=resolver)
        seen = third.answers
    return give_answer(review=third, side=side, note=note, seen=seen, by=by, at=at)


def _locked(review: Review, *, by: audit.Actor) -> tuple[ReviewItem, Review]:
    """The item and the review as they are now; of all who speak of one item, one at a time."""
    item = ReviewItem.objects.select_for_update(no_key=True).get(pk=review.item_id)
    own = Review.objects.select_related("item__batch__plan_version__plan__workload__team").get(pk=review.pk)
    if by.user is None or own.reviewer_id != by.user.pk:
        raise Refused("this is somebody else's review")
    if own.item.batch.closed_at is not None:
        raise Conflict("the batch is closed; its answers stand")
    return item, own


def _keep(own: Review, side: Side | str, note: str, *, seen: int, by: audit.Actor, at: datetime) -> None:
    if len(note) > NOTE:
        raise Refused(f"must be at most {NOTE:,} characters", field="note")
    # The reviewer too: an open review may be given to somebody else at this moment.
    changed = Review.objects.filter(pk=own.pk, reviewer=own.reviewer_id, answers=seen).update(
        side=side, answers=seen + 1, answered_at=at if side else None
    )
    if not changed:
        raise Conflict("you have answered this elsewhere meanwhile")
    answer = ReviewAnswer.objects.create(review=own, number=seen + 1, side=side, at=at, by=by.name[:200])
    if note:
        ReviewNote.objects.create(answer=answer, text=note)
    own.refresh_from_db(fields=["side", "answers", "answered_at"])


def _settle(item: ReviewItem) -> None:
    """State and preference of the item, from what its reviewers say now."""
    said = {review.place: review.preferred for review in item.reviews.all()}
    third = said.pop(DISPUTE, None)
    words = set(said.values())
    preferred: Preferred | str = ""
    if None in words:
        state = ReviewState.OPEN
    elif len(words) == 1:
        state, preferred = ReviewState.SETTLED, next(word for word in words if word)
    elif third is None:
        state = ReviewState.DISPUTED
    else:
        state, preferred = ReviewState.RESOLVED, third
    ReviewItem.objects.filter(pk=item.pk).update(state=state, preferred=preferred)


def _audit(review: Review, action: str, *, by: audit.Actor, at: datetime) -> None:
    batch = review.item.batch
    audit.record(
        by=by,
        at=at,
        action=action,
        object_type="review_batch",
        object_id=batch.pk,
        object_label=f"sample {review.item.position + 1} of review {batch.pk} of {batch.plan_version.plan.slug}",
        team=batch.plan_version.plan.workload.team,
        data={"answer": review.answers},
    )
