"""Files that people bring. Public surface: ``receive_samples``, ``keep_file``, ``forget_file``, ``brought_folder``.

A file of samples is a row first, which a worker reads (``services/upload_jobs.py``). It holds what is to be redacted,
so it lies in a folder of its own that nobody else reads, and no longer than until it has been read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.db import transaction

from evaluations.conf import data_dir
from evaluations.models import Workload
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from evaluations.services.sample_choice import SampleChoice, parse_quota
from evaluations.services.sample_file import SampleFile
from pilots.conf import setting
from pilots.enums import UploadKind
from pilots.models import Upload
from pilots.tasks import hint_to_read

register_actions(
    {
        "upload.received": "uploaded",
        "upload.read": "imported the samples of",
        "upload.failed": "could not import",
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
    path = keep_file(file)
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
            record(
                by=by,
                at=at,
                action="upload.received",
                object_type="upload",
                object_id=upload.pk,
                object_label=upload.file_name,
                team=workload.team,
                data={"workload": workload.slug, "bytes": upload.size, "options": given},
            )
            transaction.on_commit(hint_to_read)
    except BaseException as error:
        forget_file(path)
        if isinstance(error, Refused) and not error.field:
            raise Refused(error.message, field="file") from None
        raise
    return upload


def brought_folder() -> Path:
    return data_dir() / "brought"


def keep_file(file: Brought) -> Path:
    """Write it below the data directory, block by block. Raises ``Refused`` where it is too large."""
    brought_folder().mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=brought_folder())) / _plain(file.name or "")
    most, size = setting("UPLOAD_MAX_BYTES"), 0
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
