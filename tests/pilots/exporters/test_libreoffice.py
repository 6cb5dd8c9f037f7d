"""LibreOffice, given the formulas without their values, calculates the values that the product stored."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from pilots.exporters.workbook import write_xlsx
from tests.pilots.exporters.sample import document

SOFFICE = shutil.which("soffice") or shutil.which("libreoffice")


def without_values(source: Path, target: Path) -> int:
    """Copy a workbook with the results of its formulas removed; returns how many there were."""
    removed = 0
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name.startswith("xl/worksheets/"):
                content, count = re.subn(rb"(</f>)<v>[^<]*</v>", rb"\1", content)
                removed += count
            new.writestr(name, content)
    return removed


@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed")
def test_recalculating_gives_the_same_numbers(tmp_path):
    write_xlsx(document(), tmp_path / "x.xlsx")
    (tmp_path / "in").mkdir()
    assert without_values(tmp_path / "x.xlsx", tmp_path / "in" / "x.xlsx") == 7 * 2 + 4 + 7 * 2
    subprocess.run(
        [SOFFICE, "--headless", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--convert-to", "xlsx"]
        + ["--outdir", str(tmp_path / "out"), str(tmp_path / "in" / "x.xlsx")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    stored, calculated = (
        CalamineWorkbook.from_path(path) for path in (tmp_path / "x.xlsx", tmp_path / "out" / "x.xlsx")
    )
    for name in ("Summary", "Survival curve", "Spells", "Chart data"):
        expected = stored.get_sheet_by_name(name).to_python()
        found = calculated.get_sheet_by_name(name).to_python()
        assert [row[: len(expected[0])] for row in found[: len(expected)]] == [
            [pytest.approx(cell) if isinstance(cell, float) else cell for cell in row] for row in expected
        ]
