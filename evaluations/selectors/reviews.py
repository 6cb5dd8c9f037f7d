"""What reviewers read and how far they are. Nothing says which model answered what before a batch is closed.

Public surface: ``waiting_reviews``, ``batches_of``, ``BatchRow``, ``blind_pair``, ``disputed_pair``, ``BlindPair``,
``Given``, ``progress_of``, ``BatchProgress``, ``named_pair``, ``NamedPair``, ``next_waiting``, ``last_answered``,
``read_blind``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Max, Q, QuerySet

from evaluations.enums import Preferred, ReviewState, Side
from evaluations.models import Completion, Review, ReviewBatch, ReviewItem, Team
from evaluations.models.reviews import DISPUTE, candidate_stands_left

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_CONTENT = ("item__sample__content", "item__incumbent__content", "item__candidate__content")
_OPEN = Q(item__batch__closed_at=None)


def waiting_reviews(user: User, teams: QuerySet[Team]) -> int:
    """How many samples wait for this person's answer, in teams that they still belong to."""
    mine = Review.objects.filter(_OPEN, reviewer=user, side="", place__lt=DISPUTE)
    return mine.filter(item__batch__plan_version__plan__workload__team__in=teams).count()


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch in a list: how far it is, and how far the person is."""

    pk: int
    workload: str
    team: str
    question: str
    size: int
    created_at: datetime
    closed_at: datetime | None
    mine: int  # reviews asked of the person
    mine_done: int
    disputes: int  # that the person may decide
    position: int | None  # of the first sample that waits for them


def batches_of(user: User, batches: QuerySet[ReviewBatch]) -> tuple[BatchRow, ...]:
    """Of ``batches`` those that ask something of the person: open ones first, then the newest."""
    own = Q(items__reviews__reviewer=user, items__reviews__place__lt=DISPUTE)
    waiting = own & Q(items__reviews__side="")
    others = ReviewItem.objects.filter(state=ReviewState.DISPUTED).exclude(reviews__reviewer=user)
    disputes = dict(
        others.filter(batch__in=batches, batch__closed_at=None)
        .order_by()
        .values("batch")
        .annotate(n=Count("id"))
        .values_list("batch", "n")
    )
    first = dict(
        Review.objects.filter(_OPEN, reviewer=user, side="", place__lt=DISPUTE, item__batch__in=batches)
        .order_by("-item__position")
        .values_list("item__batch", "item__position")
    )
    found = (
        batches.annotate(
            mine=Count("items__reviews", filter=own, distinct=True),
            mine_open=Count("items__reviews", filter=waiting, distinct=True),
        )
        .filter(Q(mine__gt=0) | Q(pk__in=disputes))
        .select_related("plan_version__plan__workload__team")
    )
    rows = [
        BatchRow(
            pk=batch.pk,
            workload=batch.plan_version.plan.workload.name,
            team=batch.plan_version.plan.workload.team.name,
            question=batch.question,
            size=batch.size,
            created_at=batch.created_at,
            closed_at=batch.closed_at,
            mine=batch.mine,
            mine_done=batch.mine - batch.mine_open,
            disputes=disputes.get(batch.pk, 0),
            position=first.get(batch.pk),
        )
        for batch in found.order_by("-id")
    ]
    return tuple(sorted(rows, key=lambda row: row.closed_at is not None))


@dataclass(frozen=True, slots=True)
class Given:
    """An answer's content; both None: purged, or there was none."""

    text: str | None
    message: Any


@dataclass(frozen=True, slots=True)
class BlindPair:
    """One sample as its reviewer sees it."""

    position: int
    purged_at: datetime | None
    request: Any
    reference: Any
    left: Given
    right: Given
    side: Side | None  # what the person says now; None: nothing
    note: str
    seen: int  # answers of theirs so far
    state: ReviewState
    locked: bool  # a third has decided
    number: int  # of ``of``, among what is asked of the person
    of: int
    done: int
    previous: int | None  # positions
    following: int | None
    said: tuple[tuple[Side, str], ...] = ()  # of a dispute: what the two prefer, where it stands here, and why


