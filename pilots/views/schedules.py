"""A pilot's schedule: set it, change it, end it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from evaluations.services.errors import Conflict, Refused
from pilots.forms.schedules import ScheduleForm
from pilots.selectors.profile import pilot_profile
from pilots.selectors.schedules import schedule_of
from pilots.services.schedules import end_schedule, save_schedule
from pilots.views.page import actor_of, door, page
from pilots.views.pilot import managed_pilot


@door("GET", "POST")
def schedule(request: HttpRequest, slug: str) -> HttpResponse:
    pilot = managed_pilot(request, slug)
    now = timezone.now()
    found = schedule_of(pilot)
    form = ScheduleForm(request.POST or None, schedule=found)
    status = 200
    if request.method == "POST":
        if "end" in request.POST:
            end_schedule(pilot=pilot, by=actor_of(request), at=now)
            messages.success(request, "Schedule ended. Nothing starts by itself any more.")
            return redirect("pilots:replays", slug=slug)
        status = 400
        if form.is_valid():
            try:
                save_schedule(pilot=pilot, by=actor_of(request), at=now, **form.cleaned_data)
            except Refused as refusal:
                status = 409 if isinstance(refusal, Conflict) else 400
                form.refuse(refusal)
            else:
                messages.success(request, "Schedule set.")
                return redirect("pilots:replays", slug=slug)
    context = {"now": now, "facts": pilot_profile(pilot, at=now), "form": form, "schedule": found}
    return page(request, "pilots/pilot/schedule.html", context, section="pilots", status=status)
