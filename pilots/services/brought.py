"""Files that people bring. Public surface: ``receive_samples``, ``receive_history``, ``map_columns``,
``confirm_history``, ``forget_file``, ``brought_folder``.

A file of samples is a row first, which a worker reads (``services/upload_jobs.py``). It holds what is to be redacted,
so it lies in a folder of its own that nobody else reads, and no longer than until it has been read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.db import transaction
from django.db.models import QuerySet

from evaluations.conf import data_dir
from evaluations.models import Workload
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Conflict, Refused
from evaluations.services.sample_choice import SampleChoice, parse_quota
from evaluations.services.sample_file import SampleFile
from pilots.conf import setting
from pilots.enums import UploadKind, UploadState
from pilots.models import HistoryImport, Upload
from pilots.services.history_columns import checked, guess, headers_of
from pilots.services.history_import import HistoryReport, import_history
from pilots.tasks import hint_to_read

register_actions(
    {
        "upload.received": "uploaded",
        "upload.read": "imported the samples of",
        "upload.failed": "could not import",
        "upload.confirmed": "imported the history of",
    }
)
_NAME_AT_MOST = 100
_NOT_IN_NAMES = re.compile(r"[^\w .()+-]+")


class Brought(Protocol):
    """A file as a form gives it."""

    name: str | None

    def chunks(self) -> Iterable[bytes]: ...


def receive_samples(
    *, workload: Workload, file: Brought, options: Mapping[str, Any], by: Actor, at: datetime
) -> Upload:
    """Keep ``file`` for a worker to import into the workload's pool, with ``options`` as ``import_samples`` takes them
    (``quotas`` as text).

    Raises ``Refused`` at once for options that make no sense, for a file that is too large, empty, or of no known
    format; whatever else is wrong with it the worker finds.
    """
    given = {name: value for name, value in options.items() if value not in (None, "", [])}
    choice = {name: given[name] for name in ("take", "seed", "stratify", "newest", "per_cluster") if name in given}
    SampleChoice(**choice, quotas=[parse_quota(text) for text in given.get("quotas", [])]).check()
    path = _keep(file, setting("UPLOAD_MAX_BYTES"))
    try:
        SampleFile(path, format=given.get("format", "auto"), requests=None, redactor=None)
        with transaction.atomic():
            upload = Upload.objects.create(
                kind=UploadKind.SAMPLES,
                workload=workload,
                file_name=path.name,
                size=path.stat().st_size,
                path=str(path),
                options=given,
                uploaded_at=at,
                uploaded_by=by.user,
            )
            data = {"workload": workload.slug, "bytes": upload.size, "options": given}
            _note(upload, "upload.received", by=by, at=at, data=data)
            transaction.on_commit(hint_to_read)
    except BaseException as error:
        forget_file(path)
        if isinstance(error, Refused) and not error.field:
            raise Refused(error.message, field="file") from None
        raise
    return upload


def receive_history(*, file: Brought, by: Actor, at: datetime) -> Upload:
    """Keep a spreadsheet of past switches until its columns are confirmed, with a guess at them.

    Raises ``Refused`` for a file that is too large or no table with rows.
    """
    path = _keep(file, setting("HISTORY_MAX_BYTES"))
    try:
        mapping = guess(headers_of(path))
        with transaction.atomic():
            upload = Upload.objects.create(
                kind=UploadKind.HISTORY,
                state=UploadState.DRAFT,
                file_name=path.name,
                size=path.stat().st_size,
                path=str(path),
                options={"mapping": mapping},
                uploaded_at=at,
                uploaded_by=by.user,
            )
            _note(upload, "upload.received", by=by, at=at, data={"bytes": upload.size})
    except BaseException:
        forget_file(path)
        raise
    return upload


def map_columns(*, upload: Upload, mapping: Mapping[str, str]) -> None:
    """Read the file's columns so from now on. Raises ``Refused`` for a mapping that cannot be, ``Conflict`` where it is
    imported already."""
    chosen = checked(mapping, headers_of(Path(upload.path)))
    upload.options = {**upload.options, "mapping": chosen}
    if not _drafts(upload).update(options=upload.options):
        raise Conflict("the file is imported already")


def confirm_history(
    *, upload: Upload, teams: Collection[str] | None, by: Actor, at: datetime, dry_run: bool = False
) -> HistoryReport:
    """Import the file as its columns are mapped, once; with ``dry_run`` only say what would be done.

    Raises ``Refused`` as ``import_history`` does, ``Conflict`` where it is imported already.
    """
    path, mapping = Path(upload.path), upload.options["mapping"]
    with transaction.atomic():
        if not _drafts(upload).update(state=UploadState.DRAFT if dry_run else UploadState.DONE):
            raise Conflict("the file is imported already")
        report = import_history(path=path, by=by, at=at, dry_run=dry_run, mapping=mapping, teams=teams)
        if not dry_run:
            ended = {"path": "", "finished_at": at, "result": report.to_document()}
            Upload.objects.filter(pk=upload.pk).update(**ended)
            if report.key is not None:
                HistoryImport.objects.filter(pk=report.key).update(upload=upload)
            _note(upload, "upload.confirmed", by=by, at=at, data={"events": report.events, "pilots": report.pilots})
    if not dry_run:
        forget_file(path)
    return report


def _drafts(upload: Upload) -> QuerySet[Upload]:
    return Upload.objects.filter(pk=upload.pk, kind=UploadKind.HISTORY, state=UploadState.DRAFT)


def _note(upload: Upload, action: str, *, by: Actor, at: datetime, data: Mapping[str, Any]) -> None:
    record(
        by=by,
        at=at,
        action=action,
        object_type="upload",
        object_id=upload.pk,
        object_label=upload.file_name,
        team=None if upload.workload is None else upload.workload.team,
        data=data,
    )


def brought_folder() -> Path:
    return data_dir() / "brought"


def _keep(file: Brought, most: int) -> Path:
    """Write it below the data directory, block by block. Raises ``Refused`` where it is longer than ``most`` bytes."""
    brought_folder().mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=brought_folder())) / _plain(file.name or "")
    size = 0
    try:
        with path.open("wb") as kept:
            for block in file.chunks():
                size += len(block)
                if size > most:
                    raise Refused(f"is larger than {most // (1024 * 1024)} MB", field="file")
                kept.write(block)
    except BaseException:
        forget_file(path)
        raise
    return path


def forget_file(path: Path) -> None:
    """The file and its folder; one outside the folder of uploads is left alone."""
    if path.parent.parent == brought_folder():
        shutil.rmtree(path.parent, ignore_errors=True)


def _plain(name: str) -> str:
    """A name that is safe on a disk and on a page, with its ending."""
    name = _NOT_IN_NAMES.sub("_", Path(name).name).strip(". ") or "file"
    return name if len(name) <= _NAME_AT_MOST else f"{name[:60]}_{name[-39:]}"
