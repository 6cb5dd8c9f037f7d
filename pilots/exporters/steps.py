"""Step curves, which spreadsheets cannot draw: the points of one as a sheet.

Public surface: ``STEP_SHEET``, ``held``, ``stepped``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pilots.exporters.base import Chart, Formula, Sheet

STEP_SHEET = "chart_data"


def held(sheet: Sheet, chart: Chart | None) -> Sheet:
    """Sheets with formulas, and the one behind a step chart, are small enough to be counted before they are written."""
    stepped = chart is not None and chart.kind == "step" and chart.sheet == sheet.key
    return replace(sheet, rows=list(sheet.rows)) if sheet.formulas or stepped else sheet


def stepped(chart: Chart, sheets: Sequence[Sheet]) -> Sheet:
    """The points of a step curve: each value is held until the next category. Formulas over the sheet that it draws."""
    source = next(sheet for sheet in sheets if sheet.key == chart.sheet)
    at = {column.key: index for index, column in enumerate(source.columns)}
    keys = [chart.category, *(series.column for series in chart.series)]
    rows = list(source.rows)

    def point(category_row: int, value_row: int) -> list[Formula]:
        points = zip(keys, [category_row, *[value_row] * len(chart.series)], strict=True)
        cells = [(key, row, rows[row][at[key]]) for key, row in points]
        return [
            Formula(f"{{{source.key}.{key}:{row + 1}}}", value.value if isinstance(value, Formula) else value)
            for key, row, value in cells
        ]

    kept = [index for index, row in enumerate(rows) if all(_known(row[at[key]]) for key in keys)]
    points = [point(index, value) for place, index in enumerate(kept) for value in kept[max(place - 1, 0) : place + 1]]
    columns = [source.columns[at[key]] for key in keys]
    return Sheet(STEP_SHEET, "Chart data", columns, points, "The points of the chart on the summary", formulas=True)


def _known(value: Any) -> bool:
    return (value.value if isinstance(value, Formula) else value) is not None
