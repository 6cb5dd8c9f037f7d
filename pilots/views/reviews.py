"""Blind reviews: what waits for the person, one pair of answers at a time, and the batches of a pilot."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import Side, TeamRole
from evaluations.models import Review, ReviewBatch
from evaluations.models.reviews import DISPUTE
from evaluations.selectors.reviews import (
    BlindPair,
    batches_of,
    blind_pair,
    disputed_pair,
    last_answered,
    named_pair,
    next_waiting,
    progress_of,
)
from evaluations.services.errors import Conflict, Refused
from evaluations.services.review_batches import close_batch, create_batch, hand_over
from evaluations.services.reviews import give_answer, resolve_dispute, take_back
from pilots.forms.reviews import AskForm, HandOverForm, ReviewForm
from pilots.models import Pilot
from pilots.selectors.profile import pilot_profile
from pilots.selectors.reviews import reviewed_version
from pilots.transcript import Turn, answer_turn, plain, turns
from pilots.views.page import access_of, actor_of, door, page
from pilots.views.pilot import managed_pilot
from pilots.word_diff import Piece, side_by_side, word_diff

# What each key says; the buttons carry the same words.
KEYS = {Side.LEFT: "1", Side.RIGHT: "2", Side.BOTH_GOOD: "3", Side.BOTH_BAD: "4"}
DIFFERENCES = "differences"


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)


def _batch_or_404(request: HttpRequest, pk: int) -> ReviewBatch:
    batches = access_of(request).review_batches().select_related("plan_version__plan__workload__team", "closed_by")
    return get_object_or_404(batches, pk=pk)


def _managed(request: HttpRequest, pk: int) -> ReviewBatch:
    found = _batch_or_404(request, pk)
    if not access_of(request).has_role(found.plan_version.plan.workload.team, TeamRole.MANAGER):
        raise PermissionDenied
    return found


def _readable(request: HttpRequest, pk: int) -> ReviewBatch:
    """The batch, for those who may judge what is in it; once it is closed, for those who may read it."""
    found = _batch_or_404(request, pk)
    team, access = found.plan_version.plan.workload.team, access_of(request)
    if not access.may_read_content(team):
        raise PermissionDenied
    if found.closed_at is None and not access.has_role(team, TeamRole.REVIEWER):
        raise PermissionDenied
    return found


@door("GET")
def reviews(request: HttpRequest) -> HttpResponse:
    rows = batches_of(_person(request), access_of(request).review_batches())
    return page(request, "pilots/reviews/list.html", {"rows": rows}, section="reviews")


@door("GET", "POST")
def ask(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a batch of the answers of the pilot's newest replays."""
    pilot = managed_pilot(request, slug)
    version = reviewed_version(pilot)
    now = timezone.now()
    form = AskForm(request.POST or None, team=pilot.workload.team)
    status = 200
    if version is not None and request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                made = create_batch(version=version, by=actor_of(request), at=now, **form.cleaned_data)
            except Refused as refusal:
                form.refuse(refusal)
            else:
                messages.success(request, f"{made.size} sample{'' if made.size == 1 else 's'} to review.")
                return redirect("pilots:review-batch", pk=made.pk)
    context = {"now": now, "facts": pilot_profile(pilot, at=now), "form": form, "version": version}
    return page(request, "pilots/reviews/ask.html", context, section="pilots", status=status)


@door("GET")
def batch(request: HttpRequest, pk: int) -> HttpResponse:
    return _batch_page(request, _batch_or_404(request, pk))


def _batch_page(
    request: HttpRequest, found: ReviewBatch, *, form: HandOverForm | None = None, status: int = 200
) -> HttpResponse:
    team, access, person = found.plan_version.plan.workload.team, access_of(request), _person(request)
    progress = progress_of(found, person)
    may_manage = access.has_role(team, TeamRole.MANAGER)
    reading = [row.user_id for row in progress.reviewers if row.user_id is not None and row.done < row.reviews]
    context = {
        "batch": found,
        "workload": found.plan_version.plan.workload,
        "pilot": Pilot.objects.filter(plan=found.plan_version.plan_id).only("slug").first(),
        "progress": progress,
        "mine": next((row for row in progress.reviewers if row.user_id == person.pk), None),
        "waiting": next_waiting(found, person),
        "may_manage": may_manage,
        "may_judge": access.has_role(team, TeamRole.REVIEWER) and access.may_read_content(team),
        "may_read": access.may_read_content(team),
        "form": form or (HandOverForm(team=team, reading=reading) if may_manage and reading else None),
    }
    return page(request, "pilots/reviews/batch.html", context, section="reviews", status=status)


@door("GET", "POST")
def item(request: HttpRequest, pk: int, position: int) -> HttpResponse:
    """Two answers and the question; an answer leads to the next sample that waits."""
    found = _readable(request, pk)
    if request.method == "POST":
        return _answered(request, found, position)
    return _named(request, found, position) if found.closed_at else _blind(request, found, position)


def _answered(request: HttpRequest, found: ReviewBatch, position: int) -> HttpResponse:
    form, person = ReviewForm(request.POST), _person(request)
    if not form.is_valid():
        return _blind(request, found, position, message="Choose one of the four answers", status=400)
    review = Review.objects.filter(item__batch=found, item__position=position, reviewer=person).first()
    said: dict[str, Any] = {**form.cleaned_data, "by": actor_of(request), "at": timezone.now()}
    third = review is None or review.place == DISPUTE
    try:
        if review is None or review.place == DISPUTE:
            disputed = get_object_or_404(found.items.all(), position=position)
            resolve_dispute(item=disputed, resolver=person, **said)
        else:
            give_answer(review=review, **said)
    except Refused as refusal:
        status = 409 if isinstance(refusal, Conflict) else 400
        return _blind(request, found, position, message=refusal.message, status=status)
    following = progress_of(found, person).disputes[:1] if third else _following(found, person, position)
    address = reverse("pilots:review-batch", args=[found.pk])
    if following:
        address = reverse("pilots:review", args=[found.pk, following[0]]) + _view_query(request)
    if request.headers.get("HX-Request"):
        done = progress_of(found, person)
        mine = next((row.done for row in done.reviewers if row.user_id == person.pk), 0)
        return JsonResponse({"to": address, "done": mine, "more": bool(following)})
    return redirect(address)


