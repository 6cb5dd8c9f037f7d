"""What is kept when a batch of reviews is closed: preference, agreement, sides, scorers against people."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import Preferred, ReviewChoice
from evaluations.models import PlanVersion, Review, ReviewBatch, Sample
from evaluations.selectors.review_figures import stored_reviews
from evaluations.services.review_batches import close_batch
from tests.replays import BY
from tests.reviews import answered_run, batch_of, people, prefer, prefer_all

pytestmark = pytest.mark.django_db

CANDIDATE, INCUMBENT, BOTH_GOOD, BOTH_BAD = (
    Preferred.CANDIDATE,
    Preferred.INCUMBENT,
    Preferred.BOTH_GOOD,
    Preferred.BOTH_BAD,
)


def closed(batch: ReviewBatch) -> dict[str, Any]:
    document = close_batch(batch=batch, by=BY, at=timezone.now()).document
    assert document is not None
    return document


def test_the_net_preference_and_its_limits() -> None:
    """Seven wins, one loss and thirteen ties: Bentur's table, Tango 0.026003 to 0.517232 (STATISTICS.md, S02)."""
    batch = batch_of(answered_run(21).plan_version, people("ana"), size=21)
    ties = {position: BOTH_GOOD if position % 2 else BOTH_BAD for position in range(8, 21)}
    prefer_all(batch, {0: INCUMBENT, **ties})
    found = closed(batch)
    assert (found["n"], found["incumbent"], found["candidate"]) == (21, 1 / 21, 7 / 21)
    assert (found["difference"], found["method"], found["verdict"]) == (6 / 21, "tango", "better")
    assert [found["lower"], found["upper"]] == pytest.approx([0.026003, 0.517232], abs=1e-6)
    assert found["words"] == {"incumbent": 1, "candidate": 7, "both_good": 6, "both_bad": 7}
    assert (found["role"], found["after_the_fact"], found["margin"]) == ("advisory", True, None)
    assert found["sentence"] == (
        "Reviewers prefer new to old by 28.6 points (95 % interval +2.6 to +51.7 points, 21 samples read blind)."
    )


def test_agreement_of_two_readers_by_hand() -> None:
    """Three of four alike; chance (2x1 + 1x2 + 1x1) / 16: kappa (3/4 - 5/16) / (11/16) = 7/11."""
    batch = batch_of(answered_run(4).plan_version, people("ana", "ben"), size=4, second_percent=100)
    prefer_all(batch, {2: INCUMBENT, 3: BOTH_BAD})
    prefer_all(batch, {1: INCUMBENT, 2: INCUMBENT, 3: BOTH_BAD}, place=1)
    found = closed(batch)
    assert found["agreement"] == {"n": 4, "agreed": 0.75, "kappa": pytest.approx(7 / 11)}
    # The dispute that stands counts with the mean of both.
    assert (found["disputed"], found["difference"], found["method"]) == (1, 0.0, "tango")
    assert found["reviewers"] == 2


def test_what_nobody_answered_is_left_out_and_said() -> None:
    batch = batch_of(answered_run(4).plan_version, people("ana", "ben"), size=4, second_percent=100)
    prefer(Review.objects.filter(place=0).order_by("item")[0], CANDIDATE)
    found = closed(batch)
    assert (found["n"], found["samples"], found["unanswered"], found["verdict"]) == (1, 4, 3, "inconclusive")
    assert found["agreement"] == {"n": 0, "agreed": None, "kappa": None}
    assert "Not yet known which model reviewers prefer" in found["sentence"]


def test_samples_of_one_conversation_belong_together() -> None:
    run = answered_run(12)
    for number, sample in enumerate(Sample.objects.order_by("id")):
        Sample.objects.filter(pk=sample.pk).update(cluster=f"conversation {number // 2}")
    batch = batch_of(run.plan_version, people("ana"), size=12)
    prefer_all(batch, {0: INCUMBENT, 1: BOTH_GOOD})
    found = closed(batch)
    assert (found["n"], found["n_clusters"], found["method"]) == (12, 6, "cr3")
    assert found["lower"] < found["difference"] < found["upper"]
    # An estimate from a scorer takes samples as independent, which these are not.
    assert found["scorers"][0]["estimate"] is None


def test_the_side_of_the_screen_is_counted() -> None:
    batch = batch_of(answered_run(6).plan_version, people("ana"), size=6)
    prefer_all(batch, {})
    left = Review.objects.filter(candidate_left=True).count()
    sides = closed(batch)["sides"]
    assert (sides["left"], sides["right"]) == (left, 6 - left)


def test_a_scorer_is_held_against_people_and_stretched_to_the_rest() -> None:
    """People see the candidate behind on the one sample where the scorer does, ahead on two where it sees nothing."""
    run = answered_run(10)
    batch = batch_of(run.plan_version, people("ana"), size=6)
    position = {item.sample_id: item.position for item in batch.items.all()}
    worse = run.sample_set.members.get(position=4).sample_id  # type: ignore[union-attr]
    words = dict.fromkeys(range(6), BOTH_GOOD)
    others = [place for sample, place in position.items() if sample != worse]
    words |= {others[0]: CANDIDATE, others[1]: CANDIDATE}
    if worse in position:
        words[position[worse]] = INCUMBENT
    prefer_all(batch, words)
    [scorer] = closed(batch)["scorers"]
    human = sum({CANDIDATE: 1, INCUMBENT: -1}.get(word, 0) for word in words.values())
    judged = -1 if worse in position else 0
    rest = (-1 - judged) / 4
    assert (scorer["key"], scorer["n"], scorer["rest"]) == ("answered", 6, 4)
    assert scorer["agreed"] == pytest.approx(4 / 6)
    assert scorer["estimate"] == pytest.approx(rest + (human - judged) / 6)
    assert scorer["lower"] < scorer["estimate"] < scorer["upper"]


def test_batches_of_one_kind_add_up_and_kinds_stand_apart() -> None:
    version = answered_run(10).plan_version
    [ana] = people("ana")
    for choice, size in ((ReviewChoice.RANDOM, 4), (ReviewChoice.RANDOM, 3), (ReviewChoice.FLIPS, 9)):
        batch = batch_of(version, [ana], method=choice, size=size)
        prefer_all(batch, {})
        closed(batch)
    found = stored_reviews(version)
    assert {kind: (row["batches"], row["n"]) for kind, row in found.items()} == {
        ReviewChoice.RANDOM: (2, 7),
        ReviewChoice.FLIPS: (1, 1),
    }
    earlier = ReviewBatch.objects.order_by("id")[0].closed_at
    assert {kind: row["n"] for kind, row in stored_reviews(version, until=earlier).items()} == {ReviewChoice.RANDOM: 4}


def test_as_many_queries_for_few_and_for_many() -> None:
    version = answered_run(12).plan_version
    [ana] = people("ana")

    def queries(version: PlanVersion, size: int) -> int:
        batch = batch_of(version, [ana], size=size)
        prefer_all(batch, {})
        with CaptureQueriesContext(connection) as found:
            closed(batch)
        return len(found)

    assert queries(version, 2) == queries(version, 8)
