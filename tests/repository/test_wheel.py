"""The built wheel, unpacked beside a project as ``startproject`` makes it (``host/``), with nothing of this repository."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = Path(__file__).resolve().parent / "host"
HTMX = "pilots/static/pilots/vendor/htmx-2.min.js"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [built] = folder.iterdir()
    return built


@dataclass(frozen=True)
class Host:
    """A project of its own: the unpacked wheel and the host's two packages are all that it can import of ours."""

    folder: Path
    settings: str

    def command(self, *arguments: str) -> dict[str, Any]:
        path = os.pathsep.join([str(self.folder / "installed"), str(self.folder)])
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        given = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": self.settings, "HOST_DATA": str(self.data)}
        return {"args": [sys.executable, *arguments], "cwd": self.data, "env": kept | given}

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.data / "worker.log"


def set_up(wheel: Path, folder: Path, settings: str) -> tuple[Host, dict[str, Any]]:
    """A host that is migrated, and what it showed on a first visit."""
    host = Host(folder, settings)
    shutil.copytree(HOST, folder, dirs_exist_ok=True)
    for name in ("own", "control"):
        (host.data / name).mkdir(parents=True)
    # What an installer does with a wheel of pure Python that has no scripts.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    visit = subprocess.run(**host.command(str(folder / "visit.py")), capture_output=True, text=True)
    assert visit.returncode == 0, visit.stderr
    return host, json.loads(visit.stdout)


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, dict[str, Any]]:
    return set_up(wheel, tmp_path_factory.mktemp("bare"), "hostsite.settings")


@pytest.fixture(scope="module")
def with_celery(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, dict[str, Any]]:
    return set_up(wheel, tmp_path_factory.mktemp("celery"), "hostcelery.settings")


def files_below(folder: Path) -> set[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "__pycache__" not in name}


def test_the_wheel_holds_both_apps_their_templates_and_their_assets_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    apps = {f"{app}/{name}" for app in ("evaluations", "pilots") for name in files_below(ROOT / app)}
    templates = {f"pilots/templates/{name}" for name in files_below(ROOT / "templates")}
    assert names == apps | templates | {HTMX}
    assert "pilots/migrations/0001_initial.py" in names  # a walk that finds nothing would agree with an empty wheel


def test_nothing_of_a_host_is_shadowed(wheel: Path) -> None:
    """Templates and static files have one name space in a project: all of ours are below our own name."""
    with zipfile.ZipFile(wheel) as archive:
        parts = [name.split("/") for name in archive.namelist()]
    assert {path[0] for path in parts if ".dist-info" not in path[0]} == {"evaluations", "pilots"}
    for kind in ("templates", "static"):
        assert {path[2] for path in parts if path[1] == kind} == {"pilots"}


def test_a_bare_host_runs_on_the_wheel_alone(bare: tuple[Host, dict[str, Any]]) -> None:
    """``check``, ``migrate``, ``makemigrations --check``, ``collectstatic``, ``apply`` and ``export`` went well before."""
    host, seen = bare
    assert seen["packages"] == [str(host.folder / "installed" / name) for name in ("evaluations", "pilots")]
    assert len(list((host.data / "var" / "exports").rglob("*.xlsx"))) == 1


def test_every_page_answers_under_the_prefix(bare: tuple[Host, dict[str, Any]]) -> None:
    _, seen = bare
    assert seen["refused"] == [302, "/switching/sign-in/?next=/switching/"]
    forms = {"sign-out": 405, "choose-team": 405, "write-export": 405}  # for POST only
    assert {name: status for name, status in seen["pages"].items() if status != 200} == {"sign-in": 302, **forms}
    assert {"home", "list", "retention", "exports", "pilot", "signed out"} <= set(seen["pages"])


def test_every_address_on_the_pages_is_ours_or_an_asset_that_is_there(bare: tuple[Host, dict[str, Any]]) -> None:
    host, seen = bare
    assert [address for address in seen["addresses"] if not address.startswith("/switching/")] == []
    missing = [a for a in seen["assets"] if not (host.data / "static" / a.removeprefix("/assets/")).is_file()]
    assert missing == []
    assert [a for a in seen["assets"] if a.startswith("/assets/pilots/vendor/htmx-2.min.")] != []


def test_without_a_celery_app_of_its_own_a_host_gets_ours_and_a_broker_of_files(
    bare: tuple[Host, dict[str, Any]],
) -> None:
    _, seen = bare
    assert (seen["celery"], seen["schedule"]) == ("evaluations", ["pilots-sweep"])
    assert seen["queued"] == ["replay"]


def test_with_a_celery_app_of_its_own_a_host_keeps_it_as_it_was(with_celery: tuple[Host, dict[str, Any]]) -> None:
    _, seen = with_celery
    assert (seen["celery"], seen["schedule"]) == ("hostcelery", ["nightly", "pilots-sweep"])
    assert seen["queued"] == ["replay"]
    assert {name for name, late in seen["late"].items() if not late} == {"hostcelery.of_the_host"}


@pytest.mark.parametrize("kind", ["bare", "with_celery"])
def test_the_worker_command_works_off_hints_and_sweeps(kind: str, request: pytest.FixtureRequest) -> None:
    host: Host = request.getfixturevalue(kind)[0]
    with host.log.open("wb") as log:
        worker = subprocess.Popen(
            **host.command("-m", "django", "worker", "--concurrency=1"), stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 30
        while not all(f"evaluations.tasks.{name}" in succeeded(host) for name in ("work_on_run", "sweep")):
            assert worker.poll() is None, host.log.read_text()
            assert time.monotonic() < deadline, host.log.read_text()
            time.sleep(0.1)
        worker.terminate()
        assert worker.wait(timeout=30) == 0
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def succeeded(host: Host) -> set[str]:
    lines = [line for line in host.log.read_text().splitlines() if " succeeded in " in line]
    return {line.partition("Task ")[2].partition("[")[0] for line in lines}


def test_the_worker_command_explains_itself(bare: tuple[Host, dict[str, Any]]) -> None:
    done = subprocess.run(**bare[0].command("-m", "django", "worker", "--help"), capture_output=True, text=True)
    assert (done.returncode, "--concurrency" in done.stdout) == (0, True)
