"""The commands' contract: JSON alone on stdout, words on stderr, exit code 2 and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from pilots.models import HistoryImport, Pilot, PilotEvent
from pilots.selectors.reports import REPORTS
from pilots.services import lifecycle
from tests import factories as make
from tests.pilots.history_files import on_day, write_history

pytestmark = pytest.mark.django_db


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of a command as typed."""
    try:
        with time_machine.travel(make.NOW, tick=False):
            call_command(*arguments)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _history(folder: Path, *events: dict[str, Any]) -> str:
    same = {"team": "support", "workload": "triage", "pilot": "triage", "incumbent": "gpt-4", "candidate": "mai-1"}
    return str(write_history(folder / "history.csv", [{**same, **event} for event in events]))


def test_import_history_prints_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _history(
        tmp_path, {"event": "cutover", "occurred_at": on_day(0)}, {"event": "ended", "occurred_at": on_day(9)}
    )
    expected = {"events": 2, "pilots": 1, "skipped": []}
    code, out, err = run(capsys, "import_history", path, "--dry-run", "--json")
    assert (code, json.loads(out), err, Pilot.objects.count()) == (0, expected, "", 0)
    code, out, err = run(capsys, "import_history", path, "--json")
    number = HistoryImport.objects.get().pk  # by which --undo takes it back
    assert (code, json.loads(out), err) == (0, {**expected, "import": number}, "")
    assert {event.actor for event in PilotEvent.objects.all()} == {"manage.py import_history"}
    code, out, _ = run(capsys, "import_history", path)
    assert (code, out) == (
        0,
        "line 2 is on record already: skipped\nline 3 is on record already: skipped\n0 events of 0 pilots\n",
    )


def test_import_history_names_the_bad_cell_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _history(
        tmp_path, {"event": "cutover", "occurred_at": on_day(0)}, {"event": "rollback", "occurred_at": on_day(9)}
    )
    code, out, err = run(capsys, "import_history", path, "--json")
    assert (code, out, err) == (2, "", "history.csv: line 3: reason: a rollback needs its reason\n")
    assert Pilot.objects.count() == 0


def test_a_report_is_json_alone_or_text(capsys: pytest.CaptureFixture[str]) -> None:
    make.rolled_back_pilot("triage", days=40)
    make.switched_pilot("search")
    code, out, err = run(
        capsys, "report", "retention", "--json", "--as-of", "2026-10-01", "--days", "30", "--by", "team"
    )
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert list(document) == [
        "as_of",
        "known_at",
        "filters",
        "headline",
        "funnel",
        "at",
        "not_rolled_back",
        "not_returned_to_vendor",
        "curve",
        "median_days",
        "restricted_mean_days",
        "groups",
        "logrank",
        "logrank_by_customer",
        "traffic_unread",
        "spells",
        "reasons",
    ]
    assert (document["as_of"], document["known_at"]) == ("2026-10-01", make.NOW.isoformat())
    assert document["filters"] == {"by": "team", "days": [30], "min_at_risk": 5}
    assert [point["withheld"] for point in document["at"]] == [True]
    code, out, err = run(capsys, "report", "retention", "--min-at-risk", "1")
    assert (code, err) == (0, "")
    assert "rolled back for quality: 1 (triage)" in out.splitlines()


def test_the_portfolio_says_where_every_pilot_stands(capsys: pytest.CaptureFixture[str]) -> None:
    make.pilot("draft", workload=make.workload("w-draft", "sales"))
    pilot = make.switched_pilot("triage", workload=make.workload("w-triage", "support"), owner=make.user("ana"))
    lifecycle.record_follow_up(pilot=pilot, by=make.actor(), at=make.day(31))
    code, out, _ = run(capsys, "report", "portfolio", "--json")
    document = json.loads(out)
    assert (code, document["counts"]) == (0, {"draft": 1, "switched": 1})
    assert document["pilots"][1] == {
        "pilot": "triage",
        "team": "support",
        "workload": "w-triage",
        "task_type": "",
        "incumbent": "gpt-4",
        "incumbent_vendor": "openai",
        "candidate": "mai-thinking-1",
        "candidate_vendor": "microsoft",
        "owner": "ana",
        "deputy": "",
        "motive": None,
        "status": "switched",
        "status_at": "2026-03-02T09:00:00+00:00",
        "age_days": 244,
        "opened_on": "2026-01-01",
        "closed": False,
        "traffic_share": "1.0000",
        "verdict": None,
        "spells": 1,
        "switched_on": "2026-03-02",
        "ended_on": None,
        "last_confirmed": "2026-04-02",
        "spell_status": "lost_to_follow_up",
        "forced": False,
    }
    assert [matter["pilot"] for matter in document["attention"]] == ["triage"]
    code, out, _ = run(capsys, "report", "portfolio", "--as-of", "2026-03-10", "--json")
    past = json.loads(out)
    assert (past["pilots"][1]["age_days"], past["pilots"][1]["last_confirmed"]) == (8, "2026-03-02")
    assert past["attention"] == []
    code, out, _ = run(capsys, "report", "portfolio")
    assert "  triage  support  gpt-4  mai-thinking-1  switched  244   1        2026-04-02" in out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["retention", "--by", "colour"], "by: 'colour' is not one of team, vendor"),
        (["retention", "--as-of", "soon"], "as_of: 'soon' is not a date"),
        (["retention", "--days", "x"], "days: 'x' is not a whole number"),
        (["weather"], "there is no report 'weather'; there are "),
    ],
)
def test_a_bad_filter_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "report", *arguments, "--json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(line)


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_every_report_reads_as_text_with_and_without_rows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "report", name)
    assert (code, err) == (0, "")
    make.rolled_back_pilot("triage", workload=make.workload("w-triage", "support"))
    code, out, err = run(
        capsys, "report", name, *(["--by", "team"] if name in ("retention", "rollback-reasons") else [])
    )
    assert (code, err, out.startswith("{")) == (0, "", False)
    if name not in ("claims", "costs", "drift", "evidence"):  # these tell of replays
        assert "triage" in out
