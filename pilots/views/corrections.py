"""Setting the record right: a form over one event, which a new event then corrects."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from evaluations.services.errors import Conflict, Refused
from pilots.forms.correction import CORRECTABLE, CorrectionForm
from pilots.models import Pilot, PilotEvent
from pilots.selectors.events import events_of, standing_event
from pilots.selectors.profile import pilot_profile
from pilots.services.corrections import correct_event
from pilots.views.page import actor_of, door, page
from pilots.views.pilot import managed_pilot


@door("GET", "POST")
def correct(request: HttpRequest, slug: str, seq: int) -> HttpResponse:
    pilot = managed_pilot(request, slug)
    event = standing_event(pilot, seq)
    if event is None or event.kind not in CORRECTABLE:
        raise Http404
    if request.method == "GET":
        return _page(request, pilot, CorrectionForm(pilot=pilot, event=event))
    form = CorrectionForm(request.POST, pilot=pilot, event=event)
    if not form.is_valid():
        return _page(request, pilot, form, status=400)
    try:
        correct_event(
            pilot=pilot,
            by=actor_of(request),
            at=timezone.now(),
            event=get_object_or_404(PilotEvent, pilot=pilot, seq=seq),
            **form.arguments(),
        )
    except Conflict:
        pilot = managed_pilot(request, slug)
        again = CorrectionForm({**request.POST.dict(), "version": str(pilot.version)}, pilot=pilot, event=event)
        again.is_valid()
        return _page(request, pilot, again, conflict=True, status=409)
    except Refused as refusal:
        form.refuse(refusal)
        return _page(request, pilot, form, status=400)
    messages.success(request, f"Event {seq} is corrected.")
    return redirect("pilots:timeline", slug=pilot.slug)


def _page(
    request: HttpRequest, pilot: Pilot, form: CorrectionForm, *, status: int = 200, conflict: bool = False
) -> HttpResponse:
    now = timezone.now()
    entries = events_of(pilot)
    told = [entry for entry in entries if form.event.seq in (entry.seq, entry.corrects)]
    newest = max(entries, key=lambda entry: entry.seq)
    context: dict[str, Any] = {
        "facts": pilot_profile(pilot, at=now),
        "form": form,
        "event": form.event,
        "entries": told,
        "newest": newest,
        "conflict": conflict,
    }
    return page(request, "pilots/pilot/correct.html", context, section="pilots", status=status)
