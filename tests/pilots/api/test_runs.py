"""Replays over the API: started with 202, watched, cancelled, resumed; what came of them, content where allowed."""

from __future__ import annotations

import jsonschema
import pytest
from django.utils import timezone

from evaluations.enums import RunTrigger, TeamRole
from evaluations.models import Membership, ReplayRun, Rescoring
from evaluations.selectors.progress import run_document
from evaluations.services.rescoring import settle_rescoring
from pilots.api.openapi import document
from pilots.enums import TokenScope
from tests import factories as make
from tests.pilots.api.programs import Program
from tests.pilots.views.people import evaluated_pilot, planned_pilot
from tests.rescoring import install_newer, judged_run

pytestmark = pytest.mark.django_db


def test_a_replay_is_accepted_as_a_run() -> None:
    pilot = planned_pilot(n=4)
    program = Program(make.member(pilot.workload.team))
    response = program.send("POST", f"pilots/{pilot.slug}/replays", {"take": 3, "repeats": 2, "budget": "1.25"})
    assert response.status_code == 202, response.content
    run = ReplayRun.objects.get()
    assert response.headers["Location"] == f"/api/v1/replay-runs/{run.pk}"
    assert response.json() == run_document(run)
    assert (run.trigger, run.repeats, run.total, str(run.budget_amount)) == (RunTrigger.API, 2, 12, "1.25")
    pending = program.get("replay-runs?status=pending")["results"]
    assert pending == program.get(f"pilots/{pilot.slug}/replays")["results"]
    assert program.get("replay-runs?status=finished")["results"] == []
    assert program.get(f"replay-runs?pilot={pilot.slug}")["results"][0]["run"] == run.pk
    assert program.get(f"pilots/{pilot.slug}")["status"] == "evaluating"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"set": 10**9}, "there is no sample set 1000000000"),
        ({"take": 0}, "expected a whole number >= 1"),
        ({"repeats": 101}, "expected a whole number <= 100"),
        ({"budget": "0"}, "budget must be above 0"),
        ({"budget": "-1"}, "budget must be above 0"),
        ({"wait": True}, "wait is not a known key"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(body: dict[str, object], detail: str) -> None:
    pilot = planned_pilot(n=1)
    program = Program(make.member(pilot.workload.team))
    status, said = program.refused("POST", f"pilots/{pilot.slug}/replays", body)
    assert (status, said[: len(detail)]) == (400, detail)
    assert not ReplayRun.objects.exists()


def test_a_run_is_cancelled_once_and_resumed() -> None:
    pilot = planned_pilot(n=2)
    program = Program(make.member(pilot.workload.team))
    run = program.post(f"pilots/{pilot.slug}/replays", {}, status=202)["run"]
    assert program.post(f"replay-runs/{run}/cancel", status=200)["status"] == "cancelled"
    again = program.send("POST", f"replay-runs/{run}/cancel")
    assert (again.status_code, again.json()["detail"]) == (409, "the run has already ended")
    assert again.json()["current_version"] == ReplayRun.objects.get().version
    assert program.post(f"replay-runs/{run}/resume", status=202)["status"] == "running"
    assert program.post(f"replay-runs/{run}/resume", {"budget": "9"}, status=409)["title"] == "Conflict"
    program.post(f"replay-runs/{run}/cancel", status=200)
    assert program.post(f"replay-runs/{run}/resume", {"budget": "9"}, status=202)["status"] == "running"
    assert str(ReplayRun.objects.get().budget_amount) == "9"


@pytest.mark.django_db(transaction=True)
def test_what_came_of_a_run() -> None:
    pilot, run = evaluated_pilot(n=5)
    program = Program(make.member(pilot.workload.team))
    found = program.get(f"replay-runs/{run.pk}")
    assert found == run_document(run)
    schema = {"$ref": "#/components/schemas/RunDocument", "components": document()["components"]}
    jsonschema.validate(found, schema)
    assert set(found) == set(document()["components"]["schemas"]["RunDocument"]["properties"])
    assert program.get(f"replay-runs/{run.pk}/comparisons")["results"] == found["comparisons"]
    answers = program.get(f"replay-runs/{run.pk}/completions")["results"]
    assert len(answers) == 10
    assert {row["arm"] for row in answers} == {"incumbent", "candidate"}
    assert all(row["content"] is None and row["outcome"] == "ok" for row in answers)
    assert all(row["scores"] == {"answered": 1.0} for row in answers)
    first = program.get(f"replay-runs/{run.pk}/completions?arm=candidate&page_size=4")
    rest = program.get(first["next"])
    assert [len(first["results"]), len(rest["results"]), rest["next"]] == [4, 1, None]
    assert program.get(f"replay-runs/{run.pk}/completions?outcome=refused")["results"] == []


@pytest.mark.django_db(transaction=True)
def test_prompts_and_answers_need_the_right_and_the_scope() -> None:
    pilot, run = evaluated_pilot(n=1)
    person = make.member(pilot.workload.team)
    path = f"replay-runs/{run.pk}/completions?content=true"
    shown = Program(person).get(path)["results"][0]["content"]
    assert shown["request"]["messages"][0]["content"] == "What is 0 plus 0?"
    assert (shown["reference"], bool(shown["text"])) == ("0", True)
    narrow = Program(person, TokenScope.READ)
    assert narrow.refused("GET", path) == (403, "This token lacks the scope content.")
    Membership.objects.update(may_read_content=False)
    assert Program(person).refused("GET", path) == (403, "You may not read prompts and answers of this team.")
    without = Program(person).send("GET", f"replay-runs/{run.pk}/completions")
    assert (without.status_code, b"What is" in without.content) == (200, False)


def test_the_set_of_another_workload_is_refused() -> None:
    pilot = planned_pilot(n=1)
    other = make.workload("other", pilot.workload.team.slug)
    sets = other.sample_sets.create(name="s", digest="d", size=1, frozen_at=timezone.now())
    program = Program(make.member(pilot.workload.team))
    status, detail = program.refused("POST", f"pilots/{pilot.slug}/replays", {"set": sets.pk})
    assert (status, detail) == (400, f"set {sets.pk} belongs to another workload")


def test_what_a_replay_would_take_starts_none() -> None:
    pilot = planned_pilot(n=3)
    program = Program(make.member(pilot.workload.team))
    found = program.get(f"pilots/{pilot.slug}/estimate?take=2&repeats=3")
    assert (found["samples"], found["calls"], [arm["role"] for arm in found["arms"]]) == (
        2,
        12,
        ["incumbent", "candidate"],
    )
    assert program.refused("GET", f"pilots/{pilot.slug}/estimate?set=999")[1] == "there is no sample set 999"
    assert not ReplayRun.objects.exists()


def test_answers_are_judged_again_without_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    pilot = planned_pilot(n=40)
    run = judged_run(pilot.plan)  # type: ignore[arg-type]
    program = Program(make.member(pilot.workload.team))
    address = f"replay-runs/{run.pk}/rescorings"
    status, said = program.refused("POST", address, {})
    assert (status, said) == (400, "the plan's scorers judged this run already: change them, or freeze it again")
    install_newer(monkeypatch)
    asked = program.post(address, {}, status=202)
    assert (asked["plan_version"], asked["after_the_fact"], asked["decision"]) == (2, True, None)
    settle_rescoring(rescoring=Rescoring.objects.get(), at=timezone.now())
    (later,) = program.get(address)["results"]
    assert later["scorers"] == [{"key": "answered", "name": "regex", "version": "2"}]
    assert (later["decision"], later["comparisons"][0]["candidate_passes"]) == ("do_not_switch", 20)
    assert program.get(f"replay-runs/{run.pk}")["decision"] == "keep_testing"
    rows = program.get(f"replay-runs/{run.pk}/completions?arm=candidate")["results"]
    assert {row["scores"]["answered"] for row in rows} == {1.0}
    viewer = Program(make.member(pilot.workload.team, role=TeamRole.VIEWER))
    assert viewer.refused("POST", address, {})[0] == 403
