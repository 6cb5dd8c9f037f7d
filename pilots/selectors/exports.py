"""Files that were given out. Public surface: ``exports_of``, ``ExportRow``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from pilots.enums import Audience
from pilots.models import ExportFile
from pilots.selectors.access import PilotAccess


@dataclass(frozen=True, slots=True)
class ExportRow:
    pk: int
    key: str
    file_name: str
    audience: Audience
    filters: tuple[tuple[str, str], ...]
    rows: int  # over all sheets
    sheets: int
    sha256: str
    written_at: datetime
    on_disk: bool  # False: the file was removed, its record stays


def exports_of(access: PilotAccess) -> tuple[ExportRow, ...]:
    """What the person wrote, newest first: a file may span all of its writer's teams."""
    return tuple(
        ExportRow(
            pk=row.pk,
            key=row.key,
            file_name=row.file_name,
            audience=row.audience,
            filters=tuple(_words(row.filters)),
            rows=sum(row.sheets.values()),
            sheets=len(row.sheets),
            sha256=row.sha256,
            written_at=row.written_at,
            on_disk=Path(row.path).is_file(),
        )
        for row in export_files(access)
    )


def _words(filters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What narrows the export; how it is read stands in the file."""
    for name, value in filters.items():
        if value and name not in ("days", "min_at_risk"):
            yield name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def export_files(access: PilotAccess) -> QuerySet[ExportFile]:
    """The files that the person may fetch."""
    files = ExportFile.objects.order_by("-written_at")
    return files if access.user.is_superuser else files.filter(written_by=access.user)
