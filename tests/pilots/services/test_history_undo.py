"""Taking an import back: every event voided by a correction, all or none, and the file can be brought anew."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from evaluations.models import AuditEvent
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from pilots.enums import EventKind, PilotStatus
from pilots.facts import Event
from pilots.models import FollowUp, HistoryImport, Pilot, PilotEvent, Spell, TrafficConflict
from pilots.selectors.filters import ReportFilters
from pilots.selectors.retention import Funnel, retention
from pilots.selectors.timelines import histories, known_models, switch_of, timeline_of
from pilots.services import history_undo, lifecycle
from pilots.services.corrections import correct_event
from pilots.services.history_import import HistoryReport, import_history
from pilots.services.history_undo import Undone, undo_import
from pilots.services.traffic_readings import read_due_traffic
from pilots.timeline import read
from tests import factories as make
from tests.pilots.services.test_history_import import ROLLBACK, history

pytestmark = pytest.mark.django_db
LATER = make.NOW + timedelta(hours=1)
CUTOVER = {"event": "cutover", "occurred_at": "2026-03-02"}
BACK = {**ROLLBACK, "occurred_at": "2026-05-01"}


def bring(path: Path, at: Any = make.NOW) -> HistoryReport:
    return import_history(path=path, by=make.actor("ana"), at=at)


def undo(report: HistoryReport, at: Any = LATER, **given: Any) -> Undone:
    assert report.key is not None
    return undo_import(key=report.key, by=make.actor("ben"), at=at, **given)


def funnel(at: Any = LATER, **asked: str) -> Funnel:
    return retention(ReportFilters.parse(asked, now=at)).answer.funnel


def test_its_events_no_longer_count_and_the_past_can_still_be_read(tmp_path: Path) -> None:
    report = bring(history(tmp_path, CUTOVER, BACK))
    assert funnel().rolled_back == 1
    assert undo(report) == Undone(report.key, events=2, pilots=1)  # type: ignore[arg-type]
    now = funnel()
    assert (now.opened, now.switched) == (0, 0)
    before = funnel(known_at=make.NOW.isoformat())
    assert (before.opened, before.rolled_back) == (1, 1)
    pilot = Pilot.objects.get()
    assert (pilot.status, pilot.traffic_share) == (PilotStatus.VOID, None)
    assert (Spell.objects.count(), FollowUp.objects.count()) == (0, 0)
    assert PilotEvent.objects.exclude(kind=EventKind.CORRECTED).count() == 2  # nothing was deleted
    corrections = PilotEvent.objects.filter(kind=EventKind.CORRECTED).order_by("seq")
    assert [(row.corrects.seq, row.actor) for row in corrections if row.corrects] == [(1, "ben"), (2, "ben")]
    row = HistoryImport.objects.get()
    assert (row.file_name, row.imported_by, row.events, row.pilots) == ("history.csv", "ana", 2, 1)
    assert (row.undone_at, row.undone_by) == (LATER, "ben")
    assert {event.action: event.data for event in AuditEvent.objects.filter(actor="ben")} == {
        "pilot.import_undone": {"file": "history.csv", "import": row.pk, "events": 2, "to": "void"},
        "history.undone": {"events": 2, "pilots": 1},
    }
    assert audit.verify() is None


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    report = bring(history(tmp_path, {"event": "follow_up", "occurred_at": "2026-04-02"}, BACK))
    assert Pilot.objects.get().status is PilotStatus.ROLLED_BACK
    undo(report)
    assert Pilot.objects.get().status is PilotStatus.SWITCHED
    spell = Spell.objects.get(pilot=pilot)
    assert (spell.ended_on, spell.last_confirmed_on) == (None, date(2026, 3, 2))


def test_after_it_the_same_file_can_be_brought_anew_and_undone_again(tmp_path: Path) -> None:
    path = history(tmp_path, CUTOVER, BACK)
    first = bring(path)
    undo(first)
    again = bring(path, at=LATER + timedelta(hours=1))
    assert (again.events, again.pilots, again.skipped) == (2, 1, ())
    assert again.key != first.key
    assert Pilot.objects.get().status is PilotStatus.ROLLED_BACK
    assert funnel(at=LATER + timedelta(hours=2)).rolled_back == 1
    # Once more it says nothing new.
    assert bring(path, at=LATER + timedelta(hours=2)).events == 0
    assert HistoryImport.objects.count() == 2
    undo(again, at=LATER + timedelta(hours=3))
    assert Pilot.objects.get().status is PilotStatus.VOID
    # What somebody voided by hand is not brought back by a file.
    third = bring(path, at=LATER + timedelta(hours=4))
    assert third.events == 2
    rollback = PilotEvent.objects.get(kind=EventKind.ROLLBACK)
    correct_event(
        pilot=Pilot.objects.get(), by=make.actor(), at=LATER + timedelta(hours=5), event=rollback, why="x", void=True
    )
    assert bring(path, at=LATER + timedelta(hours=6)).events == 0


def test_what_was_recorded_later_is_in_the_way_and_named(tmp_path: Path) -> None:
    report = bring(history(tmp_path, CUTOVER, {**CUTOVER, "pilot": "other"}))
    pilot = Pilot.objects.get(slug="triage-to-mai")
    event = lifecycle.record_follow_up(pilot=pilot, by=make.actor("cleo"), at=make.NOW, occurred_at=make.day(90))
    with pytest.raises(Refused, match=r"triage-to-mai: something came after the import \(follow-up of 2026-05-31"):
        undo(report)
    assert not PilotEvent.objects.filter(kind=EventKind.CORRECTED).exists()
    assert HistoryImport.objects.get().undone_at is None
    assert set(Pilot.objects.values_list("status", flat=True)) == {"switched"}
    correct_event(pilot=pilot, by=make.actor("cleo"), at=LATER, event=event, why="not so", void=True)
    assert undo(report).pilots == 2


def test_a_later_import_is_undone_first(tmp_path: Path) -> None:
    first = bring(history(tmp_path, CUTOVER))
    second = bring(history(tmp_path, CUTOVER, BACK, name="more.csv"), at=make.NOW + timedelta(minutes=1))
    with pytest.raises(Refused, match="rollback of 2026-05-01, recorded 2026-11-01 by ana"):
        undo(first)
    undo(second)
    undo(first)
    assert Pilot.objects.get().status is PilotStatus.VOID


def test_an_event_that_was_corrected_meanwhile_is_voided_all_the_same(tmp_path: Path) -> None:
    report = bring(history(tmp_path, CUTOVER))
    cutover = PilotEvent.objects.get()
    correct_event(pilot=Pilot.objects.get(), by=make.actor(), at=LATER, event=cutover, why="x", occurred_at=make.day(3))
    undo(report, at=LATER + timedelta(hours=1))
    assert Pilot.objects.get().status is PilotStatus.VOID


def test_it_is_undone_once_and_by_those_who_manage_all_of_it(tmp_path: Path) -> None:
    report = bring(history(tmp_path, CUTOVER, {**CUTOVER, "team": "legal", "workload": "nda", "pilot": "nda-to-mai"}))
    with pytest.raises(Refused, match="a team that you do not manage"):
        undo(report, teams={"support"})
    undo(report, teams={"support", "legal"})
    with pytest.raises(Conflict, match="is undone already"):
        undo(report)
    with pytest.raises(Refused, match="there is no import 999"):
        undo_import(key=999, by=make.actor(), at=LATER)


def test_without_its_audit_row_nothing_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = bring(history(tmp_path, CUTOVER))

    def fails(*args: Any, **given: Any) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(history_undo, "record_all", fails)
    with pytest.raises(RuntimeError, match="disk full"):
        undo(report)
    assert (Pilot.objects.get().status, HistoryImport.objects.get().undone_at) == (PilotStatus.SWITCHED, None)
    assert PilotEvent.objects.count() == 1


def test_the_life_reads_the_same_in_whatever_order_it_is_told(tmp_path: Path) -> None:
    path = history(tmp_path, CUTOVER, BACK)
    undo(bring(path))
    bring(path, at=LATER + timedelta(hours=1))
    pilot, models = Pilot.objects.get(), known_models()
    told: list[Event] = dict(histories(PilotEvent.objects.all(), models))[pilot.pk]
    by_slug = {model.slug: model for model in models.values()}
    expected = timeline_of(pilot)
    assert expected.status is PilotStatus.ROLLED_BACK
    shuffler = random.Random(7)
    for _ in range(20):
        again = [*told, *shuffler.choices(told, k=2)]
        shuffler.shuffle(again)
        assert read(again, switch_of(pilot, models), by_slug) == expected


def test_the_command_takes_an_import_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = bring(history(tmp_path, CUTOVER))
    call_command("import_history", undo=report.key)
    assert capsys.readouterr().out == f"import {report.key} is undone: 1 events of 1 pilots no longer count\n"
    for given, said in (
        ({"undo": report.key}, f"import {report.key} is undone already\n"),
        ({}, "name a file to import, or with --undo an import to take back\n"),
        ({"undo": 1, "dry_run": True}, "--dry-run is for a file"),
    ):
        with pytest.raises(SystemExit) as ended:
            call_command("import_history", **given)
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith(said)


def test_an_undone_pilot_keeps_its_models_and_traffic_says_nothing_of_it(tmp_path: Path) -> None:
    undo(bring(history(tmp_path, CUTOVER)))
    with pytest.raises(Refused, match=r"has gpt-4, not gpt-4o; its import was undone .* give this one another name"):
        bring(history(tmp_path, {**CUTOVER, "incumbent": "gpt-4o"}, name="mended.csv"), at=LATER)
    pilot = Pilot.objects.get()
    for number in range(20):
        make.traffic(pilot.workload, make.day(number).date(), {pilot.candidate.slug: 90, pilot.incumbent.slug: 10})
    read_due_traffic(now=LATER)
    assert not TrafficConflict.objects.exists()
    assert funnel().opened == 0
