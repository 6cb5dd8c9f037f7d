"""Raw rows as a workbook, as CSV and as Parquet: the ledger's own figures, whatever the format, in flat memory."""

from __future__ import annotations

import csv
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.utils import timezone

from evaluations.models import Completion, ReplayRun
from evaluations.selectors.progress import run_document
from evaluations.selectors.raw_rows import answers_of
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.exporters.base import Column, Cover, Document, Formula, Kind, Sheet
from pilots.exporters.parquet import write_parquet
from pilots.exporters.workbook import write_csv, write_xlsx
from pilots.models import ExportFile
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import summary, table
from tests.pilots.exporters.replayed import replayed_pilot

BY = Actor.command("test")
needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")


def export(output: Path | None = None, audience: str = "full", by: Actor = BY, **filters: str) -> ExportFile:
    return write_export(key="completions", filters=filters, by=by, at=timezone.now(), audience=audience, output=output)


@pytest.mark.django_db(transaction=True)
def test_the_rows_are_the_ledgers(data_dir: Path) -> None:
    pilot = replayed_pilot(n=30, behaviours={"new": {"behaviour": "flaky"}, "old": {"behaviour": "refusing"}})
    book = Path(export().path)
    document = run_document(ReplayRun.objects.get())
    rows = table(book, "Completions")
    assert len(rows) == document["done"] == 60
    assert {(row["Pilot"], row["Model"], row["Endpoint"], row["Arm"]) for row in rows} == {
        (pilot.slug, "old", "old-prod", "incumbent"),
        (pilot.slug, "new", "new-prod", "candidate"),
    }
    for role, arm in document["arms"].items():
        of = [row for row in rows if row["Arm"] == role]
        assert sum(row["Outcome"] == "answered" for row in of) == arm["succeeded"]
        figures = {words: value for (section, words), (value, _, _) in summary(book).items() if section.lower() == role}
        assert (figures["Requests"], figures["Answered"]) == (30, arm["succeeded"])
        known = Completion.objects.filter(arm__role=role, cost_amount__isnull=False)
        assert figures["Cost (USD)"] == pytest.approx(float(sum(row.cost_amount for row in known)), rel=1e-12)
    outcomes = table(book, "Outcomes")
    assert [sum(row[role] for row in outcomes) for role in ("Incumbent", "Candidate")] == [30, 30]
    refused = document["arms"]["incumbent"]["failed"]["refused"]
    assert {row["Outcome"]: row["Incumbent"] for row in outcomes}["refused by the model"] == refused > 0
    [run] = table(book, "Replay runs")
    assert (run["Rows here"], run["Answers"], run["Pilot"]) == (60, 60, pilot.slug)


@pytest.mark.django_db(transaction=True)
def test_rows_come_in_the_sets_order_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed_pilot(n=7)
    run = ReplayRun.objects.get().pk
    arm = Completion.objects.filter(position=3).order_by("arm").first()
    assert arm is not None
    Completion.objects.filter(pk=arm.pk).update(repeat=1)
    whole = [(row.position, row.repeat, row.role) for row in answers_of([run], content=True)]
    assert whole == sorted(whole, key=lambda row: (row[0], row[1], row[2] != "incumbent"))
    monkeypatch.setattr("evaluations.selectors.raw_rows._POSITIONS", 2)
    assert [(row.position, row.repeat, row.role) for row in answers_of([run], content=True)] == whole
    assert len(whole) == 14
    assert [row.role for row in answers_of([run], content=False, vendor="openai")] == ["incumbent"] * 7
    assert list(answers_of([run], content=False, vendor="nobody")) == []


@pytest.mark.django_db(transaction=True)
def test_a_vendors_copy_holds_its_own_answers_without_anybodys_names(data_dir: Path, tmp_path: Path) -> None:
    replayed_pilot(n=10)
    full, copy = export(tmp_path / "all.csv"), export(tmp_path / "own.csv", "vendor:openai")
    assert (full.sheets["Completions"], copy.sheets["Completions"]) == (20, 10)
    with open(copy.path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["Pilot"], row["Model"], row["Arm"]) for row in rows} == {("Pilot 1", "old", "incumbent")}
    assert [row["Sample"] for row in rows] == [str(number) for number in range(10)]
    assert not {"Prompt", "Answer", "Segments", "Endpoint"} & rows[0].keys()
    [run] = table(Path(export(audience="vendor:openai").path), "Replay runs")
    assert list(run) == ["Run", "Pilot", "Status", "Ended (UTC)", "Plan version", "Rows here"]


