"""Bring your spreadsheet: rows become events by the rules of the doors, all or nothing, and only once."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from evaluations.models import AuditEvent, ModelVersion, Team, Vendor, Workload
from evaluations.services import audit
from evaluations.services.errors import Refused
from pilots.enums import EventSource, PilotStatus, Reason, SpellEnd
from pilots.models import FollowUp, Pilot, PilotEvent, Spell
from pilots.selectors.timelines import timeline_of
from pilots.services import lifecycle
from pilots.services.history_import import HistoryReport, Skipped, import_history
from pilots.services.history_names import vendor_of
from tests import factories as make

pytestmark = pytest.mark.django_db
COLUMNS = (
    "team",
    "workload",
    "pilot",
    "incumbent",
    "candidate",
    "event",
    "occurred_at",
    "traffic_share",
    "reason",
    "to_model",
    "attachment",
    "note",
    "observed_from",
)
SAME = {
    "team": "support",
    "workload": "triage",
    "pilot": "triage-to-mai",
    "incumbent": "gpt-4",
    "candidate": "mai-thinking-1",
}
ROLLBACK = {"event": "rollback", "reason": "quality", "attachment": "incident:INC-1"}


def history(folder: Path, *rows: dict[str, Any], name: str = "history.csv", same: dict[str, str] = SAME) -> Path:
    path = folder / name
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({**same, **row} for row in rows)
    return path


def bring(path: Path, **options: Any) -> HistoryReport:
    return import_history(path=path, by=make.actor("manage.py import_history"), at=make.NOW, **options)


def test_rows_become_events_and_the_rest_follows(tmp_path: Path) -> None:
    path = history(
        tmp_path,
        {"event": "opened", "occurred_at": "2026-01-05"},
        {"event": "ramp", "occurred_at": "2026-02-20", "traffic_share": "25%"},
        {"event": "cutover", "occurred_at": "2026-03-02T10:00+01:00"},
        {"event": "follow_up", "occurred_at": "2026-04-02"},
        {**ROLLBACK, "occurred_at": "2026-05-01", "note": "tone"},
        {"event": "cutover", "occurred_at": "2026-06-01", "observed_from": "2026-06-15"},
    )
    assert bring(path) == HistoryReport(events=6, pilots=1, skipped=())
    pilot = Pilot.objects.get()
    assert (pilot.slug, pilot.workload.slug, pilot.workload.team.slug) == ("triage-to-mai", "triage", "support")
    assert (pilot.incumbent.vendor.slug, pilot.candidate.vendor.slug) == ("openai", "microsoft")
    assert (pilot.status, pilot.status_at) == (PilotStatus.SWITCHED, datetime(2026, 6, 1, tzinfo=UTC))
    events = list(PilotEvent.objects.order_by("seq"))
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    assert {event.source for event in events} == {EventSource.IMPORT}
    assert {event.recorded_at for event in events} == {make.NOW}
    assert events[2].occurred_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert events[1].traffic_share == Decimal("0.25")
    assert (events[4].reason, events[4].note, events[4].to_model.slug) == (Reason.QUALITY, "tone", "gpt-4")
    assert [str(item) for item in events[4].attachments.all()] == ["incident:INC-1"]
    first, second = Spell.objects.order_by("number")
    assert (first.started_on, first.ended_on, first.end_kind) == (
        date(2026, 3, 2),
        date(2026, 5, 1),
        SpellEnd.ROLLED_BACK,
    )
    assert (second.started_on, second.observed_from_on, second.last_confirmed_on) == (
        date(2026, 6, 1),
        date(2026, 6, 15),
        date(2026, 6, 15),
    )
    assert sorted(FollowUp.objects.values_list("spell_number", "day", "answered_by__seq")) == [
        (1, 30, 4),
        (1, 60, 5),
        (2, 30, None),
        (2, 60, None),
        (2, 90, None),
        (2, 180, None),
        (2, 365, None),
    ]
    row = AuditEvent.objects.get(action="pilot.imported")
    assert (row.object_label, row.team, row.data) == (
        "triage-to-mai",
        "support",
        {"file": "history.csv", "events": 6, "to": "switched"},
    )
    assert audit.verify() is None


def test_the_same_file_again_adds_nothing(tmp_path: Path) -> None:
    path = history(
        tmp_path,
        {"event": "cutover", "occurred_at": "2026-03-02"},
        {"event": "follow_up", "occurred_at": "2026-04-02"},
        {"event": "follow_up", "occurred_at": "2026-04-02"},
    )
    assert bring(path) == HistoryReport(events=2, pilots=1, skipped=(Skipped(4, "repeats line 3"),))
    before = (_counts(), Pilot.objects.get().version)
    again = bring(path)
    assert (again.events, again.pilots) == (0, 0)
    assert again.skipped == (
        Skipped(2, "is on record already"),
        Skipped(3, "is on record already"),
        Skipped(4, "repeats line 3"),
    )
    assert (_counts(), Pilot.objects.get().version) == before
    longer = history(
        tmp_path,
        {"event": "cutover", "occurred_at": "2026-03-02"},
        {**ROLLBACK, "occurred_at": "2026-05-01"},
    )
    assert bring(longer) == HistoryReport(events=1, pilots=1, skipped=(Skipped(2, "is on record already"),))


def test_what_a_door_recorded_is_on_record_for_a_file_too(tmp_path: Path) -> None:
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    lifecycle.record_rollback(
        pilot=pilot, by=make.actor(), at=make.day(9), reason=Reason.COST, attachments=["invoice:7"]
    )
    rows = [
        {"event": "cutover", "occurred_at": make.CUTOVER_AT.isoformat()},
        {**ROLLBACK, "reason": "cost", "occurred_at": make.day(9).isoformat()},
    ]
    assert bring(history(tmp_path, *rows)).events == 0


def test_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    path = history(tmp_path, {"event": "cutover", "occurred_at": "2026-03-02"})
    assert bring(path, dry_run=True) == HistoryReport(events=1, pilots=1, skipped=())
    assert _counts() == [0] * 8
    assert bring(path).events == 1


def _counts() -> list[int]:
    tables = (Team, Workload, Vendor, ModelVersion, Pilot, PilotEvent, Spell, AuditEvent)
    return [table.objects.count() for table in tables]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"event": "switch", "occurred_at": "2026-03-02"}], "line 2: event: 'switch' is not one of opened, decided"),
        ([{"event": "cutover", "occurred_at": ""}], "line 2: occurred_at: is empty"),
        ([{"event": "cutover", "occurred_at": "02.03.2026"}], "line 2: occurred_at: '02.03.2026' is not a date"),
        ([{"event": "cutover", "occurred_at": "2027-01-01"}], "line 2: occurred_at: an event in the future"),
        ([{"event": "cutover", "occurred_at": "2026-03-02", "team": " "}], "line 2: team: is empty"),
        ([{"event": "cutover", "occurred_at": "2026-03-02", "candidate": "GPT-4"}], "line 2: candidate: incumbent and"),
        (
            [{"event": "ramp", "occurred_at": "2026-03-02", "traffic_share": "1.5"}],
            "line 2: traffic_share: a traffic share",
        ),
        (
            [{"event": "ramp", "occurred_at": "2026-03-02", "traffic_share": "x"}],
            "line 2: traffic_share: 'x' is not a number",
        ),
        ([{"event": "rollback", "occurred_at": "2026-03-02"}], "line 2: reason: a rollback needs its reason"),
        (
            [{"event": "rollback", "occurred_at": "2026-03-02", "reason": "cost"}],
            "line 2: attachment: a rollback needs at least one attachment",
        ),
        ([{**ROLLBACK, "occurred_at": "2026-03-02", "reason": "whim"}], "line 2: reason: 'whim' is not one of quality"),
        (
            [{**ROLLBACK, "occurred_at": "2026-03-02", "reason": "unexplained"}],
            "line 2: reason: 'unexplained' is set by",
        ),
        (
            [{**ROLLBACK, "occurred_at": "2026-03-02", "reason": "other"}],
            "line 2: note: the reason 'other' needs a note",
        ),
        (
            [{**ROLLBACK, "occurred_at": "2026-03-02", "attachment": "INC"}],
            "line 2: attachment: an attachment is kind:ref",
        ),
        (
            [{"event": "cutover", "occurred_at": "2026-03-02"}, {"event": "superseded", "occurred_at": "2026-04-02"}],
            "line 3: to_model: a move to a third model names that model",
        ),
        ([{**ROLLBACK, "occurred_at": "2026-03-02"}], "line 2: event: rollback: there is no cutover before 2026-03-02"),
        (
            [{"event": "cutover", "occurred_at": "2026-03-02"}, {"event": "cutover", "occurred_at": "2026-03-03"}],
            "line 3: event: cutover on 2026-03-03 is ruled out: since 2026-03-02 the pilot is 'switched'",
        ),
        (
            [
                {"event": "cutover", "occurred_at": "2026-03-02"},
                {"event": "ended", "occurred_at": "2026-03-09", "workload": "qa"},
            ],
            "line 3: workload: the pilot triage-to-mai has triage, not qa",
        ),
        (
            [
                {"event": "cutover", "occurred_at": "2026-03-02"},
                {"event": "follow_up", "occurred_at": "2026-04-02", "observed_from": "2026-03-09"},
            ],
            "line 3: observed_from: belongs to a cutover",
        ),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_stored(tmp_path: Path, rows: list[dict[str, str]], message: str) -> None:
    path = history(tmp_path, *rows)
    with pytest.raises(Refused) as refusal:
        bring(path)
    assert refusal.value.message.startswith(f"history.csv: {message}"), refusal.value.message
    assert _counts() == [0] * 8


def test_a_file_that_contradicts_the_record_says_so(tmp_path: Path) -> None:
    bring(
        history(
            tmp_path,
            {"event": "cutover", "occurred_at": "2026-03-02"},
            {"event": "follow_up", "occurred_at": "2026-05-02"},
        )
    )
    before = _counts()
    with pytest.raises(Refused, match=r"line 2: event: this contradicts what is on record: follow-up on 2026-05-02"):
        bring(history(tmp_path, {**ROLLBACK, "occurred_at": "2026-04-01"}))
    assert _counts() == before


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("team,workload,pilot,incumbent,event,occurred_at\nsupport,triage,p,gpt-4,cutover,2026-03-02\n")
    with pytest.raises(Refused, match=r"short.csv: line 1: the column 'candidate' is missing"):
        bring(path)
    with pytest.raises(Refused, match="No such file"):
        bring(tmp_path / "absent.csv")


def test_a_workbook_reads_like_the_csv(tmp_path: Path) -> None:
    workbook = Workbook()
    sheet = workbook.active
    sheet.append([name.replace("_", " ").title() for name in COLUMNS])
    same = list(SAME.values())
    sheet.append([*same, "cutover", datetime(2026, 3, 2), 1])  # noqa: DTZ001 - a cell has no zone
    sheet.append([*same, "Follow-up", date(2026, 4, 2)])
    workbook.save(tmp_path / "history.xlsx")
    assert bring(tmp_path / "history.xlsx").events == 2
    csv_rows = ({"event": "cutover", "occurred_at": "2026-03-02"}, {"event": "follow_up", "occurred_at": "2026-04-02"})
    assert bring(history(tmp_path, *csv_rows)).events == 0


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [
        {**ROLLBACK, "occurred_at": "2026-05-01"},
        {"event": "cutover", "occurred_at": "2026-05-01"},
        {"event": "cutover", "occurred_at": "2026-03-02"},
    ]
    bring(history(tmp_path, *rows))
    spells = [(spell.started_on, spell.ended_on) for spell in timeline_of(Pilot.objects.get()).spells]
    assert spells == [(date(2026, 3, 2), date(2026, 5, 1)), (date(2026, 5, 1), None)]


def test_names_are_found_before_they_are_created(tmp_path: Path) -> None:
    team = make.team("support")
    make.workload("ticket-triage", "support", name="Ticket triage")
    make.workload("triage", "sales")
    make.model("gpt-4")
    same = {**SAME, "team": team.name, "workload": "Ticket triage", "incumbent": "GPT-4", "pilot": "Triage to MAI 1.0"}
    rows = [{"event": "cutover", "occurred_at": "2026-03-02"}]
    bring(history(tmp_path, *rows, same=same))
    bring(history(tmp_path, *rows, same={**same, "workload": "triage", "pilot": "second"}))
    found = [(p.slug, p.workload.slug, p.workload.team.slug, p.incumbent.slug) for p in Pilot.objects.order_by("pk")]
    assert found == [
        ("triage-to-mai-1-0", "ticket-triage", "support", "gpt-4"),
        ("second", "support-triage", "support", "gpt-4"),
    ]
    assert Team.objects.count() == 2


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("gpt-4.1", "openai"),
        ("o3-mini", "openai"),
        ("Claude-3.5-Sonnet", "anthropic"),
        ("gemini-1.5-pro", "google"),
        ("mai-thinking-1", "microsoft"),
        ("maiden", "maiden"),
        ("llama-3-70b", "meta"),
        ("mixtral-8x7b", "mistral"),
        ("6-MP", "6-MP"),
        ("opus", "opus"),
    ],
)
def test_the_vendor_is_guessed_from_the_name(model: str, vendor: str) -> None:
    assert vendor_of(model)[0] == vendor


def test_a_rollbacks_share_is_what_stayed_or_what_went(tmp_path: Path) -> None:
    for pilot, written in (("a", "0.1"), ("b", "0.9"), ("c", ""), ("d", "1")):
        rows = [
            {"event": "cutover", "occurred_at": "2026-03-02"},
            {**ROLLBACK, "occurred_at": "2026-04-02", "traffic_share": written},
        ]
        bring(history(tmp_path, *rows, same={**SAME, "pilot": pilot}))
    shares = dict(Pilot.objects.values_list("slug", "traffic_share"))
    assert shares == {"a": Decimal("0.1"), "b": Decimal("0.1"), "c": Decimal(0), "d": Decimal(0)}
