"""CSV, XLSX and Parquet: every cell stays the text it was. Public surface: ``read_table``, ``read_blocks``, ``Block``,
``Tabular``.

``NA``, ``007`` and 16-digit ids come back as written; real date cells of a workbook become ISO strings. The first
non-empty row is the header; its names are trimmed and lower-cased, spaces become underscores.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time
from importlib import import_module
from itertools import accumulate, chain, count, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample, CaptureError
from evaluations.capture.chat import instant
from evaluations.capture.lines import MAX_LINE_BYTES, FieldError, head, open_log
from evaluations.capture.xlsx_guard import check_workbook

SEGMENT = "segment:"
_PHYSICAL_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")
_PARQUET_MARK = b"PAR1"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BLOCK_ROWS = 500  # small enough to stay in the processor's cache
_BLOCK_BYTES = 512 * 1024

Row = tuple[int, list[str]]
Rows = tuple[Sequence[int], list[list[str]]]  # line numbers, and the cells of each


def read_table(
    path: Path, *, max_rows: int = 1_000_000, max_columns: int = 200
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows as (line number in the file, header name to cell text); short rows are filled with ''.

    Streams CSV (``.gz`` too) and Parquet (where pyarrow is installed); an XLSX is held in memory within the limits of
    ``xlsx_guard``. Raises ``CaptureError`` naming file and line for everything that is not a well-formed table.
    """
    for block in read_blocks(path, max_rows=max_rows, max_columns=max_columns):
        names = block.names
        for number, cells in zip(block.lines, block.rows, strict=True):
            yield number, {name: cell for name, cell in zip(names, cells, strict=True) if name}


class Block(NamedTuple):
    """Some rows of a table, each with as many cells as there are names."""

    names: list[str]  # '': a column without a name
    lines: Sequence[int]  # in the file
    rows: list[list[str]]


def read_blocks(path: Path, *, max_rows: int = 1_000_000, max_columns: int = 200) -> Iterator[Block]:
    """The same as ``read_table``, some hundreds of rows at a time: who checks whole columns is several times faster.

    Raises ``CaptureError`` in the place of the block that holds the fault.
    """
    header: list[str] | None = None
    kept = 0
    for numbers, cells_of in _cells(path, max_rows, max_columns):
        lines, rows = numbers, cells_of
        if header is None or not _plain(cells_of, len(header)):
            lines, rows = [], []
            for number, cells in zip(numbers, cells_of, strict=True):
                while cells and not cells[-1].strip():
                    cells.pop()
                if not cells:
                    continue
                if len(cells) > max_columns:
                    found = f"{len(cells)} columns, at most {max_columns} are read"
                    raise CaptureError(f"{path.name}: line {number}: {found}")
                if header is None:
                    header = _header(path, number, cells)
                    continue
                if len(cells) > len(header):
                    found = f"{len(cells)} cells under {len(header)} column names"
                    raise CaptureError(f"{path.name}: line {number}: {found}")
                lines.append(number)
                rows.append(cells + [""] * (len(header) - len(cells)))
        kept += len(rows)
        if kept > max_rows:
            raise CaptureError(f"{path.name}: line {lines[max_rows - kept]}: more than {max_rows} rows")
        if rows and header is not None:
            yield Block(header, lines, rows)
    if header is None:
        raise CaptureError(f"{path.name}: the file is empty")


def _plain(rows: Sequence[list[str]], width: int) -> bool:
    """Whether all rows have so many cells, the first of which holds something."""
    return set(map(len, rows)) == {width} and all(map(str.strip, map(itemgetter(0), rows)))


def _header(path: Path, number: int, cells: list[str]) -> list[str]:
    names = ["_".join(cell.lower().split()) for cell in cells]
    named = [name for name in names if name]
    for name in named:
        if named.count(name) > 1:
            raise CaptureError(f"{path.name}: line {number}: the column {name!r} occurs more than once")
    return names


def _cells(path: Path, max_rows: int, max_columns: int) -> Iterator[Rows]:
    start = head(path, 512)
    if not start:
        raise CaptureError(f"{path.name}: the file is empty")
    if start.startswith((b"PK", b"\xd0\xcf\x11\xe0")) or path.suffix.lower() in (".xlsx", ".xlsm", ".xls"):
        check_workbook(path, max_rows=max_rows, max_columns=max_columns)
        return _together(_workbook_rows(path))
    if start.startswith(_PARQUET_MARK):
        return _together(_parquet_rows(path))
    if start.lstrip().lower().startswith((b"<html", b"<!doctype", b"<?xml")):
        raise CaptureError(f"{path.name}: is a web page or XML file, not a table")
    return _csv_rows(path)


def _workbook_rows(path: Path) -> Iterator[Row]:
    """Rows of the first visible sheet."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

    try:
        workbook = CalamineWorkbook.from_path(path)
        visible = [sheet.name for sheet in workbook.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
        if not visible:
            raise CaptureError(f"{path.name}: the workbook has no visible sheet")
        for number, row in enumerate(workbook.get_sheet_by_name(visible[0]).iter_rows(), 1):
            yield number, [_cell_text(cell) for cell in row]
    except CalamineError as error:
        raise CaptureError(f"{path.name}: damaged workbook ({error})") from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    """Rows numbered as if the column names were the first line."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise CaptureError(f"{path.name}: reading Parquet needs pyarrow, which is not installed") from None
    try:
        table = parquet.ParquetFile(path)
        yield 1, list(table.schema_arrow.names)
        number = 1
        for batch in table.iter_batches(batch_size=1_000):
            for row in batch.to_pylist():
                number += 1
                yield number, ["" if cell is None else _cell_text(cell) for cell in row.values()]
    except arrow.ArrowException as error:
        raise CaptureError(f"{path.name}: damaged Parquet file ({error})") from error


