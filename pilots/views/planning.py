"""Before and at a replay: freeze the plan, see what a replay would take, start it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from evaluations.selectors.estimates import Estimate, estimate_replay
from evaluations.services.errors import Conflict, Refused
from pilots.forms.replays import ReplayForm
from pilots.models import Pilot
from pilots.selectors.profile import pilot_profile
from pilots.services.planning import freeze_pilot_plan
from pilots.services.replays import start_replay
from pilots.views.page import actor_of, door, page
from pilots.views.pilot import managed_pilot


@door("GET", "POST")
def freeze(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask with the plan in view, then lock it."""
    pilot = managed_pilot(request, slug)
    if pilot.plan is None:
        raise Http404
    refusal = None
    if request.method == "POST":
        try:
            version = freeze_pilot_plan(pilot=pilot, by=actor_of(request), at=timezone.now())
        except Refused as error:
            refusal = error
        else:
            messages.success(request, f"Plan frozen as version {version.number}.")
            return redirect("pilots:pilot", slug=slug)
    context = {"definition": pilot.plan.definition, "plan": pilot.plan, "refusal": refusal}
    status = 200 if refusal is None else 409 if isinstance(refusal, Conflict) else 400
    return _page(request, pilot, "freeze", context, status=status)


@door("GET", "POST")
def replay(request: HttpRequest, slug: str) -> HttpResponse:
    """First the estimate, then, confirmed with it in view, the start."""
    pilot = managed_pilot(request, slug)
    if pilot.plan is None or not pilot.plan.versions.exists():
        return _page(request, pilot, "replay", {"missing": "plan"})
    form = ReplayForm(request.POST or None, plan=pilot.plan)
    if not form.has_samples:
        return _page(request, pilot, "replay", {"missing": "samples"})
    estimate: Estimate | None = None
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            wanted = form.cleaned_data
            now = timezone.now()
            if "confirmed" in request.POST:
                try:
                    run = start_replay(pilot=pilot, by=actor_of(request), at=now, **wanted)
                except Refused as refusal:
                    status = 409 if isinstance(refusal, Conflict) else 400
                    form.refuse(refusal)
                else:
                    return redirect("pilots:run", pk=run.pk)
            else:
                status = 200
                estimate = estimate_replay(
                    plan=pilot.plan,
                    sample_set=wanted["sample_set"],
                    at=now,
                    take=wanted["take"],
                    repeats=wanted["repeats"],
                    budget=wanted["budget"],
                )
    context = {"form": form, "estimate": estimate, "plan": pilot.plan}
    return _page(request, pilot, "replay", context, status=status)


def _page(request: HttpRequest, pilot: Pilot, name: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    now = timezone.now()
    head = {"now": now, "facts": pilot_profile(pilot, at=now)}
    return page(request, f"pilots/pilot/{name}.html", {**head, **context}, section="pilots", status=status)
