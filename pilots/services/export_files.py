"""How an export becomes a file. Public surface: ``Wish``, ``wish_of``, ``as_asked``, ``written_file``, ``Made``,
``deliver``, ``exports_folder``, ``WORKSHOP``, ``Watch``.

Nothing is seen of a file before it is whole: it is written under a temporary name, and gets its own by a rename in the
transaction that records who was given what.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from evaluations.conf import data_dir
from evaluations.enums import AuditSource
from evaluations.faults import reached
from evaluations.models import Team, Vendor
from evaluations.plugins import PluginError
from evaluations.services.audit import Actor, record
from evaluations.services.errors import Refused
from pilots.enums import Audience, ExportState, FileFormat
from pilots.exporters.base import Document, Exporter, ExportRequest, Sheet, WrittenFile
from pilots.exporters.parquet import why_not, write_parquet
from pilots.exporters.registry import EXPORTERS
from pilots.exporters.texts import file_name
from pilots.exporters.workbook import write_csv, write_xlsx
from pilots.models import ExportFile, Pilot
from pilots.selectors.access import PilotAccess
from pilots.selectors.filters import ReportFilters

# Commands and background tasks act for the site; a person acts for themselves, through whichever door.
_FOR_THE_SITE = (AuditSource.COMMAND, AuditSource.TASK)
WORKSHOP = ".writing-"  # a name's beginning: where a file lies while it is written
_TOLD_EVERY = 500  # rows
_MARK = 12  # letters of the digest that tell two files of one name apart
# Told the sheet and its rows so far; may raise to end the writing.
Watch = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, checked: a known export, readable filters, an audience that exists."""

    exporter: Exporter
    filters: ReportFilters
    audience: Audience
    vendor: str  # slug; '' unless the audience is a vendor
    format: FileFormat
    by: Actor
    at: datetime

    @property
    def for_whom(self) -> str:
        return f"{self.audience}:{self.vendor}" if self.vendor else str(self.audience)

    @property
    def stored_filters(self) -> dict[str, Any]:
        """Read again with the same present, they are the same filters."""
        asked = self.filters
        past = {} if asked.present else {"as_of": asked.as_of.isoformat(), "known_at": asked.known_at.isoformat()}
        return {**asked.to_document(), **past}

    def build(self) -> Document:
        """What the file will hold, as seen by who asked. Raises ``Refused``."""
        pilots, access = self._visible()
        request = ExportRequest(
            filters=self.filters,
            pilots=pilots,
            audience=self.for_whom,
            who=self.by.name,
            at=self.at,
            vendor=self.vendor,
            may_read_content=lambda pilot: access is None or access.may_read_content_of(pilot),
        )
        return self.exporter.build(request)

    def only_team(self) -> Team | None:
        """The team that all of it is about, if it is one."""
        covered = self.filters.apply(self._visible()[0])
        teams = list(Team.objects.filter(workloads__pilots__in=covered.values("pk")).distinct()[:2])
        return teams[0] if len(teams) == 1 else None

    def _visible(self) -> tuple[QuerySet[Pilot], PilotAccess | None]:
        """What may be seen; no access object = everything."""
        if self.by.user is not None:
            access = PilotAccess(self.by.user)
            return access.pilots(), access
        return Pilot.objects.all(), None


def wish_of(
    *, key: str, filters: Mapping[str, Any], audience: str, format: FileFormat, by: Actor, at: datetime
) -> Wish:
    """Raises ``Refused`` for an unknown key or audience, unreadable filters, and nobody to write for."""
    try:
        exporter = EXPORTERS.get(key)
    except PluginError as error:
        raise Refused(str(error), field="key") from None
    if by.user is None and by.source not in _FOR_THE_SITE:
        raise Refused("an export is written for a person, a command or a task")
    if format is FileFormat.PARQUET and (reason := why_not()):
        raise Refused(reason, field="format")
    kind, vendor = _audience(audience)
    if vendor and not getattr(exporter, "vendor_copies", False):
        raise Refused(f"{key} sets two vendors side by side and has no copy for one of them", field="audience")
    return Wish(exporter, ReportFilters.parse(filters, now=at), kind, vendor, format, by, at)