def _cell_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return str(cell)  # durations, as [h]:mm:ss


def _together(rows: Iterator[Row]) -> Iterator[Rows]:
    while part := list(islice(rows, _BLOCK_ROWS)):
        yield [number for number, _ in part], [cells for _, cells in part]


def _csv_rows(path: Path) -> Iterator[Rows]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with open_log(path) as stream, closing(_text_lines(path, stream)) as source:
        first = next(source, "")
        reader = csv.reader(chain([first], source), delimiter=_delimiter(first), strict=True)
        start, problem = 1, None
        while problem is None:
            rows: list[list[str]] = []
            try:
                rows.extend(islice(reader, _BLOCK_ROWS))  # what was read before an error stays
            except csv.Error as error:
                problem = error
            after = start + len(rows)
            numbers: Sequence[int] = range(start, after)
            if reader.line_num != after - 1:
                # Some cell holds several lines.
                *starts, after = accumulate((1 + len(_LINE_END.findall(",".join(row))) for row in rows), initial=start)
                numbers = starts
            start = after
            if not rows and problem is None:
                return
            yield numbers, rows
        open_quote = "unexpected end of data" in str(problem) or "field larger" in str(problem)
        reason = "a quoted cell that starts here is never closed" if open_quote else str(problem)
        raise CaptureError(f"{path.name}: line {start}: {reason}") from problem


def _delimiter(header: str) -> str:
    """The one of comma, semicolon and tab that occurs most often outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=bare.count)


def _text_lines(path: Path, stream: BinaryIO) -> Generator[str, None, None]:
    """Decoded lines, each with its end (LF, CRLF or CR); UTF-8, or UTF-16 with a byte order mark."""
    if head(path, 2) not in _UTF16_MARKS:
        yield from _utf8_lines(path, stream)
        return
    text = io.TextIOWrapper(stream, encoding="utf-16", newline="\n")
    try:
        yield from _checked_lines(path, lambda: text.readline(MAX_LINE_BYTES))
    finally:
        text.detach()  # whoever opened the stream closes it


def _utf8_lines(path: Path, stream: BinaryIO) -> Iterator[str]:
    """A block at a time, as long as nothing in it has to be looked at more closely."""
    number = 1
    while block := stream.read(_BLOCK_BYTES):
        block += stream.readline(MAX_LINE_BYTES)
        if len(block) < MAX_LINE_BYTES and b"\0" not in block and _is_utf8(block):
            lines = map(bytes.decode, block.splitlines(keepends=True))
            yield from chain([next(lines).removeprefix("\ufeff")], lines) if number == 1 else lines
        else:
            rest = io.BytesIO(block)
            yield from _checked_lines(path, lambda: rest.readline(MAX_LINE_BYTES).decode("utf-8"), number)  # noqa: B023
        number += block.count(b"\n")


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _checked_lines(path: Path, read_line: Callable[[], str], first: int = 1) -> Iterator[str]:
    for number in count(first):
        try:
            line = read_line()
        except UnicodeDecodeError as error:
            found = f"byte {error.object[error.start]:#04x} is not {error.encoding.upper()}"
            raise CaptureError(f"{path.name}: line {number}: {found}; save the file as CSV UTF-8") from error
        if not line:
            return
        if len(line) >= MAX_LINE_BYTES:
            raise CaptureError(f"{path.name}: line {number}: longer than 8 MB")
        if "\0" in line:
            raise CaptureError(f"{path.name}: line {number}: contains a NUL character")
        if number == 1:
            line = line.removeprefix("\ufeff")
        yield from _PHYSICAL_LINE.findall(line) if "\r" in line else (line,)


class Tabular:
    """A row a sample: ``prompt`` and optional ``id, system, reference, response, cluster, occurred_at, segment:*``."""

    key = "tabular"
    version = "1"
    label = "Table with a prompt column (CSV, XLSX, Parquet)"

    def recognises(self, head: bytes, name: str) -> bool:
        if head.startswith((b"PK", _PARQUET_MARK)) or name.lower().endswith((".xlsx", ".xls", ".xlsm", ".csv")):
            return True
        encoding = "utf-16" if head[:2] in _UTF16_MARKS else "utf-8-sig"
        first = head.decode(encoding, "replace").lstrip().splitlines()[:1]
        return bool(first) and "prompt" in re.split(r"[,;\t]", first[0].lower().replace('"', "").replace(" ", ""))

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        for line, row in read_table(path):
            if "prompt" not in row:
                raise CaptureError(f"{path.name}: has no column called 'prompt' (found: {', '.join(row)})")
            try:
                yield _sample(line, row)
            except FieldError as error:
                yield BadLine(line, error.field, error.reason)


def _sample(line: int, row: dict[str, str]) -> CapturedSample:
    prompt, answer = row["prompt"], row.get("response", "")
    if not prompt.strip() and not answer.strip():
        raise FieldError("prompt", "is empty, and there is no response either")
    system = row.get("system", "")
    messages = [{"role": "system", "content": system}] if system.strip() else []
    messages.append({"role": "user", "content": prompt})
    return CapturedSample(
        line=line,
        external_id=row.get("id") or None,
        request={"messages": messages} if prompt.strip() else None,
        occurred_at=instant(row.get("occurred_at"), "occurred_at"),
        cluster=row.get("cluster") or None,
        segments={name.removeprefix(SEGMENT): cell for name, cell in row.items() if name.startswith(SEGMENT) and cell},
        reference=row.get("reference") or None,
        response=CapturedResponse(text=answer) if answer.strip() else None,
    )
