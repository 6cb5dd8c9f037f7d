"""The workers' side of exports. Public surface: ``write_due_export``, ``due_exports``, ``remove_old_files``.

As with replays, a row is claimed by lease and every change of it is one conditional UPDATE: of two workers one writes,
and what a killed worker has begun is written again when its lease has run out.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.db import DatabaseError, transaction
from django.db.models import F, Q, QuerySet

from evaluations.services.audit import Actor, record
from evaluations.services.errors import Refused
from evaluations.services.leases import lease_until
from evaluations.services.work import Stop, never, new_owner
from pilots.conf import setting
from pilots.enums import ExportState
from pilots.models import ExportFile
from pilots.services.export_files import WORKSHOP, as_asked, deliver, exports_folder, written_file
from pilots.services.held_rows import BrokenOff, Clock, held

logger = logging.getLogger(__name__)

# Begun so often and never ended: it takes its worker with it.
ATTEMPTS = 3
BROKEN_OFF = f"writing it was broken off {ATTEMPTS} times; ask for less of it, or look into the worker's log"
OUR_ERROR = "an error of ours; the worker's log says more"
_LOOKED_AT = 20
_ABANDONED_SECONDS = 24 * 3600


def due_exports(now: datetime) -> QuerySet[ExportFile]:
    """In nobody's hands, those that wait longest first."""
    lost = Q(state=ExportState.WRITING, lease_expires_at__lte=now)
    return ExportFile.objects.filter(Q(state=ExportState.PENDING) | lost).order_by("asked_at", "pk")


def write_due_export(*, clock: Clock, stopping: Stop = never) -> ExportFile | None:
    """Write the export that waits longest, or say why not on its row; None: none is due.

    Told to stop, it gives the export back as it was.
    """
    claimed = _claim(now=clock())
    if claimed is None:
        return None
    export, owner = claimed
    try:
        with _held(export, owner, clock=clock, stopping=stopping) as watch:
            wish = as_asked(export)
            with (
                written_file(wish, folder=exports_folder(), prefix=_prefix(export), watch=watch) as made,
                transaction.atomic(),
            ):
                # Whoever lost the lease meanwhile changes nothing and leaves no file.
                if _ours(export, owner).update(sheet=""):
                    deliver(made, export, to=None, at=clock())
    except BrokenOff:
        _ours(export, owner).update(state=ExportState.PENDING, attempts=F("attempts") - 1, lease_expires_at=None)
    except Refused as refusal:
        _fail(export, owner, refusal.message, at=clock())
    except OSError as error:
        logger.exception("export %s", export.pk)
        _fail(export, owner, f"the file could not be written: {error.strerror or error}", at=clock())
    except DatabaseError:
        raise  # nothing can be noted now; the lease runs out and it is written again
    except Exception:
        logger.exception("export %s", export.pk)
        _fail(export, owner, OUR_ERROR, at=clock())
    export.refresh_from_db()
    return export


def _claim(*, now: datetime) -> tuple[ExportFile, str] | None:
    due = due_exports(now)
    for pk, attempts, previous in due.values_list("pk", "attempts", "lease_owner")[:_LOOKED_AT]:
        row = due_exports(now).filter(pk=pk, lease_owner=previous)
        owner = new_owner()
        taken = {"state": ExportState.WRITING, "lease_owner": owner, "lease_expires_at": lease_until(now)}
        if not row.update(attempts=F("attempts") + 1, sheet="", rows=0, **taken):
            continue
        export = ExportFile.objects.select_related("written_by").get(pk=pk)
        # What the former owner left behind, prompts perhaps, lies in a folder of its own.
        for workshop in exports_folder().glob(f"{_prefix(export)}*"):
            shutil.rmtree(workshop, ignore_errors=True)
        if attempts >= ATTEMPTS:
            _fail(export, owner, BROKEN_OFF, at=now)
            continue
        return export, owner
    return None


def _prefix(export: ExportFile) -> str:
    return f"{WORKSHOP}{export.pk}-"


def _ours(export: ExportFile, owner: str) -> QuerySet[ExportFile]:
    return ExportFile.objects.filter(pk=export.pk, state=ExportState.WRITING, lease_owner=owner)


@contextmanager
def _held(export: ExportFile, owner: str, *, clock: Clock, stopping: Stop) -> Iterator[Callable[[str, int], None]]:
    """Yields what the writing tells its progress; it raises ``BrokenOff`` where the writing is to end."""
    told: dict[str, object] = {"sheet": "", "rows": 0}
    before, current = 0, 0  # rows of finished sheets, and of the one being written
    with held(_ours(export, owner), name=f"export {export.pk}", told=told, clock=clock, stopping=stopping) as go_on:

        def watch(sheet: str, rows: int) -> None:
            nonlocal before, current
            if rows < current:
                before += current
            current = rows
            told.update(sheet=sheet[:120], rows=before + current)
            go_on()

        yield watch


def _fail(export: ExportFile, owner: str, reason: str, *, at: datetime) -> None:
    with transaction.atomic():
        ended = {"state": ExportState.FAILED, "reason": reason[:300], "lease_expires_at": None, "sheet": ""}
        if _ours(export, owner).update(**ended):
            _note(export, "export.failed", at=at, reason=reason[:300])


def remove_old_files(*, now: datetime) -> int:
    """Remove the files in our own folder that were kept their time (setting ``EXPORT_DAYS``); their records stay."""
    _clear_up(now)
    days = setting("EXPORT_DAYS")
    if not days:
        return 0
    removed = 0
    old = ExportFile.objects.filter(written_at__lt=now - timedelta(days=days), removed_at=None)
    for export in old.filter(path__startswith=f"{exports_folder()}/").order_by("pk")[:100]:
        with transaction.atomic():
            if not old.filter(pk=export.pk).update(removed_at=now):
                continue
            # The same bytes under the same name are one file; it goes with the last of its records.
            if not ExportFile.objects.filter(path=export.path, removed_at=None).exists():
                path = Path(export.path)
                path.unlink(missing_ok=True)
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
            _note(export, "export.removed", at=now)
            removed += 1
    return removed


def _clear_up(now: datetime) -> None:
    """What a killed command left behind; a worker's own is cleared up by the next one that claims its export."""
    for workshop in exports_folder().glob(f"{WORKSHOP}*"):
        with suppress(OSError):  # another worker clears up as well
            if now.timestamp() - workshop.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(workshop, ignore_errors=True)


def _note(export: ExportFile, action: str, *, at: datetime, **data: str) -> None:
    record(
        by=Actor.task("export"),
        at=at,
        action=action,
        object_type="export",
        object_id=export.pk,
        object_label=str(export),
        data={"key": export.key, **data},
    )
