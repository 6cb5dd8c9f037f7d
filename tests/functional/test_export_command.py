"""``export KEY``: the file, and one JSON object about it."""

import json
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from pilots.models import ExportFile
from tests import factories as make

pytestmark = pytest.mark.django_db
KNOWN = "claims, completions, evidence, pilot, portfolio, retention"


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return str(end.code), err.getvalue()
    return out.getvalue(), err.getvalue()


def test_it_prints_file_sheets_and_digest(data_dir, tmp_path) -> None:
    make.switched_pilot("one")
    make.switched_pilot("two", workload=make.workload("other-work", "other-team"))
    target = tmp_path / "board.xlsx"
    out, err = run("export", "portfolio", "--output", str(target), "--team", "other-team", "--json")
    document = json.loads(out)
    assert document == {
        "file": str(target),
        "sheets": ExportFile.objects.get().sheets,
        "sha256": sha256(target.read_bytes()).hexdigest(),
    }
    assert (document["sheets"]["Pilots"], err) == (1, "")
    assert ExportFile.objects.get().audience == "full"


def test_by_default_it_writes_below_the_data_directory(data_dir) -> None:
    make.switched_pilot("one")
    out, _ = run("export", "pilot", "--pilot", "one", "--audience", "no-content")
    path, sheets, digest = out.splitlines()
    assert Path(path).is_relative_to(data_dir / "exports")
    assert "Periods 1" in sheets.split(", ")
    assert digest == f"sha256 {sha256(Path(path).read_bytes()).hexdigest()}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], f"key: unknown pilots.exporters 'nonsense' (known: {KNOWN})\n"),
        (["pilot"], "pilot: name one pilot\n"),
        (["pilot", "--pilot", "nobody"], "pilot: no pilot 'nobody' with these filters\n"),
        (["portfolio", "--days", "soon"], "days: 'soon' is not a whole number of at least 0\n"),
        (["portfolio", "--audience", "all"], "audience: 'all' is not one of full, no-content, vendor:SLUG\n"),
        (["portfolio", "--output", "a.txt"], "output: a.txt: the name must end in .xlsx, .csv or .parquet\n"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(data_dir, arguments, said) -> None:
    assert run("export", *arguments) == ("2", said)
    assert not ExportFile.objects.exists()
