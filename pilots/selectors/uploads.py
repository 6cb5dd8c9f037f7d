"""Files that people brought. Public surface: ``uploads_of``, ``upload_row``, ``visible_uploads``, ``histories_of``,
``imports_of``, ``UploadRow``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db.models import QuerySet

from evaluations.models import Workload
from pilots.enums import UploadKind, UploadState
from pilots.models import HistoryImport, Upload
from pilots.selectors.access import PilotAccess

_LISTED = 20


@dataclass(frozen=True, slots=True)
class UploadRow:
    pk: int
    file_name: str
    size: int  # bytes
    state: UploadState
    reason: str  # why it was refused; ''
    step: str  # how far it is; '': not begun, or over
    uploaded_at: datetime
    uploaded_by: str  # '': gone
    read: int | None  # lines; None: not read yet
    stored: int
    duplicates: int
    rejected: int
    redacted: tuple[tuple[str, int], ...]  # by kind
    sample_set: int | None  # None: no line had a prompt, or it is not read yet
    has_rejects: bool  # their list can be fetched

    @property
    def open(self) -> bool:
        """Whether it will change by itself."""
        return self.state in (UploadState.PENDING, UploadState.READING)


def visible_uploads(access: PilotAccess) -> QuerySet[Upload]:
    """Samples that were brought for the workloads of the person's teams."""
    return Upload.objects.filter(kind=UploadKind.SAMPLES, workload__team__in=access.teams())


def uploads_of(workload: Workload) -> tuple[UploadRow, ...]:
    """The last of a workload, newest first. One query."""
    rows = Upload.objects.filter(workload=workload, kind=UploadKind.SAMPLES).select_related("uploaded_by")
    return tuple(map(upload_row, rows[:_LISTED]))


def upload_row(row: Upload) -> UploadRow:
    result = row.result
    return UploadRow(
        pk=row.pk,
        file_name=row.file_name,
        size=row.size,
        state=row.state,
        reason=row.reason,
        step=row.step,
        uploaded_at=row.uploaded_at,
        uploaded_by=row.uploaded_by.get_username() if row.uploaded_by else "",
        read=result.get("read"),
        stored=result.get("stored", 0),
        duplicates=result.get("duplicates", 0),
        rejected=result.get("rejected", 0),
        redacted=tuple((kind.replace("_", " "), n) for kind, n in result.get("redacted", {}).items()),
        sample_set=row.sample_set_id,
        has_rejects=bool(row.rejects_path) and Path(row.rejects_path).is_file(),
    )


def histories_of(access: PilotAccess) -> QuerySet[Upload]:
    """Histories that the person brought: a file may name all of their teams."""
    histories = Upload.objects.filter(kind=UploadKind.HISTORY)
    return histories if access.user.is_superuser else histories.filter(uploaded_by=access.user)


def imports_of(access: PilotAccess) -> QuerySet[HistoryImport]:
    """Imports of past switches, newest first: the person's own, or whoever runs the site all of them."""
    imports = HistoryImport.objects.all()
    return imports if access.user.is_superuser else imports.filter(user=access.user)
