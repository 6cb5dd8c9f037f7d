"""Home, the list of pilots, and the jump box."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from pilots.enums import PilotStatus
from pilots.selectors.choices import filter_choices
from pilots.selectors.filters import ReportFilters
from pilots.selectors.jump import jump_targets
from pilots.selectors.listing import figures, listed
from pilots.selectors.pilots import portfolio
from pilots.selectors.retention import retention
from pilots.selectors.savings import saved_so_far
from pilots.selectors.waiting import waiting_for
from pilots.services.attention import note_visit
from pilots.views.page import access_of, door, filters_of, page, whole_number

PILOTS_A_PAGE = 50
MATTERS_AT_HOME = 8


@door("GET")
def home(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    access = access_of(request)
    filters = ReportFilters.parse({"team": request.GET.getlist("team")}, now=now)
    found = portfolio(filters, access.pilots(), access=access)
    last_visit = note_visit(user=access.user, at=now)
    waiting = waiting_for(access, found.attention, at=now, last_visit=last_visit)
    context = {
        "now": now,
        "portfolio": found,
        "waiting": waiting,
        "matters": waiting.lines[:MATTERS_AT_HOME],
        "matters_more": max(len(waiting.lines) - MATTERS_AT_HOME, 0),
        "figures": figures(found, retention(filters, access.pilots()).answer),
        "saved": saved_so_far(filters.apply(access.pilots())),
        "stages": [(status, found.counts[status.value]) for status in PilotStatus if status.value in found.counts],
        "vendor_names": dict(filter_choices(access.pilots()).vendors),
        "may_bring": access.may_bring_history(),
        "most": max(found.counts.values(), default=0),
        "may_open": access.may_open_any(),
    }
    return page(request, "pilots/home.html", context, section="home")


@door("GET")
def pilots(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    access = access_of(request)
    filters, refusal = filters_of(request, now=now)
    found = portfolio(filters, access.pilots(), what_waits=False)
    stage, sort = request.GET.get("stage", ""), request.GET.get("sort", "")
    search = request.GET.get("q", "").strip()[:100]
    rows = listed(found, stage=stage, search=search, sort=sort)
    context = {
        "now": now,
        "listed": Paginator(rows, PILOTS_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1),
        "filters": filters,
        "refusal": refusal,
        "choices": filter_choices(access.pilots()),
        "stages": [status for status in PilotStatus if status is not PilotStatus.VOID],
        "traffic_unread": found.traffic_unread,
        "stage": stage,
        "sort": sort,
        "search": search,
        "narrowed": any(request.GET.get(name) for name in request.GET if name not in ("page", "sort")),
        "may_open": access.may_open_any(),
        "may_bring": access.may_bring_history(),
    }
    return page(request, "pilots/list.html", context, section="pilots", status=400 if refusal else 200)


@door("GET")
def jump(request: HttpRequest) -> HttpResponse:
    """Targets for what was typed: as a fragment for the box, as a page without scripts."""
    search = request.GET.get("q", "").strip()[:100]
    context = {"groups": jump_targets(access_of(request), search), "search": search}
    if request.headers.get("HX-Request"):
        return render(request, "pilots/_jump_results.html", context)
    return page(request, "pilots/jump.html", context, section="")
