"""Workbooks: the list, the files, and the button that writes one."""

from __future__ import annotations

from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404

from pilots.selectors.exports import export_files, exports_of
from pilots.views.page import access_of, door, page


@door("GET")
def exports(request: HttpRequest) -> HttpResponse:
    return page(request, "pilots/exports/list.html", {"rows": exports_of(access_of(request))}, section="exports")


@door("GET")
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = get_object_or_404(export_files(access_of(request)), pk=pk)
    path = Path(found.path)
    if not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=found.file_name)


@door("POST")
def write(request: HttpRequest) -> HttpResponse:
    raise Http404
