"""What a judge's answers come to, with people beside them; expected numbers are counted by hand in the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from evaluations.enums import ArmRole, ChunkState, Outcome, Preferred, ReviewChoice, RunStatus
from evaluations.models import Chunk, Completion, CompletionContent, PlanVersion, ReplayRun, Sample
from evaluations.selectors.judge_figures import stored_judge
from evaluations.services.replays import settle_run
from evaluations.services.review_batches import close_batch
from evaluations.statistics.judges import prediction_powered_mean
from tests.judges import judged_plan
from tests.replays import BY, concluded, start
from tests.reviews import batch_of, people, prefer_all

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9"
N = 120
# By position: what the judge says with the incumbent first and with the candidate first.
Says = Callable[[int], tuple[str, str]]
CANDIDATE, INCUMBENT, TIE, FIRST = ("second", "first"), ("first", "second"), ("tie", "tie"), ("first", "first")


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, f"{role} says {position}"


def judged(says: Says, *, n: int = N, margin: str | None = "0.05", cluster: bool = False) -> PlanVersion:
    """A replay of ``n`` samples and all of the judge's answers, without a call."""
    plan = judged_plan(URL, n=n, margin=margin)
    if cluster:
        for sample in Sample.objects.all():
            Sample.objects.filter(pk=sample.pk).update(cluster=f"c{sample.pk % 10}")
    run = concluded(start(plan), said)
    judging = ReplayRun.objects.get(judges=run)
    arm, at = judging.arms.get(), timezone.now()
    assert run.sample_set is not None
    rows = [
        (member, round_, says(member.position)[round_]) for member in run.sample_set.members.all() for round_ in (0, 1)
    ]
    answers = Completion.objects.bulk_create(
        Completion(
            arm=arm,
            sample_id=member.sample_id,
            repeat=round_,
            position=member.position,
            outcome=Outcome.OK,
            finished_at=at,
        )
        for member, round_, _ in rows
    )
    CompletionContent.objects.bulk_create(
        CompletionContent(completion=answer, text=f'{{"reason": "r", "better": "{word}"}}' if word else "no idea")
        for answer, (_, _, word) in zip(answers, rows, strict=True)
    )
    Chunk.objects.filter(arm=arm).update(state=ChunkState.DONE)
    ReplayRun.objects.filter(pk=judging.pk).update(status=RunStatus.RUNNING, done=judging.total, progressed_at=at)
    settle_run(run=judging, at=at)
    return run.plan_version


def mostly_candidate(position: int) -> tuple[str, str]:
    return INCUMBENT if position % 6 == 0 else CANDIDATE


def test_wins_hold_in_both_orders_and_a_few_flips_do_not_matter() -> None:
    def says(position: int) -> tuple[str, str]:
        return FIRST if position < 3 else TIE if position < 23 else CANDIDATE if position < 83 else INCUMBENT

    read = stored_judge(judged(says))
    assert read is not None
    pairs = {"n": 120, "wins": 60, "losses": 37, "ties": 23, "flips": 3, "flips_to_first": 3}
    assert {name: read["pairs"][name] for name in pairs} == pairs
    assert (read["incumbent"], read["candidate"]) == pytest.approx((37 / 120, 60 / 120))
    assert read["places"]["first"] == 60 + 37 + 6
    assert read["places"]["second"] == 60 + 37
    # 3 of 120 is under 5 %: what is open is only that nobody read along.
    assert read["reason"] == "no_human_labels"


def test_answers_that_say_nothing_leave_the_pair_out() -> None:
    read = stored_judge(judged(lambda position: ("", "first") if position < 60 else CANDIDATE))
    assert read is not None
    assert (read["n"], read["missing"], read["unscored"]) == (60, 60, {"not_json": 60})
    assert (read["verdict"], read["reason"]) == ("inconclusive", "missing")


def test_with_people_who_point_the_same_way_the_word_stands() -> None:
    version = judged(mostly_candidate)
    read = stored_judge(version)
    assert read is not None
    assert (read["verdict"], read["reason"], read["lower"] > 0) == ("inconclusive", "no_human_labels", True)
    batch = batch_of(version, people("rosa"), size=60)
    words = {position: Preferred.INCUMBENT for position in range(N) if position % 6 == 0}
    of_batch = {item.position: words.get(_position(item), Preferred.CANDIDATE) for item in batch.items.all()}
    prefer_all(batch, of_batch)
    close_batch(batch=batch, by=BY, at=timezone.now())
    read = stored_judge(version)
    assert read is not None
    assert (read["people"]["n"], read["people"]["agreed"], read["people"]["kappa"]) == (60, 1.0, 1.0)
    assert (read["verdict"], read["reason"]) == ("better", None)
    signs = [of_batch[item.position] for item in batch.items.all()]
    human = [1 if word is Preferred.CANDIDATE else -1 for word in signs]
    rest = [*[1] * (100 - human.count(1)), *[-1] * (20 - human.count(-1))]
    powered = prediction_powered_mean(human=human, judge_on_human=human, judge_rest=rest)
    assert read["people"]["estimate"] == pytest.approx(powered.estimate)
    assert read["sentence"].endswith("and so do people who read a random part.")


def test_with_people_who_point_the_other_way_it_does_not() -> None:
    version = judged(mostly_candidate)
    batch = batch_of(version, people("rosa"), size=60)
    prefer_all(batch, dict.fromkeys(range(60), Preferred.INCUMBENT))
    close_batch(batch=batch, by=BY, at=timezone.now())
    read = stored_judge(version)
    assert read is not None
    assert (read["verdict"], read["reason"]) == ("inconclusive", "people_disagree")


def test_people_who_read_flips_alone_are_no_random_part() -> None:
    version = judged(mostly_candidate)
    batch = batch_of(version, people("rosa"), size=60)
    batch.method = ReviewChoice.FLIPS
    batch.save(update_fields=["method"])
    prefer_all(batch, {})
    close_batch(batch=batch, by=BY, at=timezone.now())
    read = stored_judge(version)
    assert read is not None
    assert (read["people"]["n"], read["reason"]) == (0, "no_human_labels")


def test_conversations_count_once_and_no_estimate_is_made_of_them() -> None:
    read = stored_judge(judged(mostly_candidate, cluster=True))
    assert read is not None
    assert (read["n_clusters"], read["method"]) == (10, "cr3")


def test_what_was_known_before_can_be_read_again() -> None:
    version = judged(mostly_candidate)
    before = timezone.now()
    batch = batch_of(version, people("rosa"), size=60)
    prefer_all(batch, {})
    close_batch(batch=batch, by=BY, at=timezone.now())
    then, now = stored_judge(version, until=before), stored_judge(version)
    assert then is not None
    assert now is not None
    assert (then["people"]["n"], now["people"]["n"]) == (0, 60)
    assert stored_judge(version, until=timezone.now().replace(year=2020)) is None


def _position(item: object) -> int:
    """Of the sample in its set."""
    sample: Sample = item.sample  # type: ignore[attr-defined]
    return int(sample.external_id[1:])
