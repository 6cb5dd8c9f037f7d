"""README, guides, Makefile and lock files say what is."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
LOCKS = {
    "requirements.lock": ("site", "postgres", "redis"),
    "requirements-dev.lock": tuple(PROJECT["optional-dependencies"]),
}
OURS = {name: app for name, app in get_commands().items() if app in ("evaluations", "pilots")}


def code_lines() -> list[str]:
    """Every indented line of code in the documents, without its comment."""
    lines = [line for path in DOCUMENTS for line in path.read_text().splitlines() if line.startswith("    ")]
    return [line.partition(" #")[0].strip() for line in lines]


def test_every_make_target_of_the_documents_exists_and_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    called = re.compile(r"(?:`|^    .*?\b)make ([a-z-]+)", re.MULTILINE)
    named = {name for path in DOCUMENTS for name in called.findall(path.read_text())}
    assert named - targets == set()
    assert {"demo", "test", "worker"} <= named
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == targets


COMMANDS = [line.partition("manage.py ")[2] for line in code_lines() if "manage.py " in line]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_documents_can_be_given(line: str) -> None:
    name, *arguments = shlex.split(line)
    load_command_class(OURS[name], name).create_parser("manage.py", name).parse_args(arguments)


def test_the_documents_show_commands() -> None:
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_explains_itself(name: str) -> None:
    command = load_command_class(OURS[name], name)
    assert command.help.endswith(".")
    parser = command.create_parser("manage.py", name)
    assert command.help.split(".")[0][:40] in parser.format_help()


def test_every_environment_variable_is_documented_and_every_documented_one_is_read() -> None:
    readers = [ROOT / "config" / "settings.py", ROOT / "evaluations" / "plugins.py"]
    readers += sorted((ROOT / "evaluations" / "providers").glob("egress*.py"))
    read = set()
    for path in readers:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                name = getattr(node.args[0], "value", None)
                if isinstance(name, str) and re.fullmatch(r"(?:PILOTS|CELERY|DATABASE|EMAIL)_[A-Z_]+", name):
                    read.add(name)
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Environment")[2].partition("## ")[0]
    first_columns = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for column in first_columns for name in re.findall(r"`([A-Z_]+)`", column)} == read


def test_every_file_that_the_documents_name_exists() -> None:
    named = {
        (path.name, name)
        for path in DOCUMENTS
        for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", path.read_text())
        if "<" not in name and not name.startswith("var/")
    }
    places = (ROOT, ROOT / "evaluations", ROOT / "pilots")
    assert {(page, name) for page, name in named if not any((place / name).exists() for place in places)} == set()
    assert len(named) > 10


def pins(lock: str) -> set[tuple[str, Version]]:
    """Names and versions (two for two Pythons); every entry is pinned, with its hashes, and from no named place."""
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    found = set()
    for entry in entries:
        match = re.fullmatch(
            r"([\w.-]+(?:\[[\w,]+\])?)==([\w.!+]+)( ; [^\\]*?)?((?:\s+--hash=sha256:[0-9a-f]{64})+)", entry
        )
        assert match is not None, entry[:100]
        found.add((canonicalize_name(match[1].partition("[")[0]), Version(match[2])))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_pins_every_requirement_of_the_project_by_hash(lock: str) -> None:
    pinned = pins(lock)
    wanted = [*PROJECT["dependencies"], *(r for extra in LOCKS[lock] for r in PROJECT["optional-dependencies"][extra])]
    requirements = [Requirement(line) for line in wanted]
    for requirement in requirements:
        versions = [version for name, version in pinned if name == canonicalize_name(requirement.name)]
        assert versions != [], requirement
        assert [version for version in versions if version not in requirement.specifier] == [], requirement


def test_the_real_models_have_a_lock_of_their_own_without_what_they_depend_on() -> None:
    wanted = {Requirement(line).name for line in CONFIGURATION["dependency-groups"]["real-models"]}
    assert {name for name, _ in pins("requirements-real-models.lock")} == wanted


def test_tests_run_on_the_versions_that_are_installed_for_use() -> None:
    assert pins("requirements.lock") <= pins("requirements-dev.lock")
