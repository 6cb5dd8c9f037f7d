"""Exports as work: written once whoever claims them, again where a worker was lost, and with a reason where not at all.

Times are given; the lease's own thread beats every second, which no test here waits for except where it says so.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection

from evaluations.models import AuditEvent, Membership
from evaluations.services import audit
from evaluations.services.audit import Actor
from evaluations.services.errors import Conflict, Refused
from pilots.enums import ExportState, FileFormat
from pilots.exporters.base import Column, Cover, Document, ExportRequest, Sheet
from pilots.exporters.registry import EXPORTERS
from pilots.models import ExportFile
from pilots.services import export_files
from pilots.services.export_jobs import ATTEMPTS, BROKEN_OFF, due_exports, remove_old_files, write_due_export
from pilots.services.exports import ask_for_export, retry_export, write_export
from tests import factories as make
from tests.pilots.exporters.books import everything_in, table

pytestmark = pytest.mark.django_db
LEASE = timedelta(seconds=15)


def clock() -> datetime:
    return make.NOW


def later(export: ExportFile, by: timedelta) -> Any:
    return lambda: export.asked_at + by


def ana() -> Actor:
    return Actor.person(User.objects.filter(username="ana").first() or make.user("ana", is_superuser=True))


def asked(by: Actor | None = None, **given: Any) -> ExportFile:
    return ask_for_export(**{"key": "portfolio", "filters": {}, "by": by or ana(), "at": make.NOW, **given})


class Rows:
    """An exporter whose rows do what the test wants while they are read."""

    key, version, label = "rows", "1", "Rows"

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def build(self, request: ExportRequest) -> Document:
        sheet = Sheet("rows", "Rows", [Column("n", "N")], self.rows())
        return Document(Cover("Rows", request.filters.as_of, request.who), [sheet], "rows")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    def given(make_rows: Any) -> None:
        known = EXPORTERS.get
        monkeypatch.setattr(EXPORTERS, "get", lambda key: Rows(make_rows) if key == "rows" else known(key))

    return given


def left_in(folder: Path) -> list[str]:
    return [path.name for path in (folder / "exports").rglob("*") if path.is_file() or path.name.startswith(".")]


def test_asking_makes_a_row_and_a_worker_makes_the_file(data_dir: Path) -> None:
    make.switched_pilot("one")
    person = ana()
    export = asked(person, filters={"candidate": "mai-thinking-1"})
    assert (export.state, export.written_by, export.asked_at) == (ExportState.PENDING, person.user, make.NOW)
    assert left_in(data_dir) == []
    written = write_due_export(clock=clock)
    assert written is not None
    assert written == export
    path = Path(written.path)
    digest = sha256(path.read_bytes()).hexdigest()
    assert path == data_dir / "exports" / digest[:12] / "portfolio-2026-11-01.xlsx"
    assert (written.state, written.sha256, written.written_at) == (ExportState.DONE, digest, make.NOW)
    assert (written.sheets["Pilots"], written.rows) == (1, sum(written.sheets.values()))
    events = AuditEvent.objects.filter(object_type="export").order_by("sequence")
    assert [(event.action, event.actor) for event in events] == [("export.asked", "ana"), ("export.written", "ana")]
    assert audit.verify() is None
    assert left_in(data_dir) == [path.name]
    assert write_due_export(clock=clock) is None


def test_it_shows_the_day_on_which_it_was_asked_for_however_late_it_is_written(data_dir: Path) -> None:
    make.switched_pilot("one")
    export = asked()
    make.switched_pilot("two")
    written = write_due_export(clock=later(export, timedelta(days=2)))
    assert written is not None
    at_once = write_export(key="portfolio", filters={}, by=Actor.person(export.written_by), at=make.NOW)  # type: ignore[arg-type]
    assert (written.file_name, written.sha256) == ("portfolio-2026-11-01.xlsx", at_once.sha256)
    past = asked(filters={"as_of": "2026-10-01"})
    assert write_due_export(clock=later(past, timedelta(days=2))).file_name == "portfolio-2026-10-01.xlsx"  # type: ignore[union-attr]


def test_the_same_open_wish_is_the_same_export(data_dir: Path) -> None:
    person = ana()
    first = asked(person)
    assert asked(person, at=make.NOW + timedelta(seconds=5)) == first
    others = [
        asked(person, filters={"team": "support"}),
        asked(person, audience="no-content"),
        asked(person, format=FileFormat.CSV),
        asked(Actor.person(make.user("ben"))),
    ]
    assert len({first.pk, *(other.pk for other in others)}) == 5
    for _ in range(5):
        write_due_export(clock=clock)
    assert asked(person) != first


def test_rights_are_those_of_the_moment_of_writing(data_dir: Path) -> None:
    make.switched_pilot("own-pilot", workload=make.workload("own-work", "own-team"))
    make.switched_pilot("foreign-pilot", workload=make.workload("foreign-work", "foreign-team"))
    member = make.member(make.team("own-team"))
    asked(Actor.person(member))
    written = write_due_export(clock=clock)
    assert written is not None
    assert [row["Pilot"] for row in table(Path(written.path), "Pilots")] == ["own-pilot"]
    assert b"oreign" not in everything_in(Path(written.path))
    asked(Actor.person(member))
    Membership.objects.filter(user=member).delete()
    emptied = write_due_export(clock=clock)
    assert emptied is not None
    assert emptied.sheets["Pilots"] == 0
    asked(Actor.person(member))
    member.is_active = False
    member.save()
    refused = write_due_export(clock=clock)
    assert refused is not None
    assert (refused.state, refused.reason) == (ExportState.FAILED, "the account that asked for it was closed")


def test_a_killed_workers_export_is_written_again_when_its_lease_has_run_out(data_dir: Path, rows: Any) -> None:
    class Killed(BaseException):
        """As if the process had ended here: nothing after it is done."""

    def dies() -> Any:
        yield ("secret prompt",)
        raise Killed

    rows(dies)
    export = asked(key="rows")
    # What a kill leaves: the row as claimed, and the folder in which the file was being written.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_files.shutil, "rmtree", lambda *args, **kwargs: None)
        with pytest.raises(Killed):
            write_due_export(clock=clock)
    export.refresh_from_db()
    assert (export.state, export.attempts) == (ExportState.WRITING, 1)
    assert any(name.startswith(".writing-") for name in left_in(data_dir))

    rows(lambda: iter([("whole",)]))
    assert write_due_export(clock=later(export, LEASE - timedelta(seconds=1))) is None
    again = write_due_export(clock=later(export, LEASE))
    assert again is not None
    assert (again.state, again.attempts, again.sheets) == (ExportState.DONE, 2, {"Rows": 1})
    assert left_in(data_dir) == [again.file_name]


def test_what_takes_its_worker_with_it_each_time_is_given_up(data_dir: Path) -> None:
    export = asked()
    ExportFile.objects.update(
        state=ExportState.WRITING, attempts=ATTEMPTS, lease_owner="gone", lease_expires_at=make.NOW
    )
    other = asked(filters={"team": "support"})
    assert write_due_export(clock=clock) == other  # nobody else waits for it
    export.refresh_from_db()
    assert (export.state, export.reason) == (ExportState.FAILED, BROKEN_OFF)


def test_whoever_lost_the_lease_leaves_no_file_and_changes_nothing(data_dir: Path, rows: Any) -> None:
    def slow() -> Any:
        # Meanwhile this worker stood still, and another has claimed it.
        ExportFile.objects.update(lease_owner="another")
        yield ("mine",)

    rows(slow)
    asked(key="rows")
    export = write_due_export(clock=clock)
    assert export is not None
    assert (export.state, export.lease_owner, export.sha256) == (ExportState.WRITING, "another", "")
    assert left_in(data_dir) == []
    assert not AuditEvent.objects.filter(action="export.written").exists()


def test_a_worker_told_to_stop_gives_the_export_back(data_dir: Path, rows: Any) -> None:
    read = 0

    def many() -> Any:
        nonlocal read
        for number in range(100_000):
            read = number
            yield (str(number),)

    rows(many)
    asked(key="rows")
    export = write_due_export(clock=clock, stopping=lambda: read > 2_000)
    assert export is not None
    assert (export.state, export.attempts) == (ExportState.PENDING, 0)
    assert read < 3_000
    assert left_in(data_dir) == []
    assert list(due_exports(make.NOW)) == [export]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Refused("more rows than it may have"), "more rows than it may have"),
        (OSError(28, "No space left on device"), "the file could not be written: No space left on device"),
        (RuntimeError("details nobody should read"), "an error of ours; the worker's log says more"),
    ],
)
def test_what_goes_wrong_is_said_plainly_and_can_be_tried_again(
    data_dir: Path, rows: Any, trouble: Exception, reason: str
) -> None:
    def fails() -> Any:
        raise trouble
        yield ()

    rows(fails)
    person = ana()
    asked(person, key="rows")
    export = write_due_export(clock=clock)
    assert export is not None
    assert (export.state, export.reason) == (ExportState.FAILED, reason)
    assert AuditEvent.objects.get(action="export.failed").data == {"key": "rows", "reason": reason}
    assert left_in(data_dir) == []
    assert write_due_export(clock=clock) is None  # not by itself

    rows(lambda: iter([("whole",)]))
    at = make.NOW + timedelta(hours=1)
    retry_export(export=export, by=person, at=at)
    with pytest.raises(Conflict):
        retry_export(export=export, by=person, at=at)
    again = write_due_export(clock=lambda: at)
    assert again is not None
    assert (again.state, again.reason, again.asked_at) == (ExportState.DONE, "", at)
    assert AuditEvent.objects.filter(action="export.retried").count() == 1


def test_while_the_database_is_away_nothing_is_decided(data_dir: Path, rows: Any) -> None:
    def away() -> Any:
        raise DatabaseError("gone")
        yield ()

    rows(away)
    export = asked(key="rows")
    with pytest.raises(DatabaseError):
        write_due_export(clock=clock)
    export.refresh_from_db()
    assert export.state is ExportState.WRITING
    assert list(due_exports(make.NOW + LEASE)) == [export]


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_writes_each_export(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = [asked(Actor.person(make.user(f"person-{number}"))) for number in range(3)]
    written: list[ExportFile] = []
    delivered = export_files.deliver
    monkeypatch.setattr(
        "pilots.services.export_jobs.deliver",
        lambda made, export, **given: written.append(delivered(made, export, **given)),
    )

    def worker() -> None:
        while write_due_export(clock=clock) is not None:
            pass
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(export.pk for export in written) == [export.pk for export in exports]
    assert set(ExportFile.objects.values_list("state", "attempts")) == {("done", 1)}


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_and_the_progress_told_while_rows_are_read(data_dir: Path, rows: Any) -> None:
    beaten = threading.Event()

    def slow() -> Any:
        for number in range(1_001):
            yield (str(number),)
        for _ in range(100):
            export = ExportFile.objects.get()
            if export.rows:
                assert (export.sheet, export.rows) == ("Rows", 1_000)
                assert export.lease_expires_at == make.NOW + timedelta(days=1) + LEASE
                beaten.set()
                return
            beaten.wait(0.1)

    rows(slow)
    asked(key="rows")
    times = iter([make.NOW])
    write_due_export(clock=lambda: next(times, make.NOW + timedelta(days=1)))
    assert beaten.is_set()


def test_files_are_kept_their_time_and_their_records_for_ever(data_dir: Path, tmp_path: Path, settings: Any) -> None:
    settings.PILOTS_EXPORT_DAYS = 30
    outside = write_export(
        key="portfolio", filters={}, by=Actor.command("x"), at=make.NOW, output=tmp_path / "board" / "b.xlsx"
    )
    old = write_export(key="portfolio", filters={}, by=Actor.command("x"), at=make.NOW)
    same = write_export(key="portfolio", filters={}, by=Actor.command("x"), at=make.NOW)
    ExportFile.objects.filter(pk=same.pk).update(written_at=make.NOW + timedelta(days=1))
    assert old.path == same.path
    day_30 = make.NOW + timedelta(days=30)
    assert remove_old_files(now=day_30) == 0
    assert remove_old_files(now=day_30 + timedelta(seconds=1)) == 1
    assert Path(same.path).is_file()  # of the younger one as well
    assert remove_old_files(now=day_30 + timedelta(days=2)) == 1
    assert not Path(same.path).parent.exists()
    assert Path(outside.path).is_file()  # where a command put it is not ours
    assert ExportFile.objects.filter(removed_at=None).get() == outside
    assert AuditEvent.objects.filter(action="export.removed").count() == 2
    settings.PILOTS_EXPORT_DAYS = 0
    assert remove_old_files(now=make.NOW + timedelta(days=999)) == 0
