"""Exports over the API: asked for with 202, written by a worker, fetched by whoever asked and nobody else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from django.utils import timezone

from pilots.enums import TokenScope
from pilots.models import ExportFile
from pilots.services.export_jobs import write_due_export
from tests import factories as make
from tests.pilots.api.programs import Program, administrator, manager

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]


def test_a_file_is_asked_for_written_and_fetched() -> None:
    make.pilot("one", workload=make.workload("triage", "support"))
    program = manager()
    response = program.send("POST", "exports", {"key": "portfolio", "filters": {"team": "support"}})
    asked = response.json()
    assert response.status_code == 202, asked
    assert response.headers["Location"] == f"/api/v1/exports/{asked['id']}"
    assert [asked[name] for name in ("state", "file", "audience", "format")] == ["pending", None, "full", "xlsx"]
    assert asked["filters"]["team"] == ["support"]
    file = f"exports/{asked['id']}/file"
    assert program.refused("GET", file) == (409, "the file is not written yet")
    write_due_export(clock=timezone.now)
    done = program.get(f"exports/{asked['id']}")
    assert (done["state"], done["file"]) == ("done", f"/api/v1/{file}")
    assert program.get("exports?state=done")["results"] == [done]
    fetched = program.send("GET", file)
    content = b"".join(fetched.streaming_content)
    assert hashlib.sha256(content).hexdigest() == done["sha256"]
    assert done["file_name"] in fetched.headers["Content-Disposition"]
    Path(ExportFile.objects.get().path).unlink()
    assert program.refused("GET", file)[0] == 404


def test_a_file_is_its_askers_alone() -> None:
    make.workload("triage", "support")
    asked = manager().post("exports", {"key": "portfolio"}, status=202)
    other = manager()
    assert other.get("exports")["results"] == []
    assert other.refused("GET", f"exports/{asked['id']}")[0] == 404
    assert other.refused("GET", f"exports/{asked['id']}/file")[0] == 404


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"key": "nothing"}, ""),
        ({"key": "portfolio", "audience": "everybody"}, "'everybody' is not one of full, no-content, vendor:SLUG"),
        ({"key": "portfolio", "filters": {"as_of": "x"}}, "'x' is not a date"),
        ({"key": "portfolio", "format": "pdf"}, "'pdf' is not one of xlsx"),
        ({"key": "portfolio", "output": "/etc/passwd"}, "output is not a known key"),
        ({}, "key is missing"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(body: dict[str, object], detail: str) -> None:
    status, said = administrator().refused("POST", "exports", body)
    assert (status, said[: len(detail)]) == (400, detail)
    assert not ExportFile.objects.exists()


def test_a_token_without_content_gets_files_without_content() -> None:
    make.workload("triage", "support")
    person = make.member(make.team("support"))
    narrow, wide = Program(person, TokenScope.READ), Program(person)
    said = (403, "This token lacks the scope content: ask for the audience no-content.")
    assert narrow.refused("POST", "exports", {"key": "portfolio"}) == said
    full = wide.post("exports", {"key": "portfolio"}, status=202)
    bare = narrow.post("exports", {"key": "portfolio", "audience": "no-content"}, status=202)
    write_due_export(clock=timezone.now)
    write_due_export(clock=timezone.now)
    assert b"".join(narrow.send("GET", f"exports/{bare['id']}/file").streaming_content)[:2] == b"PK"
    assert narrow.refused("GET", f"exports/{full['id']}/file") == said