@pytest.mark.django_db(transaction=True)
def test_content_needs_the_right_to_all_of_it(data_dir: Path) -> None:
    pilot = replayed_pilot(n=2)
    reader = make.member(pilot.workload.team, may_read_content=True)  # type: ignore[call-arg]
    assert "Prompt" in table(Path(export(by=Actor.person(reader)).path), "Completions")[0]
    assert "Prompt" not in table(Path(export(audience="no-content").path), "Completions")[0]


@pytest.mark.django_db(transaction=True)
def test_only_replays_that_have_ended_are_listed(data_dir: Path) -> None:
    replayed_pilot(n=2)
    run = ReplayRun.objects.get()
    assert export(run=str(run.pk)).sheets["Completions"] == 4
    ReplayRun.objects.update(finished_at=None)
    assert export().sheets["Completions"] == 0
    with pytest.raises(Refused, match="has not ended"):
        export(run=str(run.pk))


COLUMNS = [
    Column("name", "Name"),
    Column("n", "N", Kind.INTEGER),
    Column("share", "Share", Kind.PERCENT),
    Column("cost", "Cost", Kind.MONEY, "Of the call", currency="USD"),
    Column("day", "Day", Kind.DATE),
    Column("at", "At", Kind.DATETIME),
    Column("link", "Link", Kind.LINK, unknown=""),
]
ROW = ("=1+1", 7, 0.25, Decimal("0.000000000001"), date(2026, 3, 1), datetime(2026, 3, 1, 2, 3, 4, tzinfo=UTC), "x")


@needs_pyarrow
def test_parquet_keeps_types_and_unknown_is_null(tmp_path: Path) -> None:
    from pyarrow.parquet import read_table  # type: ignore[import-not-found,unused-ignore]

    formula = ("a", Formula("1+1", 2), float("nan"), None, None, None, None)
    written = write_parquet(Sheet("s", "S", COLUMNS, [ROW, formula]), tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet")
    assert written.sheets == {"S": 2}
    assert [str(kind) for kind in read.schema.types] == [
        "string",
        "int64",
        "double",
        "decimal128(38, 12)",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "string",
    ]
    assert read.to_pylist() == [
        dict(zip((column.key for column in COLUMNS), ROW, strict=True)),
        {"name": "a", "n": 2, "share": None, "cost": None, "day": None, "at": None, "link": None},
    ]
    assert read.schema.field("cost").metadata[b"currency"] == b"USD"


@needs_pyarrow
def test_parquet_refuses_a_value_that_its_column_cannot_hold(tmp_path: Path) -> None:
    bad = ("a", "withheld", None, None, None, None, None)
    with pytest.raises(ValueError, match="column n holds 'withheld'"):
        write_parquet(Sheet("s", "S", COLUMNS, [bad]), tmp_path / "t.parquet")


@needs_pyarrow
@pytest.mark.django_db(transaction=True)
def test_raw_rows_as_parquet_are_the_same_rows(data_dir: Path, tmp_path: Path) -> None:
    from pyarrow.parquet import read_table  # type: ignore[import-not-found,unused-ignore]

    replayed_pilot(n=5)
    written = export(tmp_path / "t.parquet")
    rows = read_table(written.path).to_pylist()
    assert written.sheets == {"Completions": 10}
    assert sum(row["cost"] for row in rows) == sum(row.cost_amount for row in Completion.objects.all())  # exactly


@pytest.mark.django_db
def test_without_pyarrow_parquet_says_what_to_install(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilots.exporters.parquet.find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"pip install 'model-switch-pilots\[parquet\]'") as refusal:
        export(tmp_path / "t.parquet")
    assert refusal.value.field == "format"


@pytest.mark.parametrize(
    "write",
    [
        write_xlsx,
        lambda document, path: write_csv(document.sheets[0], path),
        pytest.param(lambda document, path: write_parquet(document.sheets[0], path), marks=needs_pyarrow),
    ],
    ids=["xlsx", "csv", "parquet"],
)
def test_ten_times_the_rows_take_no_more_memory(write, tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        sheet = Sheet("s", "S", COLUMNS, (ROW for _ in range(rows)))
        document = Document(Cover("T", date(2026, 3, 1), "Ana"), [sheet], "t")
        tracemalloc.start()
        write(document, tmp_path / f"t{rows}.{'xlsx' if write is write_xlsx else 'x'}")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # what is imported and kept once
    few, many = peak(3_000), peak(30_000)
    assert many < few + 4_000_000  # a row of these takes about a kilobyte
