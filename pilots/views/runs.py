"""A replay run: its page, the live part of it, cancel and resume, its answers, and judging them again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from evaluations.enums import Outcome, RunStatus, RunTrigger, TeamRole
from evaluations.models import ReplayRun
from evaluations.selectors.arms import shown_arms
from evaluations.selectors.comparisons import stored_comparisons
from evaluations.selectors.completions import pair_content, pairs
from evaluations.selectors.progress import run_progress
from evaluations.selectors.reviews import read_blind
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import definition_of
from evaluations.services.replays import cancel_run, resume_run
from evaluations.services.rescoring import scorers_to_judge_by
from pilots.forms.replays import ResumeForm
from pilots.models import Pilot
from pilots.selectors.evidence import criterion_rows, later_readings
from pilots.services.replays import have_judged, judge_again
from pilots.transcript import plain, turns
from pilots.views.page import access_of, actor_of, door, page, whole_number
from pilots.word_diff import word_diff

RESUMABLE = (RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.STOPPED_BY_BUDGET)


_RELATED = ("plan_version__plan__workload__team", "plan_version__plan__pilot", "sample_set", "created_by")


def run_or_404(request: HttpRequest, pk: int) -> ReplayRun:
    return get_object_or_404(access_of(request).runs().select_related(*_RELATED), pk=pk)


def _frame(request: HttpRequest, run: ReplayRun) -> dict[str, Any]:
    """What the head of every page about a run says."""
    plan = run.plan_version.plan
    team = plan.workload.team
    return {
        "now": timezone.now(),
        "run": run,
        "pilot": Pilot.objects.filter(plan=plan).first(),
        "team": team,
        "may_manage": access_of(request).has_role(team, TeamRole.MANAGER),
        "may_read": access_of(request).may_read_content(team),
        "resumable": run.status in RESUMABLE,
    }


@door("GET")
def run(request: HttpRequest, pk: int) -> HttpResponse:
    found = run_or_404(request, pk)
    frame = _frame(request, found)
    later = later_readings(found)
    context = {
        "progress": run_progress(found, now=frame["now"]),
        "arms": shown_arms(found, asked="arms" in request.GET),
        "criteria": criterion_rows(stored_comparisons(found)),
        "later": later,
        "later_done": all(reading.finished_at for reading in later),
        "scorers_to_judge_by": scorers_to_judge_by(found) if frame["may_manage"] else [],
    }
    return page(request, "pilots/run/run.html", {**frame, **context}, section="pilots")


@door("GET")
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The live part alone; a run that has ended asks the page to load anew, with its verdict."""
    found = run_or_404(request, pk)
    now = timezone.now()
    state = run_progress(found, now=now)
    response = render(request, "pilots/run/_progress.html", {"run": found, "progress": state, "now": now})
    if state.ended:
        response["HX-Refresh"] = "true"
    return response


@door("GET", "POST")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = _managed(request, pk, judging=True)
    if request.method == "POST":
        try:
            cancel_run(run=found, by=actor_of(request), at=timezone.now())
        except Conflict as refusal:
            return _conflict(request, found, refusal)
        messages.success(request, "Cancelled. Calls in flight are settled; every answer so far stays.")
        return _back(found)
    return _confirm(request, found, "cancel")


@door("GET", "POST")
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    found = _managed(request, pk, judging=True)
    form = ResumeForm(request.POST or None, run=found)
    if request.method == "POST" and form.is_valid():
        try:
            resume_run(run=found, by=actor_of(request), at=timezone.now(), budget=form.cleaned_data["budget"])
        except Conflict as refusal:
            return _conflict(request, found, refusal)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, "Resumed. Answers that exist are not paid for again.")
            return _back(found)
    return _confirm(request, found, "resume", form=form, status=400 if form.is_bound else 200)


@door("GET", "POST")
def judge(request: HttpRequest, pk: int) -> HttpResponse:
    """The same answers by the plan's scorers as they are now: no call, and the verdict stays."""
    found = _managed(request, pk)
    refusal = None
    if request.method == "POST":
        try:
            judge_again(run=found, by=actor_of(request), at=timezone.now())
        except Conflict as conflict:
            return _conflict(request, found, conflict)
        except Refused as error:
            refusal = error
        else:
            messages.success(request, "The answers are being judged again. The run's verdict stays what it is.")
            return redirect("pilots:run", pk=pk)
    changes = scorers_to_judge_by(found)
    return _confirm(request, found, "judge", changes=changes, refusal=refusal, status=400 if refusal else 200)


