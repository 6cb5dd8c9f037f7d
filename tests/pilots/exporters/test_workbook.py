import csv
import re
import zipfile
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from evaluations.enums import Verdict
from pilots.exporters.base import NO_CONTENT, Column, Cover, Document, Formula, Kind, Sheet
from pilots.exporters.texts import clean_text
from pilots.exporters.workbook import write_csv, write_xlsx
from tests.pilots.exporters.sample import COLUMNS, CURVE, SPELLS, document

COVER = Cover("T", date(2026, 1, 1), "Ana")
NAUGHTY = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "#N/A", "a\x02", "x" * 40_000, "\ud800", "007", " x ", "1e5"]


def one_sheet(column, *values, rows=None):
    sheet = Sheet("s", "Data", [column], [(value,) for value in values] if rows is None else rows)
    return Document(COVER, [sheet], "x")


def cells(path, sheet="Data"):
    return [row[0] for row in openpyxl.load_workbook(path)[sheet].iter_rows(min_row=2)]


def test_the_pages_are_in_reading_order_with_their_row_counts(tmp_path):
    written = write_xlsx(document(), tmp_path / "x.xlsx")
    assert written.sheets == {"Survival curve": 4, "Spells": 3, "Chart data": 7, "Columns": 1}
    assert openpyxl.load_workbook(tmp_path / "x.xlsx").sheetnames == ["Cover", "Summary", *written.sheets]
    assert written.bytes == (tmp_path / "x.xlsx").stat().st_size


def test_the_same_document_gives_the_same_bytes(tmp_path):
    first, second = (write_xlsx(document(), tmp_path / name) for name in ("a.xlsx", "b.xlsx"))
    assert first == second
    changed = document(cover=Cover("Other", date(2026, 11, 24), "Ana"))
    assert write_xlsx(changed, tmp_path / "c.xlsx").sha256 != first.sha256


def test_the_file_names_no_person_or_machine_and_is_dated_by_the_cover(tmp_path):
    write_xlsx(document(), tmp_path / "x.xlsx")
    properties = openpyxl.load_workbook(tmp_path / "x.xlsx").properties
    assert (properties.creator, properties.lastModifiedBy) == ("Model Switch Pilots", None)
    assert properties.created.date() == properties.modified.date() == date(2026, 11, 24)


def test_readers_that_do_not_calculate_see_the_values(tmp_path):
    write_xlsx(document(), tmp_path / "x.xlsx")
    book = CalamineWorkbook.from_path(tmp_path / "x.xlsx")
    summary = {row[1]: row[2:5] for row in book.get_sheet_by_name("Summary").to_python(skip_empty_area=False)[4:]}
    assert summary == {
        "Funnel": ["", "", ""],
        "Periods": [3.0, 3.0, "equal"],
        "Still switched": [2.0, 2.0, "equal"],
        "Share": [2 / 3, 2 / 3, "equal"],
        "Money": ["", "", ""],
        "Cost": [1234.5012, 1234.5012, "equal"],
        "Median": ["unknown", "unknown", "equal"],
        "Evidence": ["", "", ""],
        "First cutover": [date(2026, 3, 1), date(2026, 3, 1), "equal"],
        "Verdict": ["non-inferior", "non-inferior", "equal"],
    }
    curve = book.get_sheet_by_name("Survival curve").to_python()
    assert curve[1:] == [[float(value) for value in row] for row in CURVE]


def test_summary_and_survival_are_formulas_over_the_sheets(tmp_path):
    write_xlsx(document(), tmp_path / "x.xlsx")
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    formulas = [row[2].value for row in book["Summary"].iter_rows(min_row=5) if row[2].data_type == "f"]
    assert formulas[:3] == ["=COUNTA('Spells'!$A$2:$A$4)", "=COUNTIF('Spells'!$B$2:$B$4,\"switched\")",
                            "='Summary'!$C$7/'Summary'!$C$6"]  # fmt: skip
    assert book["Survival curve"]["D3"].value == "=IF(ROW()=2,1,N(D2))*(1-C3/B3)"


