"""What every test runs under: loopback sockets only, append-only triggers at work (settings: ``tests/settings.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.bills")
# How fast a machine is, and how busy, proves nothing about a property.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _loopback_only(socket_allow_hosts_loopback: None) -> None:
    """Nothing but loopback can be reached."""


@pytest.fixture
def socket_allow_hosts_loopback() -> Iterator[None]:
    from pytest_socket import _remove_restrictions, socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    yield
    _remove_restrictions()


@pytest.fixture(autouse=True, scope="session")
def _lift_triggers_for_flush() -> Iterator[None]:
    """Transactional tests empty tables with DELETE on SQLite; the triggers step aside there, and only there."""
    from django.core.management.commands import flush
    from django.db import connections

    from evaluations.models import AuditHead
    from evaluations.models.append_only import lift

    tables = (
        "evaluations_auditevent",
        "evaluations_reviewanswer",
        "pilots_pilotevent",
        "pilots_eventattachment",
    )
    original = flush.Command.handle

    def handle(self: flush.Command, **options: object) -> None:
        connection = connections[str(options["database"])]
        with lift(connection, *tables):
            # Permissions and content types are not used by the tests, and take most of a flush to write anew.
            original(self, **{**options, "inhibit_post_migrate": True})
        AuditHead.objects.get_or_create(pk=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush.Command, "handle", handle)
        yield


@pytest.fixture
def data_dir(tmp_path: Path, settings: object) -> Path:
    """A data directory for one test."""
    settings.PILOTS_DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path
