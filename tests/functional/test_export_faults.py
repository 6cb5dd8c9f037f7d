"""A worker is killed just before its file gets its name; another writes the export again, and nothing is left over."""

from __future__ import annotations

import signal
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

import pytest
from django.conf import settings
from django.utils import timezone

from evaluations.models import AuditEvent
from evaluations.services.audit import Actor
from pilots.enums import ExportState
from pilots.models import ExportFile
from pilots.services.exports import ask_for_export
from tests import factories as make
from tests.workers import Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]


def exported() -> set[Path]:
    """All files beside the exports: those of other tests too."""
    return {path for path in (settings.PILOTS_DATA_DIR / "exports").rglob("*") if path.is_file()}


def test_a_killed_workers_export_is_written_again_once(tmp_path: Path) -> None:
    make.rolled_back_pilot("one")
    pages_before, files_before = set(Path(gettempdir()).glob("openpyxl.*")), exported()
    ana = Actor.person(make.user("ana", is_superuser=True))
    asked = ask_for_export(key="portfolio", filters={}, by=ana, at=timezone.now())

    worker = Worker(tmp_path / "worker.log", fault="before_export")
    assert worker.ended(seconds=60) == -signal.SIGKILL
    asked.refresh_from_db()
    assert (asked.state, asked.attempts, asked.sha256) == (ExportState.WRITING, 1, "")
    assert exported() != files_before  # half way, under a name of its own

    worker = Worker(tmp_path / "worker.log")
    try:
        until(lambda: ExportFile.objects.get().state is ExportState.DONE, seconds=60)
    finally:
        worker.kill()
    written = ExportFile.objects.get()
    assert written.attempts == 2
    assert exported() - files_before == {Path(written.path)}
    assert sha256(Path(written.path).read_bytes()).hexdigest() == written.sha256
    assert AuditEvent.objects.filter(action="export.written").count() == 1
    assert set(Path(gettempdir()).glob("openpyxl.*")) <= pages_before  # where nobody would look for them
