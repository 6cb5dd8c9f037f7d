import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilots.exporters.texts import CHANGED, MAX_CELL, clean_text, csv_text, file_name, sheet_names


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain\r\n\ttext ", "plain\r\n\ttext "),
        ("=1+1", "=1+1"),
        ("a\x02b", "a\\u0002b" + CHANGED),
        ("a\x00", "a\\u0000" + CHANGED),
        ("\ud800", "\\ud800" + CHANGED),
        ("\uffff", "\\uffff" + CHANGED),
        ("_x0041_", "\\u005fx0041_" + CHANGED),
        ("👍\x7f‮", "👍\x7f‮"),
    ],
)
def test_what_cannot_be_stored_is_escaped_and_marked(text, stored):
    assert clean_text(text) == stored


def test_a_cut_says_so_and_keeps_the_limit_in_utf16_units():
    assert clean_text("x" * MAX_CELL) == "x" * MAX_CELL
    cut = clean_text("x" * 40_000)
    assert len(cut) == MAX_CELL
    assert cut.endswith("x [cut, 40,000 characters in full]")
    emoji = clean_text("👍" * 20_000)
    assert len(emoji.encode("utf-16-le")) // 2 <= MAX_CELL
    assert emoji.endswith("👍 [cut, 40,000 characters in full]")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_csv_text_never_starts_a_formula(start):
    assert csv_text(f"{start}1") == f"'{start}1"


def test_csv_text_is_not_cut_and_empty_stays_empty():
    assert csv_text("x" * 40_000) == "x" * 40_000
    assert csv_text("") == ""
    assert csv_text("\x00=1") == "'\\u0000=1" + CHANGED


@pytest.mark.parametrize(
    ("titles", "names"),
    [
        (["a[b]:c*d?e/f\\g"], ["a-b--c-d-e-f-g"]),
        (["x" * 40, "X" * 40], ["x" * 31, "X" * 27 + " (2)"]),
        (["Cover", "cover", "COVER"], ["Cover", "cover (2)", "COVER (3)"]),
        (["", "  ", "'quoted'"], ["Sheet", "Sheet (2)", "quoted"]),
        (["History"], ["History_"]),
        (["a\r\nb\ud800"], ["a--b-"]),
        (["👍" * 20], ["👍" * 15]),
    ],
)
def test_sheet_names_are_valid_and_unique(titles, names):
    assert sheet_names(titles) == names


@given(st.lists(st.text(max_size=40), max_size=10))
def test_any_titles_give_names_that_excel_accepts(titles):
    names = sheet_names(titles)
    assert len({name.casefold() for name in names}) == len(titles)
    for name in names:
        assert 1 <= len(name.encode("utf-16-le")) // 2 <= 31
        assert not set(name) & set("[]:*?/\\\r\n")
        assert name == name.strip() == name.strip("'")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("retention gpt-4 to mai-thinking-1", "retention gpt-4 to mai-thinking-1.xlsx"),
        ('../../etc/pass"wd\r\nX: y', "etc pass wd X y.xlsx"),
        ("Zürich 東京", "Zürich 東京.xlsx"),
        ("CON", "CON_.xlsx"),
        ("", "export.xlsx"),
        ("...", "export.xlsx"),
        ("x" * 300, "x" * 120 + ".xlsx"),
    ],
)
def test_file_names_are_harmless_everywhere(stem, name):
    assert file_name(stem, "xlsx") == name
