"""A file that comes back: whose it is, whether it was changed, and whether it is still true."""

from __future__ import annotations

import json
import zipfile
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.enums import Reason
from pilots.models import ExportFile, Pilot
from pilots.services import lifecycle
from pilots.services.export_check import check_file
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import recalculated

pytestmark = pytest.mark.django_db
BY = Actor.command("test")
LATER = make.NOW + timedelta(days=3)


@pytest.fixture
def given(data_dir: Path) -> ExportFile:
    make.switched_pilot("one")
    make.switched_pilot("two")
    return write_export(key="retention", filters={}, by=BY, at=make.NOW)


def test_an_untouched_file_is_ours_and_still_true_days_later(given: ExportFile, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.xlsx"
    copy.write_bytes(Path(given.path).read_bytes())
    checked = check_file(path=copy, now=LATER)
    assert (checked.export, checked.unchanged, checked.current) == (given, True, True)
    assert checked.sentence == (
        "Given out 2026-11-01 12:00 UTC as retention-2026-11-01.xlsx; unchanged since; still what this site says."
    )


def test_what_is_recorded_later_about_its_day_makes_it_outdated(given: ExportFile) -> None:
    pilot = make.pilot("three", at=make.NOW)
    assert check_file(path=Path(given.path), now=LATER).current is False  # opened on that very day
    assert pilot.slug == "three"


def test_what_happens_after_its_day_does_not(given: ExportFile) -> None:
    lifecycle.record_rollback(
        pilot=Pilot.objects.get(slug="one"), by=make.actor(), at=LATER, reason=Reason.COST, attachments=["incident:I"]
    )
    assert check_file(path=Path(given.path), now=LATER).current is True


def test_a_changed_workbook_is_recognised_by_its_mark(given: ExportFile, tmp_path: Path) -> None:
    changed = tmp_path / "changed.xlsx"
    with zipfile.ZipFile(given.path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"Who stayed", b"Who went"))
    checked = check_file(path=changed, now=LATER)
    assert (checked.export, checked.unchanged) == (given, False)
    assert "CHANGED since" in checked.sentence


def test_a_workbook_saved_by_a_spreadsheet_is_recognised(given: ExportFile, tmp_path: Path) -> None:
    saved = recalculated(Path(given.path), tmp_path)
    checked = check_file(path=saved, now=LATER)
    assert (checked.export, checked.unchanged) == (given, False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"some,other,table\n", b"\x00" * 5000])
def test_other_files_are_not_ours(given: ExportFile, tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "other.xlsx"
    other.write_bytes(content)
    checked = check_file(path=other, now=LATER)
    assert (checked.export, checked.unchanged, checked.current) == (None, None, None)


def test_an_export_of_the_present_is_compared_with_the_present(data_dir: Path) -> None:
    pilot = make.switched_pilot("one")
    given = write_export(key="pilot", filters={"pilot": "one"}, by=BY, at=make.NOW)
    assert check_file(path=Path(given.path), now=make.NOW).current is True
    lifecycle.record_rollback(pilot=pilot, by=make.actor(), at=LATER, reason=Reason.COST, attachments=["incident:I"])
    assert check_file(path=Path(given.path), now=LATER).current is False


def test_whether_a_closed_accounts_file_is_current_cannot_be_told(data_dir: Path) -> None:
    make.switched_pilot("one")
    ana = make.user("ana", is_superuser=True)
    given = write_export(key="retention", filters={}, by=Actor.person(ana), at=make.NOW)
    ana.is_active = False
    ana.save()
    checked = check_file(path=Path(given.path), now=LATER)
    assert (checked.unchanged, checked.current, checked.why) == (True, None, "the account that asked for it was closed")


def test_the_command_prints_one_object_or_one_sentence(given: ExportFile, tmp_path: Path) -> None:
    out = StringIO()
    call_command("check_export", given.path, "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert [document[name] for name in ("issued", "unchanged", "current")] == [True, True, True]
    assert (document["export"]["key"], document["export"]["sha256"]) == ("retention", given.sha256)
    err = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("check_export", str(tmp_path / "absent"), stderr=err)
    assert (end.value.code, err.getvalue()) == (2, f"file: {tmp_path / 'absent'}: No such file or directory\n")
    with pytest.raises(Refused):
        check_file(path=tmp_path, now=LATER)
