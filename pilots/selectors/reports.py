"""Every report by name. Public surface: ``REPORTS``, ``Report``.

A report is a function of the filters and the pilots that may be seen (default: all), and yields something with
``to_document()``. A new one is one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.db.models import QuerySet

from pilots.models import Pilot
from pilots.selectors.claims import claims
from pilots.selectors.costs import costs
from pilots.selectors.drift import drift
from pilots.selectors.evidence_report import evidence
from pilots.selectors.filters import ReportFilters
from pilots.selectors.pilots import portfolio
from pilots.selectors.predictiveness import predictiveness
from pilots.selectors.retention import retention
from pilots.selectors.rollback_reasons import rollback_reasons_report


class Document(Protocol):
    def to_document(self) -> dict[str, Any]: ...


class Report(Protocol):
    def __call__(self, filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> Document: ...


REPORTS: Mapping[str, Report] = {
    "claims": claims,
    "costs": costs,
    "drift": drift,
    "evidence": evidence,
    "portfolio": portfolio,
    "predictiveness": predictiveness,
    "retention": retention,
    "rollback-reasons": rollback_reasons_report,
}
