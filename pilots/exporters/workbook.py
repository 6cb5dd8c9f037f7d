"""The one writer of spreadsheet files, and the only module that knows openpyxl.

Public surface: ``write_xlsx``, ``write_csv``.
Rows are streamed; text stays text whatever it starts with; unknown is a grey word, never a zero or a blank; formulas
carry their values; the same document gives the same bytes.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from hashlib import file_digest
from itertools import chain, islice
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.chart import BarChart, LineChart, Reference, ScatterChart
from openpyxl.chart import Series as ChartSeries
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RegularTextRun
from openpyxl.formatting.rule import Rule
from openpyxl.packaging.core import DocumentProperties
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from openpyxl.worksheet._writer import ALL_TEMP_FILES, WorksheetWriter
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.writer.excel import ExcelWriter

from pilots.exporters.archive import StableZip
from pilots.exporters.base import Chart, Column, Document, Formula, Kind, Sheet, Tone, WrittenFile
from pilots.exporters.cells import Cell, Look, csv_value, header_of, height_of, shower, width_of
from pilots.exporters.formulas import FIRST_ROW, Place, cell_name, column_letter, expand
from pilots.exporters.frontpages import (
    Front,
    columns_sheet,
    cover_rows,
    summary_places,
    summary_rows,
)
from pilots.exporters.marks import mark_of
from pilots.exporters.steps import STEP_SHEET, held, stepped
from pilots.exporters.texts import clean_text, sheet_names

MAX_ROWS = 1_048_575  # below the header
MAX_LINKS = 65_530  # a sheet with more does not open in Excel
FITTED_ROWS = 200

_INK, _MUTED, _ACCENT, _LINE, _SHADE = "1E293B", "64748B", "1D4ED8", "94A3B8", "F1F5F9"
_ROLE_COLOURS = {"incumbent": "475569", "candidate": "4F46E5", "neutral": "94A3B8"}
_TONE_COLOURS = {  # background, text
    Tone.GOOD: ("CCFBF1", "115E59"),
    Tone.CAUTION: ("FEF3C7", "92400E"),
    Tone.BAD: ("FEE2E2", "991B1B"),
    Tone.UNKNOWN: ("E5E7EB", "4B5563"),
}
_FACE = "Calibri"
_FONTS = {
    "normal": Font(_FACE, 10, color=_INK),
    "bold": Font(_FACE, 10, bold=True, color=_INK),
    "header": Font(_FACE, 10, bold=True, color=_INK),
    "muted": Font(_FACE, 10, color=_MUTED),
    "link": Font(_FACE, 10, color=_ACCENT, underline="single"),
    "heading": Font(_FACE, 12, bold=True, color=_INK),
    "lead": Font(_FACE, 12, color=_INK),
    "title": Font(_FACE, 20, bold=True, color=_INK),
    "code": Font("Consolas", 9, color=_MUTED),
}


def write_xlsx(document: Document, path: Path) -> WrittenFile:
    """Write the whole document; ``ValueError`` for more rows than a sheet holds or a formula without a target."""
    book = _Book(document, path.parent)
    try:
        return book.save(path)
    except BaseException:
        book.discard()
        raise


def write_csv(sheet: Sheet, path: Path) -> WrittenFile:
    """One sheet as UTF-8 CSV with a byte order mark (spreadsheets need it); formulas as their values."""
    rows = 0
    with path.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([csv_value(Column("", ""), header_of(column)) for column in sheet.columns])
        for row in sheet.rows:
            values = (value.value if isinstance(value, Formula) else value for value in row)
            writer.writerow([csv_value(column, value) for column, value in zip(sheet.columns, values, strict=True)])
            rows += 1
    return _written(path, {sheet.title: rows})


def _written(path: Path, sheets: Mapping[str, int]) -> WrittenFile:
    with path.open("rb") as handle:
        return WrittenFile(sheets, file_digest(handle, "sha256").hexdigest(), path.stat().st_size)


class _Page(WriteOnlyWorksheet):
    """A page that takes finished cells: the library's own conversion costs more than writing them."""

    def __init__(self, book: Workbook, title: str, folder: Path) -> None:
        super().__init__(book, title)
        self.folder = folder
        self.reused = WriteOnlyCell(self)

    def _get_writer(self) -> None:
        """Its rows wait beside the file that they are for: whoever cleans up after a killed process finds them."""
        if self._writer is None:
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix="page-", suffix=".xml", delete=False) as waiting:
                ALL_TEMP_FILES.append(waiting.name)  # the library's own list, which it checks when it is done
            writer = WorksheetWriter(self, waiting.name)
            self._writer: Any = writer
            writer.write_top()

    def _values_to_row(self, values: Iterable[Any], row_idx: int) -> Iterator[Any]:
        for at, cell in enumerate(values, 1):
            if cell is not None:
                cell.row, cell.column = row_idx, at
                if cell.hyperlink is not None:
                    cell.hyperlink.ref = cell.coordinate
                yield cell


