"""Whether there is room for answers, and runs that wait for it. Public surface: ``has_room``, ``show_full``.

A run pauses while the disk still takes a few rows: a full one does not even take the word that it is full.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from django.db import OperationalError, connection
from django.db.models import F

from evaluations.conf import setting
from evaluations.enums import Outcome, RunStatus
from evaluations.models import ReplayRun

_MEGABYTE = 1_000_000


def has_room() -> bool:
    """On the disk of the database's file; of a server's disk only the server knows, and calls wait where it refuses."""
    folder = Path(str(connection.settings_dict["NAME"])).parent
    if connection.vendor != "sqlite" or not folder.is_dir():
        return True
    return bool(shutil.disk_usage(folder).free >= setting("MIN_FREE_MB") * _MEGABYTE)


def show_full(run: ReplayRun) -> None:
    """``run`` goes on when there is room; until then it says what it waits for, if the disk takes that much."""
    with suppress(OperationalError):
        ReplayRun.objects.filter(pk=run.pk, status__in=[RunStatus.PENDING, RunStatus.RUNNING]).exclude(
            status_reason=Outcome.STORAGE
        ).update(status_reason=Outcome.STORAGE, version=F("version") + 1)