def test_the_step_curve_holds_each_value_until_the_next_day(tmp_path):
    write_xlsx(document(), tmp_path / "x.xlsx")
    points = CalamineWorkbook.from_path(tmp_path / "x.xlsx").get_sheet_by_name("Chart data").to_python()[1:]
    assert points == [
        [0, 1], [30, 1], [30, 2 / 3], [120, 2 / 3], [120, 2 / 3], [200, 2 / 3], [200, 2 / 3]
    ]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "x.xlsx") as archive:
        (chart,) = [name for name in archive.namelist() if re.fullmatch(r"xl/charts/chart\d+\.xml", name)]
        xml = archive.read(chart).decode()
    assert "<f>'Chart data'!$A$2:$A$8</f>" in xml
    assert "<f>'Chart data'!$B$2:$B$8</f>" in xml
    assert "4F46E5" in xml


@pytest.mark.parametrize("kind", Kind)
def test_text_in_any_column_stays_text(tmp_path, kind):
    write_xlsx(one_sheet(Column("c", "C", kind), *NAUGHTY), tmp_path / "x.xlsx")
    found = cells(tmp_path / "x.xlsx")
    assert {cell.data_type for cell in found} == {"s"}
    assert [cell.value for cell in found] == [clean_text(text) for text in NAUGHTY]
    assert [cell.quotePrefix for cell in found] == [True] * 7 + [False] * 7
    rows = CalamineWorkbook.from_path(tmp_path / "x.xlsx").get_sheet_by_name("Data").to_python()[1:]
    assert rows == [[clean_text(text)] for text in NAUGHTY]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=30), min_size=200, max_size=300))
def test_any_strings_come_back_or_are_marked(tmp_path, texts):
    write_xlsx(one_sheet(Column("c", "C"), *texts), tmp_path / "x.xlsx")
    found = [cell.value or "" for cell in cells(tmp_path / "x.xlsx")]
    assert found == [clean_text(text) for text in texts]
    assert all(back == text or back.endswith("[characters replaced]") for back, text in zip(found, texts, strict=True))


@pytest.mark.parametrize(
    ("column", "value", "stored", "number_format"),
    [
        (Column("c", "C", Kind.INTEGER), 1234, 1234, "#,##0"),
        (Column("c", "C", Kind.INTEGER), 10**15, "1000000000000000", "General"),
        (Column("c", "C", Kind.DECIMAL, decimals=4), 0.12345, 0.12345, "#,##0.0000"),
        (Column("c", "C", Kind.PERCENT), 0.821, 0.821, "0.0%"),
        (Column("c", "C", Kind.MONEY, currency="USD"), Decimal("1234.5"), 1234.5, "[$USD] #,##0.00"),
        (Column("c", "C", Kind.MONEY, currency="USD"), Decimal("0.0012"), 0.0012, "[$USD] #,##0.000000"),
        (Column("c", "C", Kind.MONEY, currency="USD"), Decimal(0), 0, "[$USD] #,##0.00"),
        (Column("c", "C", Kind.MONEY, currency='U"]S'), 1, 1, "[$US] #,##0.00"),
        (Column("c", "C", Kind.MONEY, currency="USD", unknown="undisclosed"), None, "undisclosed", "General"),
        (Column("c", "C", Kind.INTEGER), None, "unknown", "General"),
        (Column("c", "C", Kind.DECIMAL), float("nan"), "unknown", "General"),
        (Column("c", "C", Kind.DECIMAL), float("inf"), "unknown", "General"),
        (Column("c", "C", Kind.DECIMAL), Decimal("NaN"), "unknown", "General"),
        (Column("c", "C", Kind.DECIMAL, unknown=""), float("nan"), "unknown", "General"),
        (Column("c", "C", Kind.DATE), date(2026, 3, 1), datetime(2026, 3, 1), "yyyy-mm-dd"),  # noqa: DTZ001
        (Column("c", "C", Kind.DATE), date(1850, 1, 1), "1850-01-01", "General"),
        (Column("c", "C", Kind.VERDICT), Verdict.NON_INFERIOR, "non-inferior", "General"),
        (Column("c", "C"), True, "yes", "General"),
        (Column("c", "C", Kind.LINK), "javascript:alert(1)", "javascript:alert(1)", "General"),
    ],
)
def test_each_kind_is_stored_as_what_it_is(tmp_path, column, value, stored, number_format):
    write_xlsx(one_sheet(column, value), tmp_path / "x.xlsx")
    (cell,) = cells(tmp_path / "x.xlsx")
    assert (cell.value, cell.number_format, cell.hyperlink) == (stored, number_format, None)


