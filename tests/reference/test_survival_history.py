"""Textbook survival sets as history files, one unit = one day: the retention report gives the published figures.

Expected numbers: data/survival/reference.json (Kaplan-Meier with Greenwood variance from first principles, checked
there against lifelines; medians and log-rank as published for Gehan's data; Rossi: Fox & Weisberg).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.pilots.history_files import on_day, write_history
from tests.shared_data import shared_data

pytestmark = pytest.mark.django_db


def _reference(name: str) -> dict[str, Any]:
    return dict(json.loads(shared_data("survival", "reference.json").read_text())[name])


def _bring(folder: Path, name: str, time: str, event: str, group: str) -> int:
    """Imports the set: candidate = the group, one team a subject; returns the number of subjects."""
    with gzip.open(shared_data("survival", name), "rt", newline="") as file:
        subjects = list(csv.DictReader(file))
    rows: list[dict[str, Any]] = []
    for number, subject in enumerate(subjects):
        same = {
            "team": f"team-{number}",
            "workload": f"work-{number}",
            "pilot": f"pilot-{number}",
            "incumbent": "before",
            "candidate": subject[group],
        }
        rows.append({**same, "event": "cutover", "occurred_at": on_day(0)})
        end = {"event": "follow_up"}
        if subject[event] == "1":
            end = {"event": "rollback", "reason": "quality", "attachment": "note:end of the record"}
        rows.append({**same, **end, "occurred_at": on_day(int(subject[time]))})
    call_command("import_history", str(write_history(folder / "history.csv", rows)), json=True, stdout=io.StringIO())
    return len(subjects)


def _report(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("report", "retention", "--json", *arguments, stdout=out)
    return dict(json.loads(out.getvalue()))


def test_rossi(tmp_path: Path) -> None:
    expected = _reference("rossi")
    n = _bring(tmp_path, "rossi.csv.gz", "week", "arrest", "fin")
    document = _report("--days", "10,26,39,52", "--by", "candidate")
    assert (n, document["funnel"]["rolled_back"]) == (expected["km"]["n"], expected["km"]["events"])
    for point in document["at"]:
        figures = expected["km"]["survival"][str(point["day"])]
        assert point["still_switched"] == pytest.approx(figures["S"], abs=1e-9)
        assert (point["lower"], point["upper"]) == pytest.approx(tuple(figures["ci95_loglog"]), abs=1e-9)
        assert (point["at_risk"], point["customers"]) == (figures["at_risk"], figures["at_risk"])
    # Every end is a return to the incumbent: the three answers are one.
    for other in ("not_rolled_back", "not_returned_to_vendor"):
        assert document[other] == [pytest.approx(point, abs=1e-12) for point in document["at"]]
    assert document["median_days"] == expected["km"]["median"]
    mean = document["restricted_mean_days"]
    assert (mean["tau"], mean["value"]) == (52, pytest.approx(expected["km"]["rmst_to_52"], abs=1e-9))
    test = expected["logrank_fin"]
    assert document["logrank"] == {
        "chi2": pytest.approx(test["chi2"], abs=1e-9),
        "df": test["df"],
        "p": pytest.approx(test["p"], abs=1e-6),
    }


def test_gehan(tmp_path: Path) -> None:
    expected = _reference("gehan_remission")
    _bring(tmp_path, "gehan_remission.csv.gz", "weeks", "relapse", "group")
    document = _report("--days", "10,23", "--by", "candidate")
    groups = {group["key"]: group for group in document["groups"]}
    assert groups.keys() == {"6-MP", "placebo"}
    for name, group in groups.items():
        figures = expected["groups"][name]
        assert group["funnel"]["switched"] == figures["n"]
        assert group["funnel"]["rolled_back"] == figures["events"]
        assert group["median_days"] == figures["median"]
    # Kleinbaum & Klein: S_6MP(10) = 0.753.
    assert groups["6-MP"]["at"][0]["still_switched"] == pytest.approx(0.753, abs=5e-4)
    test = expected["logrank_group"]
    assert document["logrank"]["chi2"] == pytest.approx(test["chi2"], abs=1e-6)
    assert document["logrank"]["p"] == pytest.approx(test["p"], rel=1e-3)
