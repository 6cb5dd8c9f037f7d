"""Observed traffic over the API: the same door as a file, for the teams that one manages."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.enums import TeamRole
from pilots.enums import TokenScope
from tests import factories as make
from tests.pilots.api.programs import Program

pytestmark = pytest.mark.django_db

ROW: dict[str, Any] = {"workload": "triage", "day": "2026-09-03", "model": "gpt-4", "requests": 83}


@pytest.fixture
def gateway() -> Program:
    make.model("gpt-4")
    make.workload("triage", "support")
    return Program(make.member(make.team("support")), TokenScope.SAMPLES, TokenScope.READ)


def test_rows_are_stored_once_and_read_back(gateway: Program) -> None:
    rows = [ROW | {"cost": "1.50", "errors": 1}, ROW | {"workload": "new-key"}]
    first = gateway.send("POST", "traffic", {"rows": rows})
    assert first.status_code == 200, first.content
    assert first.json() == {"days": 1, "workloads": 1, "unmapped": 1, "added": 2, "replaced": 0, "unchanged": 0}
    assert gateway.send("POST", "traffic", {"rows": rows}).json()["unchanged"] == 2
    [stored] = gateway.get("traffic")["results"]
    del stored["recorded_at"]
    assert stored == {
        "workload": "triage", "day": "2026-09-03", "model": "gpt-4", "requests": 83, "input_tokens": None,
        "output_tokens": None, "errors": 1, "cost": "1.5", "currency": "USD",
    }  # fmt: skip
    assert gateway.send("POST", "traffic", {"rows": [ROW | {"requests": 90}]}).json()["replaced"] == 1
    assert [row["requests"] for row in gateway.get("traffic")["results"]] == [90]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"day": "soon"}, "rows[1].day"), ({"requests": -1}, "rows[1].requests"), ({"requets": 1}, "rows[1].requets")],
)
def test_a_bad_row_is_named_and_nothing_stored(gateway: Program, change: dict[str, Any], field: str) -> None:
    response = gateway.send("POST", "traffic", {"rows": [ROW, ROW | change]})
    assert response.status_code == 400
    assert field in response.content.decode()
    assert gateway.get("traffic")["results"] == []


def test_only_managers_and_only_for_their_workloads(gateway: Program) -> None:
    make.workload("memos", "legal")
    status, problem = gateway.refused("POST", "traffic", {"rows": [ROW | {"workload": "memos"}]})
    assert status == 400
    assert "'memos' is not one that you may import for" in str(problem)
    viewer = Program(make.member(make.team("support"), role=TeamRole.VIEWER))
    assert viewer.refused("POST", "traffic", {"rows": [ROW]})[0] == 403
