"""From dataclasses to the JSON of the public interface. Public surface: ``plain``, ``report_document``."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def plain(value: Any) -> Any:
    """Dataclasses as objects, dates and instants (UTC) as ISO text, enums as their value, decimals as text."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _names(type(value))}
    raise TypeError(f"{type(value).__name__} has no place in a document")


def report_document(report: Any) -> dict[str, Any]:
    """A report's fields as they are named; of its ``filters`` what narrows or shapes it."""
    return {
        name: report.filters.to_document() if name == "filters" else plain(getattr(report, name))
        for name in (field.name for field in fields(report))
    }
