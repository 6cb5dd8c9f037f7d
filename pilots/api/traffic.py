"""Observed production usage, by workload, day and model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.capture.lines import FieldError
from evaluations.capture.usage import UsageRow, daily_row
from evaluations.services.errors import Refused
from evaluations.services.saving import Maybe
from pilots.api.base import ApiView, operation
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.enums import TokenScope
from pilots.models import TrafficDay
from pilots.selectors.traffic import observed_days
from pilots.services.traffic import TrafficReport, record_traffic


@dataclass(frozen=True, slots=True)
class TrafficDocument:
    """A day without a row is missing, not zero."""

    workload: str
    day: date  # UTC
    model: str
    requests: int
    input_tokens: int | None  # None: not said, here and below
    output_tokens: int | None
    errors: int | None
    cost: Decimal | None
    currency: str | None
    recorded_at: Instant


class TrafficPage(PageQuery):
    workload: Maybe[str] = UNSET
    model: Maybe[str] = UNSET
    since: Maybe[Annotated[date, msgspec.Meta(description="The first day.")]] = UNSET
    until: Maybe[Annotated[date, msgspec.Meta(description="The last day.")]] = UNSET
    ordering: Literal["day", "-day"] = "-day"


def _days(rows: Sequence[TrafficDay]) -> Iterator[TrafficDocument]:
    for row in rows:
        yield TrafficDocument(
            workload=row.workload.slug if row.workload else "",
            day=row.day,
            model=row.model.slug if row.model else "",
            requests=row.requests,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            errors=row.errors,
            cost=row.cost_amount,
            currency=row.currency or None,
            recorded_at=row.recorded_at,
        )


class TrafficEntry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A day's total, as in a traffic file; names may be those of the gateway."""

    workload: str
    day: str  # UTC, YYYY-MM-DD
    model: str
    requests: int
    input_tokens: int | None = None  # None: not said, here and below
    output_tokens: int | None = None
    errors: int | None = None
    cost: Decimal | None = None
    currency: str | None = None  # of the cost; None: USD


class TrafficRows(msgspec.Struct, forbid_unknown_fields=True):
    rows: Annotated[list[TrafficEntry], msgspec.Meta(max_length=20_000)]


@dataclass(frozen=True, slots=True)
class TrafficImportDocument:
    days: int  # traffic days with a workload and a model
    workloads: int
    unmapped: int  # traffic days that wait for a mapping rule
    added: int  # of all, here and below
    replaced: int
    unchanged: int


def _rows(body: TrafficRows) -> Iterator[UsageRow]:
    for number, entry in enumerate(body.rows):
        try:
            yield daily_row(number + 1, msgspec.structs.asdict(entry))
        except FieldError as error:
            raise Refused(error.reason, field=f"rows[{number}].{error.field}") from None


def _imported(report: TrafficReport) -> TrafficImportDocument:
    return TrafficImportDocument(**report.to_document())


class Traffic(ApiView):
    @operation(
        "list_traffic", "List observed traffic, newest day first", answers=Page[TrafficDocument], query=TrafficPage
    )
    def get(self, request: Request, query: TrafficPage) -> Page[TrafficDocument]:
        rows = observed_days().filter(workload__in=self.access.workloads()).select_related("workload", "model")
        rows = narrowed(rows, query, workload="workload__slug", model="model__slug", since="day__gte", until="day__lte")
        return page_of(request, query, rows, _days, order=query.ordering)

    @operation(
        "add_traffic",
        "Add observed traffic: totals of days",
        answers=TrafficImportDocument,
        body=TrafficRows,
        scopes=(TokenScope.SAMPLES, TokenScope.WRITE),
    )
    def post(self, request: Request, body: TrafficRows) -> TrafficImportDocument:
        """All rows or none. A day that is on record with other numbers is replaced; the same again changes nothing.
        Names that no mapping rule explains wait for one.
        """
        managed = self.access.workloads_managed()
        self.allow(managed is None or self.access.may_open_any(), "Only pilot managers add traffic.")
        return _imported(record_traffic(rows=list(_rows(body)), by=self.actor, at=self.now, workloads=managed))
