"""The portfolio workbook says what the reports say, to the digit, and recalculates to it."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.services.audit import Actor
from pilots.enums import Motive, Reason, SpellStatus
from pilots.selectors.filters import ReportFilters
from pilots.selectors.observation import Stage
from pilots.selectors.pilots import portfolio
from pilots.selectors.retention import retention
from pilots.services import lifecycle
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import assert_same_cells, everything_in, recalculated, summary, table

pytestmark = pytest.mark.django_db
BY = Actor.command("test")


def followed(slug: str, cutover: int, days: int, **fields: object):
    """Switched ``cutover`` days after the usual day and confirmed every 30 days, ``days`` long."""
    pilot = make.switched_pilot(slug, cutover_at=make.day(cutover), **fields)
    for day in range(30, days, 30):
        lifecycle.record_follow_up(pilot=pilot, by=make.actor(), at=make.day(cutover + day))
    return pilot


@pytest.fixture
def world():
    """Every stage and status, late entry, a forced switch and a second period."""
    for number in range(7):
        followed(f"stays-{number}", number, 230)
    for number, reason in enumerate((Reason.QUALITY, Reason.QUALITY, Reason.COST)):
        pilot = followed(f"back-{number}", number, 60 + 7 * number)
        at = make.day(number + 60 + 7 * number)
        lifecycle.record_rollback(pilot=pilot, by=make.actor(), at=at, reason=reason, attachments=["incident:I"])
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=at + timedelta(days=30))
    third = followed("third", 3, 100)
    claude = make.model("claude", "anthropic")
    lifecycle.record_superseded(pilot=third, by=make.actor(), at=make.day(103), to_model=claude)
    over = followed("over", 3, 40)
    lifecycle.record_ended(pilot=over, by=make.actor(), at=make.day(43))
    make.switched_pilot("lost")
    late = make.pilot("late")
    lifecycle.record_cutover(
        pilot=late, by=make.actor(), at=make.day(200), occurred_at=make.day(0), observed_from=make.day(20).date()
    )
    followed("forced", 5, 100, motive=Motive.RETIREMENT)
    make.pilot("open")
    for slug, end in (("declined", lifecycle.record_declined), ("abandoned", lifecycle.record_abandoned)):
        end(pilot=make.pilot(slug), by=make.actor(), at=make.day(1))
    ramped = make.pilot("ramped")
    lifecycle.record_ramp(pilot=ramped, by=make.actor(), at=make.day(1), share=Decimal("0.2"))
    lifecycle.record_abandoned(pilot=ramped, by=make.actor(), at=make.day(9))
    beside = make.pilot("beside")
    lifecycle.record_ramp(pilot=beside, by=make.actor(), at=make.day(1), share=Decimal("0.4"))
    lifecycle.record_alongside(
        pilot=beside, by=make.actor(), at=make.day(9), share=Decimal("0.4"), review_on=date(2026, 12, 1)
    )


@pytest.fixture
def book(world, data_dir) -> Path:
    return Path(write_export(key="portfolio", filters={}, by=BY, at=make.NOW).path)


@pytest.fixture
def report(world):
    return retention(ReportFilters.parse({}, now=make.NOW)).to_document()


def same(found: object, expected: object) -> bool:
    """Equal to the 15 digits that spreadsheets keep."""
    return found == ("withheld" if expected is None else pytest.approx(expected, rel=1e-15))


def test_the_three_answers_are_the_reports(book, report) -> None:
    rows = table(book, "Retention")
    expected = [
        (title, float(point["day"]), point)
        for key, title in (
            ("not_rolled_back", "Not back on the incumbent model"),
            ("not_returned_to_vendor", "Not back with the incumbent's vendor"),
            ("at", "Still on the candidate"),
        )
        for point in report[key]
    ]
    assert [(row["Question"], row["Days after the cutover"]) for row in rows] == [each[:2] for each in expected]
    assert {point["withheld"] for _, _, point in expected} == {True, False}
    for row, (_, _, point) in zip(rows, expected, strict=True):
        assert same(row["Share"], point["still_switched"])
        assert (row["At risk"], row["Teams at risk"]) == (point["at_risk"], point["customers"])
        for heading, key in (
            ("95 % from", "lower"),
            ("95 % to", "upper"),
            ("Worst case", "worst"),
            ("Best case", "best"),
        ):
            assert same(row[heading], point[key])


def assert_steps(rows: list[dict], report: dict) -> None:
    keys = ("day", "at_risk", "events", "censored", "survival", "lower", "upper")
    assert [list(row.values()) for row in rows] == [
        [pytest.approx(step[key], rel=1e-15) for key in keys] for step in report["curve"]
    ]


def test_the_curve_is_the_reports(book, report) -> None:
    assert_steps(table(book, "Retention curve"), report)


def test_a_curve_that_falls_later_begins_at_its_origin(data_dir) -> None:
    for number in range(6):
        followed(f"stays-{number}", 0, 100)
    make.rolled_back_pilot("back", days=40)
    make.switched_pilot("forced", motive=Motive.RETIREMENT)
    origin, *steps = table(Path(write_export(key="portfolio", filters={}, by=BY, at=make.NOW).path), "Retention curve")
    assert list(origin.values()) == [0, 7, 0, 0, 1, 1, 1]
    assert_steps(steps, retention(ReportFilters.parse({}, now=make.NOW)).to_document())
    assert [step["Still on the candidate"] for step in steps] == [pytest.approx(6 / 7)] * 2


def test_periods_and_reasons_are_the_reports(book, report) -> None:
    rows = table(book, "Periods")
    assert [(row["Pilot"], row["Cutover"].isoformat(), row["Days"], row["Observed from day"]) for row in rows] == [
        (spell["pilot"], spell["start"], spell["days"], spell["entry_day"]) for spell in report["spells"]
    ]
    assert [row["Status"] for row in rows] == [SpellStatus(spell["status"]).label for spell in report["spells"]]
    assert [(row["Reason"], row["Periods rolled back"], row["Pilots"]) for row in table(book, "Reasons")] == [
        ("quality", 2, "back-0, back-1"),
        ("cost", 1, "back-2"),
    ]


def test_the_summary_counts_the_funnel(book, report) -> None:
    figures, funnel = summary(book), report["funnel"]
    stages = {
        "Attempts": "opened",
        "Declined": "declined",
        "Abandoned": "abandoned",
        "In progress": "in_progress",
        "Running alongside": "alongside",
        "Ramp without a cutover": "failed_switch",
        "Switched": "switched",
    }
    assert {words: figures["Funnel", words] for words in stages} == {
        words: (funnel[key], funnel[key], "equal") for words, key in stages.items()
    }
    assert len(stages) == len(Stage) + 1
    assert all(funnel[key] for key in stages.values())
    became = {
        words: value for (section, words), (value, _, _) in figures.items() if section == "What became of the switched"
    }
    assert became == {status.label[0].upper() + status.label[1:]: funnel[status.value] for status in SpellStatus}
    marks = [value for (section, _), (value, _, _) in figures.items() if section.startswith("Marks")]
    assert marks == list(funnel["of_which"].values())


def test_the_summary_reads_retention_with_its_denominator(book, report) -> None:
    figures = summary(book)
    for key, section in (
        ("not_returned_to_vendor", "Not back with the incumbent's vendor"),
        ("at", "Still on the candidate"),
    ):
        for point in report[key]:
            value, reported, check = figures[f"{section} (chosen switches)", f"After {point['day']} days"]
            assert same(value, point["still_switched"])
            assert (reported, check) == (value, "equal")


def test_every_pilot_is_listed_where_it_stands(book) -> None:
    listed = portfolio(ReportFilters.parse({}, now=make.NOW))
    rows = table(book, "Pilots")
    assert [(row["Pilot"], row["Status"], row["Days in status"]) for row in rows] == [
        (row.pilot, row.status.label, row.age_days) for row in listed.pilots
    ]
    figures = summary(book)
    assert figures["Pilots by status", "Pilots"][0] == len(listed.pilots)
    assert {row["Pilot"]: row["Stage in the funnel"] for row in rows}["ramped"] == Stage.FAILED_SWITCH.label


def test_the_cover_carries_the_sentence_and_the_digest_of_the_same_data(world, report, data_dir) -> None:
    first, again = (
        Path(write_export(key="portfolio", filters={}, by=BY, at=at).path)
        for at in (make.NOW, make.NOW + timedelta(minutes=5))
    )
    assert report["headline"].replace("'", "&apos;").encode() in everything_in(first).replace(b"'", b"&apos;")
    assert first == again  # the same data the same day: the same file
    lifecycle.record_follow_up(pilot=make.switched_pilot("more"), by=make.actor(), at=make.day(30))
    assert Path(write_export(key="portfolio", filters={}, by=BY, at=make.NOW).path) != first


def test_recalculating_gives_the_same_numbers(book, tmp_path) -> None:
    assert_same_cells(book, recalculated(book, tmp_path))


def test_a_past_day_shows_that_day(world, data_dir) -> None:
    day = make.day(70)
    export = write_export(key="portfolio", filters={"as_of": day.date().isoformat()}, by=BY, at=make.NOW)
    then = retention(ReportFilters.parse({"as_of": day.date().isoformat()}, now=make.NOW))
    rows = table(Path(export.path), "Periods")
    assert [row["Pilot"] for row in rows] == [spell.pilot for spell in then.answer.spells]
    happened = [row["Happened (UTC)"] for row in table(Path(export.path), "Events")]
    assert max(happened) <= datetime.combine(day.date(), datetime.max.time())
    assert export.file_name == f"portfolio-{day.date().isoformat()}.xlsx"


def test_nothing_to_report_is_a_workbook_all_the_same(data_dir, tmp_path) -> None:
    export = write_export(key="portfolio", filters={}, by=BY, at=make.NOW)
    assert {name: rows for name, rows in export.sheets.items() if rows} == {
        "Retention": 12,
        "Columns": export.sheets["Columns"],
    }
    assert_same_cells(Path(export.path), recalculated(Path(export.path), tmp_path))


def test_more_pilots_take_no_more_queries(data_dir) -> None:
    counts = []
    for _ in range(2):
        make.rolled_back_pilot()
        make.rolled_back_pilot()
        with CaptureQueriesContext(connection) as queries:
            write_export(key="portfolio", filters={}, by=BY, at=make.NOW)
        counts.append(len(queries))
    assert counts[0] == counts[1]
