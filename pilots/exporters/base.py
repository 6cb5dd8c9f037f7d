"""What an export is, before it becomes a file: typed columns, rows, formulas, a summary and a cover.

Public surface: ``Kind``, ``Tone``, ``Column``, ``Formula``, ``Sheet``, ``SummaryLine``, ``Series``, ``Chart``,
``Cover``, ``Document``, ``WrittenFile``, ``ExportRequest`` and the ``Exporter`` protocol. Nothing here knows a file
format.

Formulas name what they refer to in braces: ``{spells.status}`` is the whole column of the sheet with that key,
``{spells.status:1}`` its first row, ``{summary.switched}`` the value of a summary line, ``{events}`` the cell of that
column in the same row and ``{events:-1}`` the one a row above. ``COUNTIF({spells.status},"rolled back")`` is a
complete expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from evaluations.enums import Decision, Verdict
from evaluations.plugins import Plugin

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from pilots.models import Pilot
    from pilots.selectors.filters import ReportFilters

UNKNOWN = "unknown"
UNDISCLOSED = "undisclosed"
FULL = "full"
NO_CONTENT = "no-content"


class Kind(StrEnum):
    """How a column is stored and shown. Anything that does not fit its kind is written as text, never dropped."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"  # Decimal, in the currency of the column or of the row
    PERCENT = "percent"  # a fraction: 0.82 is shown as 82.0 %
    DATE = "date"
    DATETIME = "datetime"  # aware; written as UTC, and the header says so
    VERDICT = "verdict"  # a word with a tone
    LINK = "link"  # an http or https address


NUMERIC = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.MONEY, Kind.PERCENT})


class Tone(StrEnum):
    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    UNKNOWN = "unknown"


VERDICT_TONES: Mapping[str, Tone] = {
    Verdict.BETTER.label: Tone.GOOD,
    Verdict.NON_INFERIOR.label: Tone.GOOD,
    Verdict.WORSE.label: Tone.BAD,
    Verdict.INCONCLUSIVE.label: Tone.CAUTION,
    Verdict.NOT_COMPUTABLE.label: Tone.UNKNOWN,
    Decision.SAFE_TO_SWITCH.label: Tone.GOOD,
    Decision.DO_NOT_SWITCH.label: Tone.BAD,
    Decision.KEEP_TESTING.label: Tone.CAUTION,
    Decision.KEEP_INCUMBENT.label: Tone.CAUTION,
}


@dataclass(frozen=True, slots=True)
class Column:
    key: str  # how formulas and charts refer to it
    header: str
    kind: Kind = Kind.TEXT
    description: str = ""  # one line for the workbook's list of columns
    width: float | None = None  # characters; None: fitted to the first rows
    currency: str | None = None  # of every amount in the column
    currency_from: str | None = None  # or: key of the column that holds each row's currency
    decimals: int | None = None  # None: the kind's habit; money shows more for amounts below one cent
    unknown: str = UNKNOWN  # the word for None; '' leaves the cell empty
    tones: Mapping[str, Tone] = field(default_factory=lambda: VERDICT_TONES)  # for kind VERDICT
    wrap: bool = False
    content: bool = False  # prompt or answer text, which some audiences must not get


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell that recalculates: its expression without '=', and the value it has now."""

    expression: str
    value: Any


@dataclass(frozen=True, slots=True)
class Sheet:
    key: str
    title: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]  # read once, in step with the writing
    description: str = ""  # the question that it answers, for the cover
    formulas: bool = False  # rows hold ``Formula`` cells; such sheets are small and held in memory
    frozen_columns: int = 0  # how many columns on the left stay in view


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One figure: a formula over the other sheets beside the value that page and API show."""

    key: str
    label: str
    formula: str
    value: Any  # None: unknown, and the formula must then yield the text 'unknown'
    kind: Kind = Kind.INTEGER
    section: str = ""  # heading above the first line of a section
    currency: str | None = None
    decimals: int | None = None
    note: str = ""
    tones: Mapping[str, Tone] = field(default_factory=lambda: VERDICT_TONES)


@dataclass(frozen=True, slots=True)
class Series:
    column: str
    role: Literal["incumbent", "candidate", "neutral"] = "neutral"  # slate, indigo, grey


@dataclass(frozen=True, slots=True)
class Chart:
    """One native chart over columns of one sheet; ``step`` holds each value until the next category (survival)."""

    title: str
    kind: Literal["line", "bar", "step"]
    sheet: str
    category: str
    series: Sequence[Series]
    category_title: str = ""
    value_title: str = ""
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Cover:
    title: str
    as_of: date
    who: str  # for whom it was made, by name
    audience: str = FULL  # full, no-content or vendor:SLUG
    headline: str = ""  # the one sentence to copy
    filters: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()  # what this audience does not get, a sentence each
    definitions: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""  # of the data behind the document


@dataclass(frozen=True, slots=True)
class Document:
    """A whole export. Raises ``ValueError`` where a column carries content and the audience is not ``full``."""

    cover: Cover
    sheets: Sequence[Sheet]
    file_stem: str
    summary: Sequence[SummaryLine] = ()
    chart: Chart | None = None

    def __post_init__(self) -> None:
        if self.cover.audience == FULL:
            return
        for sheet in self.sheets:
            for column in sheet.columns:
                if column.content:
                    raise ValueError(f"{sheet.key}.{column.key} carries content, the audience is {self.cover.audience}")


@dataclass(frozen=True, slots=True)
class WrittenFile:
    sheets: Mapping[str, int]  # sheet name to number of data rows
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is asked for, and how much of it the person asking may see."""

    filters: ReportFilters
    pilots: QuerySet[Pilot]  # all that may be seen; the filters narrow them further
    audience: str
    who: str
    at: datetime  # the present
    vendor: str  # slug of the vendor whose copy it is; '': of none
    may_read_content: Callable[[Pilot], bool]  # prompts and answers of the pilot's samples


class Exporter(Plugin, Protocol):
    """One export. It asks the same selectors as the page and hands over typed columns and row iterators.

    Where content may not be read, its columns are left out and the cover's audience says so. One that has
    ``vendor_copies = True`` is asked for them as well: see ``vendor_copy.copy_for``.
    """

    label: str

    def build(self, request: ExportRequest) -> Document:
        """Raises ``Refused`` for filters that this export cannot serve."""
        ...
