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

from evaluations.services.saving import Maybe
from pilots.api.base import ApiView, operation
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.models import TrafficDay


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
            workload=row.workload.slug,
            day=row.day,
            model=row.model.slug,
            requests=row.requests,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            errors=row.errors,
            cost=row.cost_amount,
            currency=row.currency or None,
            recorded_at=row.recorded_at,
        )


class Traffic(ApiView):
    @operation(
        "list_traffic", "List observed traffic, newest day first", answers=Page[TrafficDocument], query=TrafficPage
    )
    def get(self, request: Request, query: TrafficPage) -> Page[TrafficDocument]:
        rows = TrafficDay.objects.filter(workload__in=self.access.workloads()).select_related("workload", "model")
        rows = narrowed(rows, query, workload="workload__slug", model="model__slug", since="day__gte", until="day__lte")
        return page_of(request, query, rows, _days, order=query.ordering)