def test_unknown_is_grey_and_may_be_blank(tmp_path):
    write_xlsx(one_sheet(Column("c", "C", Kind.MONEY), None), tmp_path / "x.xlsx")
    assert cells(tmp_path / "x.xlsx")[0].font.color.rgb == "0064748B"
    write_xlsx(one_sheet(Column("c", "C", unknown=""), None, "x"), tmp_path / "x.xlsx")
    assert [cell.value for cell in cells(tmp_path / "x.xlsx")] == [None, "x"]


def test_instants_become_utc_and_the_header_says_so(tmp_path):
    moment = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    write_xlsx(one_sheet(Column("c", "Seen", Kind.DATETIME), moment), tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "x.xlsx")["Data"]
    assert sheet["A1"].value == "Seen (UTC)"
    assert sheet["A2"].value == datetime(2026, 2, 28, 23, 30)  # noqa: DTZ001
    with pytest.raises(ValueError, match="column c: an instant without a zone"):
        write_xlsx(one_sheet(Column("c", "Seen", Kind.DATETIME), moment.replace(tzinfo=None)), tmp_path / "x.xlsx")


def test_a_row_can_have_its_own_currency(tmp_path):
    columns = [Column("currency", "Currency"), Column("cost", "Cost", Kind.MONEY, currency_from="currency")]
    sheet = Sheet("s", "Data", columns, [("USD", Decimal(1)), ("EUR", Decimal(2)), (None, Decimal(3))])
    write_xlsx(Document(COVER, [sheet], "x"), tmp_path / "x.xlsx")
    formats = [row[1].number_format for row in openpyxl.load_workbook(tmp_path / "x.xlsx")["Data"].iter_rows(min_row=2)]
    assert formats == ["[$USD] #,##0.00", "[$EUR] #,##0.00", "#,##0.00"]


def test_links_work_and_a_sheet_never_gets_more_than_excel_opens(tmp_path, monkeypatch):
    monkeypatch.setattr("pilots.exporters.workbook.MAX_LINKS", 2)
    write_xlsx(one_sheet(Column("c", "C", Kind.LINK), *["https://example.com/=1"] * 3), tmp_path / "x.xlsx")
    found = cells(tmp_path / "x.xlsx")
    assert [cell.hyperlink and cell.hyperlink.target for cell in found] == ["https://example.com/=1"] * 2 + [None]
    assert {cell.value for cell in found} == {"https://example.com/=1"}


def test_a_data_sheet_is_set_up_for_reading_and_printing(tmp_path):
    write_xlsx(document(), tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "x.xlsx")["Spells"]
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref == "A1:J4"
    assert sheet.print_title_rows == "$1:$1"
    assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (
        "landscape", 1, 0,
    )  # fmt: skip
    assert sheet.sheet_properties.pageSetUpPr.fitToPage is True
    assert sheet.merged_cells.ranges == set()
    assert all(8 <= sheet.column_dimensions[letter].width <= 60 for letter in "ABCDEFGHIJ")
    rules = {str(area.sqref): [rule.formula[0] for rule in area.rules] for area in sheet.conditional_formatting}
    assert rules["B2:B4"] == ['"switched"', '"rolled back"']
    assert '"non-inferior"' in rules["G2:G4"]


