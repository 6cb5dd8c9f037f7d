"""Blind reviews on the pages: who sees what, plain forms, disputes, and that no page names a model before the end."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import ArmRole, Outcome, Preferred, ReviewState, TeamRole
from evaluations.models import CompletionContent, Review, ReviewBatch, ReviewItem, Sample, SampleContent, Team
from evaluations.services.purging import purge_contents
from evaluations.services.review_batches import close_batch
from pilots.models import Pilot
from tests import factories as make
from tests.pilots.views.people import planned_pilot, session
from tests.replays import BY, concluded, start
from tests.reviews import batch_of, people, prefer, prefer_all

pytestmark = pytest.mark.django_db

# The pair of models as the test's plan has them: unlike any other word of a page.
MODELS = ("incumbent-xq7", "candidate-zk9")


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    words = "short" if role is ArmRole.INCUMBENT else "longer and kinder"
    return Outcome.OK, f"{words} answer to {position}"


def reviewed(n: int = 6, **batch: object) -> tuple[Pilot, ReviewBatch]:
    """A pilot with an ended run and a batch for ana and ben."""
    pilot = planned_pilot(n=n)
    assert pilot.plan is not None
    for role, slug in zip(("incumbent", "candidate"), MODELS, strict=True):
        type(pilot.incumbent).objects.filter(pk=getattr(pilot, f"{role}_id")).update(slug=slug)
    run = concluded(start(pilot.plan), said)
    wanted = {"size": n, "second_percent": 50, **batch}
    return pilot, batch_of(run.plan_version, people("ana", "ben"), **wanted)


def client_of(name: str) -> Client:
    return session(User.objects.get(username=name))


def address(batch: ReviewBatch, position: int) -> str:
    return reverse("pilots:review", args=[batch.pk, position])


def main_of(page: bytes) -> str:
    """Without the rail, whose emblem has a colour of each arm."""
    return page.decode().partition("<main")[2]


def own(batch: ReviewBatch, name: str) -> list[Review]:
    mine = Review.objects.filter(item__batch=batch, reviewer__username=name, place__lt=2)
    return list(mine.select_related("item__candidate__content", "item__incumbent__content").order_by("item__position"))


def test_a_batch_is_asked_for_on_the_evidence_page() -> None:
    pilot, _ = reviewed(second_percent=0, size=1)
    manager = session(make.member(Team.objects.get(), "mia"))
    evidence = manager.get(reverse("pilots:evidence", args=[pilot.slug])).content.decode()
    ask = reverse("pilots:ask-reviews", args=[pilot.slug])
    assert f'href="{ask}"' in evidence
    ana, ben = (User.objects.get(username=name).pk for name in ("ana", "ben"))
    wanted = {"method": "random", "size": "4", "second_percent": "50", "reviewers": [ana, ben], "question": "Kinder?"}
    refused = manager.post(ask, wanted | {"reviewers": [ana]})
    assert (refused.status_code, list(refused.context["form"].errors)) == (400, ["reviewers"])
    assert "Kinder?" in refused.content.decode()
    made = manager.post(ask, wanted)
    batch = ReviewBatch.objects.get(question="Kinder?")
    assert made["Location"] == reverse("pilots:review-batch", args=[batch.pk])
    assert (batch.size, Review.objects.filter(item__batch=batch).count()) == (4, 6)


def test_nothing_names_a_model_before_the_end() -> None:
    """Page, address, HTML: nothing differs but the two texts themselves, and these stand where chance put them."""
    _, batch = reviewed()
    SampleContent.objects.update(
        request={"model": MODELS[0], "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
    )
    ana = client_of("ana")
    sides = set()
    for review in own(batch, "ana"):
        for view in ("", "?view=differences"):
            page = ana.get(address(batch, review.item.position) + view)
            text = main_of(page.content)
            assert not [word for word in (*MODELS, "candidate", "incumbent", "/runs/") if word in text]
            shown = [turn.text for _, turn, _ in page.context["shown"]]
            contents = [review.item.candidate.content.text, review.item.incumbent.content.text]
            assert shown == (contents if review.candidate_left else contents[::-1])
        sides.add(review.candidate_left)
    assert sides == {True, False}
    for name in ("reviews", "review-batch"):
        args = [batch.pk] if name == "review-batch" else []
        text = ana.get(reverse(f"pilots:{name}", args=args)).content.decode()
        assert not [word for word in MODELS if word in text], name


def test_ids_of_tool_calls_which_give_a_vendor_away_are_left_out() -> None:
    _, batch = reviewed(n=1, size=1, second_percent=0)
    call = {"id": "toolu_01", "type": "function", "function": {"name": "refund", "arguments": '{"amount":5}'}}
    CompletionContent.objects.update(text=None, message={"role": "assistant", "tool_calls": [call]})
    text = client_of("ana").get(address(batch, 0)).content.decode()
    assert "toolu_01" not in text
    assert "refund({\n  &quot;amount&quot;: 5\n})" in text


def test_an_answer_leads_to_the_next_sample_and_the_last_to_the_batch() -> None:
    _, batch = reviewed()
    ana = client_of("ana")
    mine = own(batch, "ana")
    assert ana.get(reverse("pilots:home")).context["frame"].reviews == len(mine)
    for number, review in enumerate(mine):
        page = ana.post(address(batch, review.item.position), {"side": "left", "note": "clear", "seen": "0"})
        last = number == len(mine) - 1
        following = (
            reverse("pilots:review-batch", args=[batch.pk]) if last else address(batch, mine[number + 1].item.position)
        )
        assert page["Location"] == following
    assert {review.side for review in own(batch, "ana")} == {"left"}
    assert ana.get(reverse("pilots:home")).context["frame"].reviews == 0
    # Undo shows the last one again, unanswered.
    undone = ana.post(reverse("pilots:undo-review", args=[batch.pk]))
    assert undone["Location"] == address(batch, mine[-1].item.position)
    assert [bool(review.side) for review in own(batch, "ana")] == [True] * (len(mine) - 1) + [False]


def test_a_script_is_told_where_to_go_and_how_far_one_is() -> None:
    _, batch = reviewed()
    ana = client_of("ana")
    first, second, *_ = own(batch, "ana")
    reply = ana.post(
        address(batch, first.item.position) + "?view=differences",
        {"side": "both_good", "note": "", "seen": "0"},
        HTTP_HX_REQUEST="true",
    )
    to = address(batch, second.item.position) + "?view=differences"
    assert reply.json() == {"to": to, "done": 1, "more": True}


def test_what_is_refused_keeps_what_was_typed() -> None:
    _, batch = reviewed()
    ana, review = client_of("ana"), own(batch, "ana")[0]
    here = address(batch, review.item.position)
    nothing = ana.post(here, {"side": "", "note": "half a thought", "seen": "0"})
    assert (nothing.status_code, "half a thought" in nothing.content.decode()) == (400, True)
    ana.post(here, {"side": "left", "note": "", "seen": "0"})
    late = ana.post(here, {"side": "right", "note": "from the other window", "seen": "0"})
    text = late.content.decode()
    assert (late.status_code, "from the other window" in text) == (409, True)
    assert "You have answered this elsewhere meanwhile." in text
    assert own(batch, "ana")[0].side == "left"


def test_a_sample_is_for_its_reviewers_alone() -> None:
    _, batch = reviewed(second_percent=0)
    team = Team.objects.get()
    position = own(batch, "ana")[0].item.position
    here, one = address(batch, position), reverse("pilots:review-batch", args=[batch.pk])
    clients = {
        "ben": client_of("ben"),
        "manager": session(make.member(team)),
        "viewer": session(make.member(team, role=TeamRole.VIEWER)),
        "may not read": session(make.member(team, role=TeamRole.MANAGER, may_read_content=False)),
        "foreign": session(make.member(make.team("legal"))),
        "stranger": Client(),
    }
    word = {"side": "left", "note": "", "seen": "0"}
    found = {
        name: (client.get(here).status_code, client.post(here, word).status_code, client.get(one).status_code)
        for name, client in clients.items()
    }
    assert found == {
        "ben": (404, 302, 200),
        "manager": (404, 302, 200),
        "viewer": (403, 403, 200),
        "may not read": (403, 403, 200),
        "foreign": (404, 404, 404),
        "stranger": (302, 302, 302),
    }
    assert not Review.objects.exclude(side="").exists()


def test_closing_is_for_managers_and_gives_the_models_their_names() -> None:
    pilot, batch = reviewed()
    manager = session(make.member(Team.objects.get()))
    ana, close = client_of("ana"), reverse("pilots:close-reviews", args=[batch.pk])
    assert (ana.get(close).status_code, ana.post(close).status_code) == (403, 403)
    early = manager.post(close)
    assert (early.status_code, "Nobody has answered yet." in early.content.decode()) == (400, True)
    for place in (0, 1):
        prefer_all(batch, {0: Preferred.INCUMBENT} if place else {}, place=place)
    assert manager.get(close).status_code == 200
    assert manager.post(close)["Location"] == reverse("pilots:review-batch", args=[batch.pk])
    assert manager.post(close).status_code == 409
    page = ana.get(address(batch, 0))
    names = [model for _, model, _ in page.context["shown"]]
    assert names == [batch.plan_version.document["arms"][role]["model"] for role in ("incumbent", "candidate")]
    assert {said.reviewer for said in page.context["pair"].history} >= {"ana"} or {"ben"}
    evidence = manager.get(reverse("pilots:evidence", args=[pilot.slug]))
    [figures] = evidence.context["reviews"].figures
    assert (figures.row.n, figures.after_the_fact, figures.row.unit) == (6, True, "share")
    text = evidence.content.decode()
    assert "after the fact: not a criterion of the frozen plan" in text
    assert figures.row.sentence in text


def test_a_dispute_is_decided_by_a_third_on_the_same_page() -> None:
    _, batch = reviewed(n=1, size=1, second_percent=100)
    first, second = Review.objects.order_by("place")
    prefer(first, Preferred.CANDIDATE, "kinder")
    prefer(second, Preferred.INCUMBENT)
    third = session(make.member(Team.objects.get(), "cleo", TeamRole.REVIEWER))
    [row] = third.get(reverse("pilots:reviews")).context["rows"]
    assert (row.disputes, row.mine) == (1, 0)
    page = third.get(address(batch, 0))
    text = main_of(page.content)
    assert not [word for word in (*MODELS, "candidate", "incumbent") if word in text]
    assert "kinder" in text
    # What the two said stands where the third sees it.
    contents = {turn.text: side for side, turn, _ in page.context["shown"]}
    kinder = next(side for words, side in contents.items() if "kinder" in words)
    assert {why: side.value for side, why in page.context["pair"].said}["kinder"] == kinder
    decided = third.post(address(batch, 0), {"side": "both_good", "note": "", "seen": "0"})
    assert decided["Location"] == reverse("pilots:review-batch", args=[batch.pk])
    assert ReviewItem.objects.get().state is ReviewState.RESOLVED
    # The two are told, and cannot change what is decided.
    mine = client_of(first.reviewer.username)  # type: ignore[union-attr]
    assert "A third has resolved the dispute" in mine.get(address(batch, 0)).content.decode()
    assert mine.post(address(batch, 0), {"side": "right", "note": "", "seen": "1"}).status_code == 409


def test_open_reviews_go_to_somebody_else() -> None:
    _, batch = reviewed(second_percent=0)
    manager = session(make.member(Team.objects.get(), "mia"))
    ana, mia = (User.objects.get(username=name).pk for name in ("ana", "mia"))
    hand_over = reverse("pilots:hand-over", args=[batch.pk])
    assert client_of("ben").post(hand_over, {"reviewer": ana, "to": mia}).status_code == 403
    given = manager.post(hand_over, {"reviewer": ana, "to": mia})
    assert given["Location"] == reverse("pilots:review-batch", args=[batch.pk])
    assert (len(own(batch, "ana")), len(own(batch, "mia"))) == (0, 3)
    assert manager.post(hand_over, {"reviewer": ana, "to": mia}).status_code == 400


def test_purged_content_is_said_on_both_pages() -> None:
    _, batch = reviewed(n=2, size=2, second_percent=0)
    review = own(batch, "ana")[0]
    prefer(review, Preferred.CANDIDATE)
    Sample.objects.update(captured_at=timezone.now() - timezone.timedelta(days=9))
    purge_contents(by=BY, at=timezone.now(), older_than=1)
    here = address(batch, review.item.position)
    blind = client_of("ana").get(here).content.decode()
    close_batch(batch=batch, by=BY, at=timezone.now())
    named = client_of("ana").get(here).content.decode()
    for text in (blind, named):
        assert text.count("Content purged") == 3  # the request and both answers


def test_whoever_reviews_a_sample_does_not_read_it_with_its_names_meanwhile() -> None:
    _, batch = reviewed(second_percent=0)
    review = own(batch, "ana")[0]
    run, position = review.item.candidate.arm.run_id, review.item.candidate.position
    there = reverse("pilots:answer", args=[run, position])
    assert client_of("ana").get(there).status_code == 403
    assert client_of("ben").get(there).status_code == 200
    listed = f"/api/v1/replay-runs/{run}/completions?content=true&arm=candidate"
    shown = {row["position"]: row["content"] for row in client_of("ana").get(listed).json()["results"]}
    hers = {one.item.candidate.position for one in own(batch, "ana")}
    assert {place for place, content in shown.items() if content is None} == hers
    prefer(review, Preferred.CANDIDATE)
    close_batch(batch=batch, by=BY, at=timezone.now())
    assert client_of("ana").get(there).status_code == 200


def test_pages_cost_the_same_queries_however_much_there_is() -> None:
    pilot, first = reviewed(n=12, size=2)
    ana = client_of("ana")
    places = ("reviews", "review-batch", "review", "evidence")

    def queries(batch: ReviewBatch) -> list[int]:
        addresses = [
            reverse("pilots:reviews"),
            reverse("pilots:review-batch", args=[batch.pk]),
            address(batch, own(batch, "ana")[0].item.position),
            reverse("pilots:evidence", args=[pilot.slug]),
        ]
        counts = []
        for one in addresses:
            with CaptureQueriesContext(connection) as found:
                assert ana.get(one).status_code == 200
            counts.append(len(found))
        return counts

    few = queries(first)
    reviewers = list(User.objects.filter(username__in=("ana", "ben")))
    many = queries(batch_of(first.plan_version, reviewers, size=9, second_percent=100))
    assert dict(zip(places, many, strict=True)) == dict(zip(places, few, strict=True))
