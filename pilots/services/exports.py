"""Giving out files. Public surface: ``write_export``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from evaluations.conf import data_dir
from evaluations.enums import AuditSource
from evaluations.faults import reached
from evaluations.models import Team
from evaluations.plugins import PluginError
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from pilots.enums import Audience
from pilots.exporters.base import Document, ExportRequest, WrittenFile
from pilots.exporters.registry import EXPORTERS
from pilots.exporters.texts import file_name
from pilots.exporters.workbook import write_csv, write_xlsx
from pilots.models import ExportFile, Pilot
from pilots.selectors.access import PilotAccess
from pilots.selectors.filters import ReportFilters

register_actions({"export.written": "wrote export"})

# Commands and background tasks act for the site; a person acts for themselves, through whichever door.
_FOR_THE_SITE = (AuditSource.COMMAND, AuditSource.TASK)
_MARK = 12  # letters of the digest that tell two files of one name apart


def write_export(
    *,
    key: str,
    filters: Mapping[str, Any],
    by: Actor,
    at: datetime,
    audience: Audience = Audience.FULL,
    output: Path | None = None,
) -> ExportFile:
    """Write one export as seen by ``by``, and record who was given what.

    A person gets the pilots of their teams, and content only where they may read it. The file goes to ``output``
    (``.xlsx``, or ``.csv`` for its first sheet), by default below ``exports`` in the data directory, in a folder named
    by its digest: nobody's file is replaced by another's. It appears whole or not at all. Raises ``Refused`` for an
    unknown key, bad filters, an unusable output, and more rows than a sheet holds.
    """
    try:
        exporter = EXPORTERS.get(key)
    except PluginError as error:
        raise Refused(str(error), field="key") from None
    suffix = _suffix(output)
    asked = ReportFilters.parse(filters, now=at)
    pilots, access = _visible(by)
    document = exporter.build(
        ExportRequest(
            filters=asked,
            pilots=pilots,
            audience=audience,
            who=by.name,
            at=at,
            may_read_content=lambda pilot: access is None or access.may_read_content_of(pilot),
        )
    )
    folder = data_dir() / "exports" if output is None else output.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".writing-", suffix=suffix, dir=folder)
    except OSError as error:
        raise Refused(f"cannot write to {folder}: {error.strerror}", field="output") from None
    os.close(descriptor)
    temporary = Path(name)
    try:
        written = _write(document, temporary)
        path = _place(output, folder, document, written)
        with transaction.atomic():
            export = ExportFile.objects.create(
                key=exporter.key,
                filters=asked.to_document(),
                audience=Audience(document.cover.audience),
                file_name=path.name,
                path=str(path),
                sheets=dict(written.sheets),
                sha256=written.sha256,
                written_at=at,
                written_by=by.user,
            )
            record(
                by=by,
                at=at,
                action="export.written",
                object_type="export",
                object_id=export.pk,
                object_label=path.name,
                team=_only_team(asked.apply(pilots)),
                data={"key": export.key, "version": exporter.version, "filters": export.filters}
                | {"audience": str(export.audience), "sha256": export.sha256},
            )
            path.parent.mkdir(exist_ok=True)
            reached("before_export")
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return export


def _suffix(output: Path | None) -> str:
    suffix = ".xlsx" if output is None else output.suffix.lower()
    if suffix not in (".xlsx", ".csv"):
        raise Refused(f"{output}: the name must end in .xlsx or .csv", field="output")
    return suffix


def _visible(by: Actor) -> tuple[QuerySet[Pilot], PilotAccess | None]:
    """What ``by`` may see; no access object = everything."""
    if by.user is not None:
        access = PilotAccess(by.user)
        return access.pilots(), access
    if by.source in _FOR_THE_SITE:
        return Pilot.objects.all(), None
    raise Refused("an export is written for a person, a command or a task")


def _write(document: Document, path: Path) -> WrittenFile:
    try:
        return write_csv(document.sheets[0], path) if path.suffix == ".csv" else write_xlsx(document, path)
    except ValueError as error:
        raise Refused(str(error)) from error


def _place(output: Path | None, folder: Path, document: Document, written: WrittenFile) -> Path:
    if output is not None:
        return output.absolute()
    return folder / written.sha256[:_MARK] / file_name(document.file_stem, "xlsx")


def _only_team(pilots: QuerySet[Pilot]) -> Team | None:
    """The team that all of it is about, if it is one."""
    teams = list(Team.objects.filter(workloads__pilots__in=pilots.values("pk")).distinct()[:2])
    return teams[0] if len(teams) == 1 else None
