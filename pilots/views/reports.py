"""Reports: who stayed."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pilots.selectors.choices import filter_choices
from pilots.selectors.filters import GROUPINGS
from pilots.selectors.retention import retention as retention_report
from pilots.views.page import access_of, door, filters_of, page, whole_number

SPELLS_A_PAGE = 50


@door("GET")
def retention(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    pilots = access_of(request).pilots()
    filters, refusal = filters_of(request, now=now)
    report = retention_report(filters, pilots)
    answer = report.answer
    context = {
        "now": now,
        "report": report,
        "answer": answer,
        "points": tuple(zip(answer.not_rolled_back, answer.not_returned_to_vendor, answer.at, strict=True)),
        "longest": max((spell.days for spell in answer.spells), default=0),
        "listed": Paginator(answer.spells, SPELLS_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1),
        "choices": filter_choices(pilots),
        "groupings": GROUPINGS,
        "filters": filters,
        "refusal": refusal,
    }
    return page(request, "pilots/reports/retention.html", context, section="retention", status=400 if refusal else 200)
