"""The built wheel, unpacked beside a project as ``startproject`` makes it (``host/``), without this repository."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.repository.wheels import build_wheel, unpack

ROOT = Path(__file__).resolve().parents[2]
HOST = Path(__file__).resolve().parent / "host"
VENDOR = "pilots/static/pilots/vendor"
SWAGGER = ("swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css")
ASSETS = {f"{VENDOR}/{name}" for name in ("htmx-2.min.js", *SWAGGER)}
WORK = {
    "evaluations.tasks.sweep",
    "evaluations.tasks.work_on_run",
    "pilots.tasks.tick_exports",
    "pilots.tasks.tick_notices",
    "pilots.tasks.tick_schedules",
    "pilots.tasks.tick_traffic",
    "pilots.tasks.tick_forecasts",
    "pilots.tasks.tick_uploads",
    "pilots.tasks.write_export_file",
}
SCHEDULE = [
    "pilots-comparisons",
    "pilots-exports",
    "pilots-files",
    "pilots-forecasts",
    "pilots-notices",
    "pilots-purge",
    "pilots-reminders",
    "pilots-schedules",
    "pilots-sweep",
    "pilots-traffic",
]


@dataclass(frozen=True)
class Host:
    """A project of its own: the unpacked wheel and the host's two packages are all that it can import of ours."""

    folder: Path
    settings: str

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def command(self, *arguments: str) -> dict[str, Any]:
        path = os.pathsep.join([str(self.folder / "installed"), str(self.folder)])
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        given = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": self.settings, "HOST_DATA": str(self.data)}
        return {"args": [sys.executable, *arguments], "cwd": self.data, "env": kept | given}


@dataclass(frozen=True)
class Proof:
    host: Host
    seen: dict[str, Any]  # what ``visit.py`` printed
    done: set[str]  # tasks that the worker had done when it was told to stop
    ended: int | None  # how the worker ended then


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def proofs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Proof]:
    """A host without a Celery app of its own, and one with it; side by side, because starting takes the time."""
    hosts = [Host(tmp_path_factory.mktemp(name), f"{name}.settings") for name in ("hostsite", "hostcelery")]
    with ThreadPoolExecutor() as pool:
        bare, with_celery = pool.map(lambda host: prove(wheel, host), hosts)
    return {"bare": bare, "with celery": with_celery}


def prove(wheel: Path, host: Host) -> Proof:
    shutil.copytree(HOST, host.folder, dirs_exist_ok=True)
    for name in ("own", "control"):
        (host.data / name).mkdir(parents=True)
    unpack(wheel, host.folder / "installed")
    visit = subprocess.run(**host.command(str(host.folder / "visit.py")), capture_output=True, text=True)
    assert visit.returncode == 0, visit.stderr
    return Proof(host, json.loads(visit.stdout), *work(host))


