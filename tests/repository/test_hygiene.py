"""What must be in no file, and what every module has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("config", "evaluations", "pilots", "templates", "tests", "docs", "benchmarks", ".ci")
SUFFIXES = {".py", ".html", ".css", ".js", ".svg", ".md", ".toml", ".json", ".yaml", ".lock", ".cfg", ".ini", ""}
FILES = [
    *(path for path in ROOT.iterdir() if path.is_file() and path.suffix in SUFFIXES),
    *(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts
    ),
]
PRODUCT = [
    path
    for folder in ("config", "evaluations", "pilots")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
]
LONGEST = 450
# Longer than a sitting, and why it stays one file.
LONG = {
    "tests/pilots/selectors/test_retention.py": "one hand-computed history behind every figure",
    "tests/pilots/services/test_lifecycle.py": "each door of the state machine, proven the same way",
    "tests/pilots/services/test_portfolio_file.py": "one example file and everything that it makes",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# A letter in brackets keeps each pattern from finding itself.
@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("the host of a package registry", r"py[p]i\.(?:org|python\.org)|[p]ythonhosted|[n]pmjs\.|[a]rtifactory"),
        ("a path of some machine", r"(?<![\w.])/(?:[r]oot|[w]ork|[h]ome/\w+|[U]sers/\w+)/"),
        ("work that is not done", r"\b(?:TO[D]O|FIX[M]E|XX[X])\b|raise\s+Not[I]mplementedError"),
    ],
)
def test_no_file_holds(what: str, pattern: str) -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:100]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], what


def test_files_fit_a_sitting() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES if path.suffix == ".py"}
    too_long = {name: length for name, length in lengths.items() if length > LONGEST and "/migrations/" not in name}
    assert {name: length for name, length in too_long.items() if name not in LONG} == {}
    assert {name: lengths.get(name, 0) for name in LONG if lengths.get(name, 0) < LONGEST} == {}  # no longer long


def test_every_module_says_what_it_is() -> None:
    trees = {name_of(path): ast.parse(path.read_text()) for path in PRODUCT}
    assert [name for name, tree in trees.items() if tree.body and ast.get_docstring(tree) is None] == []
    assert len(trees) > 200


def test_html_is_made_safe_by_escaping_alone() -> None:
    """``format_html`` with a literal pattern escapes what goes into it; nothing else makes text into markup."""
    found = []
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
            if called in ("mark_safe", "SafeString", "SafeText", "SafeData") or (
                called in ("format_html", "format_html_join") and not literal
            ):
                found.append(f"{name_of(path)}:{node.lineno}: {called}")
    assert found == []


# Statements that the ORM cannot say, or not fast enough.
RAW_SQL = {
    "evaluations/models/append_only.py": "the triggers that refuse changes to history",
    "evaluations/services/bulk.py": "one prepared statement for many rows",
    "evaluations/services/purging.py": "SQLite's settings that overwrite in its file what was deleted",
    "evaluations/services/staged_pool.py": "a million lines compared and copied without leaving the database",
    "evaluations/services/staging.py": "temporary tables, and PostgreSQL's COPY into them",
    "pilots/selectors/remembered.py": "the ORM's own question, without the conversion of each value",
    "pilots/services/traffic_comparing.py": "a month's rows against those on record, in a few statements",
    "pilots/services/traffic_staging.py": "a copy of a month's rows into a table of the transaction",
}


def test_sql_is_written_by_the_orm() -> None:
    pattern = re.compile(r"\.raw\(|\.extra\(|RawSQL|\bcursor\(\)")
    assert {name_of(path) for path in PRODUCT if pattern.search(path.read_text())} == set(RAW_SQL)
