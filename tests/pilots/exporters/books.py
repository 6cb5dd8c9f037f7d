"""Reading what was written: a workbook's pages as values, and as LibreOffice recalculates them."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.pilots.exporters.test_libreoffice import without_values

SOFFICE = shutil.which("soffice") or shutil.which("libreoffice")


def table(path: Path, sheet: str) -> list[dict[str, object]]:
    """Data rows by heading."""
    head, *rows = CalamineWorkbook.from_path(path).get_sheet_by_name(sheet).to_python()
    return [dict(zip(head, row, strict=True)) for row in rows]


def summary(path: Path) -> dict[tuple[str, str], tuple[object, object, object]]:
    """Section and figure to value, as reported, check."""
    found, section = {}, ""
    page = CalamineWorkbook.from_path(path).get_sheet_by_name("Summary").to_python(skip_empty_area=False)
    for _, words, value, reported, check, *_ in page[4:]:
        if check:
            found[section, words] = (value, reported, check)
        elif words:
            section = words
    return found


def everything_in(path: Path) -> bytes:
    """All parts of the zip, unpacked, one after the other."""
    with zipfile.ZipFile(path) as book:
        return b"\n".join(book.read(name) for name in book.namelist())


def recalculated(path: Path, folder: Path) -> Path:
    """The same workbook with its formulas' values thrown away and calculated anew."""
    if SOFFICE is None:
        pytest.skip("LibreOffice is not installed")
    (folder / "in").mkdir()
    bare = folder / "in" / path.name
    assert without_values(path, bare) > 0
    subprocess.run(
        [SOFFICE, "--headless", f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--convert-to", "xlsx"]
        + ["--outdir", str(folder / "out"), str(bare)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder / "out" / path.name


def assert_same_cells(stored: Path, calculated: Path) -> None:
    before, after = CalamineWorkbook.from_path(stored), CalamineWorkbook.from_path(calculated)
    for name in before.sheet_names:
        expected = before.get_sheet_by_name(name).to_python()
        found = after.get_sheet_by_name(name).to_python()
        width = max(map(len, expected), default=0)
        assert [row[:width] for row in found[: len(expected)]] == [
            [pytest.approx(cell, rel=1e-9, abs=1e-12) if isinstance(cell, float) else cell for cell in row]
            for row in expected
        ], name
