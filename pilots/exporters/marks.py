"""The mark by which a workbook is recognised although it was changed. Public surface: ``mark_of``, ``digest_in``.

It stands among the file's properties, which spreadsheets keep when they save it: the digest of the data behind it.
"""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

_PROPERTIES = "docProps/core.xml"
_AT_MOST = 64 * 1024
_MARK = re.compile(rb"model-switch-pilots data ([0-9a-f]{64})")


def mark_of(digest: str) -> str | None:
    return f"model-switch-pilots data {digest}" if digest else None


def digest_in(path: Path) -> str:
    """The digest of the data that a workbook was written from; '' where there is no mark, or no workbook."""
    try:
        with ZipFile(path) as book, book.open(_PROPERTIES) as part:
            found = _MARK.search(part.read(_AT_MOST))
    except (BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
        return ""
    return found[1].decode() if found else ""