def blind_pair(batch: ReviewBatch, user: User, position: int) -> BlindPair | None:
    """The sample at ``position`` for this person; None if it is not theirs to read."""
    mine = Review.objects.filter(item__batch=batch, reviewer=user, place__lt=DISPUTE)
    found = mine.filter(item__position=position).select_related(*_CONTENT)
    review = found.prefetch_related("history__written").first()
    if review is None:
        return None
    queue = list(mine.order_by("item__position").values_list("item__position", "side"))
    places = [place for place, _ in queue]
    at = places.index(position)
    return _pair(
        review.item,
        review.candidate_left,
        review,
        locked=review.item.state is ReviewState.RESOLVED,
        number=at + 1,
        of=len(queue),
        done=sum(bool(side) for _, side in queue),
        previous=places[at - 1] if at else None,
        following=places[at + 1] if at + 1 < len(queue) else None,
    )


def disputed_pair(batch: ReviewBatch, user: User, position: int) -> BlindPair | None:
    """The sample that two disagree on, for a third; None if there is none, or the person is one of the two."""
    item = (
        batch.items.filter(position=position)
        .select_related(*(name.removeprefix("item__") for name in _CONTENT))
        .prefetch_related("reviews__history__written")
        .first()
    )
    if item is None:
        return None
    reviews = list(item.reviews.all())
    third = next((review for review in reviews if review.place == DISPUTE), None)
    if any(review.reviewer_id == user.pk and review.place < DISPUTE for review in reviews):
        return None
    own = third if third is not None and third.reviewer_id == user.pk else None
    if own is None and item.state is not ReviewState.DISPUTED:
        return None
    open_ones = list(_disputes(batch, user).values_list("position", flat=True))
    others = [place for place in open_ones if place != position]
    left = candidate_stands_left(batch.seed, item.position, DISPUTE)
    return _pair(
        item,
        left,
        own,
        locked=False,
        number=1,
        of=len(others) + 1,
        done=0,
        previous=max((place for place in others if place < position), default=None),
        following=min((place for place in others if place > position), default=None),
        said=tuple(
            (_seen_from(review.preferred, left), _note(review))
            for review in reviews
            if review.place < DISPUTE and review.preferred is not None
        ),
    )


def _disputes(batch: ReviewBatch, user: User) -> QuerySet[ReviewItem]:
    found = batch.items.filter(state=ReviewState.DISPUTED)
    return found.exclude(reviews__in=Review.objects.filter(reviewer=user, place__lt=DISPUTE)).order_by("position")


def _seen_from(preferred: Preferred, candidate_left: bool) -> Side:
    """What was said, where it stands for somebody who sees the two in this order."""
    if preferred in (Preferred.BOTH_GOOD, Preferred.BOTH_BAD):
        return Side(preferred.value)
    return Side.LEFT if (preferred is Preferred.CANDIDATE) == candidate_left else Side.RIGHT


def _note(review: Review | None) -> str:
    """Of the answer that stands."""
    if review is None or not review.side:
        return ""
    return next((answer.note for answer in review.history.all() if answer.number == review.answers), "")


def _pair(item: ReviewItem, candidate_left: bool, review: Review | None, **place: Any) -> BlindPair:
    content = getattr(item.sample, "content", None)
    answers = [_given(item.candidate), _given(item.incumbent)]
    left, right = answers if candidate_left else reversed(answers)
    return BlindPair(
        position=item.position,
        purged_at=item.sample.purged_at,
        request=None if content is None else content.request,
        reference=None if content is None else content.reference,
        left=left,
        right=right,
        side=None if review is None or not review.side else review.side,
        note=_note(review),
        seen=0 if review is None else review.answers,
        state=item.state,
        **place,
    )


def _given(completion: Completion) -> Given:
    content = getattr(completion, "content", None)
    return Given(None, None) if content is None else Given(content.text, content.message)


def next_waiting(batch: ReviewBatch, user: User, *, after: int = -1) -> int | None:
    """Where the person's next unanswered sample behind ``after`` is, else the first of all; None: no other waits."""
    waiting = Review.objects.filter(_OPEN, item__batch=batch, reviewer=user, side="", place__lt=DISPUTE)
    others = waiting.exclude(item__position=after).order_by("item__position")
    places = list(others.values_list("item__position", flat=True))
    return next((place for place in places if place > after), places[0] if places else None)