def work(host: Host) -> tuple[set[str], int | None]:
    """Run ``manage.py worker`` until it has done one task of each kind, at most 30 s, then tell it to stop."""
    path = host.data / "worker.log"
    with path.open("wb") as log:
        command = host.command("-m", "django", "worker", "--concurrency=1")
        worker = subprocess.Popen(**command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (done := tasks_done(path)) >= WORK and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    worker.terminate()
    try:
        return done, worker.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        return done, None


def tasks_done(log: Path) -> set[str]:
    lines = [line for line in log.read_text().splitlines() if " succeeded in " in line]
    return {line.partition("Task ")[2].partition("[")[0] for line in lines}


def files_below(folder: Path) -> set[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "__pycache__" not in name}


def test_the_wheel_holds_both_apps_their_templates_and_their_assets_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    apps = {f"{app}/{name}" for app in ("evaluations", "pilots") for name in files_below(ROOT / app)}
    templates = {f"pilots/templates/{name}" for name in files_below(ROOT / "templates")}
    assert names == apps | templates | ASSETS
    assert "pilots/migrations/0001_initial.py" in names  # a walk that finds nothing would agree with an empty wheel


def test_nothing_of_a_host_is_shadowed(wheel: Path) -> None:
    """Templates and static files have one name space in a project: all of ours are below our own name."""
    with zipfile.ZipFile(wheel) as archive:
        parts = [name.split("/") for name in archive.namelist()]
    assert {path[0] for path in parts if ".dist-info" not in path[0]} == {"evaluations", "pilots"}
    for kind in ("templates", "static"):
        assert {path[2] for path in parts if path[1] == kind} == {"pilots"}


def test_a_bare_host_runs_on_the_wheel_alone(proofs: dict[str, Proof]) -> None:
    """``check``, ``migrate``, ``makemigrations --check``, ``collectstatic``, ``apply`` and ``export`` went well."""
    bare = proofs["bare"]
    assert bare.seen["packages"] == [str(bare.host.folder / "installed" / name) for name in ("evaluations", "pilots")]
    # One by the command, and by the worker the one that was asked for on a page.
    assert len(list((bare.host.data / "var" / "exports").rglob("*.xlsx"))) == 2


def test_every_page_answers_under_the_prefix(proofs: dict[str, Proof]) -> None:
    seen = proofs["bare"].seen
    assert seen["refused"] == [302, "/switching/sign-in/?next=/switching/"]
    forms = {
        "sign-out": 405,
        "choose-team": 405,
        "write-export": 405,
        "read-notices": 405,
        "wake": 405,
    }  # for POST only
    forms |= {"snooze": 404, "prepare": 404}  # of a matter, and of a model, that the address names
    assert {name: status for name, status in seen["pages"].items() if status != 200} == {"sign-in": 302, **forms}
    assert {"home", "list", "retention", "exports", "pilot", "signed out"} <= set(seen["pages"])


def test_every_address_on_the_pages_is_ours_or_an_asset_that_is_there(proofs: dict[str, Proof]) -> None:
    bare = proofs["bare"]
    assert [address for address in bare.seen["addresses"] if not address.startswith("/switching/")] == []
    assets = [address.removeprefix("/assets/") for address in bare.seen["assets"]]
    assert [asset for asset in assets if not (bare.host.data / "static" / asset).is_file()] == []
    named = {asset.removeprefix("pilots/vendor/").partition(".")[0] for asset in assets if "/vendor/" in asset}
    assert named == {"htmx-2", "swagger-ui", "swagger-ui-bundle"}


def test_the_api_answers_under_the_prefix(proofs: dict[str, Proof]) -> None:
    """With nothing of ours in the host's settings: no ``REST_FRAMEWORK``, no further app."""
    assert proofs["bare"].seen["api"] == {
        "signed out": 401,
        "servers": [{"url": "http://testserver/switching/api/v1"}],
        "pilots": ["triage-to-mai"],
    }


def test_without_a_celery_app_of_its_own_a_host_gets_ours_and_a_broker_of_files(proofs: dict[str, Proof]) -> None:
    seen = proofs["bare"].seen
    assert (seen["celery"], seen["schedule"]) == ("evaluations", SCHEDULE)
    assert seen["queued"] == ["export", "replay"]


def test_with_a_celery_app_of_its_own_a_host_keeps_it_as_it_was(proofs: dict[str, Proof]) -> None:
    seen = proofs["with celery"].seen
    assert (seen["celery"], seen["schedule"]) == ("hostcelery", ["nightly", *SCHEDULE])
    assert seen["queued"] == ["export", "replay"]
    assert {name for name, late in seen["late"].items() if not late} == {"hostcelery.of_the_host"}


@pytest.mark.parametrize("kind", ["bare", "with celery"])
def test_the_worker_command_works_off_hints_and_sweeps_and_stops(kind: str, proofs: dict[str, Proof]) -> None:
    assert (proofs[kind].done, proofs[kind].ended) == (WORK, 0)


def test_the_worker_command_explains_itself(proofs: dict[str, Proof]) -> None:
    command = proofs["bare"].host.command("-m", "django", "worker", "--help")
    done = subprocess.run(**command, capture_output=True, text=True)
    assert (done.returncode, "--concurrency" in done.stdout) == (0, True)
