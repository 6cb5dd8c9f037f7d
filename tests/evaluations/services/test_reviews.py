"""Blind reviews: who reads what, answers that can change until the end, disputes, two at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from evaluations.enums import ArmRole, Flip, Outcome, Preferred, ReviewChoice, ReviewState, Side, TeamRole
from evaluations.models import AuditEvent, CompletionContent, Review, ReviewAnswer, ReviewBatch, ReviewItem, Team
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import ScorerEntry, definition_of
from evaluations.services.purging import purge_contents
from evaluations.services.review_batches import close_batch, hand_over
from evaluations.services.reviews import give_answer, resolve_dispute, take_back
from tests import factories as make
from tests.replays import BY, concluded, ready_plan, start, with_criteria
from tests.reviews import URL, actor, answered_run, batch_of, people, prefer, said

pytestmark = pytest.mark.django_db

CANDIDATE, INCUMBENT, BOTH_BAD = Preferred.CANDIDATE, Preferred.INCUMBENT, Preferred.BOTH_BAD


def layout(batch: ReviewBatch) -> list[tuple[int, int, int | None, bool]]:
    rows = Review.objects.filter(item__batch=batch).order_by("item__position", "place")
    return [(r.item.sample_id, r.place, r.reviewer_id, r.candidate_left) for r in rows.select_related("item")]


def test_a_seed_decides_samples_readers_and_sides() -> None:
    version = answered_run(20).plan_version
    ana, ben = people("ana", "ben")
    layouts = []
    for seed in (7, 7, 8):
        with transaction.atomic():
            layouts.append(layout(batch_of(version, [ben, ana], size=10, seed=seed, second_percent=25)))
            transaction.set_rollback(True)
    assert layouts[0] == layouts[1] != layouts[2]
    reads = Counter((place, reader) for _, place, reader, _ in layouts[0])
    # 25 % of ten, rounded up, are read twice; both read as many.
    assert {place: sum(n for (p, _), n in reads.items() if p == place) for place in (0, 1)} == {0: 10, 1: 3}
    assert reads[0, ana.pk] == reads[0, ben.pk] == 5
    sides = {place: {sample: left for sample, p, _, left in layouts[0] if p == place} for place in (0, 1)}
    assert set(sides[0].values()) == {True, False}
    assert all(sides[0][sample] is not left for sample, left in sides[1].items())
    readers = {place: {sample: reader for sample, p, reader, _ in layouts[0] if p == place} for place in (0, 1)}
    assert all(readers[0][sample] != reader for sample, reader in readers[1].items())


def test_a_sample_is_asked_once_by_each_way_of_choosing() -> None:
    version = answered_run(8).plan_version
    first = batch_of(version, people("ana"), size=5)
    second = batch_of(version, people("ben"), size=5)
    asked = [set(batch.items.values_list("sample", flat=True)) for batch in (first, second)]
    assert (first.population, second.population, len(asked[0]), len(asked[1])) == (8, 3, 5, 3)
    assert not asked[0] & asked[1]
    with pytest.raises(Refused, match="no sample is left"):
        batch_of(version, people("cleo"))
    flips = batch_of(version, people("dora"), method=ReviewChoice.FLIPS)
    assert [item.candidate.flip for item in flips.items.all()] == [Flip.HARMFUL]


def test_only_what_both_models_answered_can_be_compared() -> None:
    def mixed(role: ArmRole, position: int) -> tuple[Outcome, str]:
        late = position == (0 if role is ArmRole.CANDIDATE else 1)
        return (Outcome.TIMEOUT, "") if late else (Outcome.OK, "yes")

    run = concluded(start(ready_plan(URL, n=4)), mixed)
    CompletionContent.objects.filter(completion__arm__role=ArmRole.INCUMBENT, completion__position=2).delete()
    batch = batch_of(run.plan_version, people("ana"))
    assert [item.candidate.position for item in batch.items.all()] == [3]
    assert {item.incumbent.sample_id == item.candidate.sample_id for item in batch.items.all()} == {True}


def test_scorers_that_disagree_choose_samples() -> None:
    """One wants any answer, one an answer of the old model: they agree only where the new one said nothing."""
    plan = ready_plan(URL, n=6)
    scorers = [
        ScorerEntry(name="regex", key="answered", config={"pattern": "."}),
        ScorerEntry(name="regex", key="old", config={"pattern": "old"}),
    ]
    plan = with_criteria(plan, *definition_of(plan).criteria, scorers=scorers)
    version = concluded(start(plan), said).plan_version
    batch = batch_of(version, people("ana"), method=ReviewChoice.DISAGREEMENTS)
    assert (batch.population, {item.candidate.position for item in batch.items.all()}) == (5, {0, 1, 2, 3, 5})


def test_one_scorer_cannot_disagree() -> None:
    version = answered_run(6).plan_version
    with pytest.raises(Refused, match="no sample is left"):
        batch_of(version, people("ana"), method=ReviewChoice.DISAGREEMENTS)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"size": 0}, "size"),
        ({"size": 2001}, "size"),
        ({"second_percent": 50}, "reviewers"),
        ({"second_percent": 101}, "second_percent"),
        ({"question": "  "}, "question"),
        ({"reviewers": []}, "reviewers"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(given: dict[str, object], field: str) -> None:
    version = answered_run(2).plan_version
    given = {"reviewers": people("ana"), **given}
    reviewers = given.pop("reviewers")
    with pytest.raises(Refused) as refusal:
        batch_of(version, reviewers, **given)  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert not ReviewBatch.objects.exists()


def test_readers_belong_to_the_team_and_may_read() -> None:
    version = answered_run(2).plan_version
    team = Team.objects.get(slug="support")
    for person in (
        make.member(team, role=TeamRole.VIEWER),
        make.member(team, role=TeamRole.REVIEWER, may_read_content=False),
        make.member(make.team("legal")),
    ):
        with pytest.raises(Refused, match="may not read and review"):
            batch_of(version, [person])


def test_answers_change_until_the_end_and_all_of_them_are_kept() -> None:
    version = answered_run(2).plan_version
    [ana] = people("ana")
    batch = batch_of(version, [ana], size=1)
    review = Review.objects.get()
    give_answer(review=review, side=Side.LEFT, note="shorter", seen=0, by=actor(ana), at=timezone.now())
    with pytest.raises(Conflict, match="elsewhere"):
        give_answer(review=review, side=Side.RIGHT, seen=0, by=actor(ana), at=timezone.now())
    # The same again, as after a double click, is no other answer.
    give_answer(review=review, side=Side.LEFT, note="shorter", seen=0, by=actor(ana), at=timezone.now())
    take_back(review=review, by=actor(ana), at=timezone.now())
    take_back(review=review, by=actor(ana), at=timezone.now())
    assert ReviewItem.objects.get().state is ReviewState.OPEN
    give_answer(review=review, side=Side.BOTH_BAD, seen=2, by=actor(ana), at=timezone.now())
    history = [(row.number, row.side or "", row.note, row.by) for row in review.history.all()]
    assert history == [(1, "left", "shorter", "ana"), (2, "", "", "ana"), (3, "both_bad", "", "ana")]
    item = ReviewItem.objects.get()
    assert (item.state, item.preferred) == (ReviewState.SETTLED, BOTH_BAD)
    close_batch(batch=batch, by=BY, at=timezone.now())
    for change in (
        lambda: give_answer(review=review, side=Side.LEFT, seen=3, by=actor(ana), at=timezone.now()),
        lambda: take_back(review=review, by=actor(ana), at=timezone.now()),
    ):
        with pytest.raises(Conflict, match="closed"):
            change()
    assert ReviewAnswer.objects.count() == 3


def test_history_can_not_be_changed_in_the_database_either() -> None:
    version = answered_run(1).plan_version
    batch_of(version, people("ana"), size=1)
    prefer(Review.objects.get(), CANDIDATE)
    for change in (lambda: ReviewAnswer.objects.update(side="right"), lambda: ReviewAnswer.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_a_note_goes_with_the_content_of_its_sample_and_the_answer_stays() -> None:
    version = answered_run(1).plan_version
    batch_of(version, people("ana"), size=1)
    prefer(Review.objects.get(), CANDIDATE, "it repeats the card number")
    assert ReviewAnswer.objects.get().note == "it repeats the card number"
    purge_contents(by=BY, at=timezone.now() + timedelta(days=2), older_than=1)
    answer = ReviewAnswer.objects.get()
    assert (answer.note, answer.number, ReviewItem.objects.get().preferred) == ("", 1, CANDIDATE)


def test_nobody_answers_for_somebody_else() -> None:
    version = answered_run(1).plan_version
    ana, ben = people("ana", "ben")
    batch_of(version, [ana], size=1)
    with pytest.raises(Refused, match="somebody else's"):
        give_answer(review=Review.objects.get(), side=Side.LEFT, seen=0, by=actor(ben), at=timezone.now())
    with pytest.raises(Refused, match="at most"):
        give_answer(
            review=Review.objects.get(), side=Side.LEFT, note="x" * 1001, seen=0, by=actor(ana), at=timezone.now()
        )


@pytest.fixture
def disputed() -> tuple[ReviewItem, list[Review]]:
    version = answered_run(1).plan_version
    batch_of(version, people("ana", "ben"), size=1, second_percent=100)
    reviews = list(Review.objects.order_by("place"))
    prefer(reviews[0], CANDIDATE, "clearer")
    assert ReviewItem.objects.get().state is ReviewState.OPEN
    prefer(reviews[1], INCUMBENT)
    item = ReviewItem.objects.get()
    assert (item.state, item.preferred or "") == (ReviewState.DISPUTED, "")
    return item, reviews


def test_two_who_come_to_agree_end_their_dispute(disputed: tuple[ReviewItem, list[Review]]) -> None:
    item, reviews = disputed
    prefer(reviews[1], CANDIDATE)
    item.refresh_from_db()
    assert (item.state, item.preferred) == (ReviewState.SETTLED, CANDIDATE)


def test_a_third_resolves_a_dispute_and_the_two_answers_stay(disputed: tuple[ReviewItem, list[Review]]) -> None:
    item, reviews = disputed
    [cleo, dora] = people("cleo", "dora")
    word = {"side": Side.BOTH_BAD, "seen": 0, "at": timezone.now()}
    assert reviews[0].reviewer is not None
    with pytest.raises(Refused, match="one of the two"):
        resolve_dispute(item=item, resolver=reviews[0].reviewer, by=actor(reviews[0].reviewer), **word)
    resolve_dispute(item=item, resolver=cleo, by=actor(cleo), note="both invent a fee", **word)
    item.refresh_from_db()
    assert (item.state, item.preferred) == (ReviewState.RESOLVED, BOTH_BAD)
    with pytest.raises(Conflict, match="no dispute"):
        resolve_dispute(item=item, resolver=dora, by=actor(dora), **word)
    with pytest.raises(Conflict, match="a third"):
        prefer(reviews[0], INCUMBENT)
    # The third may think again, and then leave it to another.
    third = item.reviews.get(place=2)
    take_back(review=third, by=actor(cleo), at=timezone.now())
    item.refresh_from_db()
    assert item.state is ReviewState.DISPUTED
    resolve_dispute(item=item, resolver=dora, by=actor(dora), **word)
    item.refresh_from_db()
    assert (item.state, item.preferred) == (ReviewState.RESOLVED, BOTH_BAD)
    assert [row.by for row in third.history.all()] == ["cleo", "cleo", "dora"]
    assert [review.preferred for review in item.reviews.filter(place__lt=2)] == [CANDIDATE, INCUMBENT]


def test_open_reviews_can_be_given_to_others() -> None:
    version = answered_run(8).plan_version
    ana, ben, cleo = people("ana", "ben", "cleo")
    batch = batch_of(version, [ana, ben], second_percent=50)
    prefer(Review.objects.filter(reviewer=ana).order_by("id")[0], CANDIDATE)
    open_ones = Review.objects.filter(reviewer=ana, side="").count()
    assert hand_over(batch=batch, reviewer=ana, to=cleo, by=BY, at=timezone.now()) == open_ones
    assert Review.objects.filter(reviewer=ana).count() == 1
    # What ben reads already, he cannot read a second time.
    shared = Review.objects.filter(reviewer=cleo, item__reviews__reviewer=ben).count()
    assert shared
    assert hand_over(batch=batch, reviewer=cleo, to=ben, by=BY, at=timezone.now()) == open_ones - shared
    with pytest.raises(Refused, match="no open review"):
        hand_over(batch=batch, reviewer=ana, to=cleo, by=BY, at=timezone.now())


def test_a_batch_closes_once_and_not_before_anybody_answered() -> None:
    version = answered_run(2).plan_version
    [ana] = people("ana")
    batch = batch_of(version, [ana])
    with pytest.raises(Refused, match="nobody has answered"):
        close_batch(batch=batch, by=BY, at=timezone.now())
    prefer(Review.objects.all()[0], CANDIDATE)
    close_batch(batch=batch, by=BY, at=timezone.now())
    with pytest.raises(Conflict, match="closed"):
        close_batch(batch=batch, by=BY, at=timezone.now())
    with pytest.raises(Conflict, match="closed"):
        hand_over(batch=batch, reviewer=ana, to=people("ben")[0], by=BY, at=timezone.now())


def test_each_door_says_so_in_the_audit_without_a_word_of_the_answer(
    disputed: tuple[ReviewItem, list[Review]],
) -> None:
    item, _ = disputed
    [cleo] = people("cleo")
    resolve_dispute(item=item, side=Side.LEFT, seen=0, resolver=cleo, by=actor(cleo), at=timezone.now())
    close_batch(batch=item.batch, by=BY, at=timezone.now())
    events = AuditEvent.objects.filter(action__startswith="review").order_by("sequence")
    assert [(event.action, event.actor) for event in events] == [
        ("review_batch.created", BY.name),
        ("review.answered", "ana"),
        ("review.answered", "ben"),
        ("review.resolved", "cleo"),
        ("review_batch.closed", BY.name),
    ]
    assert [event.data for event in events if event.action.startswith("review.")] == [{"answer": 1}] * 3


def test_what_cannot_be_audited_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    version = answered_run(2).plan_version
    [ana] = people("ana")
    batch = batch_of(version, [ana])
    first, second = Review.objects.order_by("id")
    prefer(first, CANDIDATE)

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", broken)
    for change in (lambda: prefer(second, CANDIDATE), lambda: close_batch(batch=batch, by=BY, at=timezone.now())):
        with pytest.raises(RuntimeError):
            change()
    batch.refresh_from_db()
    assert (batch.closed_at, batch.document, ReviewAnswer.objects.count()) == (None, None, 1)


def _at_once(*doors: Callable[[], object]) -> list[str]:
    """What each said, all having started together; '' for a door that let its caller in."""
    barrier, heard = threading.Barrier(len(doors)), [""] * len(doors)

    def enter(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            doors[number]()
        except Conflict as refusal:
            heard[number] = refusal.message
        finally:
            connection.close()

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(len(doors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return heard


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_on_one_item() -> None:
    """Whoever comes second sees what the first said: the dispute is found, whichever that was."""
    version = answered_run(6).plan_version
    batch_of(version, people("ana", "ben"), size=6, second_percent=100)
    for item in ReviewItem.objects.all():
        first, second = item.reviews.order_by("place")
        assert _at_once(lambda r=first: prefer(r, CANDIDATE), lambda r=second: prefer(r, INCUMBENT)) == ["", ""]
    assert Counter(ReviewItem.objects.values_list("state", flat=True)) == {ReviewState.DISPUTED: 6}


@pytest.mark.django_db(transaction=True)
def test_two_who_resolve_at_once_and_one_person_in_two_windows() -> None:
    version = answered_run(1).plan_version
    batch_of(version, people("ana", "ben"), size=1, second_percent=100)
    item = ReviewItem.objects.get()
    first, second = item.reviews.order_by("place")
    at = timezone.now()
    windows = [
        lambda side=side: give_answer(review=first, side=side, seen=0, by=actor(first.reviewer), at=at)  # type: ignore[arg-type]
        for side in (Side.LEFT, Side.RIGHT)
    ]
    assert sorted(_at_once(*windows)) == ["", "you have answered this elsewhere meanwhile"]
    prefer(second, BOTH_BAD)
    thirds = people("cleo", "dora")
    doors = [
        lambda p=person: resolve_dispute(item=item, side=Side.LEFT, seen=0, resolver=p, by=actor(p), at=at)
        for person in thirds
    ]
    assert sorted(_at_once(*doors)) == ["", "there is no dispute over this sample any more"]
    assert ReviewItem.objects.get().reviews.count() == 3
