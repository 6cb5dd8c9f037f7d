import io
import zipfile

import openpyxl
import pytest

from evaluations.capture.base import CaptureError
from evaluations.capture.tabular import read_table


def workbook_bytes():
    workbook = openpyxl.Workbook()
    workbook.active.append(["a"])
    workbook.active.append(["1"])
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def rebuilt(changes, compression=zipfile.ZIP_DEFLATED):
    """A good workbook with parts added or replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook_bytes())) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for entry in old.infolist():
            if entry.filename not in changes:
                new.writestr(entry.filename, old.read(entry))
        for name, content in changes.items():
            new.writestr(name, content)
    return buffer.getvalue()


def sheet(body):
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return {"xl/worksheets/sheet1.xml": f'<worksheet xmlns="{space}"><sheetData>{body}</sheetData></worksheet>'}


def declaring(size):
    """A part of five megabytes whose directory entry declares another size."""
    content = rebuilt({"xl/big.xml": "<a>" + "b" * 5_000_000 + "</a>"})
    real = (5_000_007).to_bytes(4, "little")
    assert content.count(real) == 2
    return content.replace(real, size.to_bytes(4, "little"))


BOMBS = {
    "empty": (b"", "the file is empty"),
    "old xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old .xls or a password-protected workbook"),
    "html": (b"<html><body><table/></body></html>", "is a web page or XML file"),
    "csv": (b"a,b\n1,2\n", "is not an .xlsx workbook"),
    "plain zip": (rebuilt({}).replace(b"xl/workbook.xml", b"xl/workbxxx.xml"), "a zip file but not an .xlsx"),
    "cut": (workbook_bytes()[:-200], "damaged workbook"),
    "zip bomb": (rebuilt({"xl/media/x.xml": b"\0" * 5_000_000}), "unpacks to more than 100 times its size"),
    "unpacks to 300 MB": (declaring(300_000_000), "unpacks to 300 MB, at most 200 MB"),
    "many parts": (rebuilt({f"xl/media/{n}.txt": b"" for n in range(1001)}), "parts, at most 1000"),
    "path": (rebuilt({"../../evil.xml": b"x"}), "unsafe path"),
    "backslash path": (rebuilt({"xl\\..\\..\\evil.xml": b"x"}), "unsafe path"),
    "absolute path": (rebuilt({"/etc/evil.xml": b"x"}), "unsafe path"),
    "nested zip": (rebuilt({"xl/embeddings/inner.zip": b"PK"}), "another archive or document"),
    "macro": (rebuilt({"xl/vbaProject.bin": b"x"}), "holds macros"),
    "external link": (rebuilt({"xl/externalLinks/externalLink1.xml": b"<a/>"}), "links to other workbooks"),
    "billion laughs": (
        rebuilt({"xl/sharedStrings.xml": '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><sst>&b;</sst>'}),
        "declares XML entities",
    ),
    "external entity": (
        rebuilt({"xl/styles.xml": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'}),
        "declares XML entities",
    ),
    "entity in UTF-16": (
        rebuilt({"xl/sharedStrings.xml": '<!DOCTYPE x [<!ENTITY a "ha">]><sst>&a;</sst>'.encode("utf-16")}),
        "holds XML that is not UTF-8",
    ),
    "far cell": (rebuilt(sheet('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')), "uses 16384 columns"),
    "far row": (rebuilt(sheet('<row r="9999999"><c r="A9999999"><v>1</v></c></row>')), "uses 9999999 rows"),
    "large empty area": (rebuilt(sheet('<row r="1"><c r="GR900000"/></row>')), "more than 4,000,000 cells"),
    "cells without address": (rebuilt(sheet("<row><c><v>1</v></c></row>")), "cells without addresses"),
    "size lie": (declaring(1_000), "damaged workbook"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_dangerous_workbook_is_refused_with_a_reason(tmp_path, name):
    content, message = BOMBS[name]
    path = tmp_path / "upload.xlsx"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=message):
        list(read_table(path))


def test_an_encrypted_zip_is_refused(tmp_path):
    content = bytearray(rebuilt({}))
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    path = tmp_path / "upload.xlsx"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="is encrypted"):
        list(read_table(path))


def test_the_rebuilt_workbook_without_changes_is_fine(tmp_path):
    path = tmp_path / "upload.xlsx"
    path.write_bytes(rebuilt({}))
    assert list(read_table(path)) == [(2, {"a": "1"})]


def test_a_workbook_is_recognised_by_content_not_by_name(tmp_path):
    path = tmp_path / "upload.csv"
    path.write_bytes(workbook_bytes())
    assert list(read_table(path)) == [(2, {"a": "1"})]
