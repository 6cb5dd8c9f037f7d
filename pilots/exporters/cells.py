"""One value of a typed column, as it is stored and how it looks.

Public surface: ``Cell``, ``Look``, ``shower``, ``header_of``, ``width_of``, ``height_of``, ``csv_value``.
The rules for unknown, undisclosed, dates, money and text that no file may break are here, whatever the file format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from pilots.exporters.base import NUMERIC, UNKNOWN, Column, Formula, Kind
from pilots.exporters.texts import FORMULA_STARTS, clean_text, csv_text

MAX_EXACT = 10**15  # spreadsheets keep 15 digits
FIRST_DAY = date(1900, 3, 1)  # before it, spreadsheets disagree about the calendar
_CENT = Decimal("0.01")


class Look(NamedTuple):
    font: str = "normal"
    number_format: str = "General"
    align: str = "left"
    wrap: bool = False
    fill: str = ""
    quoted: bool = False  # shows that the cell is text although it looks like a formula


class Cell(NamedTuple):
    """``value`` is ``None`` for an empty cell; ``link`` an address or ``#'Sheet'!A1``."""

    value: Any
    look: Look = Look()
    link: str = ""


EMPTY = Cell(None)


def shower(column: Column, columns: Sequence[Column] = ()) -> Callable[[Any, Sequence[Any]], Cell]:
    """How to show a value of ``column``, given the value and its row."""
    align = "right" if column.kind in NUMERIC or column.kind in (Kind.DATE, Kind.DATETIME) else "left"
    plain = Look(wrap=column.wrap)
    quoted = plain._replace(quoted=True)
    absent = Cell(column.unknown, Look("muted", align=align)) if column.unknown else EMPTY
    not_a_number = Cell(column.unknown or UNKNOWN, Look("muted", align=align))
    currency_at = next((at for at, other in enumerate(columns) if other.key == column.currency_from), None)

    def text(value: Any) -> Cell:
        words = clean_text(words_of(value))
        return Cell(words, quoted if words[:1] in FORMULA_STARTS else plain)

    def number(value: Any, row: Sequence[Any]) -> Cell:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return text(value)
        if not math.isfinite(value):
            return not_a_number
        if not -MAX_EXACT < value < MAX_EXACT:
            return text(value)
        currency = column.currency if currency_at is None else row[currency_at]
        return Cell(value, Look(number_format=number_format(column, value, currency), align="right"))

    def day(value: Any, row: Sequence[Any]) -> Cell:
        if isinstance(value, datetime) or not isinstance(value, date) or value < FIRST_DAY:
            return text(value)
        return Cell(value, Look(number_format="yyyy-mm-dd", align="right"))

    def moment(value: Any, row: Sequence[Any]) -> Cell:
        if not isinstance(value, datetime):
            return text(value)
        naive = utc(value, column.key).replace(tzinfo=None, microsecond=0)
        if naive.date() < FIRST_DAY:
            return text(value)
        return Cell(naive, Look(number_format="yyyy-mm-dd hh:mm:ss", align="right"))

    def link(value: Any, row: Sequence[Any]) -> Cell:
        cell = text(value)
        is_address = cell.value.startswith(("https://", "http://")) and cell.value == value and len(value) < 2_000
        return Cell(value, Look("link"), value) if is_address else cell

    def anything(value: Any, row: Sequence[Any]) -> Cell:
        return text(value)

    by_kind = {Kind.DATE: day, Kind.DATETIME: moment, Kind.LINK: link} | dict.fromkeys(NUMERIC, number)
    show = by_kind.get(column.kind, anything)
    return lambda value, row: absent if value is None else show(value, row)


def number_format(column: Column, value: Any, currency: str | None) -> str:
    match column.kind:
        case Kind.INTEGER:
            return "#,##0"
        case Kind.PERCENT:
            return "0" + _decimals(1 if column.decimals is None else column.decimals) + "%"
        case Kind.MONEY:
            tiny = value != 0 and abs(value) < _CENT
            places = column.decimals if column.decimals is not None else 6 if tiny else 2
            code = "".join(letter for letter in currency or "" if letter.isalpha())[:8]
            return (f"[${code}] " if code else "") + "#,##0" + _decimals(places)
        case _:
            return "#,##0" + _decimals(2 if column.decimals is None else column.decimals)


def _decimals(places: int) -> str:
    return "." + "0" * places if places else ""


def words_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(getattr(value, "label", value.value))
    return value if isinstance(value, str) else str(value)


def utc(value: datetime, key: str) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"column {key}: an instant without a zone")
    return value.astimezone(UTC)


def header_of(column: Column) -> str:
    """The column's heading with its unit: the one currency of an amount, UTC for instants."""
    if column.kind is Kind.DATETIME:
        return f"{column.header} (UTC)"
    return f"{column.header} ({column.currency})" if column.currency else column.header


def csv_value(column: Column, value: Any) -> str:
    """The same value for a CSV file: numbers bare, percentages as fractions, instants as ISO 8601 with Z."""
    if value is None:
        return column.unknown
    if isinstance(value, datetime):
        return utc(value, column.key).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if not math.isfinite(value):
            return column.unknown or UNKNOWN
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return csv_text(words_of(value))


def width_of(column: Column, cells: Sequence[Cell]) -> float:
    """Characters that the first rows need; the heading may take two lines and leaves room for the filter button."""
    words = header_of(column).split()
    heading = max([*(len(word) for word in words), len(" ".join(words)) / 2]) + 4 if words else 4
    widest = max((_shown_length(cell) for cell in cells), default=0) + 2
    return float(min(max(widest, heading, 8), 60))


def height_of(cells: Sequence[Cell], widths: Sequence[float]) -> float | None:
    """Points that the longest wrapped text of a row needs; None: one line, which every row has."""
    lines = max(
        (
            sum(1 + int(len(line) / width / 1.1) for line in cell.value.split("\n"))
            for cell, width in zip(cells, widths, strict=False)
            if cell.look.wrap and isinstance(cell.value, str)
        ),
        default=1,
    )
    return 14.0 * lines + 2 if lines > 1 else None


def _shown_length(cell: Cell) -> int:
    value = cell.value.value if isinstance(cell.value, Formula) else cell.value
    if isinstance(value, str):
        return max(map(len, value.split("\n")))
    if isinstance(value, datetime):
        return 19
    if isinstance(value, date):
        return 10
    if value is None:
        return 0
    fraction = cell.look.number_format.rpartition(".")[2].count("0") if "." in cell.look.number_format else 0
    return len(f"{value:,.{fraction}f}") + (5 if "[$" in cell.look.number_format else 0)
