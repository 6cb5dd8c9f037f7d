"""A history file, row by row. Public surface: ``read_history``, ``read_row``, ``HistoryRow``, ``BadRow``, ``refusal``,
``COLUMNS``, ``REQUIRED``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from evaluations.capture.base import CaptureError
from evaluations.capture.chat import instant
from evaluations.capture.lines import FieldError
from evaluations.capture.tabular import read_table
from evaluations.services.errors import Refused
from pilots.enums import EventKind, Reason
from pilots.services.drafts import Attachment

T = TypeVar("T")

NAMES = ("team", "workload", "pilot", "incumbent", "candidate")
REQUIRED = (*NAMES, "event", "occurred_at")
COLUMNS = (*REQUIRED, "traffic_share", "reason", "to_model", "attachment", "note", "observed_from")
KINDS = (
    EventKind.OPENED,
    EventKind.DECIDED,
    EventKind.RAMP,
    EventKind.CUTOVER,
    EventKind.FOLLOW_UP,
    EventKind.ROLLBACK,
    EventKind.SUPERSEDED,
    EventKind.ENDED,
    EventKind.DECLINED,
    EventKind.ABANDONED,
    EventKind.ALONGSIDE,
)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the file. Names are as written; empty cells are '' or None."""

    line: int
    team: str
    workload: str
    pilot: str
    incumbent: str
    candidate: str
    kind: EventKind
    occurred_at: datetime
    traffic_share: Decimal | None  # of a rollback: as written
    reason: Reason | None
    to_model: str
    attachments: tuple[Attachment, ...]
    note: str
    observed_from: date | None


class BadRow(Refused):
    """One line of the file breaks a rule; the message names file, line and column."""

    def __init__(self, message: str, *, line: int, column: str, rule: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.rule = rule


def refusal(path: Path, line: int, column: str, message: str) -> BadRow:
    """One line naming file, line and column."""
    return BadRow(f"{path.name}: line {line}: {column}: {message}", line=line, column=column, rule=message)


def read_history(path: Path, mapping: Mapping[str, str] | None = None) -> Iterator[HistoryRow]:
    """The rows of a CSV or XLSX file, whose columns are ours or those that ``mapping`` names for ours.

    Raises ``Refused`` naming file, line and column of the first bad cell.
    """
    try:
        for number, (line, given) in enumerate(read_table(path)):
            cells = given
            if mapping is not None:
                cells = {column: given[header] for column, header in mapping.items() if header in given}
            if number == 0:
                missing = [name for name in REQUIRED if name not in cells]
                if missing:
                    raise Refused(f"{path.name}: line 1: the column {missing[0]!r} is missing")
            yield read_row(path, line, cells)
    except CaptureError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or error}") from None


def read_row(path: Path, line: int, cells: Mapping[str, str]) -> HistoryRow:
    """One row. Raises ``BadRow`` for its first bad cell."""
    texts = {name: cell.strip() for name, cell in cells.items()}

    def cell(column: str, read: Callable[[str], T]) -> T | None:
        text = texts.get(column, "")
        if not text:
            if column in REQUIRED:
                raise refusal(path, line, column, "is empty")
            return None
        try:
            return read(text)
        except (Refused, ValueError) as error:
            raise refusal(path, line, column, str(error)) from None

    kind, occurred_at = cell("event", _kind), cell("occurred_at", _instant)
    if kind is None or occurred_at is None:
        raise AssertionError("an empty cell of a required column was refused")
    return HistoryRow(
        line=line,
        **{name: cell(name, _name) or "" for name in NAMES},
        kind=kind,
        occurred_at=occurred_at,
        traffic_share=cell("traffic_share", _share),
        reason=cell("reason", _reason),
        to_model=cell("to_model", _name) or "",
        attachments=cell("attachment", _attachments) or (),
        note=texts.get("note", ""),
        observed_from=cell("observed_from", _day),
    )


def _name(text: str) -> str:
    if len(text) > 120 or not text.isprintable():
        raise ValueError("is not a name: printable, 120 characters at the most")
    return text


def _kind(text: str) -> EventKind:
    word = text.lower().replace("-", "_").replace(" ", "_")
    if word not in list(KINDS):
        raise ValueError(f"{text[:40]!r} is not one of {', '.join(KINDS)}")
    return EventKind(word)


def _instant(text: str) -> datetime:
    try:
        moment = instant(text, "")
    except FieldError:
        moment = None
    if moment is None:
        raise ValueError(f"{text[:40]!r} is not a date or instant (YYYY-MM-DD, YYYY-MM-DDThh:mm:ssZ)")
    return moment


def _day(text: str) -> date:
    return _instant(text).date()


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text.rstrip("% ")) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not (share.is_finite() and 0 <= share <= 1):
        raise ValueError("a traffic share lies between 0 and 1")
    return share


def _reason(text: str) -> Reason:
    word = text.lower().replace("-", "_").replace(" ", "_")
    if word not in list(Reason):
        known = ", ".join(reason for reason in Reason if reason is not Reason.UNEXPLAINED)
        raise ValueError(f"{text[:40]!r} is not one of {known}")
    return Reason(word)


def _attachments(text: str) -> tuple[Attachment, ...]:
    return tuple(Attachment.parse(line) for line in text.splitlines() if line.strip())