def _following(found: ReviewBatch, person: User, position: int) -> tuple[int, ...]:
    place = next_waiting(found, person, after=position)
    return () if place is None else (place,)


def _view_query(request: HttpRequest) -> str:
    return f"?{urlencode({'view': DIFFERENCES})}" if request.GET.get("view") == DIFFERENCES else ""


def _blind(
    request: HttpRequest, found: ReviewBatch, position: int, *, message: str = "", status: int = 200
) -> HttpResponse:
    person = _person(request)
    pair = blind_pair(found, person, position)
    disputed = pair is None
    if pair is None:
        pair = disputed_pair(found, person, position)
    if pair is None:
        if message:  # what was asked for is gone meanwhile
            messages.error(request, message[:1].upper() + message[1:] + ".")
            return redirect("pilots:review-batch", pk=found.pk)
        raise Http404
    marked = request.GET.get("view") == DIFFERENCES
    following = pair.following if disputed else next(iter(_following(found, person, position)), None)
    context = {
        "batch": found,
        "workload": found.plan_version.plan.workload,
        "pair": pair,
        "disputed": disputed,
        "turns": _request_turns(pair.request),
        "reference": None if pair.reference is None else plain(pair.reference),
        "shown": _shown(pair, marked=marked),
        "marked": marked,
        "view": _view_query(request),
        "waiting": following,
        "choices": [(side, KEYS[side]) for side in Side],
        "note": request.POST.get("note", pair.note)[:1000],
        "message": message,
    }
    return page(request, "pilots/reviews/item.html", context, section="reviews", status=status)


def _request_turns(request: Any) -> tuple[Turn, ...]:
    """Without the model that production asked for: nothing here names one."""
    if isinstance(request, dict):
        request = {key: value for key, value in request.items() if key != "model"}
    return turns(request)


def _shown(pair: BlindPair, *, marked: bool) -> list[tuple[str, Turn | None, tuple[Piece, ...] | None]]:
    """Side, text, and the text in pieces where the differences are to be marked."""
    left, right = (answer_turn(given.text, given.message, sort_keys=marked) for given in (pair.left, pair.right))
    pieces = side_by_side(left.text, right.text) if marked and left and right else None
    return [("left", left, pieces and pieces[0]), ("right", right, pieces and pieces[1])]


def _named(request: HttpRequest, found: ReviewBatch, position: int) -> HttpResponse:
    """The same once the batch is closed: which model answered what, and who said what when."""
    pair = named_pair(found, position)
    if pair is None:
        raise Http404
    arms = found.plan_version.document["arms"]
    before = answer_turn(pair.incumbent.text, pair.incumbent.message)
    after = answer_turn(pair.candidate.text, pair.candidate.message)
    context = {
        "batch": found,
        "pair": pair,
        "turns": turns(pair.request),
        "reference": None if pair.reference is None else plain(pair.reference),
        "shown": [
            ("incumbent", arms["incumbent"]["model"], before),
            ("candidate", arms["candidate"]["model"], after),
        ],
        "diff": word_diff(before.text, after.text) if before and after else None,
    }
    return page(request, "pilots/reviews/named.html", context, section="reviews")


@door("POST")
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back what the person said last in this batch, and show it again."""
    found = _readable(request, pk)
    last = last_answered(found, _person(request))
    if last is None:
        messages.info(request, "There is no answer of yours to take back.")
        return redirect("pilots:review-batch", pk=pk)
    try:
        take_back(review=last, by=actor_of(request), at=timezone.now())
    except Conflict as refusal:
        messages.error(request, refusal.message[:1].upper() + refusal.message[1:] + ".")
        return redirect("pilots:review-batch", pk=pk)
    return redirect(reverse("pilots:review", args=[pk, last.item.position]) + _view_query(request))


@door("POST")
def give_away(request: HttpRequest, pk: int) -> HttpResponse:
    found = _managed(request, pk)
    team = found.plan_version.plan.workload.team
    reading = [row.user_id for row in progress_of(found, _person(request)).reviewers if row.user_id is not None]
    form = HandOverForm(request.POST, team=team, reading=reading)
    if form.is_valid():
        try:
            moved = hand_over(batch=found, by=actor_of(request), at=timezone.now(), **form.cleaned_data)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            to = form.cleaned_data["to"].get_username()
            messages.success(request, f"{moved} open review{'' if moved == 1 else 's'} given to {to}.")
            return redirect("pilots:review-batch", pk=pk)
    return _batch_page(request, found, form=form, status=400)


@door("GET", "POST")
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask with what is still open in view, then close for good."""
    found = _managed(request, pk)
    message, status = "", 200
    if request.method == "POST":
        try:
            close_batch(batch=found, by=actor_of(request), at=timezone.now())
        except Refused as refusal:
            message, status = refusal.message, 409 if isinstance(refusal, Conflict) else 400
        else:
            messages.success(request, "Reviews closed. The models have their names, and the figures stand.")
            return redirect("pilots:review-batch", pk=pk)
    context = {
        "batch": found,
        "workload": found.plan_version.plan.workload,
        "progress": progress_of(found, _person(request)),
        "message": message,
    }
    return page(request, "pilots/reviews/close.html", context, section="reviews", status=status)
