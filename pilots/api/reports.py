"""Reports, and the schemas that their documents keep to."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.services.saving import Maybe
from pilots.api.base import ApiView, Nothing, operation
from pilots.api.report_schemas import report_schema
from pilots.selectors.filters import ReportFilters
from pilots.selectors.reports import REPORTS
from pilots.services.customers import ask_for_comparison


class ReportQuery(Nothing):
    """The filters of ``manage.py report``. Several values, or one text with commas, are alternatives."""

    team: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()
    incumbent: tuple[str, ...] = ()
    candidate: tuple[str, ...] = ()
    task_type: tuple[str, ...] = ()
    pilot: tuple[str, ...] = ()
    run: Maybe[int] = UNSET
    set: Maybe[int] = UNSET
    as_of: Maybe[str] = UNSET  # YYYY-MM-DD: the state of the world on that day
    known_at: Maybe[str] = UNSET  # using only what was recorded by then
    days: tuple[str, ...] = ()
    min_at_risk: Maybe[int] = UNSET
    by: Maybe[str] = UNSET


class Report(ApiView):
    @operation("read_report", "Read a report", answers=dict[str, Any], query=ReportQuery)
    def get(self, request: Request, name: str, query: ReportQuery) -> dict[str, Any]:
        report = REPORTS.get(name)
        if report is None:
            raise Http404
        given = {
            field: getattr(query, field) for field in query.__struct_fields__ if getattr(query, field) is not UNSET
        }
        found = report(ReportFilters.parse(given, now=self.now), self.access.pilots())
        ask_for_comparison(found, at=self.now)
        return found.to_document()


class ReportSchema(ApiView):
    @operation("read_report_schema", "Read the JSON schema of a report's document", answers=dict[str, Any])
    def get(self, request: Request, name: str) -> dict[str, Any]:
        schema = report_schema(name)
        if schema is None:
            raise Http404
        return schema
