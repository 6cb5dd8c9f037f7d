"""Catalogue and audit: tables to read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from evaluations.selectors import catalogue
from evaluations.selectors.audit import audit_page
from pilots.views.page import access_of, door, page, whole_number


@door("GET")
def models(request: HttpRequest) -> HttpResponse:
    rows = catalogue.models(timezone.now().date())
    return page(request, "pilots/catalogue/models.html", {"view": "models", "rows": rows}, section="catalogue")


@door("GET")
def endpoints(request: HttpRequest) -> HttpResponse:
    rows = catalogue.endpoints(timezone.now())
    return page(request, "pilots/catalogue/endpoints.html", {"view": "endpoints", "rows": rows}, section="catalogue")


@door("GET")
def prices(request: HttpRequest) -> HttpResponse:
    rows = catalogue.prices(timezone.now().date())
    return page(request, "pilots/catalogue/prices.html", {"view": "prices", "rows": rows}, section="catalogue")


@door("GET")
def audit(request: HttpRequest) -> HttpResponse:
    found = audit_page(
        access_of(request),
        team=request.GET.get("team", ""),
        search=request.GET.get("q", "").strip()[:100],
        before=whole_number(request.GET.get("before")),
    )
    return page(request, "pilots/audit.html", {"audit": found}, section="audit")
