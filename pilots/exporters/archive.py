"""The zip file of a workbook: the same document gives the same bytes, and formulas carry their values.

Public surface: ``StableZip``. openpyxl writes formulas without their results, so that a viewer that does not calculate
shows nothing; the results are put in while its sheets are copied into the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_CHUNK = 1024 * 1024
_ROW_END = b"</row>"
_FORMULA = re.compile(rb'<c r="([A-Z]+[0-9]+)"([^>]*)><f>(.*?)</f><v\s*(?:/>|></v>)</c>', re.DOTALL)
_DAY_ZERO = date(1899, 12, 30)


class StableZip(ZipFile):
    """A zip without clocks. ``results`` maps a part's path to its formula cells and their values."""

    def __init__(self, path: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(path, "w", ZIP_DEFLATED)
        self._results = results

    def writestr(self, zinfo_or_arcname: Any, data: Any, *_: Any, **__: Any) -> None:
        super().writestr(_timeless(str(zinfo_or_arcname)), data)

    def write(self, filename: Any, arcname: Any = None, *_: Any, **__: Any) -> None:
        info = _timeless(str(arcname))
        info.file_size = Path(filename).stat().st_size
        with open(filename, "rb") as source, self.open(info, "w") as part:
            results = self._results.get(info.filename, {})
            for chunk in _with_results(source, results) if results else iter(lambda: source.read(_CHUNK), b""):
                part.write(chunk)


def _timeless(name: str) -> ZipInfo:
    info = ZipInfo(name)  # its date is the format's zero, 1980-01-01
    info.compress_type = ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def _with_results(source: IO[bytes], results: Mapping[str, Any]) -> Iterator[bytes]:
    def filled(found: re.Match[bytes]) -> bytes:
        cell, attributes, formula = found.groups()
        kind, value = _stored(results[cell.decode()])
        return b'<c r="%b"%b%b><f>%b</f><v>%b</v></c>' % (cell, attributes, kind, formula, value)

    rest = b""
    while chunk := source.read(_CHUNK):
        whole, end, rest = (rest + chunk).rpartition(_ROW_END)
        yield _FORMULA.sub(filled, whole + end)
    yield rest


def _stored(value: Any) -> tuple[bytes, bytes]:
    """The type attribute and the text of a formula's result."""
    if isinstance(value, bool):
        return b' t="b"', b"1" if value else b"0"
    if isinstance(value, datetime):
        since = value.replace(tzinfo=None) - datetime.combine(_DAY_ZERO, datetime.min.time())
        return b"", repr(since.total_seconds() / 86_400).encode()
    if isinstance(value, date):
        return b"", str((value - _DAY_ZERO).days).encode()
    if isinstance(value, int | float | Decimal):
        return b"", str(value).encode()
    return b' t="str"', escape(str(value)).encode()