def _audience(text: str) -> tuple[Audience, str]:
    word, _, vendor = text.partition(":")
    known = Audience._value2member_map_
    if word not in known or (word == Audience.VENDOR) != bool(vendor):
        raise Refused(f"{text!r} is not one of full, no-content, vendor:SLUG", field="audience")
    if vendor and not Vendor.objects.filter(slug=vendor).exists():
        raise Refused(f"no vendor {vendor!r}", field="audience")
    return Audience(word), vendor


def _who_asked(export: ExportFile) -> Actor:
    """Raises ``Refused`` where there is no longer anybody: nothing is written for an account that was closed."""
    user = export.written_by
    if user is not None and user.is_active:
        return Actor.person(user, export.source)
    if user is None and export.source is AuditSource.COMMAND:
        return Actor.command("export")
    raise Refused("the account that asked for it was closed")


def as_asked(export: ExportFile) -> Wish:
    """The wish behind a stored export."""
    return wish_of(
        key=export.key,
        filters=export.filters,
        audience=export.for_whom,
        format=export.format,
        by=_who_asked(export),
        at=export.asked_at,
    )


@dataclass(frozen=True, slots=True)
class Made:
    """A finished file under its temporary name, and what it holds."""

    wish: Wish
    document: Document
    written: WrittenFile
    temporary: Path


def exports_folder() -> Path:
    """Where files go that nobody named a place for; web server and workers must see the same one."""
    return data_dir() / "exports"


@contextmanager
def written_file(wish: Wish, *, folder: Path, prefix: str = WORKSHOP, watch: Watch | None = None) -> Iterator[Made]:
    """The file, until the block ends; ``deliver`` keeps it. Raises ``Refused`` and whatever ``watch`` raises.

    Whatever the writing needs on the way lies in one folder beside the file, which is removed with it.
    """
    document = wish.build()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    except OSError as error:
        raise Refused(f"cannot write to {folder}: {error.strerror}", field="output") from None
    try:
        temporary = workshop / f"export.{wish.format}"
        yield Made(wish, document, _write(_watched(document, watch), temporary), temporary)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _write(document: Document, path: Path) -> WrittenFile:
    try:
        return _WRITERS[FileFormat(path.suffix[1:])](document, path)
    except ValueError as error:
        raise Refused(str(error)) from error


_WRITERS: Mapping[FileFormat, Callable[[Document, Path], WrittenFile]] = {
    FileFormat.XLSX: write_xlsx,
    FileFormat.CSV: lambda document, path: write_csv(document.sheets[0], path),
    FileFormat.PARQUET: lambda document, path: write_parquet(document.sheets[0], path),
}


def _watched(document: Document, watch: Watch | None) -> Document:
    """The same document, which tells ``watch`` how far it was read. Lists are small and not worth telling."""
    if watch is None:
        return document
    sheets = [
        sheet if isinstance(sheet.rows, list) else replace(sheet, rows=_counted(sheet, watch))
        for sheet in document.sheets
    ]
    return replace(document, sheets=sheets)


def _counted(sheet: Sheet, watch: Watch) -> Iterator[Sequence[Any]]:
    watch(sheet.title, 0)
    for number, row in enumerate(sheet.rows, 1):
        yield row
        if number % _TOLD_EVERY == 0:
            watch(sheet.title, number)


def deliver(made: Made, export: ExportFile, *, to: Path | None, at: datetime) -> ExportFile:
    """Record the file and give it its name, inside the caller's transaction. ``to``: where a command wants it."""
    wish, document, written = made.wish, made.document, made.written
    path = to or exports_folder() / written.sha256[:_MARK] / file_name(document.file_stem, wish.format.value)
    became, _, _ = document.cover.audience.partition(":")
    export.state, export.lease_owner, export.lease_expires_at = ExportState.DONE, "", None
    export.audience, export.digest = Audience(became), document.cover.digest
    export.file_name, export.path = path.name, str(path)
    export.sheets, export.rows, export.sheet = dict(written.sheets), sum(written.sheets.values()), ""
    export.sha256, export.written_at = written.sha256, at
    export.save()
    record(
        by=wish.by,
        at=at,
        action="export.written",
        object_type="export",
        object_id=export.pk,
        object_label=path.name,
        team=wish.only_team(),
        data={"key": export.key, "version": wish.exporter.version, "filters": export.filters}
        | {"audience": export.for_whom, "sha256": export.sha256},
    )
    path.parent.mkdir(exist_ok=True)
    reached("before_export")
    os.replace(made.temporary, path)
    return export
