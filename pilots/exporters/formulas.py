"""Formula templates into spreadsheet formulas. Public surface: ``Place``, ``expand``, ``cell_name``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_ROW = 2  # below the header
_REFERENCE = re.compile(r"\{(?:([a-z]\w*)\.)?([a-z]\w*)(?::(-?\d+))?\}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sheet's columns ended up. For the summary, keys are lines and each has a cell of its own."""

    title: str
    columns: Mapping[str, int]  # key to 1-based column
    rows: int = 0
    cells: Mapping[str, str] | None = None  # key to absolute cell, instead of columns

    def reference(self, key: str, row: str | None = None) -> str:
        """The whole column, or its ``row``-th data cell."""
        sheet = "'" + self.title.replace("'", "''") + "'!"
        if self.cells is not None:
            return sheet + self.cells[key]
        letter = column_letter(self.columns[key])
        if row is not None:
            return f"{sheet}${letter}${FIRST_ROW + int(row) - 1}"
        # An empty sheet still needs a range: the blank row below its header.
        return f"{sheet}${letter}${FIRST_ROW}:${letter}${FIRST_ROW + max(self.rows, 1) - 1}"


def expand(expression: str, places: Mapping[str, Place], here: Place | None = None, row: int = 0) -> str:
    """``=`` and the expression with its references resolved; ``KeyError`` names a reference that does not exist."""

    def resolved(found: re.Match[str]) -> str:
        sheet, key, offset = found.groups()
        try:
            if sheet is not None:
                return places[sheet].reference(key, offset)
            if here is None:
                raise KeyError(key)
            return cell_name(here.columns[key], row + int(offset or 0))
        except KeyError:
            raise KeyError(f"formula {expression!r} refers to {found[0]}, which does not exist") from None

    return "=" + _REFERENCE.sub(resolved, expression)


def cell_name(column: int, row: int) -> str:
    return f"{column_letter(column)}{row}"


def column_letter(column: int) -> str:
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
