"""The workbook says what the savings page says, and recalculates to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluations.models import Price
from evaluations.services.audit import Actor
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import assert_same_cells, recalculated, summary, table

pytestmark = pytest.mark.django_db


@pytest.fixture
def book(data_dir: Path) -> Path:
    """100 requests of 1,000 tokens in and 200 out: $4.20 on gpt-4, $0.36 on the candidate, on 2 March and 2 April."""
    pilot = make.switched_pilot("triage", workload=make.workload("w", "support"))
    for model, given, taken in ((pilot.incumbent, 30, 60), (pilot.candidate, 2, 8)):
        Price.objects.create(
            model=model, effective_from="2026-01-01", input_per_mtok=given, output_per_mtok=taken, currency="USD"
        )
    for number, model in ((-1, pilot.incumbent), (0, pilot.candidate), (31, pilot.candidate)):
        make.traffic(
            pilot.workload, make.day(number).date(), {model.slug: 100}, input_tokens=100_000, output_tokens=20_000
        )
    filters = {"as_of": "2026-05-10"}
    return Path(write_export(key="portfolio", filters=filters, by=Actor.command("test"), at=make.NOW).path)


def test_each_month_and_the_sums(book: Path) -> None:
    rows = table(book, "Savings")
    found = [
        (row["Month"].isoformat(), row["Days on the candidate"], row["Days computed"], row["Saved"])  # type: ignore[attr-defined]
        for row in ({key.split(" (")[0]: value for key, value in row.items()} for row in rows)
    ]
    assert found == [
        ("2026-03-01", 30, 1, 3.84),
        ("2026-04-01", 30, 1, 3.84),
        ("2026-05-01", 10, 0, "unknown"),
    ]
    figures = {words: row for (section, words), row in summary(book).items() if section == "Saved since the cutovers"}
    assert figures == {
        "Days on a candidate (USD)": (70, 70, "equal"),
        "Days computed (USD)": (2, 2, "equal"),
        "On the incumbents (USD)": (8.4, 8.4, "equal"),
        "Paid (USD)": (0.72, 0.72, "equal"),
        "Saved, before evaluating (USD)": (7.68, 7.68, "equal"),
        "Saved, less 0.00 for evaluating (USD)": (7.68, 7.68, "equal"),
    }


def test_recalculating_gives_the_same_numbers(book: Path, tmp_path: Path) -> None:
    assert_same_cells(book, recalculated(book, tmp_path))
