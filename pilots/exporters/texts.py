"""Text that spreadsheets cannot misread. Public surface: ``clean_text``, ``csv_text``, ``sheet_names``, ``file_name``.

What cannot be stored is replaced visibly and the cell says so at its end; nothing is changed in silence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_CELL = 32_767  # UTF-16 code units
MAX_SHEET_NAME = 31
CHANGED = " [characters replaced]"
FORMULA_STARTS = frozenset("=+-@\t\r\n\0＝＋－＠")
# What XML 1.0 cannot carry, plus the pattern that Excel would decode into a character.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_FILE_NAMES = re.compile(r"[^\w.() -]|[\ud800-\udfff]")


def clean_text(text: str, *, limit: int | None = MAX_CELL) -> str:
    """The text itself, or a visibly marked version: unstorable characters as ``\\u0002``, cuts with the length."""
    if _UNSTORABLE.search(text):
        text = _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + CHANGED
    if limit is not None and len(text) > limit // 2 and (length := _utf16_length(text)) > limit:
        mark = f" [cut, {length:,} characters in full]"
        text = _utf16_cut(text, limit - len(mark)) + mark
    return text


def csv_text(text: str) -> str:
    """Text for a CSV cell: cleaned, and with a leading apostrophe where a spreadsheet would start a formula."""
    guard = "'" if text[:1] in FORMULA_STARTS and text else ""
    return guard + clean_text(text, limit=None)


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _utf16_cut(text: str, units: int) -> str:
    # A surrogate pair that the cut splits is dropped whole.
    return text.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore")


def sheet_names(titles: Iterable[str]) -> list[str]:
    """Valid sheet names, unique without regard to case, in the order of ``titles``."""
    names: list[str] = []
    taken: set[str] = set()
    for title in titles:
        base = " ".join(_NOT_IN_SHEET_NAMES.sub("-", title).split()).strip("' ") or "Sheet"
        if base.casefold() == "history":  # reserved by Excel
            base += "_"
        name, number = _utf16_cut(base, MAX_SHEET_NAME).strip("' "), 1
        while name.casefold() in taken:
            number += 1
            ending = f" ({number})"
            name = _utf16_cut(base, MAX_SHEET_NAME - len(ending)) + ending
        taken.add(name.casefold())
        names.append(name)
    return names


def file_name(stem: str, extension: str) -> str:
    """A name every file system takes: letters of any script, digits, ``.-_()`` and single spaces, at most 120 long."""
    clean = " ".join(_NOT_IN_FILE_NAMES.sub(" ", unicodedata.normalize("NFC", stem)).split()).strip(". ")
    if re.fullmatch(r"(?i)con|prn|aux|nul|com\d|lpt\d", clean):
        clean += "_"
    return f"{clean[:120].strip('. ') or 'export'}.{extension}"
