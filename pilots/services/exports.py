"""Asking for files. Public surface: ``ask_for_export``, ``retry_export``, ``write_export``.

A file that is asked for is a row first, which a worker writes (``services/export_jobs.py``); a command writes its own
at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Conflict, Refused
from pilots.enums import Audience, ExportState, FileFormat
from pilots.models import ExportFile
from pilots.services.export_files import deliver, exports_folder, wish_of, written_file
from pilots.tasks import hint_to_write

register_actions(
    {
        "export.asked": "asked for export",
        "export.retried": "asked again for export",
        "export.written": "wrote export",
        "export.failed": "could not write export",
        "export.removed": "removed the old file of export",
    }
)
_OPEN = (ExportState.PENDING, ExportState.WRITING)


@transaction.atomic
def ask_for_export(
    *,
    key: str,
    filters: Mapping[str, Any],
    by: Actor,
    at: datetime,
    audience: str = Audience.FULL,
    format: FileFormat = FileFormat.XLSX,
) -> ExportFile:
    """Have a worker write one export as seen by ``by``, with ``at`` as its present.

    A wish that the same person has open already is that same export. Raises ``Refused`` for an unknown key or
    audience, unreadable filters, and a format that this site cannot write.
    """
    wish = wish_of(key=key, filters=filters, audience=audience, format=format, by=by, at=at)
    wanted: dict[str, Any] = {
        "key": wish.exporter.key,
        "filters": wish.stored_filters,
        "format": format,
        "source": by.source,
    }
    wanted |= {"audience": wish.audience, "vendor": wish.vendor, "written_by": by.user}
    export = ExportFile.objects.filter(state__in=_OPEN, **wanted).first()
    if export is None:
        export = ExportFile.objects.create(asked_at=at, **wanted)
        _note(export, "export.asked", by=by, at=at)
    transaction.on_commit(hint_to_write)
    return export


@transaction.atomic
def retry_export(*, export: ExportFile, by: Actor, at: datetime) -> ExportFile:
    """Have an export that failed written after all, with ``at`` as its present. Raises ``Conflict`` for any other."""
    anew = {"state": ExportState.PENDING, "reason": "", "attempts": 0, "asked_at": at}
    if not ExportFile.objects.filter(pk=export.pk, state=ExportState.FAILED).update(**anew):
        raise Conflict("it did not fail, or somebody has asked for it again already")
    export.refresh_from_db()
    _note(export, "export.retried", by=by, at=at)
    transaction.on_commit(hint_to_write)
    return export


def write_export(
    *,
    key: str,
    filters: Mapping[str, Any],
    by: Actor,
    at: datetime,
    audience: str = Audience.FULL,
    output: Path | None = None,
) -> ExportFile:
    """Write one export as seen by ``by`` here and now, and record who was given what.

    A person gets the pilots of their teams, and content only where they may read it. The file goes to ``output``
    (its ending decides the format), by default below ``exports`` in the data directory, in a folder named by its
    digest: nobody's file is replaced by another's. It appears whole or not at all. Raises ``Refused`` for an unknown
    key or audience, bad filters, an unusable output, and more rows than a sheet holds.
    """
    wish = wish_of(key=key, filters=filters, audience=audience, format=_format(output), by=by, at=at)
    to = None if output is None else output.absolute()
    export = ExportFile(
        key=wish.exporter.key,
        filters=wish.stored_filters,
        audience=wish.audience,
        vendor=wish.vendor,
        format=wish.format,
        asked_at=at,
        source=by.source,
        written_by=by.user,
    )
    with written_file(wish, folder=exports_folder() if to is None else to.parent) as made, transaction.atomic():
        return deliver(made, export, to=to, at=at)


def _format(output: Path | None) -> FileFormat:
    if output is None:
        return FileFormat.XLSX
    ending = output.suffix.lower()[1:]
    if ending not in FileFormat._value2member_map_:
        raise Refused(f"{output}: the name must end in .xlsx, .csv or .parquet", field="output")
    return FileFormat(ending)


def _note(export: ExportFile, action: str, *, by: Actor, at: datetime) -> None:
    data = {"key": export.key, "filters": export.filters, "audience": export.for_whom, "format": str(export.format)}
    record(by=by, at=at, action=action, object_type="export", object_id=export.pk, object_label=export.key, data=data)
