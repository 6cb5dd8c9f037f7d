"""Reports over the API are those of the command, and every one keeps to its published schema."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command

from pilots.selectors.reports import REPORTS
from tests import factories as make
from tests.pilots.api.programs import Program, administrator, manager
from tests.pilots.views.people import evaluated_pilot

pytestmark = pytest.mark.django_db


def _valid(program: Program, name: str, query: str = "") -> Any:
    schema = program.get(f"schema/reports/{name}")
    jsonschema.Draft202012Validator.check_schema(schema)
    found = program.get(f"reports/{name}{query}")
    jsonschema.validate(found, schema, cls=jsonschema.Draft202012Validator)
    # A key that was forgotten in either would show here.
    assert set(found) == set(schema["properties"])
    return found


@pytest.fixture
def portfolio() -> None:
    make.rolled_back_pilot(workload=make.workload("", "support"))
    make.switched_pilot(workload=make.workload("", "legal"))
    make.pilot(workload=make.workload("", "support"))


@pytest.mark.usefixtures("portfolio")
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_each_report_keeps_to_its_schema_and_is_that_of_the_command(name: str) -> None:
    program = administrator()
    found = _valid(program, name, "?team=support&as_of=2026-10-01&known_at=2026-10-02T00:00:00Z")
    out = StringIO()
    arguments = ["--team", "support", "--as-of", "2026-10-01", "--known-at", "2026-10-02T00:00:00Z"]
    call_command("report", name, *arguments, "--json", stdout=out)
    assert found == json.loads(out.getvalue())


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_an_empty_portfolio_keeps_to_the_schemas_too(name: str) -> None:
    _valid(manager(), name)


@pytest.mark.usefixtures("portfolio")
def test_groups_keep_to_the_schema() -> None:
    found = _valid(administrator(), "retention", "?by=team&days=30,90&min_at_risk=1")
    assert [group["key"] for group in found["groups"]] == ["legal", "support"]
    assert [point["day"] for point in found["at"]] == [30, 90]


@pytest.mark.django_db(transaction=True)
def test_evidence_with_a_reading_keeps_to_the_schema() -> None:
    pilot, run = evaluated_pilot(n=5)
    found = _valid(Program(make.member(pilot.workload.team)), "evidence")
    assert [(row["pilot"], row["run"]) for row in found["pilots"]] == [(pilot.slug, run.pk)]


@pytest.mark.usefixtures("portfolio")
def test_a_person_sees_their_teams_alone() -> None:
    found = manager("support").get("reports/portfolio")
    assert {row["team"] for row in found["pilots"]} == {"support"}
    assert manager("support").get("reports/portfolio?team=legal")["pilots"] == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("as_of=yesterday", "'yesterday' is not a date (YYYY-MM-DD)"),
        ("by=colour", "'colour' is not one of team"),
        ("days=-1", "'-1' is not a whole number of at least 0"),
        ("min_at_risk=0", "'0' is not a whole number of at least 1"),
        ("run=x", "expected a whole number, got text"),
        ("colour=red", "colour is not a known key"),
    ],
)
def test_filters_that_cannot_be_read_are_refused(query: str, detail: str) -> None:
    status, said = manager().refused("GET", f"reports/retention?{query}")
    assert (status, said[: len(detail)]) == (400, detail)


def test_there_are_no_other_reports() -> None:
    program = manager()
    assert program.refused("GET", "reports/nothing")[0] == 404
    assert program.refused("GET", "schema/reports/nothing")[0] == 404


def test_a_schema_is_versioned() -> None:
    assert manager().get("schema/reports/retention")["$id"] == "urn:model-switch-pilots:report:retention:1"
