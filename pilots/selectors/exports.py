"""Files that were asked for. Public surface: ``exports_of``, ``export_row``, ``export_files``, ``ExportRow``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from pilots.enums import ExportState, FileFormat
from pilots.models import ExportFile
from pilots.selectors.access import PilotAccess

_LISTED = 200


@dataclass(frozen=True, slots=True)
class ExportRow:
    pk: int
    key: str
    state: ExportState
    reason: str  # why it failed; ''
    for_whom: str  # in words
    format: FileFormat
    filters: tuple[tuple[str, str], ...]
    asked_at: datetime
    sheet: str  # being written; '': none now
    rows: int  # over all sheets, so far
    sheets: int  # 0 until it is written
    file_name: str  # '' until it is written
    sha256: str  # '' until it is written
    written_at: datetime | None
    on_disk: bool  # False: not written yet, or the file was removed and its record stays

    @property
    def open(self) -> bool:
        """Whether it will change by itself."""
        return self.state in (ExportState.PENDING, ExportState.WRITING)


def exports_of(access: PilotAccess) -> tuple[ExportRow, ...]:
    """What the person asked for, newest first: a file may span all of its writer's teams."""
    return tuple(export_row(row) for row in export_files(access)[:_LISTED])


def export_row(row: ExportFile) -> ExportRow:
    return ExportRow(
        pk=row.pk,
        key=row.key,
        state=row.state,
        reason=row.reason,
        for_whom=f"{row.audience.label}: {row.vendor}" if row.vendor else row.audience.label,
        format=row.format,
        filters=tuple(_words(row.filters)),
        asked_at=row.asked_at,
        sheet=row.sheet,
        rows=row.rows or sum(row.sheets.values()),
        sheets=len(row.sheets),
        file_name=row.file_name,
        sha256=row.sha256,
        written_at=row.written_at,
        on_disk=row.state is ExportState.DONE and row.removed_at is None and Path(row.path).is_file(),
    )


def _words(filters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What narrows the export; how it is read stands in the file."""
    for name, value in filters.items():
        if value and name not in ("days", "min_at_risk"):
            yield name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def export_files(access: PilotAccess) -> QuerySet[ExportFile]:
    """Those that the person may see and fetch."""
    files = ExportFile.objects.order_by("-asked_at", "-pk")
    return files if access.user.is_superuser else files.filter(written_by=access.user)
