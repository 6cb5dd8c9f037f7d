"""Filters: one spelling for command line and query string, and a refusal that names the filter."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.http import QueryDict

from evaluations.services.errors import Refused
from pilots.selectors.filters import ReportFilters

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def parse(**given: Any) -> ReportFilters:
    return ReportFilters.parse(given, now=NOW)


def test_nothing_asked_is_the_present_with_the_defaults() -> None:
    assert parse(team=None, pilot="", verbosity=1) == ReportFilters(
        as_of=date(2026, 11, 1), known_at=NOW, days=(30, 90, 180, 365), min_at_risk=5
    )


def test_a_query_string_and_a_command_line_read_the_same() -> None:
    query = QueryDict(
        "team=a,b&team=c&as-of=2026-03-31&known-at=2026-04-02&days=90,30&min-at-risk=3&by=task-type&page=2"
    )
    typed = {
        "team": ["a", "b", "c"],
        "as_of": "2026-03-31",
        "known_at": "2026-04-02",
        "days": "30,90",
        "min_at_risk": "3",
        "by": "task_type",
    }
    filters = ReportFilters.parse(dict(query.lists()), now=NOW)
    assert filters == ReportFilters.parse(typed, now=NOW)
    assert filters == ReportFilters(
        as_of=date(2026, 3, 31),
        known_at=datetime(2026, 4, 2, 23, 59, 59, 999999, tzinfo=UTC),
        days=(30, 90),
        min_at_risk=3,
        team=("a", "b", "c"),
        by="task_type",
        present=False,
        known_before=True,
    )
    assert filters.to_document() == {"team": ["a", "b", "c"], "by": "task_type", "days": [30, 90], "min_at_risk": 3}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-04-02T10:00:00Z", datetime(2026, 4, 2, 10, tzinfo=UTC)),
        ("2026-04-02T12:00:00+02:00", datetime(2026, 4, 2, 10, tzinfo=UTC)),
        ("2026-04-02T12:00:00 02:00", datetime(2026, 4, 2, 10, tzinfo=UTC)),
        ("2026-04-02T10:00", datetime(2026, 4, 2, 10, tzinfo=UTC)),
    ],
)
def test_an_instant_without_a_zone_is_utc(text: str, instant: datetime) -> None:
    assert parse(known_at=text).known_at == instant


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"by": "colour"}, "by"),
        ({"days": "30,soon"}, "days"),
        ({"days": "-1"}, "days"),
        ({"min_at_risk": "0"}, "min_at_risk"),
        ({"run": "x"}, "run"),
        ({"set": "1.5"}, "set"),
        ({"as_of": "31.03.2026"}, "as_of"),
        ({"known_at": "yesterday"}, "known_at"),
        ({"known_at": "2026-13-01"}, "known_at"),
    ],
)
def test_what_cannot_be_read_is_named(given: dict[str, str], field: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(**given)
    assert refusal.value.field == field
