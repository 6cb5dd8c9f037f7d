"""Workbooks: the list, the files, and the button that writes one."""

from __future__ import annotations

from pathlib import Path

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from evaluations.services.errors import Refused
from pilots.selectors.exports import export_files, exports_of
from pilots.services.exports import write_export
from pilots.views.page import access_of, actor_of, door, page


@door("GET")
def exports(request: HttpRequest) -> HttpResponse:
    return _list(request)


@door("GET")
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = get_object_or_404(export_files(access_of(request)), pk=pk)
    path = Path(found.path)
    if not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=found.file_name)


@door("POST")
def write(request: HttpRequest) -> HttpResponse:
    """Write the export named ``key`` under the filters that came along."""
    filters = {name: request.POST.getlist(name) for name in request.POST if name != "csrfmiddlewaretoken"}
    key = filters.pop("key", [""])[-1]
    try:
        written = write_export(key=key, filters=filters, by=actor_of(request), at=timezone.now())
    except Refused as refusal:
        return _list(request, refusal=refusal)
    messages.success(request, f"Workbook written: {written.file_name}.")
    return redirect("pilots:exports")


def _list(request: HttpRequest, *, refusal: Refused | None = None) -> HttpResponse:
    context = {"rows": exports_of(access_of(request)), "refusal": refusal}
    return page(request, "pilots/exports/list.html", context, section="exports", status=400 if refusal else 200)
