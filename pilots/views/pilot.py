"""The pilot page and its tabs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from pilots.charts import months_chart, traffic_chart
from pilots.enums import PilotStatus
from pilots.formats import money
from pilots.forms.record import possible
from pilots.models import Pilot
from pilots.selectors.alarms import alarms_of
from pilots.selectors.events import events_of
from pilots.selectors.evidence import newest_reading
from pilots.selectors.filters import ReportFilters
from pilots.selectors.judging import pilot_judge
from pilots.selectors.pilot_traffic import pilot_traffic
from pilots.selectors.profile import PilotProfile, pilot_profile
from pilots.selectors.reviews import pilot_reviews
from pilots.selectors.runs import runs_of
from pilots.selectors.savings import savings
from pilots.selectors.schedules import schedule_of
from pilots.selectors.spells import spells_of
from pilots.selectors.traffic import WINDOW_DAYS
from pilots.selectors.trend import trend_of
from pilots.views.page import access_of, door, page

LATELY = 5
GAPS_SHOWN = 30  # runs of days; all of them are in the API


def pilot_or_404(request: HttpRequest, slug: str) -> Pilot:
    """The pilot if it belongs to one of the person's teams; a foreign one does not exist."""
    pilots = access_of(request).pilots()
    related = ("workload__team", "incumbent__vendor", "candidate__vendor", "owner", "deputy", "plan")
    return get_object_or_404(pilots.select_related(*related), slug=slug)


def managed_pilot(request: HttpRequest, slug: str) -> Pilot:
    """The pilot, for those who may record what happens to it; others of the team are told that they may not."""
    pilot = pilot_or_404(request, slug)
    if not access_of(request).may_manage(pilot):
        raise PermissionDenied
    return pilot


def tab(request: HttpRequest, pilot: Pilot, name: str, context: dict[str, Any]) -> HttpResponse:
    """One tab under the pilot's head."""
    now = timezone.now()
    facts = pilot_profile(pilot, at=now)
    may_manage = access_of(request).may_manage(pilot)
    records = possible(pilot, awaiting_approval=facts.awaiting_approval) if may_manage else ()
    head = {
        "now": now,
        "tab": name,
        "facts": facts,
        "may_manage": may_manage,
        "records": records,
        "next_step": _next_step(facts),
    }
    return page(request, f"pilots/pilot/{name}.html", {**head, **context}, section="pilots")


def _next_step(facts: PilotProfile) -> str:
    """What a pilot at this stage waits for, beyond recording what happened."""
    if facts.status is PilotStatus.DRAFT and facts.has_plan:
        return "freeze"
    return "replay" if facts.status in (PilotStatus.PLANNED, PilotStatus.EVALUATING) and facts.plan else ""


@door("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    pilot = pilot_or_404(request, slug)
    context = {
        "entries": events_of(pilot, newest=LATELY),
        "reading": newest_reading(pilot),
        "alarms": alarms_of(pilot),
    }
    return tab(request, pilot, "overview", context | _traffic(pilot) | _savings(pilot))


def _traffic(pilot: Pilot) -> dict[str, Any]:
    found = pilot_traffic(pilot, today=timezone.now().date())
    if found is None:
        return {}
    chart = traffic_chart(found.days, first=found.shown_from, last=found.shown_to, marks=found.marks)
    return {"traffic": found, "chart": chart, "window": WINDOW_DAYS}


def _savings(pilot: Pilot) -> dict[str, Any]:
    """What it has saved, where it has ever been on its candidate."""
    found = savings(ReportFilters.parse({}, now=timezone.now()), Pilot.objects.filter(pk=pilot.pk)).pilots
    if not found:
        return {}
    [row] = found
    months = [(one.month, None if one.spent.saved is None else float(one.spent.saved)) for one in row.savings.months]
    chart = months_chart(months, label=lambda amount: money(Decimal(amount), row.savings.currency) or "")
    return {"saved": row, "saved_chart": chart, "gaps_shown": GAPS_SHOWN}


@door("GET")
def timeline(request: HttpRequest, slug: str) -> HttpResponse:
    pilot = pilot_or_404(request, slug)
    return tab(request, pilot, "timeline", {"entries": events_of(pilot)})


@door("GET")
def evidence(request: HttpRequest, slug: str) -> HttpResponse:
    pilot = pilot_or_404(request, slug)
    reading = newest_reading(pilot)
    context = {
        "reading": reading,
        "trends": () if reading is None else trend_of(reading.run),
        "alarms": alarms_of(pilot),
        "judge": pilot_judge(pilot),
        "reviews": pilot_reviews(pilot),
    }
    return tab(request, pilot, "evidence", context)


@door("GET")
def periods(request: HttpRequest, slug: str) -> HttpResponse:
    pilot = pilot_or_404(request, slug)
    return tab(request, pilot, "periods", {"spells": spells_of(pilot, now=timezone.now())})


@door("GET")
def replays(request: HttpRequest, slug: str) -> HttpResponse:
    pilot = pilot_or_404(request, slug)
    return tab(request, pilot, "replays", {"runs": runs_of(pilot), "schedule": schedule_of(pilot)})
