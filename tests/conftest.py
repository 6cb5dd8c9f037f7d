"""What every test runs under: loopback sockets only, a data directory of its own, append-only triggers at work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before the settings are imported: a test never touches the developer's own data.
os.environ["PILOTS_DATA_DIR"] = tempfile.mkdtemp(prefix="pilots-test-")
os.environ["PILOTS_SECRET_KEY"] = "only for tests"
os.environ["PILOTS_EGRESS_ALLOW"] = "127.0.0.0/8"
os.environ.setdefault("EMAIL_URL", "memorymail://")


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    # Hashing for real costs a fifth of a second a user.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _loopback_only(socket_allow_hosts_loopback: None) -> None:
    """Nothing but loopback can be reached."""


@pytest.fixture
def socket_allow_hosts_loopback() -> Iterator[None]:
    from pytest_socket import _remove_restrictions, socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    yield
    _remove_restrictions()


@pytest.fixture(autouse=True)
def _lift_triggers_for_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactional tests empty tables with DELETE on SQLite; the triggers step aside there, and only there."""
    from django.core.management.commands import flush
    from django.db import connections

    from evaluations.models import AuditHead
    from evaluations.models.append_only import lift

    tables = ("evaluations_auditevent", "pilots_pilotevent", "pilots_eventattachment")
    original = flush.Command.handle

    def handle(self: flush.Command, **options: object) -> None:
        connection = connections[str(options["database"])]
        with lift(connection, *tables):
            original(self, **options)
        AuditHead.objects.get_or_create(pk=1)

    monkeypatch.setattr(flush.Command, "handle", handle)


@pytest.fixture
def data_dir(tmp_path: Path, settings: object) -> Path:
    """A data directory for one test."""
    settings.PILOTS_DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path
