"""Workbooks: the list, each one's page while it is written, the files, and the buttons that ask for one."""

from __future__ import annotations

from pathlib import Path

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from evaluations.models import Vendor
from evaluations.services.errors import Conflict, Refused
from pilots.enums import Audience, ExportState, FileFormat
from pilots.exporters.registry import EXPORTERS
from pilots.models import ExportFile
from pilots.selectors.exports import export_files, export_row, exports_of
from pilots.services.exports import ask_for_export, retry_export
from pilots.views.page import access_of, actor_of, door, page


def _export_or_404(request: HttpRequest, pk: int) -> ExportFile:
    return get_object_or_404(export_files(access_of(request)), pk=pk)


@door("GET")
def exports(request: HttpRequest) -> HttpResponse:
    return _list(request)


@door("GET")
def export(request: HttpRequest, pk: int) -> HttpResponse:
    row = export_row(_export_or_404(request, pk))
    return page(request, "pilots/exports/export.html", {"row": row}, section="exports")


@door("GET")
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """The live part alone. What is read aloud comes along only when it is news to the page, which ``seen`` the last."""
    row = export_row(_export_or_404(request, pk))
    context = {"row": row, "now": timezone.now(), "news": request.GET.get("seen") != row.state}
    return render(request, "pilots/exports/_live.html", context)


@door("GET")
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _export_or_404(request, pk)
    path = Path(found.path)
    if found.state is not ExportState.DONE or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=found.file_name)


@door("POST")
def write(request: HttpRequest) -> HttpResponse:
    """Ask for the export named ``key``, for an audience and in a format, under the filters that came along."""
    filters = {name: request.POST.getlist(name) for name in request.POST if name != "csrfmiddlewaretoken"}
    key, audience, format = (
        filters.pop(name, [default])[-1]
        for name, default in (("key", ""), ("audience", Audience.FULL), ("format", FileFormat.XLSX))
    )
    try:
        if format not in FileFormat._value2member_map_:
            raise Refused(f"{format!r} is not one of {', '.join(FileFormat)}", field="format")
        asked = ask_for_export(
            key=key,
            filters=filters,
            by=actor_of(request),
            at=timezone.now(),
            audience=audience,
            format=FileFormat(format),
        )
    except Refused as refusal:
        return _list(request, refusal=refusal)
    return redirect("pilots:export", pk=asked.pk)


@door("POST")
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    found = _export_or_404(request, pk)
    try:
        retry_export(export=found, by=actor_of(request), at=timezone.now())
    except Conflict as refusal:
        messages.info(request, f"Nothing was changed: {refusal.message}.")
    return redirect("pilots:export", pk=pk)


def _list(request: HttpRequest, *, refusal: Refused | None = None) -> HttpResponse:
    rows = exports_of(access_of(request))
    context = {
        "rows": rows,
        "open": sum(row.open for row in rows),
        "refusal": refusal,
        "exporters": [(key, EXPORTERS.get(key).label) for key in sorted(EXPORTERS.keys())],
        "audiences": [(word.value, word.label) for word in Audience if word is not Audience.VENDOR],
        "vendors": [(vendor.slug, vendor.name) for vendor in Vendor.objects.order_by("name")],
        "formats": [(word.value, word.label) for word in FileFormat],
    }
    return page(request, "pilots/exports/list.html", context, section="exports", status=400 if refusal else 200)
