"""Exports: ask for a file, see whether it is written, fetch it. A file is its asker's alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.services.errors import Conflict
from evaluations.services.saving import Maybe
from pilots.api.base import Answer, ApiView, operation
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.enums import Audience, ExportState, FileFormat, TokenScope
from pilots.models import ExportFile
from pilots.selectors.exports import export_files
from pilots.services.exports import ask_for_export
from pilots.services.portfolio_document import Entry

_NO_CONTENT = "This token lacks the scope content: ask for the audience no-content."


@dataclass(frozen=True, slots=True)
class ExportDocument:
    id: int
    key: str
    state: ExportState
    reason: str | None  # why it failed
    filters: dict[str, Any]
    audience: str  # as asked; once written, as it became
    format: FileFormat
    asked_at: Instant
    file: str | None  # its address; None: not written yet, or removed
    file_name: str | None
    sheets: dict[str, int]  # rows by sheet
    sha256: str | None
    written_at: Instant | None


class NewExport(Entry):
    key: str
    filters: dict[str, Any] = {}  # as on the command line
    audience: str = Audience.FULL.value  # full, no-content, vendor:SLUG
    format: FileFormat = FileFormat.XLSX


class ExportPage(PageQuery):
    key: Maybe[str] = UNSET
    state: Maybe[ExportState] = UNSET


def _exports(rows: Sequence[ExportFile]) -> Iterator[ExportDocument]:
    for row in rows:
        there = row.state is ExportState.DONE and row.removed_at is None
        yield ExportDocument(
            id=row.pk,
            key=row.key,
            state=row.state,
            reason=row.reason or None,
            filters=row.filters,
            audience=row.for_whom,
            format=row.format,
            asked_at=row.asked_at,
            file=reverse("pilots:api:export-file", args=[row.pk]) if there else None,
            file_name=row.file_name or None,
            sheets=row.sheets,
            sha256=row.sha256 or None,
            written_at=row.written_at,
        )


class Exports(ApiView):
    @operation(
        "list_exports", "List the files you asked for, newest first", answers=Page[ExportDocument], query=ExportPage
    )
    def get(self, request: Request, query: ExportPage) -> Page[ExportDocument]:
        rows = export_files(self.access)
        rows = narrowed(rows, query, key="key", state="state")
        return page_of(request, query, rows, _exports, order="-pk")

    @operation(
        "ask_for_export",
        "Ask for a workbook or another file",
        answers=ExportDocument,
        status=HTTPStatus.ACCEPTED,
        body=NewExport,
        scopes=(TokenScope.READ, TokenScope.WRITE),
    )
    def post(self, request: Request, body: NewExport) -> Answer:
        """A worker writes it; the address in Location says when."""
        self.allow(TokenScope.CONTENT in self.scopes or body.audience == Audience.NO_CONTENT, _NO_CONTENT)
        export = ask_for_export(
            key=body.key,
            filters=body.filters,
            by=self.actor,
            at=self.now,
            audience=body.audience,
            format=body.format,
        )
        return Answer(next(_exports([export])), headers={"Location": reverse("pilots:api:export", args=[export.pk])})


class OfAnExport(ApiView):
    def export(self, pk: int) -> ExportFile:
        return get_object_or_404(export_files(self.access), pk=pk)


class OneExport(OfAnExport):
    @operation("read_export", "Read what became of an export", answers=ExportDocument)
    def get(self, request: Request, pk: int) -> ExportDocument:
        return next(_exports([self.export(pk)]))


class ExportedFile(OfAnExport):
    @operation("fetch_export", "Fetch the file", answers="application/octet-stream")
    def get(self, request: Request, pk: int) -> FileResponse:
        export = self.export(pk)
        self.allow(TokenScope.CONTENT in self.scopes or export.audience is Audience.NO_CONTENT, _NO_CONTENT)
        if export.state in (ExportState.PENDING, ExportState.WRITING):
            raise Conflict("the file is not written yet")
        path = Path(export.path)
        if export.state is ExportState.FAILED or not path.is_file():
            raise Http404
        return FileResponse(
            path.open("rb"), as_attachment=True, filename=export.file_name, content_type="application/octet-stream"
        )
