"""Reports: who stayed, why others went back, what verdicts foretold, what it costs, what vendors claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from pilots.models import Pilot
from pilots.selectors.choices import filter_choices
from pilots.selectors.claims import TESTS
from pilots.selectors.claims import claims as claims_report
from pilots.selectors.costs import costs as costs_report
from pilots.selectors.customers import kept_test
from pilots.selectors.drift import drift as drift_report
from pilots.selectors.filters import GROUPINGS, ReportFilters
from pilots.selectors.predictiveness import predictiveness as predictiveness_report
from pilots.selectors.retention import retention as retention_report
from pilots.selectors.rollback_reasons import rollback_reasons_report
from pilots.selectors.savings import Savings
from pilots.selectors.savings import savings as savings_report
from pilots.services.customers import ask_for_comparison
from pilots.views.page import access_of, door, filters_of, page, whole_number

SPELLS_A_PAGE = 50
PILOTS_A_PAGE = 25
GAPS_SHOWN = 6  # runs of days without a figure, of each pilot
Context = Callable[[Any, ReportFilters], dict[str, Any]]  # of the report, for its page


@door("GET")
def retention(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    pilots = access_of(request).pilots()
    filters, refusal = filters_of(request, now=now)
    report = retention_report(filters, pilots)
    ask_for_comparison(report, at=now)
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


@door("GET")
def comparison(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """How a comparison by customers stands, for the page that waits for it."""
    test = kept_test(fingerprint)
    if test is None:
        raise Http404
    return render(request, "pilots/reports/_by_customer.html", {"test": test})


def _shown(
    request: HttpRequest,
    name: str,
    read: Callable[[ReportFilters, QuerySet[Pilot]], Any],
    *,
    groupings: tuple[str, ...] = (),
    more: Context = lambda report, filters: {},
) -> HttpResponse:
    """The report called ``name`` under the filters in the URL, on its own page."""
    now = timezone.now()
    pilots = access_of(request).pilots()
    filters, refusal = filters_of(request, now=now)
    report = read(filters, pilots)
    context = {
        "now": now,
        "report": report,
        "choices": filter_choices(pilots),
        "groupings": groupings,
        "filters": filters,
        "refusal": refusal,
        "shown_at_most": SPELLS_A_PAGE,
        **more(report, filters),
    }
    template = f"pilots/reports/{name.replace('-', '_')}.html"
    return page(request, template, context, section=name, status=400 if refusal else 200)


@door("GET")
def claims(request: HttpRequest) -> HttpResponse:
    return _shown(request, "claims", claims_report, more=lambda report, filters: {"tests": TESTS})


@door("GET")
def rollback_reasons(request: HttpRequest) -> HttpResponse:
    return _shown(request, "rollback-reasons", rollback_reasons_report, groupings=GROUPINGS)


@door("GET")
def predictiveness(request: HttpRequest) -> HttpResponse:
    return _shown(request, "predictiveness", predictiveness_report)


def _listed(request: HttpRequest) -> Context:
    """One page of the report's pilots."""

    def listed(report: Any, filters: ReportFilters) -> dict[str, Any]:
        return {"listed": Paginator(report.pilots, PILOTS_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1)}

    return listed


@door("GET")
def costs(request: HttpRequest) -> HttpResponse:
    return _shown(request, "costs", costs_report, more=_listed(request))


@door("GET")
def savings(request: HttpRequest) -> HttpResponse:
    def listed(report: Savings, filters: ReportFilters) -> dict[str, Any]:
        rows = sorted(report.pilots, key=lambda row: (row.net is None, -(row.net or 0), row.pilot))
        number = whole_number(request.GET.get("page")) or 1
        return {"listed": Paginator(rows, PILOTS_A_PAGE).get_page(number), "gaps_shown": GAPS_SHOWN}

    return _shown(request, "savings", savings_report, more=listed)


@door("GET")
def drift(request: HttpRequest) -> HttpResponse:
    return _shown(request, "drift", drift_report, more=_listed(request))
