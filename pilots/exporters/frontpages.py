"""Cover and summary of a workbook as rows of cells.

Public surface: ``Front``, ``cover_rows``, ``summary_rows``, ``summary_places``, ``columns_sheet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pilots.exporters.base import FULL, NO_CONTENT, Column, Cover, Document, Formula, Kind, Sheet, SummaryLine
from pilots.exporters.cells import EMPTY, Cell, Look, header_of, height_of, shower
from pilots.exporters.texts import clean_text

COVER_WIDTHS = (3.0, 24.0, 100.0)
SUMMARY_WIDTHS = (3.0, 40.0, 24.0, 24.0, 10.0, 60.0)
_HEAD = Look("header", fill="header")
_HEAD_RIGHT = _HEAD._replace(align="right")
_MUTED, _WRAPPED = Look("muted"), Look(wrap=True)
# Beside several lines of text its label stands at the first.
_LABEL, _TERM = Look("muted", wrap=True), Look("bold", wrap=True)
CHECKING = (
    "Every figure on the summary is a formula over the sheets behind it, beside the figure that the product showed. "
    "Recalculating must leave every check at 'equal'."
)


@dataclass(slots=True)
class Front:
    """Rows of a page that is read rather than filtered."""

    rows: list[list[Cell]]
    widths: tuple[float, ...]  # characters, one a column
    heights: dict[int, float] = field(default_factory=dict)  # points, where text is large or long

    def add(self, *cells: Cell, height: float | None = None) -> None:
        """A row, one column in; its height follows the longest wrapped text."""
        self.rows.append([EMPTY, *cells])
        if needed := height or height_of(cells, self.widths[1:]):
            self.heights[len(self.rows)] = needed

    def gap(self) -> None:
        self.rows.append([])

    def heading(self, words: str) -> None:
        self.add(_text(words, Look("heading", align="left")), height=24)

    def opening(self, title: str, sentence: str) -> None:
        """Title and the one sentence, which spans the page (row 2 is merged across it)."""
        self.add(_text(title, Look("title")), height=34)
        lines = 1 + int(len(sentence) / sum(self.widths) / 0.9)
        self.add(_text(sentence, Look("lead", wrap=True)), height=18.0 * lines + 4)


def _text(words: str, look: Look = Look(), link: str = "") -> Cell:  # noqa: B008 - an immutable default
    return Cell(clean_text(words), look, link)


def cover_rows(cover: Cover, contents: Sequence[tuple[str, str, int | None]]) -> Front:
    """``contents``: sheet name, the question that it answers, number of rows."""
    audience = {FULL: "full", NO_CONTENT: "no prompt or answer text"}.get(cover.audience, cover.audience)
    left_out = {"Left out": "\n".join(cover.left_out)} if cover.left_out else {}
    facts = {
        "As of": cover.as_of.isoformat(),
        "Prepared for": cover.who,
        "Audience": audience,
        "Filters": "; ".join(f"{key}: {value}" for key, value in cover.filters.items()) or "none",
        **left_out,
    }
    front = Front([], COVER_WIDTHS)
    front.opening(cover.title, cover.headline)
    front.gap()
    for label, value in facts.items():
        front.add(_text(label, _LABEL), _text(value, _WRAPPED))
    front.gap()
    front.heading("Contents")
    for name, description, rows in contents:
        size = "" if rows is None else f"{rows:,} row{'' if rows == 1 else 's'}"
        words = ", ".join(part for part in (description.rstrip("."), size) if part)
        target = "#'" + name.replace("'", "''") + "'!A1"
        front.add(_text(name, Look("link"), target), _text(words, _WRAPPED))
    if cover.definitions:
        front.gap()
        front.heading("Definitions")
        for term, meaning in cover.definitions.items():
            front.add(_text(term, _TERM), _text(meaning, _WRAPPED))
    front.gap()
    front.heading("How to check it")
    front.add(_text("Formulas", _TERM), _text(CHECKING, _WRAPPED))
    if cover.digest:
        front.add(_text("Data digest", _TERM), _text(cover.digest, Look("code")))
    return front


def summary_rows(document: Document) -> Front:
    """The summary, laid out as ``summary_places`` says. Formulas are left as ``Formula`` values."""
    cover = document.cover
    front = Front([], SUMMARY_WIDTHS)
    front.opening(cover.title, cover.headline)
    front.add(_text(f"As of {cover.as_of.isoformat()}", _MUTED), height=20)
    heads = ("Figure", "Value", "As reported", "Check", "Note")
    front.add(*(_text(head, _HEAD_RIGHT if head in heads[1:4] else _HEAD) for head in heads), height=20)
    section = ""
    for line in document.summary:
        if line.section != section:
            section = line.section
            front.heading(section)
        front.add(*_line_cells(line, len(front.rows) + 1))
    return front


def summary_places(lines: Sequence[SummaryLine]) -> dict[str, int]:
    """Row of each summary line: below title, sentence, date and heads, and a heading row for each new section."""
    places: dict[str, int] = {}
    row, section = 5, ""
    for line in lines:
        if line.section != section:
            section = line.section
            row += 1
        places[line.key] = row
        row += 1
    return places


def _line_cells(line: SummaryLine, row: int) -> list[Cell]:
    column = Column(
        line.key,
        line.label,
        line.kind,
        currency=line.currency,
        decimals=line.decimals,
        tones=line.tones,
        wrap=line.kind is Kind.VERDICT,
    )
    reported = shower(column)(line.value, ())
    look = reported.look._replace(align="right", font="muted" if line.value is None else "bold", quoted=False)
    same = f"IF(ISNUMBER(D{row}),IF(ISNUMBER(C{row}),ABS(C{row}-D{row})<=0.000000001*MAX(1,ABS(D{row})),FALSE),"
    check = Formula(f'IF({same}C{row}=D{row}),"equal","differs")', "equal")
    return [
        _text(line.label),
        Cell(Formula(line.formula, reported.value), look),
        reported._replace(look=reported.look._replace(align="right", font="muted")),
        Cell(check, Look("muted", align="right")),
        _text(line.note, Look("muted", wrap=True)),
    ]


def columns_sheet(sheets: Sequence[Sheet], names: Sequence[str]) -> Sheet | None:
    """The list of what each described column means; ``None`` where no column has a description."""
    rows = [
        (name, header_of(column), column.description)
        for sheet, name in zip(sheets, names, strict=True)
        for column in sheet.columns
        if column.description
    ]
    columns = [Column("sheet", "Sheet"), Column("column", "Column"), Column("meaning", "Meaning", width=90, wrap=True)]
    return Sheet("columns", "Columns", columns, rows, description="What each column means") if rows else None
