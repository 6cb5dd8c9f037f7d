"""The bundled site decides by its environment alone; each case reads the settings in a process of its own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evaluations.conf import REDIS_OPTIONS

ROOT = Path(__file__).resolve().parents[2]
REPORT = """
import json, sys
from config import settings
from config.celery import app
from evaluations.providers.egress_policy import EgressPolicy
database = settings.DATABASES["default"]
json.dump({
    "database": [database["ENGINE"].rpartition(".")[2], str(database["NAME"])],
    "transactions": database.get("OPTIONS", {}).get("transaction_mode"),
    "health_checks": database.get("CONN_HEALTH_CHECKS", False),
    "broker": [app.conf.broker_url, dict(app.conf.broker_transport_options).get("data_folder_in")],
    "transport": dict(app.conf.broker_transport_options),
    "default_queue": app.conf.task_default_queue,
    "serializers": [app.conf.task_serializer, app.conf.result_serializer, app.conf.accept_content],
    "secure": [settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SECURE_SSL_REDIRECT],
    "hsts": settings.SECURE_HSTS_SECONDS,
    "proxy": settings.SECURE_PROXY_SSL_HEADER,
    "trusted": settings.CSRF_TRUSTED_ORIGINS,
    "debug": settings.DEBUG,
    "hosts": settings.ALLOWED_HOSTS,
    "key": settings.SECRET_KEY,
    "mail": settings.EMAIL_BACKEND.split(".")[-2],
}, sys.stdout)
"""


def process(folder: Path, **environment: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    given = {"PILOTS_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings", **environment}
    return {"cwd": ROOT, "env": kept | given, "capture_output": True, "text": True}


def read(folder: Path, **environment: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", REPORT], **process(folder, **environment))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


NAMED = {
    "DATABASE_URL": "postgres://ana:secret@db.example:5432/pilots",
    "CELERY_BROKER_URL": "redis://broker.example:6379/1",
    "PILOTS_PUBLIC_URL": "https://pilots.example/",
    "PILOTS_SECRET_KEY": "given",
    "PILOTS_ALLOWED_HOSTS": "pilots.example,10.0.0.1",
    "PILOTS_DEBUG": "on",
    "EMAIL_URL": "smtp://mail.example:25",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "made" / "by the settings"


@pytest.fixture(scope="module")
def bare(folder: Path) -> dict[str, Any]:
    return read(folder)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read(tmp_path_factory.mktemp("named"), **NAMED)


def test_with_no_environment_everything_is_a_file_in_the_data_directory(bare: dict[str, Any], folder: Path) -> None:
    assert bare["database"] == ["sqlite3", str(folder / "pilots.sqlite3")]
    assert bare["transactions"] == "IMMEDIATE"
    assert bare["broker"] == ["files://localhost", str(folder / "broker" / "queue")]
    assert bare["mail"] == "console"
    assert (bare["debug"], bare["hosts"]) == (False, ["localhost", "127.0.0.1", "[::1]"])


def test_on_plain_http_nothing_asks_for_https(bare: dict[str, Any]) -> None:
    assert (bare["secure"], bare["hsts"], bare["proxy"]) == ([False, False, False], 0, None)
    assert bare["trusted"] == ["http://127.0.0.1:8000"]


def test_what_the_environment_names_is_used(named: dict[str, Any]) -> None:
    assert named["database"] == ["postgresql", "pilots"]
    assert named["health_checks"] is True
    assert named["broker"] == ["redis://broker.example:6379/1", None]
    assert (named["key"], named["mail"]) == ("given", "smtp")
    assert (named["debug"], named["hosts"]) == (True, ["pilots.example", "10.0.0.1"])


def test_a_public_https_address_turns_on_what_belongs_to_it(named: dict[str, Any]) -> None:
    assert (named["secure"], named["hsts"]) == ([True, True, True], 31_536_000)
    assert named["proxy"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert named["trusted"] == ["https://pilots.example"]


def test_messages_are_json_and_nothing_else(bare: dict[str, Any], named: dict[str, Any]) -> None:
    for seen in (bare, named):
        assert seen["serializers"] == ["json", "json", ["json"]]


def test_only_redis_is_given_the_options_of_redis(bare: dict[str, Any], named: dict[str, Any], tmp_path: Path) -> None:
    assert named["transport"] == REDIS_OPTIONS
    assert set(bare["transport"]) == {"data_folder_in", "data_folder_out", "control_folder", "polling_interval"}
    assert read(tmp_path, CELERY_BROKER_URL="amqp://guest@broker.example//")["transport"] == {}


HOST = """
from config.settings import *
CELERY_TASK_DEFAULT_QUEUE = "mine"
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60}
"""


def test_what_a_host_has_set_counts_before_our_defaults(tmp_path: Path) -> None:
    (tmp_path / "host_settings.py").write_text(HOST)
    given = {"DJANGO_SETTINGS_MODULE": "host_settings", "PYTHONPATH": str(tmp_path), "CELERY_BROKER_URL": "redis://x"}
    seen = read(tmp_path / "data", **given)
    assert (seen["default_queue"], seen["transport"]) == ("mine", {"visibility_timeout": 60})
    assert seen["serializers"] == ["json", "json", ["json"]]


def test_the_secret_key_is_made_once_and_is_for_its_owner_only(bare: dict[str, Any], folder: Path) -> None:
    kept = folder / "secret_key"
    assert kept.read_text() == bare["key"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(bare["key"]) >= 64
    assert read(folder)["key"] == bare["key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        keys = list(pool.map(lambda _: read(tmp_path)["key"], range(4)))
    assert keys == [(tmp_path / "secret_key").read_text()] * 4


def test_the_site_of_the_readme_passes_the_deployment_checks(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    key = "x1" * 40 + "abcdefghij"
    done = subprocess.run(
        command, **process(tmp_path, PILOTS_PUBLIC_URL="https://pilots.example", PILOTS_SECRET_KEY=key)
    )
    assert (done.returncode, done.stderr) == (0, "")
