"""The door through which files are given out."""

import csv
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from django.db import DatabaseError

from evaluations.enums import AuditSource
from evaluations.models import AuditEvent
from evaluations.services import audit
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.enums import Audience
from pilots.models import ExportFile
from pilots.services import export_files
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import everything_in, table

pytestmark = pytest.mark.django_db
BY = Actor.command("test")


def given(**changes):
    return {"key": "portfolio", "filters": {}, "by": BY, "at": make.NOW, **changes}


def left_in(folder: Path) -> list[Path]:
    """Files, and folders where one was being written."""
    return [path for path in folder.rglob("*") if path.is_file() or path.name.startswith(".")]


def test_it_writes_the_file_and_records_who_was_given_what(data_dir) -> None:
    make.switched_pilot("one")
    ana = make.user("ana", is_superuser=True)
    export = write_export(**given(by=Actor.person(ana), filters={"candidate": "mai-thinking-1"}))
    path = Path(export.path)
    digest = sha256(path.read_bytes()).hexdigest()
    assert path == data_dir / "exports" / digest[:12] / "portfolio-2026-11-01.xlsx"
    stored = ExportFile.objects.get()
    assert (stored.key, stored.sha256, stored.file_name) == ("portfolio", digest, path.name)
    assert (stored.audience, stored.written_at, stored.written_by) == (Audience.FULL, make.NOW, ana)
    assert (stored.filters["candidate"], stored.sheets["Pilots"]) == (["mai-thinking-1"], 1)
    event = AuditEvent.objects.get(action="export.written")
    assert (event.actor, event.object_id, event.object_label) == ("ana", str(export.pk), path.name)
    assert event.data == {
        "key": "portfolio",
        "version": "1",
        "filters": stored.filters,
        "audience": "full",
        "sha256": digest,
    }
    assert audit.verify() is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": "nonsense"}, "key"),
        ({"filters": {"as-of": "yesterday"}}, "as_of"),
        ({"audience": "everybody"}, "audience"),
        ({"audience": "vendor"}, "audience"),
        ({"audience": "vendor:nobody"}, "audience"),
        ({"output": Path("portfolio.pdf")}, "output"),
        ({"output": Path(__file__) / "x.xlsx"}, "output"),
        ({"by": make.actor(source=AuditSource.WEB)}, ""),
    ],
)
def test_it_refuses_and_leaves_nothing(data_dir, changes, field) -> None:
    with pytest.raises(Refused) as refusal:
        write_export(**given(**changes))
    assert refusal.value.field == field
    assert not ExportFile.objects.exists()
    assert left_in(data_dir) == []


def test_without_its_audit_row_there_is_no_file(data_dir, monkeypatch) -> None:
    def broken(**given):
        raise DatabaseError("no audit today")

    monkeypatch.setattr(export_files, "record", broken)
    with pytest.raises(DatabaseError):
        write_export(**given())
    assert not ExportFile.objects.exists()
    assert left_in(data_dir) == []


def test_a_person_gets_the_pilots_of_their_teams(data_dir) -> None:
    own, foreign = make.workload("own-work", "own-team"), make.workload("foreign-work", "foreign-team")
    make.rolled_back_pilot("own-pilot", workload=own)
    make.rolled_back_pilot("foreign-pilot", workload=foreign)
    export = write_export(**given(by=Actor.person(make.member(own.team))))
    assert [row["Pilot"] for row in table(Path(export.path), "Pilots")] == ["own-pilot"]
    assert b"oreign" not in everything_in(Path(export.path))
    assert AuditEvent.objects.get(action="export.written").team == "own-team"
    everything = write_export(**given())
    assert [row["Pilot"] for row in table(Path(everything.path), "Pilots")] == ["foreign-pilot", "own-pilot"]
    assert Path(export.path).exists()  # nobody's file is replaced by another's
    assert AuditEvent.objects.filter(action="export.written").first().team == ""


def test_it_replaces_the_named_output_as_a_whole(data_dir, tmp_path) -> None:
    target = tmp_path / "board" / "pilots.xlsx"
    for at in (make.NOW, make.NOW + timedelta(days=1)):
        export = write_export(**given(output=target, at=at))
        assert (export.path, export.file_name) == (str(target), "pilots.xlsx")
        assert sha256(target.read_bytes()).hexdigest() == export.sha256
    assert [path.name for path in target.parent.iterdir()] == ["pilots.xlsx"]


def test_csv_is_the_first_sheet(data_dir, tmp_path) -> None:
    make.switched_pilot("one")
    export = write_export(**given(output=tmp_path / "pilots.csv"))
    with open(export.path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["Pilot"], row["Status"]) for row in rows] == [("one", "switched")]
    assert export.sheets == {"Pilots": 1}


def test_more_rows_than_a_sheet_holds_are_refused(data_dir, monkeypatch) -> None:
    monkeypatch.setattr("pilots.exporters.workbook.MAX_ROWS", 2)
    for _ in range(3):
        make.pilot()
    with pytest.raises(Refused, match="export it as CSV"):
        write_export(**given())
    assert left_in(data_dir) == []
