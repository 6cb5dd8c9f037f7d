"""Everything that waits, and putting one of it off."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from evaluations.services.errors import Refused
from pilots.enums import MatterKind
from pilots.forms.attention import SnoozeForm
from pilots.selectors.attention import attention as read_attention
from pilots.selectors.filters import ReportFilters
from pilots.selectors.matters.base import Matter
from pilots.selectors.pilots import scope_for
from pilots.selectors.waiting import waiting_for
from pilots.services.attention import note_visit, snooze_matter, wake_matter
from pilots.views.page import access_of, actor_of, door, page, whole_number

MATTERS_A_PAGE = 50
SNOOZE_DAYS = 7


def _matters(request: HttpRequest, now: datetime) -> tuple[Matter, ...]:
    access = access_of(request)
    filters = ReportFilters.parse({"team": request.GET.getlist("team")}, now=now)
    return read_attention(scope_for(filters, access.pilots(), access))


@door("GET")
def attention(request: HttpRequest) -> HttpResponse:
    now, access = timezone.now(), access_of(request)
    last_visit = note_visit(user=access.user, at=now)
    waiting = waiting_for(access, _matters(request, now), at=now, last_visit=last_visit)
    snoozed, kind = request.GET.get("show") == "snoozed", request.GET.get("kind", "")
    lines = waiting.snoozed if snoozed else waiting.lines
    if kind in MatterKind._value2member_map_:
        lines = tuple(line for line in lines if line.matter.kind == kind)
    context = {
        "now": now,
        "waiting": waiting,
        "listed": Paginator(lines, MATTERS_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1),
        "snoozed": snoozed,
        "kind": kind,
    }
    return page(request, "pilots/attention/list.html", context, section="home")


@door("GET", "POST")
def snooze(request: HttpRequest) -> HttpResponse:
    now, access = timezone.now(), access_of(request)
    matter = _matter(request, now)
    initial = {"until_on": now.date() + timedelta(days=SNOOZE_DAYS)}
    form = SnoozeForm(request.POST or None, initial=initial)
    context: dict[str, Any] = {"form": form, "matter": matter}
    if request.method == "POST" and form.is_valid():
        try:
            row = snooze_matter(user=access.user, matter=matter, by=actor_of(request), at=now, **form.cleaned_data)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, f"{matter.subject}: put off until {row.until_on}, for you alone.")
            return redirect("pilots:home")
    status = 400 if request.method == "POST" else 200
    return page(request, "pilots/attention/snooze.html", context, section="home", status=status)


@door("POST")
def wake(request: HttpRequest) -> HttpResponse:
    now, access = timezone.now(), access_of(request)
    matter = _matter(request, now)
    woken = wake_matter(
        user=access.user, key=matter.key, subject=matter.subject, team=matter.team, by=actor_of(request), at=now
    )
    messages.success(request, f"{matter.subject} is back on the list." if woken else "It was on the list already.")
    return redirect("pilots:attention")


def _matter(request: HttpRequest, now: datetime) -> Matter:
    """The matter that the address names, as it stands; one that nobody waits for any more is not found."""
    found = next((matter for matter in _matters(request, now) if matter.key == request.GET.get("key")), None)
    if found is None:
        raise Http404
    return found
