"""What an uploaded workbook must look like before it is opened. Public surface: ``check_workbook``.

A workbook is a zip of XML: it can unfold to gigabytes, claim a cell at the far corner of an empty sheet, or point at
other files. Everything is checked on a stream, so that refusing costs little memory.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from evaluations.capture.base import CaptureError

MAX_ENTRIES = 1_000
MAX_UNPACKED_BYTES = 200 * 1024 * 1024
MAX_RATIO = 100
MAX_CELLS = 4_000_000  # rows times columns of the used area, which the reader holds in memory
_CHUNK = 1024 * 1024
_RATIO_FREE_BYTES = 1024 * 1024  # small parts of repeated text compress well without being bombs
_CELL = re.compile(rb'<c\b[^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"')
_BARE_CELL = re.compile(rb'<c(?![^>]*?\br=")[\s/>]')
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)


def check_workbook(path: Path, *, max_rows: int, max_columns: int) -> None:
    """Raise ``CaptureError`` unless the file is a plain ``.xlsx`` of bearable size."""
    with path.open("rb") as handle:
        start = handle.read(512)
    if not start:
        raise CaptureError(f"{path.name}: the file is empty")
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise CaptureError(f"{path.name}: is an old .xls or a password-protected workbook; save it as plain .xlsx")
    if start.lstrip().startswith(b"<"):
        raise CaptureError(f"{path.name}: is a web page or XML file, not a workbook; save it as .xlsx")
    if not start.startswith(b"PK"):
        raise CaptureError(f"{path.name}: is not an .xlsx workbook")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_directory(path.name, archive.infolist())
            for entry in archive.infolist():
                if not entry.filename.lower().endswith((".xml", ".rels")):
                    continue
                with archive.open(entry) as part:
                    if _SHEET.fullmatch(entry.filename):
                        _check_sheet(path.name, part, max_rows, max_columns)
                    else:
                        _check_xml(path.name, part)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise CaptureError(f"{path.name}: damaged workbook ({error})") from error


def _check_directory(name: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise CaptureError(f"{name}: holds {len(entries)} parts, at most {MAX_ENTRIES} are read")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_UNPACKED_BYTES:
        raise CaptureError(f"{name}: unpacks to {total // 1_000_000} MB, at most 200 MB are read")
    for entry in entries:
        inner = entry.filename.lower()
        if entry.flag_bits & 1:
            raise CaptureError(f"{name}: is encrypted; save it without a password")
        if inner.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", inner) or ":" in inner:
            raise CaptureError(f"{name}: holds a part with an unsafe path")
        if inner.endswith((".zip", ".gz", ".7z", ".xlsx", ".xlsm", ".xls", ".docx")):
            raise CaptureError(f"{name}: holds another archive or document; remove embedded files")
        if inner.endswith("vbaproject.bin"):
            raise CaptureError(f"{name}: holds macros; save it as plain .xlsx")
        if inner.startswith("xl/externallinks/"):
            raise CaptureError(f"{name}: links to other workbooks; replace the links by their values")
        if entry.file_size > _RATIO_FREE_BYTES and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise CaptureError(f"{name}: a part unpacks to more than {MAX_RATIO} times its size")
    if "xl/workbook.xml" not in {entry.filename.lower() for entry in entries}:
        raise CaptureError(f"{name}: is a zip file but not an .xlsx workbook")


def _check_xml(name: str, part: IO[bytes]) -> None:
    # Reading to the end also proves the declared size and the checksum.
    for _ in _safe_chunks(name, part):
        pass


def _check_sheet(name: str, part: IO[bytes], max_rows: int, max_columns: int) -> None:
    last_row = last_column = 0
    for chunk in _safe_chunks(name, part):
        if _BARE_CELL.search(chunk):
            raise CaptureError(f"{name}: holds cells without addresses; save it again with a spreadsheet program")
        found = _CELL.findall(chunk)
        for letters in {letters for letters, _ in found}:
            last_column = max(last_column, _column_number(letters))
        last_row = max(last_row, max((int(row) for _, row in found), default=0))
        if last_column > max_columns:
            raise CaptureError(f"{name}: uses {last_column} columns, at most {max_columns} are read")
        if last_row > max_rows + 1:
            raise CaptureError(f"{name}: uses {last_row} rows, at most {max_rows} are read")
        if last_row * last_column > MAX_CELLS:
            raise CaptureError(f"{name}: uses more than {MAX_CELLS:,} cells; save large tables as CSV")


def _safe_chunks(name: str, part: IO[bytes]) -> Iterator[bytes]:
    """Chunks that end between tags; refuses document type declarations, which entities need, and hidden encodings."""
    rest = b""
    while block := part.read(_CHUNK):
        chunk = rest + block
        if chunk.startswith((b"\xff\xfe", b"\xfe\xff")) or b"<\0" in chunk or b"\0<" in chunk:
            raise CaptureError(f"{name}: holds XML that is not UTF-8")
        cut = chunk.rfind(b"<")
        rest = chunk[cut:] if 0 <= len(chunk) - cut < 4096 and cut >= 0 else b""
        yield _without_entities(name, chunk[: len(chunk) - len(rest)])
    yield _without_entities(name, rest)


def _without_entities(name: str, chunk: bytes) -> bytes:
    if b"<!DOCTYPE" in chunk or b"<!ENTITY" in chunk:
        raise CaptureError(f"{name}: declares XML entities, which are not read")
    return chunk


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