def last_answered(batch: ReviewBatch, user: User) -> Review | None:
    """What the person answered last in this batch and has not taken back."""
    mine = Review.objects.filter(item__batch=batch, reviewer=user, place__lt=DISPUTE, answered_at__isnull=False)
    return mine.select_related("item").order_by("-answered_at", "-id").first()


@dataclass(frozen=True, slots=True)
class ReviewerProgress:
    name: str  # '': the account is gone
    user_id: int | None
    reviews: int
    done: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is, and what of it the person may do."""

    answered: int  # samples on which nobody is waited for
    disputed: int
    resolved: int
    reviewers: tuple[ReviewerProgress, ...]
    disputes: tuple[int, ...]  # positions that the person may decide
    decided: tuple[int, ...]  # that the person has decided


def progress_of(batch: ReviewBatch, user: User) -> BatchProgress:
    states = dict(batch.items.order_by().values("state").annotate(n=Count("id")).values_list("state", "n"))
    people = (
        Review.objects.filter(item__batch=batch, place__lt=DISPUTE)
        .order_by()
        .values("reviewer", "reviewer__username")
        .annotate(n=Count("id"), open=Count("id", filter=Q(side="")), last=Max("answered_at"))
    )
    decided = batch.items.filter(reviews__place=DISPUTE, reviews__reviewer=user, state=ReviewState.RESOLVED)
    return BatchProgress(
        answered=batch.size - states.get(ReviewState.OPEN, 0),
        disputed=states.get(ReviewState.DISPUTED, 0),
        resolved=states.get(ReviewState.RESOLVED, 0),
        reviewers=tuple(
            ReviewerProgress(
                row["reviewer__username"] or "", row["reviewer"], row["n"], row["n"] - row["open"], row["last"]
            )
            for row in people.order_by("reviewer__username")
        ),
        disputes=tuple(_disputes(batch, user).values_list("position", flat=True)),
        decided=tuple(decided.order_by("position").values_list("position", flat=True)),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the history, with the names of the arms."""

    reviewer: str
    at: datetime
    third: bool
    preferred: Preferred | None  # None: taken back
    note: str


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A sample of a closed batch: which model answered what, and who said what when."""

    position: int
    external_id: str
    run: int
    purged_at: datetime | None
    request: Any
    reference: Any
    incumbent: Given
    candidate: Given
    state: ReviewState
    preferred: Preferred | None
    history: tuple[Said, ...]
    previous: int | None
    following: int | None


def named_pair(batch: ReviewBatch, position: int) -> NamedPair | None:
    """Raises ``ValueError`` for a batch that is not closed."""
    if batch.closed_at is None:
        raise ValueError("the batch is not closed")
    related = ("sample__content", "incumbent__content", "candidate__content", "candidate__arm")
    found = batch.items.filter(position=position).select_related(*related)
    item = found.prefetch_related("reviews__history__written").first()
    if item is None:
        return None
    content = getattr(item.sample, "content", None)
    return NamedPair(
        position=position,
        external_id=item.sample.external_id,
        run=item.candidate.arm.run_id,
        purged_at=item.sample.purged_at,
        request=None if content is None else content.request,
        reference=None if content is None else content.reference,
        incumbent=_given(item.incumbent),
        candidate=_given(item.candidate),
        state=item.state,
        preferred=item.preferred or None,
        history=tuple(sorted(_history(item.reviews.all()), key=lambda said: said.at)),
        previous=position - 1 if position else None,
        following=position + 1 if position + 1 < batch.size else None,
    )


def _history(reviews: Iterable[Review]) -> Iterable[Said]:
    for review in reviews:
        for answer in review.history.all():
            as_said = Review(side=answer.side, candidate_left=review.candidate_left)
            yield Said(answer.by, answer.at, review.place == DISPUTE, as_said.preferred, answer.note)


def read_blind(user: User, run_id: int) -> frozenset[int]:
    """Positions of the run that the person is asked about in a batch that is still open."""
    mine = Review.objects.filter(_OPEN, reviewer=user, place__lt=DISPUTE, item__candidate__arm__run=run_id)
    return frozenset(mine.values_list("item__candidate__position", flat=True))
