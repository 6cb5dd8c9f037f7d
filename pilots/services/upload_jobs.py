"""The workers' side of uploads. Public surface: ``read_due_upload``, ``due_uploads``, ``remove_old_uploads``.

As with exports, a row is claimed by lease and every change of it is one conditional UPDATE. An import that was broken
off is simply done again: what it has stored is found there.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, Q, QuerySet

from evaluations.enums import AuditSource
from evaluations.services.audit import Actor, record
from evaluations.services.errors import Refused
from evaluations.services.leases import lease_until
from evaluations.services.sample_choice import parse_quota
from evaluations.services.samples import ImportReport, import_samples
from evaluations.services.work import Stop, never, new_owner
from pilots.enums import UploadState
from pilots.models import Upload
from pilots.services.brought import brought_folder, forget_file
from pilots.services.held_rows import BrokenOff, Clock, held

logger = logging.getLogger(__name__)

# Begun so often and never ended: it takes its worker with it.
ATTEMPTS = 3
BROKEN_OFF = f"reading it was broken off {ATTEMPTS} times; look into the worker's log"
OUR_ERROR = "an error of ours; the worker's log says more"
_LOOKED_AT = 20
_ABANDONED_SECONDS = 24 * 3600


def due_uploads(now: datetime) -> QuerySet[Upload]:
    """In nobody's hands, those that wait longest first."""
    lost = Q(state=UploadState.READING, lease_expires_at__lte=now)
    return Upload.objects.filter(Q(state=UploadState.PENDING) | lost).order_by("uploaded_at", "pk")


def read_due_upload(*, clock: Clock, stopping: Stop = never) -> Upload | None:
    """Import the file that waits longest, or say why not on its row; None: none is due.

    Told to stop, it gives the file back as it was.
    """
    claimed = _claim(now=clock())
    if claimed is None:
        return None
    upload, owner = claimed
    try:
        told = {"step": ""}
        with held(_ours(upload, owner), name=f"upload {upload.pk}", told=told, clock=clock, stopping=stopping) as go_on:

            def watch(step: str) -> None:
                told["step"] = step[:120]
                go_on()

            report = _imported(upload, watch, at=clock())
        _end(upload, owner, at=clock(), report=report)
    except BrokenOff:
        _ours(upload, owner).update(state=UploadState.PENDING, attempts=F("attempts") - 1, lease_expires_at=None)
    except Refused as refusal:
        _end(upload, owner, at=clock(), reason=refusal.message)
    except OSError as error:
        logger.exception("upload %s", upload.pk)
        _end(upload, owner, at=clock(), reason=f"the file could not be read: {error.strerror or error}")
    except DatabaseError:
        raise  # nothing can be noted now; the lease runs out and it is read again
    except Exception:
        logger.exception("upload %s", upload.pk)
        _end(upload, owner, at=clock(), reason=OUR_ERROR)
    upload.refresh_from_db()
    return upload


def _imported(upload: Upload, watch: Callable[[str], None], *, at: datetime) -> ImportReport:
    if upload.workload is None:
        raise AssertionError("the database refuses samples without a workload")
    options: dict[str, Any] = dict(upload.options)
    quotas = [parse_quota(text) for text in options.pop("quotas", [])]
    return import_samples(
        workload=upload.workload,
        path=Path(upload.path),
        by=_who(upload),
        at=at,
        quotas=quotas,
        progress=watch,
        **options,
    )


def _who(upload: Upload) -> Actor:
    person = upload.uploaded_by
    return Actor.task("upload") if person is None else Actor.person(person, AuditSource.WEB)


def _claim(*, now: datetime) -> tuple[Upload, str] | None:
    due = due_uploads(now)
    for pk, attempts, previous in due.values_list("pk", "attempts", "lease_owner")[:_LOOKED_AT]:
        row = due_uploads(now).filter(pk=pk, lease_owner=previous)
        owner = new_owner()
        taken = {"state": UploadState.READING, "lease_owner": owner, "lease_expires_at": lease_until(now)}
        if not row.update(attempts=F("attempts") + 1, step="", **taken):
            continue
        upload = Upload.objects.select_related("workload__team", "uploaded_by").get(pk=pk)
        if attempts >= ATTEMPTS:
            _end(upload, owner, at=now, reason=BROKEN_OFF)
            continue
        return upload, owner
    return None


def _ours(upload: Upload, owner: str) -> QuerySet[Upload]:
    return Upload.objects.filter(pk=upload.pk, state=UploadState.READING, lease_owner=owner)


def _end(upload: Upload, owner: str, *, at: datetime, report: ImportReport | None = None, reason: str = "") -> None:
    """Whoever lost the lease meanwhile changes nothing."""
    ended: dict[str, Any] = {"lease_expires_at": None, "step": "", "path": "", "finished_at": at}
    data: dict[str, Any] = {"reason": reason[:500]}
    action = "upload.failed"
    if report is None:
        ended |= {"state": UploadState.FAILED, **data}
    else:
        data = {
            "read": report.read,
            "stored": report.stored,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
            "redacted": dict(report.redacted),
            "digest": report.digest,
        }
        rejects = "" if report.rejects_file is None else str(report.rejects_file)
        ended |= {"state": UploadState.DONE, "result": data, "rejects_path": rejects, "sample_set": report.sample_set}
        action = "upload.read"
    with transaction.atomic():
        if not _ours(upload, owner).update(**ended):
            return
        record(
            by=_who(upload),
            at=at,
            action=action,
            object_type="upload",
            object_id=upload.pk,
            object_label=upload.file_name,
            team=None if upload.workload is None else upload.workload.team,
            data=data,
        )
    forget_file(Path(upload.path))


def remove_old_uploads(*, now: datetime) -> int:
    """Files that nobody confirmed or that a killed process left behind, after a day; returns how many folders."""
    removed = 0
    waiting = Upload.objects.filter(state__in=[UploadState.PENDING, UploadState.READING])
    kept = {str(Path(path).parent) for path in waiting.values_list("path", flat=True)}
    for folder in brought_folder().glob("*"):
        with suppress(OSError):  # another worker clears up as well
            if str(folder) not in kept and now.timestamp() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed
