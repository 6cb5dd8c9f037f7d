from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evaluations.models import SampleSet, Workload
from evaluations.services import audit
from evaluations.services.teams import save_team, save_workload
from tests.functional.commands import call

pytestmark = pytest.mark.django_db

BY = audit.Actor.command("test")
AT = datetime(2026, 6, 10, 12, tzinfo=UTC)


@pytest.fixture
def workload() -> Workload:
    team, _ = save_team(slug="support", by=BY, at=AT)
    return save_workload(slug="triage", team=team, by=BY, at=AT)[0]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    texts = ["hello", "mail ana@example.com", "hello"]
    rows = [
        {"id": f"r{number % 2}", "request": {"messages": [{"role": "user", "content": text}]}}
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_the_document_says_what_became_of_the_file(workload: Workload, log: Path) -> None:
    called = call("import_samples", "triage", str(log), "--json", "--name", "May", "--seed", "3")
    sample_set = SampleSet.objects.get()
    assert (called.code, called.err) == (0, "")
    assert called.document == {
        "sample_set": sample_set.pk,
        "read": 3,
        "stored": 2,
        "duplicates": 1,
        "rejected": 0,
        "redacted": {"email": 1},
        "digest": sample_set.digest,
    }
    assert (sample_set.name, sample_set.method["seed"]) == ("May", 3)
    assert call("import_samples", "triage", str(log), "--json").document == called.document


def test_options_reach_the_service(workload: Workload, log: Path) -> None:
    called = call("import_samples", "triage", str(log), "--json", "--take", "1", "--no-redact", "--format", "native")
    assert (called.document["stored"], called.document["redacted"]) == (1, {})


def test_what_is_chosen_and_redacted_can_be_said_on_the_command_line(workload: Workload, tmp_path: Path) -> None:
    rows = [
        {
            "id": f"r{number}",
            "cluster": "talk" if number < 5 else None,
            "occurred_at": f"2026-05-{number + 1:02}T00:00:00Z",
            "segments": {"edge": "long: yes" if number == 9 else "none"},
            "request": {"messages": [{"role": "user", "content": f"K-{number} of Ana"}]},
        }
        for number in range(20)
    ]
    log, names = tmp_path / "log.jsonl", tmp_path / "names.txt"
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    names.write_text("Ana")
    chosen = ["--take", "4", "--newest", "12", "--per-cluster", "1", "--quota", "edge=long: yes:1"]
    called = call(
        "import_samples", "triage", str(log), "--json", *chosen, "--names", str(names), "--pattern", r"customer=K-\d+"
    )
    assert (called.code, called.document["stored"]) == (0, 4)
    assert called.document["redacted"] == {"customer": 20, "name": 20}
    chosen_ids = set(SampleSet.objects.get().members.values_list("sample__external_id", flat=True))
    assert "r9" in chosen_ids
    assert chosen_ids <= {f"r{number}" for number in range(8, 20)}


@pytest.mark.parametrize("option", ["--quota=edge:1", "--quota=edge=x:many", "--pattern=x", "--pattern=x=("])
def test_an_option_that_says_nothing_is_exit_2(workload: Workload, log: Path, option: str) -> None:
    called = call("import_samples", "triage", str(log), "--take", "1", option)
    assert (called.code, called.out) == (2, "")


def test_a_bad_line_is_exit_2_and_one_line(workload: Workload, log: Path) -> None:
    with log.open("a") as file:
        file.write('{"id": "r9", "request": {"messages": []}}\n')
    called = call("import_samples", "triage", str(log), "--json")
    message = "log.jsonl: line 4, request.messages: must be a list with at least one message\n"
    assert (called.code, called.out, called.err) == (2, "", message)
    assert not SampleSet.objects.exists()


def test_skipped_lines_are_named_on_stderr(workload: Workload, log: Path, data_dir: Path) -> None:
    with log.open("a") as file:
        file.write("[]\n")
    called = call("import_samples", "triage", str(log), "--json", "--skip-bad")
    assert (called.code, called.document["rejected"], called.document["read"]) == (0, 1, 4)
    (rejects,) = (data_dir / "rejects").iterdir()
    assert called.err == f"1 bad lines are listed in {rejects}\n"


def test_an_unknown_workload_is_bad_input(log: Path) -> None:
    called = call("import_samples", "triage", str(log))
    assert (called.code, called.err) == (2, "workload: no workload 'triage'\n")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.jsonl", '{"request": {"messages": [\n', "log.jsonl: line 1: "),
        (
            "log.jsonl",
            '{"request": {"messages": [{"role": "user", "content": "a"}]}, "referense": "x"}\n',
            "log.jsonl: line 1, referense: is not a field",
        ),
        ("log.csv", "question,answer\na,b\n", "log.csv: has no column called 'prompt' (found: question, answer)"),
    ],
)
def test_a_bad_first_line_is_named_like_any_other(workload, tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    called = call("import_samples", "triage", str(tmp_path / name), "--json")
    assert (called.code, called.out, called.err[: len(said)]) == (2, "", said)
    assert called.err.count("\n") == 1
