"""The "Record ..." forms: one page for every kind of event."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from evaluations.services.errors import Conflict, Refused
from pilots.enums import EventKind
from pilots.forms.base import EventForm
from pilots.forms.record import RECORDS, Record
from pilots.models import Pilot
from pilots.selectors.events import events_of
from pilots.selectors.evidence import newest_reading
from pilots.selectors.profile import pilot_profile
from pilots.views.page import actor_of, door, page
from pilots.views.pilot import managed_pilot


@door("GET", "POST")
def record(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    pilot = managed_pilot(request, slug)
    entry = RECORDS.get(kind)
    if entry is None:
        raise Http404
    reading = newest_reading(pilot) if entry.kind is EventKind.DECIDED else None
    if request.method == "GET":
        return _page(request, pilot, entry, entry.form(pilot=pilot, initial=_proposed(request, entry)), reading=reading)
    form = entry.form(request.POST, pilot=pilot)
    if not form.is_valid():
        return _page(request, pilot, entry, form, reading=reading, status=400)
    arguments = form.arguments()
    if entry.kind is EventKind.DECIDED:
        arguments |= {"rationale": arguments.pop("note"), "verdict": reading.snapshot() if reading else None}
    try:
        entry.door(pilot=pilot, by=actor_of(request), at=timezone.now(), **arguments)
    except Conflict:
        pilot = managed_pilot(request, slug)
        again = entry.form({**request.POST.dict(), "version": str(pilot.version)}, pilot=pilot)
        again.is_valid()
        return _page(request, pilot, entry, again, reading=reading, conflict=True, status=409)
    except Refused as refusal:
        form.refuse(refusal)
        return _page(request, pilot, entry, form, reading=reading, status=400)
    messages.success(request, f"{entry.label} recorded.")
    return redirect("pilots:pilot", slug=pilot.slug)


def _proposed(request: HttpRequest, entry: Record) -> dict[str, str]:
    """What a link proposes, for example that of a silent rollback; the version is always the present one."""
    names = {*entry.form.base_fields, "kind_0", "reference_0"} - {"version", "attachments"}
    return {name: request.GET[name][:1000] for name in names if name in request.GET}


def _page(
    request: HttpRequest, pilot: Pilot, entry: Record, form: EventForm, *, status: int = 200, **context: Any
) -> HttpResponse:
    now = timezone.now()
    latest = events_of(pilot, newest=1)
    head = {"now": now, "facts": pilot_profile(pilot, at=now), "entry": entry, "form": form, "latest": latest}
    return page(request, "pilots/pilot/record.html", {**head, **context}, section="pilots", status=status)