def test_an_empty_sheet_and_a_document_without_summary_open(tmp_path):
    written = write_xlsx(one_sheet(Column("c", "C")), tmp_path / "x.xlsx")
    assert written.sheets == {"Data": 0}
    assert openpyxl.load_workbook(tmp_path / "x.xlsx").sheetnames == ["Cover", "Data"]


def test_rows_beyond_a_sheet_are_refused_not_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("pilots.exporters.workbook.MAX_ROWS", 250)
    write_xlsx(one_sheet(Column("c", "C"), *["x"] * 250), tmp_path / "x.xlsx")
    with pytest.raises(ValueError, match="more than 250 rows do not fit into a sheet; export it as CSV"):
        write_xlsx(one_sheet(Column("c", "C"), *["x"] * 251), tmp_path / "x.xlsx")


def test_a_failed_export_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def rows():
        yield from [("x",)] * 300
        raise OSError("the database went away")

    with pytest.raises(OSError, match="went away"):
        write_xlsx(one_sheet(Column("c", "C"), rows=rows()), tmp_path / "x.xlsx")
    broken = Sheet("s", "Data", [Column("c", "C")], [(Formula("{nowhere.c}", 1),)], formulas=True)
    with pytest.raises(KeyError, match="nowhere"):
        write_xlsx(Document(COVER, [broken], "x"), tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_rows_are_streamed(tmp_path):
    alive = set()

    class Row(tuple):
        def __init__(self, _):
            alive.add(id(self))
            assert len(alive) < 500, "rows pile up"

        def __del__(self):
            alive.discard(id(self))

    rows = (Row((f"text {n}",)) for n in range(3000))
    assert write_xlsx(one_sheet(Column("c", "C"), rows=rows), tmp_path / "x.xlsx").sheets == {"Data": 3000}


def test_a_formula_names_the_cells_of_its_own_row(tmp_path):
    columns = [Column("a", "A", Kind.INTEGER), Column("b", "B", Kind.INTEGER)]
    rows = [(2, Formula("{a}*2", 4)), (3, Formula("{a}*2", 6))]
    write_xlsx(Document(COVER, [Sheet("s", "Data", columns, rows, formulas=True)], "x"), tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "x.xlsx")["Data"]
    assert [row[1].value for row in sheet.iter_rows(min_row=2)] == ["=A2*2", "=A3*2"]
    with pytest.raises(ValueError, match="sheet s holds formulas but does not say so"):
        write_xlsx(Document(COVER, [Sheet("s", "Data", columns, rows)], "x"), tmp_path / "x.xlsx")


def test_content_columns_are_refused_for_the_no_content_audience():
    sheet = Sheet("s", "Data", [Column("prompt", "Prompt", content=True)], [])
    with pytest.raises(ValueError, match=r"s\.prompt carries content"):
        Document(Cover("T", date(2026, 1, 1), "Ana", audience=NO_CONTENT), [sheet], "x")


def test_csv_carries_the_same_values(tmp_path):
    seen = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    rows = [(*row, seen, "https://example.com", None) for row in SPELLS]
    written = write_csv(Sheet("spells", "Spells", COLUMNS, rows), tmp_path / "x.csv")
    assert written.sheets == {"Spells": 3}
    raw = (tmp_path / "x.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(raw.decode("utf-8-sig").splitlines()))
    assert read[0][4:8] == ["Monthly cost (USD)", "Saving", "Verdict at cutover", "Last confirmed (UTC)"]
    assert read[2] == [
        "'=2+3", "rolled back", "2026-04-01", "30", "undisclosed", "-0.5", "worse",
        "2026-11-01T23:30:00Z", "https://example.com", "",
    ]  # fmt: skip
    assert read[3][4:7] == ["0.0012", "unknown", "unknown"]
