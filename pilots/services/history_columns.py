"""Which column of somebody's spreadsheet is which. Public surface: ``guess``, ``headers_of``, ``checked``, ``preview``,
``Preview``, ``RowProblem``.

A mapping goes from our column to the header of the file, as ``read_table`` gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluations.capture.base import CaptureError
from evaluations.capture.tabular import read_table
from evaluations.services.errors import Refused
from pilots.services.history_rows import COLUMNS, REQUIRED, BadRow, read_row

SHOWN = 5  # rows of the preview
PROBLEMS_SHOWN = 50

# What people call it.
_ALSO: dict[str, tuple[str, ...]] = {
    "team": ("customer", "business_unit", "department", "account", "owner_team"),
    "workload": ("use_case", "usecase", "application", "app", "service", "product", "task"),
    "pilot": ("pilot_name", "project", "migration", "trial", "pilot_id"),
    "incumbent": ("from", "from_model", "old_model", "current_model", "incumbent_model", "source_model"),
    "candidate": ("to", "new_model", "target_model", "candidate_model"),
    "event": ("kind", "event_type", "status", "what", "action", "stage"),
    "occurred_at": ("date", "day", "when", "at", "event_date", "timestamp", "occurred_on", "occurred"),
    "traffic_share": ("share", "traffic", "traffic_%", "percent", "percentage", "rollout"),
    "reason": ("reason_code", "why", "cause", "rollback_reason"),
    "to_model": ("moved_to", "rolled_back_to", "next_model"),
    "attachment": ("evidence", "link", "reference", "ticket", "incident"),
    "note": ("notes", "comment", "comments", "remark", "remarks", "description"),
    "observed_from": ("known_since", "tracked_since", "observed_since", "first_seen"),
}


@dataclass(frozen=True, slots=True)
class RowProblem:
    line: int
    column: str  # ours
    message: str
    cells: tuple[tuple[str, str], ...]  # our column and what stands there


@dataclass(frozen=True, slots=True)
class Preview:
    """A file as a mapping reads it."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # the first, under the headers
    total: int
    missing: tuple[str, ...]  # required columns that the mapping names none for
    problems: tuple[RowProblem, ...]  # the first of each row that cannot be read
    more_problems: int  # that are not shown


def guess(headers: Sequence[str]) -> dict[str, str]:
    """Our names where the file has them, else what people call them; each header serves once."""
    found = {column: column for column in COLUMNS if column in headers}
    for column, names in _ALSO.items():
        free = [name for name in names if name in headers and name not in found.values()]
        if column not in found and free:
            found[column] = free[0]
    return found


def headers_of(path: Path) -> tuple[str, ...]:
    """The file's columns. Raises ``Refused`` for what is no table with rows."""
    try:
        for _, cells in read_table(path):
            return tuple(cells)
    except CaptureError as error:
        raise Refused(str(error), field="file") from None
    raise Refused(f"{path.name}: holds no row below its column names", field="file")


def checked(mapping: Mapping[str, str], headers: Sequence[str]) -> dict[str, str]:
    """The mapping without empty choices. Raises ``Refused`` for a header that is not there or that serves twice."""
    chosen = {column: header for column, header in mapping.items() if column in COLUMNS and header}
    for column, header in chosen.items():
        if header not in headers:
            raise Refused(f"the file has no column {header!r}", field=column)
        if list(chosen.values()).count(header) > 1:
            raise Refused(f"the column {header!r} is chosen more than once", field=column)
    return chosen


def preview(path: Path, mapping: Mapping[str, str]) -> Preview:
    """Every row read, none stored. Raises ``Refused`` where the file as a whole turns out to be unreadable."""
    headers: tuple[str, ...] = ()
    first: list[tuple[str, ...]] = []
    problems: list[RowProblem] = []
    total = bad = 0
    missing = tuple(column for column in REQUIRED if column not in mapping)
    for line, cells in _table(path):
        total += 1
        if len(first) < SHOWN:
            headers = tuple(cells)
            first.append(tuple(cells.values()))
        if missing:
            continue
        ours = {column: cells.get(header, "") for column, header in mapping.items()}
        try:
            read_row(path, line, ours)
        except BadRow as error:
            bad += 1
            if len(problems) < PROBLEMS_SHOWN:
                problems.append(RowProblem(line, error.column, error.rule, tuple(ours.items())))
    return Preview(headers, tuple(first), total, missing, tuple(problems), bad - len(problems))


def _table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        yield from read_table(path)
    except CaptureError as error:
        raise Refused(str(error), field="file") from None
    except OSError as error:
        raise Refused(f"{path.name}: {error.strerror or error}", field="file") from None
