"""A pilot's whole life over the API: opened, planned, decided, moved, rolled back, corrected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from evaluations.enums import AuditSource, TeamRole
from evaluations.models import AuditEvent, Plan
from pilots.enums import EventSource
from pilots.models import Pilot, PilotEvent
from tests import factories as make
from tests.pilots.api.programs import DEFINITION, Program, endpoint, manager
from tests.pilots.views.people import evaluated_pilot

pytestmark = pytest.mark.django_db

PILOT: dict[str, Any] = {
    "slug": "triage-to-mai",
    "workload": "triage",
    "incumbent": {"model": "gpt-4", "recorded": True},
    "candidate": {"endpoint": "mai-prod", "request": {"parameters": {"max_completion_tokens": 2000}}},
    "deputy": "ben",
    "motive": "quality",
    "plan": DEFINITION,
}


@pytest.fixture
def program() -> Program:
    make.workload("triage", "support")
    make.member(make.team("support"), "ben")
    make.model("gpt-4")
    make.model("mai-thinking-1", "microsoft")
    endpoint("mai-thinking-1", "mai-prod")
    return Program(make.member(make.team("support"), "ana"))


def test_a_pilot_is_opened_with_its_draft_plan(program: Program) -> None:
    response = program.send("POST", "pilots", PILOT)
    assert (response.status_code, response.headers["Location"]) == (201, "/api/v1/pilots/triage-to-mai")
    opened = response.json()
    facts = ("slug", "team", "workload", "incumbent", "candidate", "owner", "deputy", "motive", "status")
    assert [opened[name] for name in facts] == [
        "triage-to-mai", "support", "triage", "gpt-4", "mai-thinking-1", "ana", "ben", "quality", "draft",
    ]  # fmt: skip
    assert program.get("pilots/triage-to-mai") == opened == program.get("pilots")["results"][0]
    plan = program.get("pilots/triage-to-mai/plan")
    assert plan["incumbent"] == {"endpoint": None, "model": "gpt-4", "recorded": True, "request": {}}
    assert plan["candidate"]["request"] == {"parameters": {"max_completion_tokens": 2000}}
    assert (plan["frozen"], plan["version"], plan["plan"]["hypothesis"]) == (None, 1, "as good")
    event = AuditEvent.objects.get(action="pilot.opened")
    assert (event.actor, event.source) == ("ana", AuditSource.API)
    assert PilotEvent.objects.get().source is EventSource.API


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"workload": "nothing"}, "there is no workload nothing"),
        ({"owner": "zoe"}, "there is no zoe in team support"),
        ({"candidate": {"model": "gpt-4", "recorded": True}}, "incumbent and candidate are the same model"),
        ({"candidate": {}}, "candidate names an endpoint, or a model with recorded: true"),
        ({"candidate": {"endpoint": "x"}}, "there is no endpoint x"),
        ({"plan": {**DEFINITION, "criteria": [{"metric": "nonsense", "margin": "0.1"}]}}, "unknown metric 'nonsense'"),
        ({"motive": "boredom"}, "'boredom' is not one of quality"),
        ({"status": "switched"}, "status is not a known key"),
        ({"slug": "triage to mai"}, ""),
    ],
)
def test_a_pilot_that_cannot_be_opened_leaves_nothing(program: Program, change: dict[str, Any], detail: str) -> None:
    status, said = program.refused("POST", "pilots", {**PILOT, **change})
    assert (status, said[: len(detail)]) == (400, detail)
    assert (Pilot.objects.count(), Plan.objects.count()) == (0, 0)


def test_who_answers_for_a_pilot_is_changed_with_compare_and_set(program: Program) -> None:
    version = program.post("pilots", PILOT)["version"]
    changed = program.patch("pilots/triage-to-mai", {"owner": "ben", "deputy": None, "version": version})
    assert [changed[name] for name in ("owner", "deputy", "motive")] == ["ben", None, "quality"]
    stale = program.send("PATCH", "pilots/triage-to-mai", {"owner": "ana", "version": version})
    assert (stale.status_code, stale.json()["current_version"]) == (409, version + 1)
    assert program.refused("PATCH", "pilots/triage-to-mai", {"status": "switched"})[0] == 400


def test_the_plan_is_written_and_frozen_and_frozen_again(program: Program) -> None:
    program.post("pilots", PILOT)
    draft = {"plan": {**DEFINITION, "hypothesis": "better"}, "version": 1}
    assert program.put("pilots/triage-to-mai/plan", draft)["plan"]["hypothesis"] == "better"
    frozen = program.post("pilots/triage-to-mai/plan", status=200)
    assert (frozen["pilot"], frozen["version"]) == ("triage-to-mai", 1)
    assert program.post("pilots/triage-to-mai/plan", status=200) == frozen
    assert program.get("pilots/triage-to-mai")["status"] == "planned"
    stale = program.send("PUT", "pilots/triage-to-mai/plan", draft)
    assert (stale.status_code, stale.json()["current_version"]) == (409, 2)
    again = program.put("pilots/triage-to-mai/plan", {"plan": {**DEFINITION, "hypothesis": "cheaper"}, "version": 2})
    assert again["frozen"]["version"] == 2
    assert again["frozen"]["document"]["hypothesis"] == "cheaper"
    assert again["frozen"]["digest"] != frozen["digest"]
    kinds = [row["kind"] for row in program.get("pilots/triage-to-mai/events")["results"]]
    assert kinds == ["opened", "planned", "planned"]


def test_an_arm_keeps_its_model(program: Program) -> None:
    program.post("pilots", PILOT)
    endpoint("gpt-5")
    body = {"plan": DEFINITION, "candidate": {"endpoint": "gpt-5-prod"}}
    status, detail = program.refused("PUT", "pilots/triage-to-mai/plan", body)
    assert (status, detail) == (400, "the pilot's candidate is mai-thinking-1; for gpt-5 open another pilot")


def test_a_pilot_without_a_plan_has_none_to_read() -> None:
    pilot = make.pilot(workload=make.workload("triage", "support"))
    program = manager()
    assert program.refused("GET", f"pilots/{pilot.slug}/plan")[0] == 404
    assert program.refused("POST", f"pilots/{pilot.slug}/plan") == (400, f"pilot {pilot.slug} has no plan")


def _record(program: Program, kind: str, **facts: Any) -> dict[str, Any]:
    found: dict[str, Any] = program.post("pilots/triage-to-mai/events", {"kind": kind, **facts})
    return found


def test_a_life_in_events(program: Program) -> None:
    # What is told today may have happened days ago, but not before the pilot was opened.
    program.post("pilots", PILOT)
    at = timezone.now() + timedelta(seconds=1)
    _record(program, "corrected", corrects=1, occurred_at=(at - timedelta(days=10)).isoformat(), note="opened earlier")
    statuses = []
    for days, kind, facts in (
        (9, "decided", {"note": "It is as good and cheaper."}),
        (8, "ramp", {"traffic_share": 0.25}),
        (7, "cutover", {}),
        (6, "follow_up", {}),
        (5, "rollback", {"reason": "latency", "attachments": ["incident:INC-4711", "https://example.com/7"]}),
        (4, "cutover", {"traffic_share": "0.9"}),
        (3, "superseded", {"to_model": make.model("gpt-5").slug}),
        (2, "closed", {}),
    ):
        recorded = _record(program, kind, occurred_at=(at - timedelta(days=days)).isoformat(), **facts)
        statuses.append((kind, recorded["status"]))
    assert statuses == [
        ("decided", "decided"),
        ("ramp", "ramping"),
        ("cutover", "switched"),
        ("follow_up", "switched"),
        ("rollback", "rolled_back"),
        ("cutover", "switched"),
        ("superseded", "superseded"),
        ("closed", "superseded"),
    ]
    rows = program.get("pilots/triage-to-mai/events")["results"]
    assert [row["seq"] for row in rows] == list(range(1, 11))
    rollback = rows[6]
    shown = ("kind", "reason", "to_model", "traffic_share", "attachments", "source", "actor")
    assert [rollback[name] for name in shown] == [
        "rollback", "latency", "gpt-4", "0", ["incident:INC-4711", "url:https://example.com/7"], "api", "ana",
    ]  # fmt: skip
    assert program.get("pilots/triage-to-mai/events/7") == rollback
    assert rows[2]["data"]["go"] is True
    pilot = program.get("pilots/triage-to-mai")
    assert (pilot["status"], pilot["version"], pilot["closed_at"] is not None) == ("superseded", 10, True)


def test_the_share_that_a_rollback_names_is_what_stays_or_what_moved(program: Program) -> None:
    """As in a history file: one half or more can only be the part that moved back."""
    program.post("pilots", PILOT)
    _record(program, "cutover")
    facts = {"reason": "cost", "attachments": ["invoice:7"], "traffic_share": "0.9"}
    assert _record(program, "rollback", **facts)["event"]["traffic_share"] == "0.1"


def test_running_alongside_and_going_no_further(program: Program) -> None:
    program.post("pilots", PILOT)
    alongside = _record(program, "alongside", traffic_share="0.5", review_on="2027-06-01")
    assert (alongside["status"], alongside["event"]["data"]) == ("alongside", {"review_on": "2027-06-01"})
    assert _record(program, "abandoned", note="no budget")["status"] == "abandoned"


def test_a_correction_names_the_event_and_says_why(program: Program) -> None:
    program.post("pilots", PILOT)
    _record(program, "cutover")
    corrected = _record(program, "corrected", corrects=2, traffic_share="0.8", note="The gateway's log says so.")
    assert (corrected["event"]["corrects"], corrected["event"]["note"]) == (2, "The gateway's log says so.")
    assert program.get("pilots/triage-to-mai")["traffic_share"] == "0.8"
    assert _record(program, "corrected", corrects=2, void=True, note="It never happened.")["status"] == "draft"
    silent = {"kind": "corrected", "corrects": 2, "void": True}
    assert program.refused("POST", "pilots/triage-to-mai/events", silent) == (400, "a correction says why")


def test_the_same_event_again_is_the_one_on_record(program: Program) -> None:
    program.post("pilots", PILOT)
    at = timezone.now().isoformat()
    first = _record(program, "cutover", occurred_at=at)
    assert _record(program, "cutover", occurred_at=at) == first
    assert PilotEvent.objects.filter(kind="cutover").count() == 1


def test_an_event_on_a_pilot_that_has_moved_on_is_a_conflict(program: Program) -> None:
    version = program.post("pilots", PILOT)["version"]
    _record(program, "cutover", version=version)
    stale = program.send("POST", "pilots/triage-to-mai/events", {"kind": "ended", "version": version})
    assert (stale.status_code, stale.json()["current_version"]) == (409, version + 1)
    assert "somebody was faster: ana" in stale.json()["detail"]


@pytest.mark.django_db(transaction=True)
def test_a_decision_keeps_the_verdict_and_one_against_it_needs_a_second_person() -> None:
    # Five samples decide nothing, so that going ahead is against the verdict.
    pilot, run = evaluated_pilot(n=5)
    team = pilot.workload.team
    ana, ben = Program(make.member(team, "ana")), Program(make.member(team, "ben"))
    path = f"pilots/{pilot.slug}/events"
    assert ana.refused("POST", path, {"kind": "decided"}) == (400, "a decision needs its rationale")
    event = ana.post(path, {"kind": "decided", "note": "Go."})["event"]
    assert (event["data"]["verdict"]["run"], event["data"]["against_verdict"]) == (run.pk, True)
    assert "second person" in ana.refused("POST", path, {"kind": "approved"})[1]
    assert "second person" in ana.refused("POST", path, {"kind": "cutover"})[1]
    assert ben.post(path, {"kind": "approved"})["event"]["actor"] == "ben"
    assert ana.post(path, {"kind": "cutover"})["status"] == "switched"


def test_a_viewer_reads_and_records_nothing(program: Program) -> None:
    program.post("pilots", PILOT)
    viewer = Program(make.member(make.team("support"), role=TeamRole.VIEWER))
    assert len(viewer.get("pilots/triage-to-mai/events")["results"]) == 1
    said = (403, "Only a pilot manager of the team does this.")
    assert viewer.refused("POST", "pilots", {**PILOT, "slug": "other"}) == said
    assert viewer.refused("PATCH", "pilots/triage-to-mai", {"owner": "ben"}) == said
    assert viewer.refused("POST", "pilots/triage-to-mai/events", {"kind": "cutover"}) == said
    assert viewer.refused("PUT", "pilots/triage-to-mai/plan", {"plan": DEFINITION}) == said
    assert viewer.refused("POST", "pilots/triage-to-mai/plan") == said
    assert viewer.refused("POST", "pilots/triage-to-mai/replays", {}) == said
    assert PilotEvent.objects.count() == 1


def test_a_schedule_is_set_changed_and_ended(program: Program) -> None:
    program.post("pilots", PILOT)
    path = "pilots/triage-to-mai/schedule"
    assert program.refused("GET", path)[0] == 404
    made = program.put(path, {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "take": 100})
    shown = ("cron", "timezone", "take", "catch_up", "enabled")
    assert [made[name] for name in shown] == ["0 2 * * *", "Europe/Berlin", 100, "once", True]
    assert made["next"]["local"].endswith("02:00")
    assert program.put(path, {"cron": "0 3 * * *"})["take"] == 100
    assert program.refused("PUT", path, {"cron": "61 * * * *"})[0] == 400
    assert program.send("DELETE", path).status_code == 204
    assert program.get(path)["enabled"] is False
    assert AuditEvent.objects.latest("sequence").action == "schedule.ended"
