"""Blind human review: batches of samples, who reads which, and every answer that was given."""

from __future__ import annotations

from hashlib import blake2b

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.enums import Preferred, ReviewChoice, ReviewState, Side
from evaluations.models.fields import EnumField, one_of
from evaluations.models.plans import PlanVersion
from evaluations.models.replays import Completion
from evaluations.models.samples import Sample

DISPUTE = 2  # the place of whoever resolves one; the reviewers' places are 0 and 1


def candidate_stands_left(seed: int, position: int, place: int) -> bool:
    """Drawn for each sample and its dispute; of two reviewers each sees the other order."""
    drawn = blake2b(f"{position} {place // 2}".encode(), digest_size=1, key=str(seed).encode()).digest()[0] % 2 == 1
    return drawn != (place == 1)


class ReviewBatch(models.Model):
    """Samples of a plan version that people judge without knowing which model answered what, until it is closed."""

    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="review_batches")
    method = EnumField(ReviewChoice)
    seed = models.PositiveBigIntegerField()  # of the choice, of who reads what, and of what stands left
    question = models.CharField(max_length=300)  # what reviewers are asked to judge by
    size = models.PositiveIntegerField()
    population = models.PositiveIntegerField()  # samples it was chosen from
    second_percent = models.PositiveSmallIntegerField(default=0)  # of the samples, read by two
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True)  # from here on nothing changes, and models have their names
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    document = models.JSONField(null=True)  # what all closed batches of its kind said when it was closed

    class Meta:
        ordering = ["-id"]
        constraints = [
            one_of("method", ReviewChoice, "review_choice_known"),
            models.CheckConstraint(condition=Q(size__gt=0), name="review_batch_not_empty"),
            models.CheckConstraint(condition=Q(second_percent__lte=100), name="review_share_is_a_share"),
        ]

    def __str__(self) -> str:
        return f"review {self.pk}"


class ReviewItem(models.Model):
    """One sample with the two answers that are compared. ``state`` and ``preferred`` are kept by the answers."""

    batch = models.ForeignKey(ReviewBatch, on_delete=models.CASCADE, related_name="items", db_index=False)
    position = models.PositiveIntegerField()  # from 0, in the order of reading
    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="+")
    incumbent = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    candidate = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    state = EnumField(ReviewState, default=ReviewState.OPEN)
    preferred = EnumField(Preferred, blank=True)  # '': open or disputed

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "position"], name="review_position_once"),
            models.UniqueConstraint(fields=["batch", "sample"], name="review_sample_once"),
            one_of("state", ReviewState, "review_state_known"),
        ]

    def __str__(self) -> str:
        return f"sample {self.position + 1} of review {self.batch_id}"


class Review(models.Model):
    """One person's judgement of one item. ``side`` is the cached last value of its answers."""

    item = models.ForeignKey(ReviewItem, on_delete=models.CASCADE, related_name="reviews", db_index=False)
    place = models.PositiveSmallIntegerField()  # 0 and 1: the reviewers; 2: whoever resolves their dispute
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="reviews"
    )  # None: the account is gone; each answer keeps the name
    candidate_left = models.BooleanField()  # what this person sees where
    side = EnumField(Side, blank=True)  # '': not answered, or taken back
    answers = models.PositiveIntegerField(default=0)  # given so far; compare-and-set for the next
    answered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["item", "place"]
        constraints = [
            models.UniqueConstraint(fields=["item", "place"], name="review_place_once"),
            models.UniqueConstraint(fields=["item", "reviewer"], name="reviewer_once"),
            models.CheckConstraint(condition=Q(place__lte=DISPUTE), name="review_place_known"),
            models.CheckConstraint(condition=Q(side__in=["", *(s.value for s in Side)]), name="review_side_known"),
        ]

    def __str__(self) -> str:
        return f"{self.item} by {self.reviewer}"

    @property
    def preferred(self) -> Preferred | None:
        """What was said, of the arms; None: nothing."""
        if not self.side:
            return None
        if self.side in (Side.LEFT, Side.RIGHT):
            return Preferred.CANDIDATE if (self.side is Side.LEFT) == self.candidate_left else Preferred.INCUMBENT
        return Preferred(self.side.value)


class ReviewAnswer(models.Model):
    """What was said when; a change of mind is another row. Append-only in the database too."""

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="history", db_index=False)
    number = models.PositiveIntegerField()  # from 1
    side = EnumField(Side, blank=True)  # '': the answer was taken back
    at = models.DateTimeField()
    by = models.CharField(max_length=200)  # user name

    class Meta:
        ordering = ["review", "number"]
        constraints = [models.UniqueConstraint(fields=["review", "number"], name="review_answer_once")]

    def __str__(self) -> str:
        return f"answer {self.number} of {self.review}"

    @property
    def note(self) -> str:
        """'': none was written, or it was purged."""
        written: ReviewNote | None = getattr(self, "written", None)
        return "" if written is None else written.text


class ReviewNote(models.Model):
    """Why, in the reviewer's words; they may repeat the prompt, so that it is purged with the sample's content."""

    answer = models.OneToOneField(ReviewAnswer, on_delete=models.CASCADE, primary_key=True, related_name="written")
    text = models.CharField(max_length=1000)
