"""Workloads over the API, and the samples that a gateway posts to them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from django.test import override_settings

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, Sample, SampleContent, SampleSet
from pilots.enums import TokenScope
from tests import factories as make
from tests.pilots.api.programs import Program, manager

pytestmark = pytest.mark.django_db
SAMPLES = "/api/v1/workloads/triage/samples"


def _lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _row(number: int, text: str = "hello") -> dict[str, Any]:
    return {"id": f"s{number}", "request": {"messages": [{"role": "user", "content": f"{text} {number}"}]}}


def _post(
    program: Program, body: bytes, query: str = "", content_type: str = "application/x-ndjson", **headers: str
) -> Any:
    return program.client.generic("POST", SAMPLES + query, body, content_type=content_type, headers=headers)


@pytest.fixture
def gateway() -> Program:
    make.workload("triage", "support")
    return manager("support", TokenScope.SAMPLES)


def test_a_workload_is_added_and_changed_by_managers_of_its_team() -> None:
    make.model("gpt-4")
    program = manager()
    made = program.post("workloads", {"slug": "triage", "team": "support", "name": "Triage", "runs_on": "gpt-4"})
    shown = ("slug", "team", "name", "task_type", "monthly_requests", "runs_on", "version")
    assert [made[name] for name in shown] == ["triage", "support", "Triage", "", None, "gpt-4", 1]
    changed = program.patch("workloads/triage", {"monthly_requests": 420_000, "version": 1})
    assert (changed["monthly_requests"], changed["name"], changed["version"]) == (420_000, "Triage", 2)
    stale = program.send("PATCH", "workloads/triage", {"name": "X", "version": 1})
    assert (stale.status_code, stale.json()["current_version"]) == (409, 2)
    assert program.refused("POST", "workloads", {"slug": "triage", "team": "support"}) == (409, "triage is taken")
    viewer = Program(make.member(make.team("support"), role=TeamRole.VIEWER))
    assert viewer.refused("PATCH", "workloads/triage", {"name": "X"})[0] == 403
    assert viewer.refused("POST", "workloads", {"slug": "other", "team": "support"})[0] == 403


def test_posted_lines_become_samples_and_a_set(gateway: Program) -> None:
    response = _post(gateway, _lines(_row(1, "mail bob@example.com"), _row(2), _row(2)))
    assert response.status_code == 201, response.content
    document = response.json()
    stored = SampleSet.objects.get()
    assert document == {
        "sample_set": stored.pk,
        "read": 3,
        "stored": 2,
        "duplicates": 1,
        "rejected": 0,
        "redacted": {"email": 1},
        "digest": stored.digest,
    }
    assert "bob@example.com" not in str(list(SampleContent.objects.values_list("request", flat=True)))
    reader = Program(gateway.person, TokenScope.READ)
    found = reader.get(f"sample-sets/{stored.pk}")
    assert (found["workload"], found["size"]) == ("triage", 2)
    assert reader.get("sample-sets?workload=triage")["results"] == [found]
    assert AuditEvent.objects.get(action="sample_set.frozen").actor == gateway.person.username


def test_the_same_lines_again_are_the_same_set(gateway: Program) -> None:
    body = _lines(_row(1), _row(2))
    assert _post(gateway, body).json() == _post(gateway, body).json()
    assert (Sample.objects.count(), SampleSet.objects.count()) == (2, 1)


@pytest.mark.parametrize("packed", [False, True])
def test_one_bad_line_is_named_and_nothing_is_stored(gateway: Program, packed: bool) -> None:
    body = _lines(_row(1), _row(2), {"id": "s3", "request": 7}, _row(4))
    response = _post(gateway, gzip.compress(body) if packed else body)
    assert response.status_code == 400
    assert response.json()["detail"] == "samples.jsonl: line 3, request: must be an object, not a number"
    assert (Sample.objects.count(), SampleSet.objects.count()) == (0, 0)


def test_part_of_the_lines_can_be_frozen(gateway: Program) -> None:
    document = _post(gateway, _lines(*map(_row, range(10))), "?take=3&seed=7&name=three").json()
    assert (document["read"], document["stored"], SampleSet.objects.get().name) == (10, 3, "three")
    assert Sample.objects.count() == 10


@pytest.mark.parametrize(
    ("body", "query", "content_type", "status"),
    [
        (b"\n", "", "application/x-ndjson", 400),
        (b"{", "", "application/x-ndjson", 400),
        (b"{}\n", "?format=nonsense", "application/x-ndjson", 400),
        (b"{}\n", "?take=0", "application/x-ndjson", 400),
        (b"{}\n", "?no_redact=true", "application/x-ndjson", 400),
        (b"{}\n", "", "application/json", 415),
        (b"{}\n", "", "application/x-www-form-urlencoded", 415),
    ],
)
def test_what_is_no_sample_is_refused(
    gateway: Program, body: bytes, query: str, content_type: str, status: int
) -> None:
    response = _post(gateway, body, query, content_type)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert Sample.objects.count() == 0


def test_more_than_the_limit_is_not_kept(gateway: Program) -> None:
    with override_settings(PILOTS_API_MAX_SAMPLES_BYTES=1024 * 1024):
        response = _post(gateway, _lines(_row(1, "x" * 1024 * 1024)))
    assert (response.status_code, Sample.objects.count()) == (413, 0)


def test_a_viewer_posts_nothing() -> None:
    make.workload("triage", "support")
    viewer = Program(make.member(make.team("support"), role=TeamRole.VIEWER))
    assert (_post(viewer, _lines(_row(1))).status_code, Sample.objects.count()) == (403, 0)


def test_an_idempotency_key_covers_the_lines(gateway: Program) -> None:
    body = _lines(_row(1))
    first = _post(gateway, body, **{"Idempotency-Key": "k"})
    again = _post(gateway, body, **{"Idempotency-Key": "k"})
    other = _post(gateway, _lines(_row(2)), **{"Idempotency-Key": "k"})
    assert [first.status_code, again.status_code, other.status_code] == [201, 201, 422]
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert Sample.objects.count() == 1
