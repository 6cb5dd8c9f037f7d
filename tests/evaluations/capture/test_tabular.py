import gzip
import importlib.util
from datetime import UTC, date, datetime

import openpyxl
import pytest

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample, CaptureError
from evaluations.capture.registry import detect
from evaluations.capture.tabular import Tabular, read_table


def csv_file(tmp_path, content, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def xlsx_file(tmp_path, *rows, name="table.xlsx"):
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.save(tmp_path / name)
    return tmp_path / name


ODD_TEXTS = ["NA", "None", "null", "007", "9007199254740993", "1e5", "1,5", "TRUE", "#N/A text", " kept ", "=1+1", "ﬁ"]


def test_csv_text_stays_text(tmp_path):
    path = csv_file(tmp_path, "a;b\n" + "".join(f'"{text}";x\n' for text in ODD_TEXTS))
    assert [row["a"] for _, row in read_table(path)] == ODD_TEXTS


def test_xlsx_text_stays_text(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active.append(["a"])
    for text in ODD_TEXTS:
        workbook.active.append([text])
        workbook.active.cell(workbook.active.max_row, 1).data_type = "s"
    workbook.save(tmp_path / "t.xlsx")
    assert [row["a"] for _, row in read_table(tmp_path / "t.xlsx")] == ODD_TEXTS


def test_xlsx_values_become_plain_text(tmp_path):
    path = xlsx_file(
        tmp_path,
        [],
        ["Day", "At", "Whole", "Part", "Flag"],
        [date(2026, 3, 1), datetime.fromisoformat("2026-03-01T09:30"), 7, 0.25, True],
        [None, None, 1234567890123456, -1.5, False],
    )
    assert list(read_table(path)) == [
        (3, {"day": "2026-03-01", "at": "2026-03-01T09:30:00", "whole": "7", "part": "0.25", "flag": "TRUE"}),
        (4, {"day": "", "at": "", "whole": "1234567890123456", "part": "-1.5", "flag": "FALSE"}),
    ]


def test_the_1904_date_system_gives_the_same_day(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    workbook.active.append(["day"])
    workbook.active.append([date(2026, 3, 1)])
    workbook.save(tmp_path / "mac.xlsx")
    assert list(read_table(tmp_path / "mac.xlsx")) == [(2, {"day": "2026-03-01"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_newlines_and_encodings(tmp_path, delimiter, newline, encoding):
    text = newline.join([delimiter.join(["Team name", '"x, y; z"']), delimiter.join(["Zürich", "1"]), "", ""])
    path = csv_file(tmp_path, text.encode(encoding))
    assert list(read_table(path)) == [(2, {"team_name": "Zürich", "x,_y;_z": "1"})]


def test_mixed_newlines_and_quoted_newlines_keep_their_line_numbers(tmp_path):
    path = csv_file(tmp_path, 'a,b\r\n1,"two\nlines"\n3,4\r5,6\r\n\n7,8')
    assert list(read_table(path)) == [
        (2, {"a": "1", "b": "two\nlines"}),
        (4, {"a": "3", "b": "4"}),
        (5, {"a": "5", "b": "6"}),
        (7, {"a": "7", "b": "8"}),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_are_numbered_across_blocks_with_cells_of_several_lines(tmp_path, newline):
    rows = [(number, f"a{newline}b" if number in (700, 1800) else "x") for number in range(2, 2500)]
    text = "n,t" + newline + "".join(f'{n},"{t}"{newline}' for n, t in rows)
    expected = [(n + (n > 700) + (n > 1800), {"n": str(n), "t": t}) for n, t in rows]
    assert list(read_table(csv_file(tmp_path, text.encode()))) == expected
    with pytest.raises(CaptureError, match="line 2502: a quoted cell that starts here is never closed"):
        list(read_table(csv_file(tmp_path, (text + '7,"x\n').encode())))


def test_gzipped_csv_is_read_and_short_rows_are_filled(tmp_path):
    path = csv_file(tmp_path, gzip.compress(b"a,b\n1\n"), "t.csv.gz")
    assert list(read_table(path)) == [(2, {"a": "1", "b": ""})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        (b"a,b\n1,2\nZ\xfcrich,3\n", "line 3: byte 0xfc is not UTF-8; save the file as CSV UTF-8"),
        ('a,b\n1,2\n"open,3\nmore,4\n', "line 3: a quoted cell that starts here is never closed"),
        ("a,b\n1,2\n3,\0\n", "line 3: contains a NUL character"),
        ("a,b\n1,2,3\n", "line 2: 3 cells under 2 column names"),
        ("a,A\n1,2\n", "line 1: the column 'a' occurs more than once"),
        (",".join(["x"] * 100_000), "line 1: 100000 columns, at most 200 are read"),
        ('a\n"x"y\n', "line 2: ',' expected after '\"'"),
        ("<html><table></table></html>", "is a web page or XML file, not a table"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(CaptureError) as caught:
        list(read_table(csv_file(tmp_path, content)))
    assert str(caught.value) == f"table.csv: {message}"


def test_an_open_quote_over_fifty_megabytes_is_refused_early(tmp_path):
    path = csv_file(tmp_path, b'a\n"' + (b"x" * 99 + b"\n") * 520_000)
    with pytest.raises(CaptureError, match="line 2: a quoted cell that starts here is never closed"):
        list(read_table(path))


def test_row_caps_hold(tmp_path):
    path = csv_file(tmp_path, "a\n1\n2\n3\n")
    assert len(list(read_table(path, max_rows=3))) == 3
    with pytest.raises(CaptureError, match="line 4: more than 2 rows"):
        list(read_table(path, max_rows=2))


def test_a_row_becomes_a_sample(tmp_path):
    path = csv_file(
        tmp_path,
        "ID,Prompt,System,Reference,Response,Cluster,Occurred at,Segment:Language,segment:tier,other\n"
        "7,2+2?,Be brief.,4,four,c1,2026-03-01,de,,x\n",
    )
    assert list(Tabular().read(path)) == [
        CapturedSample(
            line=2,
            external_id="7",
            request={"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]},
            occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
            cluster="c1",
            segments={"language": "de"},
            reference="4",
            response=CapturedResponse(text="four"),
        )
    ]


def test_rows_without_a_prompt_are_read_if_they_answer_something(tmp_path):
    path = csv_file(tmp_path, "id,prompt,response,occurred_at\n1,,four,\n2, ,,\n3,hi,,soon\n4,hi,,\n")
    first, *rest = Tabular().read(path)
    assert (first.external_id, first.request, first.response.text) == ("1", None, "four")
    assert rest == [
        BadLine(3, "prompt", "is empty, and there is no response either"),
        BadLine(4, "occurred_at", "is not an ISO 8601 instant: 'soon'"),
        CapturedSample(line=5, external_id="4", request={"messages": [{"role": "user", "content": "hi"}]}),
    ]


def test_a_table_without_prompts_is_refused(tmp_path):
    with pytest.raises(CaptureError, match=r"has no column called 'prompt' \(found: a, b\)"):
        list(Tabular().read(xlsx_file(tmp_path, ["a", "b"], [1, 2])))


def test_parquet_says_what_it_needs_or_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1 and more PAR1")
        with pytest.raises(CaptureError, match=r"t\.parquet: reading Parquet needs pyarrow"):
            list(read_table(path))
        return
    from pyarrow import parquet, table

    parquet.write_table(table({"Prompt": ["hi", None], "id": [7, 8], "day": [date(2026, 3, 1), None]}), path)
    assert detect(path).key == "tabular"
    assert list(read_table(path)) == [
        (2, {"prompt": "hi", "id": "7", "day": "2026-03-01"}),
        (3, {"prompt": "", "id": "8", "day": ""}),
    ]
    path.write_bytes(b"PAR1 and more PAR1")
    with pytest.raises(CaptureError, match=r"t\.parquet: damaged Parquet file"):
        list(read_table(path))