class _Book:
    """One document on its way into a file: pages are created in reading order and filled in order of need."""

    def __init__(self, document: Document, folder: Path) -> None:
        self.document, self.folder = document, folder
        self.book: Any = Workbook(write_only=True)  # Any: pages enter by a door that the stubs leave out
        self.places: dict[str, Place] = {}
        self.results: dict[str, dict[str, Any]] = {}  # part of the archive to formula cells and their values
        self.styles: dict[Look, Any] = {}

    def save(self, path: Path) -> WrittenFile:
        document = self.document
        sheets = [held(sheet, document.chart) for sheet in document.sheets]
        if document.chart and document.chart.kind == "step":
            sheets.append(stepped(document.chart, sheets))
        names = sheet_names(["Cover", "Summary", *(sheet.title for sheet in sheets), "Columns"])
        if explained := columns_sheet(sheets, names[2:-1]):
            sheets.append(explained)
        titles = dict(zip((sheet.key for sheet in sheets), names[2:], strict=False))

        cover: Any = self._page(names[0])
        summary = self._page(names[1]) if document.summary else None
        pages = {sheet.key: self._page(titles[sheet.key]) for sheet in sheets}

        lines_at = summary_places(document.summary)
        self.places["summary"] = Place(names[1], {}, cells={key: f"$C${row}" for key, row in lines_at.items()})
        for sheet in sheets:
            if isinstance(sheet.rows, list):
                self._place(sheet, titles[sheet.key], len(sheet.rows))
        # Formulas name row counts, so the sheets that have them come after those that are only now counted.
        for sheet in sorted(sheets, key=lambda sheet: sheet.formulas):
            self._fill(pages[sheet.key], sheet, titles[sheet.key])
        if summary is not None:
            self._fill_summary(summary, lines_at)
        if document.chart and document.sheets:
            page: Any = pages[document.chart.sheet] if summary is None else summary
            anchor = (
                f"{column_letter(len(sheets[0].columns) + 2)}2" if summary is None else f"B{max(lines_at.values()) + 2}"
            )
            page.add_chart(self._chart(document.chart, pages), anchor)
        counts = {titles[sheet.key]: self.places[sheet.key].rows for sheet in sheets}
        contents: list[tuple[str, str, int | None]]
        contents = [(titles[sheet.key], sheet.description, counts[titles[sheet.key]]) for sheet in sheets]
        if summary is not None:
            contents.insert(0, (names[1], "The figures and how they follow from the sheets", None))
        self._front(cover, cover_rows(document.cover, contents))
        cover.page_setup.fitToHeight = 1  # on paper, one page
        return self._written(path, counts)

    def discard(self) -> None:
        """Remove the pages that wait in temporary files; the library would keep them until the process ends."""
        for page in self.book.worksheets:
            with suppress(Exception):  # half-written is what they are
                page.close()
            if page._writer is not None:
                with suppress(OSError, ValueError):
                    page._writer.cleanup()

    def _written(self, path: Path, counts: Mapping[str, int]) -> WrittenFile:
        made = datetime.combine(self.document.cover.as_of, time())
        self.book.properties = DocumentProperties(
            creator="Model Switch Pilots",
            title=self.document.cover.title,
            keywords=mark_of(self.document.cover.digest),
            created=made,
            modified=made,
        )
        with StableZip(path, self.results) as archive:
            ExcelWriter(self.book, archive).save()
        return _written(path, counts)

    # Pages of rows

    def _page(self, title: str) -> _Page:
        page = _Page(self.book, title, self.folder)
        self.book._add_sheet(page)
        return page

    def _place(self, sheet: Sheet, title: str, rows: int) -> None:
        if rows > MAX_ROWS:
            raise _too_many(title)
        columns = {column.key: at for at, column in enumerate(sheet.columns, 1)}
        self.places[sheet.key] = Place(title, columns, rows)

    def _fill(self, page: Any, sheet: Sheet, title: str) -> None:
        shows = [shower(column, sheet.columns) for column in sheet.columns]
        cells = (
            [
                _recalculating(sheet, value, show, row) if isinstance(value, Formula) else show(value, row)
                for value, show in zip(row, shows, strict=True)
            ]
            for row in sheet.rows
        )
        first = list(islice(cells, FITTED_ROWS))
        self._set_up(page, title)
        page.freeze_panes = f"{column_letter(sheet.frozen_columns + 1)}{FIRST_ROW}"
        page.print_title_rows = "1:1"
        page.row_dimensions[1].height = 30
        page.sheet_format.defaultRowHeight, page.sheet_format.customHeight = 15, True
        heads, widths = [], []
        for at, column in enumerate(sheet.columns):
            shown = [row[at] for row in first]
            widths.append(column.width or width_of(column, shown))
            page.column_dimensions[column_letter(at + 1)].width = widths[-1]
            align = "right" if any(cell.look.align == "right" for cell in shown) else "left"
            heads.append(Cell(header_of(column), Look("header", align=align, wrap=True, fill="header")))
        page.append(self._row(page, heads, 1))
        place = self.places.get(sheet.key)
        row_number = FIRST_ROW - 1
        links, wraps = 0, any(column.wrap for column in sheet.columns)
        for row_number, row in enumerate(chain(first, cells), FIRST_ROW):
            if row_number > MAX_ROWS + 1:
                raise _too_many(title)
            if wraps and (height := height_of(row, widths)):
                page.row_dimensions[row_number].height = height
            links += sum(1 for cell in row if cell.link)
            if links > MAX_LINKS:
                row = [cell._replace(link="") for cell in row]
            page.append(self._row(page, row, row_number, place))
        if place is None:
            self._place(sheet, title, row_number - FIRST_ROW + 1)
        last = max(row_number, FIRST_ROW)
        page.auto_filter.ref = f"A1:{column_letter(len(sheet.columns))}{last}"
        for at, column in enumerate(sheet.columns, 1):
            if column.kind is Kind.VERDICT:
                self._tint(page, f"{column_letter(at)}{FIRST_ROW}:{column_letter(at)}{last}", column.tones)

    def _row(self, page: _Page, cells: Sequence[Cell], row: int, here: Place | None = None) -> Iterator[Any]:
        """The cells of a row, one at a time: each is written before the next is asked for, so one object serves all."""
        reused: Any = page.reused
        for at, cell in enumerate(cells, 1):
            value = cell.value
            if value is None:
                yield None
                continue
            written = self._linked(page, cell.link) if cell.link else reused
            written._style = self._style(page, cell.look)
            if isinstance(value, str):
                written._value, written.data_type = value, "s"  # whatever it starts with
            elif isinstance(value, Formula):
                written._value, written.data_type = expand(value.expression, self.places, here, row), "f"
                result = "" if value.value is None else value.value
                self.results.setdefault(self._part(page), {})[cell_name(at, row)] = result
            else:
                written._value, written.data_type = value, "d" if isinstance(value, date) else "n"
            yield written

    def _linked(self, page: _Page, link: str) -> Any:
        cell: Any = WriteOnlyCell(page)
        target = {"location": link[1:]} if link.startswith("#") else {"target": link}
        cell.hyperlink = Hyperlink(ref="A1", **target)
        return cell

    def _part(self, page: Any) -> str:
        return f"xl/worksheets/sheet{self.book.worksheets.index(page) + 1}.xml"

    def _set_up(self, page: Any, title: str) -> None:
        page.page_setup.orientation = "landscape"
        page.page_setup.paperSize = 9  # A4
        page.page_setup.fitToWidth = 1
        page.page_setup.fitToHeight = 0
        page.page_margins = PageMargins(left=0.4, right=0.4, top=0.5, bottom=0.8, footer=0.4)
        page.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        page.oddFooter.left.text = title.replace("&", "&&")
        page.oddFooter.right.text = "&P / &N"

    def _style(self, page: Any, look: Look) -> Any:
        """Building a style costs more than writing a cell, and there are only a few."""
        if look not in self.styles:
            model: Any = WriteOnlyCell(page)
            model.font = _FONTS[look.font]
            model.number_format = look.number_format
            model.alignment = Alignment(
                horizontal=look.align,
                vertical="top" if look.wrap and not look.fill else "center",
                wrap_text=look.wrap or None,
                indent=1 if look.align == "left" and look.font not in ("title", "heading", "lead") else 0,
            )
            if look.fill:
                model.fill = PatternFill("solid", start_color=_SHADE)
                model.border = Border(bottom=Side("thin", color=_LINE))
            if look.quoted:
                model.quotePrefix = True
            self.styles[look] = model._style
        return self.styles[look]

    def _tint(self, page: Any, area: str, tones: Mapping[str, Tone]) -> None:
        for word, tone in tones.items():
            background, ink = _TONE_COLOURS[tone]
            quoted = '"' + word.replace('"', '""') + '"'
            fill = PatternFill(bgColor=background, fill_type="solid")
            rule = Rule("cellIs", operator="equal", formula=[quoted])
            rule.dxf = DifferentialStyle(font=Font(color=ink, bold=True), fill=fill)
            page.conditional_formatting.add(area, rule)

    # Cover and summary

    def _front(self, page: Any, front: Front) -> None:
        self._set_up(page, page.title)
        page.sheet_view.showGridLines = False
        page.merged_cells.add(f"B2:{column_letter(len(front.widths))}2")  # the sentence, no data
        for at, width in enumerate(front.widths, 1):
            page.column_dimensions[column_letter(at)].width = width
        for row, height in front.heights.items():
            page.row_dimensions[row].height = height
        for number, cells in enumerate(front.rows, 1):
            page.append(self._row(page, cells, number))

    def _fill_summary(self, page: Any, lines_at: Mapping[str, int]) -> None:
        self._front(page, summary_rows(self.document))
        page.freeze_panes = "A5"
        page.print_title_rows = "4:4"
        for line in self.document.summary:
            if line.kind is Kind.VERDICT:
                self._tint(page, f"C{lines_at[line.key]}", line.tones)
        self._tint(page, f"E5:E{max(lines_at.values())}", {"differs": Tone.BAD})

    # The chart

    def _chart(self, chart: Chart, pages: Mapping[str, Any]) -> Any:
        key = STEP_SHEET if chart.kind == "step" else chart.sheet
        place = self.places[key]
        last = max(place.rows, 1) + 1
        categories = Reference(pages[key], min_col=place.columns[chart.category], min_row=FIRST_ROW, max_row=last)
        drawn: Any = {"line": LineChart, "bar": BarChart, "step": ScatterChart}[chart.kind]()
        for series in chart.series:
            column = place.columns[series.column]
            values = Reference(pages[key], min_col=column, min_row=1, max_row=last)
            line = ChartSeries(values, categories if chart.kind == "step" else None, title_from_data=True)
            colour = _ROLE_COLOURS[series.role]
            if chart.kind == "bar":
                line.graphicalProperties.solidFill = colour
            else:
                line.graphicalProperties.line.solidFill = colour
                line.graphicalProperties.line.width = 28_000  # 2.2 points
                line.marker.symbol = "none"
                line.smooth = False
            drawn.series.append(line)
        if chart.kind == "step":
            drawn.style = 13
            drawn.scatterStyle = "lineMarker"
        else:
            drawn.set_categories(categories)
        drawn.title = _chart_text(chart.title, 12)
        drawn.x_axis.title = _chart_text(chart.category_title, 9)
        drawn.y_axis.title = _chart_text(chart.value_title, 9)
        drawn.x_axis.delete = drawn.y_axis.delete = False
        drawn.y_axis.scaling.min = 0
        if chart.percent:
            drawn.y_axis.number_format, drawn.y_axis.scaling.max = "0%", 1
            drawn.y_axis.majorUnit = 0.2
        drawn.y_axis.majorGridlines.spPr = GraphicalProperties(ln=LineProperties(solidFill="E2E8F0"))
        drawn.x_axis.majorGridlines = None
        if len(chart.series) > 1:
            drawn.legend.position = "b"
        else:
            drawn.legend = None
        drawn.width, drawn.height = 24, 10  # centimetres
        return drawn


def _recalculating(
    sheet: Sheet, formula: Formula, show: Callable[[Any, Sequence[Any]], Cell], row: Sequence[Any]
) -> Cell:
    if not sheet.formulas:
        raise ValueError(f"sheet {sheet.key} holds formulas but does not say so")
    shown = show(formula.value, row)
    return shown._replace(value=Formula(formula.expression, shown.value), link="")


def _too_many(title: str) -> ValueError:
    return ValueError(f"{title}: more than {MAX_ROWS:,} rows do not fit into a sheet; export it as CSV")


def _chart_text(words: str, points: int) -> Title | None:
    if not words:
        return None
    font = CharacterProperties(sz=points * 100, b=points > 10, solidFill=_INK)
    paragraph = Paragraph(pPr=ParagraphProperties(defRPr=font), r=[RegularTextRun(rPr=font, t=clean_text(words))])
    return Title(tx=Text(rich=RichText(p=[paragraph])), overlay=False)