@door("GET", "POST")
def judging(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the plan's model judge the run's answers: calls, under the judge's own cap."""
    found = _managed(request, pk)
    refusal = None
    if request.method == "POST":
        try:
            begun = have_judged(run=found, by=actor_of(request), at=timezone.now(), trigger=RunTrigger.MANUAL)
        except Conflict as conflict:
            return _conflict(request, found, conflict)
        except Refused as error:
            refusal = error
        else:
            messages.success(request, "The judge is asked. What it says will stand with the evidence.")
            return _back(begun)
    judge = found.plan_version.document["judge"]
    wanted = definition_of(found.plan_version.plan).judge
    context = {"judge": judge, "judge_budget": None if wanted is None else wanted.budget, "refusal": refusal}
    return _confirm(request, found, "judging", **context, status=400 if refusal else 200)


def _back(found: ReplayRun) -> HttpResponse:
    """To the run; to the evidence, where what is judged stands."""
    if found.judges_id is None:
        return redirect("pilots:run", pk=found.pk)
    pilot = Pilot.objects.filter(plan=found.plan_version.plan_id).first()
    return redirect("pilots:run", pk=found.judges_id) if pilot is None else redirect("pilots:evidence", slug=pilot.slug)


def _managed(request: HttpRequest, pk: int, *, judging: bool = False) -> ReplayRun:
    """``judging``: that may be a judging as well."""
    access = access_of(request)
    rows = access.runs() | access.judgings() if judging else access.runs()
    found = get_object_or_404(rows.select_related(*_RELATED), pk=pk)
    if not access_of(request).has_role(found.plan_version.plan.workload.team, TeamRole.MANAGER):
        raise PermissionDenied
    return found


def _confirm(request: HttpRequest, found: ReplayRun, action: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """The question with its consequence: as a dialog where the page asked for one, else as a page of its own."""
    frame = _frame(request, found)
    context |= {**frame, "action": action, "progress": run_progress(found, now=frame["now"])}
    if request.headers.get("HX-Request"):
        return render(request, "pilots/run/_confirm_dialog.html", context)
    return page(request, "pilots/run/confirm.html", context, section="pilots", status=status)


def _conflict(request: HttpRequest, found: ReplayRun, refusal: Conflict) -> HttpResponse:
    found.refresh_from_db()
    context = {**_frame(request, found), "message": refusal.message}
    return page(request, "pilots/run/conflict.html", context, section="pilots", status=409)


@door("GET")
def answers(request: HttpRequest, pk: int) -> HttpResponse:
    found = run_or_404(request, pk)
    flip, outcome = request.GET.get("flip", ""), request.GET.get("outcome", "")
    rows, listed = pairs(
        found,
        flip=flip,
        outcome=outcome if outcome in list(Outcome) else "",
        page=whole_number(request.GET.get("page")) or 1,
    )
    context = {"rows": rows, "listed": listed, "outcomes": list(Outcome), "flip": flip, "outcome": outcome}
    return page(request, "pilots/run/answers.html", {**_frame(request, found), **context}, section="pilots")


@door("GET")
def answer(request: HttpRequest, pk: int, position: int) -> HttpResponse:
    """One sample with both answers, for those who may read content."""
    found = run_or_404(request, pk)
    frame = _frame(request, found)
    if not frame["may_read"]:
        raise PermissionDenied
    if position in read_blind(access_of(request).user, found.pk):
        return page(request, "pilots/run/blind.html", {**frame, "position": position}, section="pilots", status=403)
    repeat = whole_number(request.GET.get("repeat")) or 0
    pair = pair_content(found, position=position, repeat=repeat)
    if pair is None:
        raise Http404
    shown = [pair.answers.get(role) for role in ("incumbent", "candidate")]
    before, after = (None if one is None else one.text for one in shown)
    context = {
        "pair": pair,
        "repeat": repeat,
        "turns": turns(pair.request),
        "reference": None if pair.reference is None else plain(pair.reference),
        "shown": list(zip(("incumbent", "candidate"), shown, strict=True)),
        "diff": word_diff(before, after) if before is not None and after is not None else None,
        "both": before is not None and after is not None,
    }
    return page(request, "pilots/run/answer.html", {**frame, **context}, section="pilots")
