"""A file of samples that somebody brought: where it stands, and the list of its bad lines."""

from __future__ import annotations

from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from pilots.models import Upload
from pilots.selectors.uploads import upload_row, visible_uploads
from pilots.views.page import access_of, door, page


def _upload_or_404(request: HttpRequest, pk: int) -> Upload:
    uploads = visible_uploads(access_of(request)).select_related("workload__team", "uploaded_by")
    return get_object_or_404(uploads, pk=pk)


@door("GET")
def upload(request: HttpRequest, pk: int) -> HttpResponse:
    found = _upload_or_404(request, pk)
    context = {"row": upload_row(found), "workload": found.workload}
    return page(request, "pilots/uploads/upload.html", context, section="workloads")


@door("GET")
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """The live part alone. What is read aloud comes along only when it is news to the page, which ``seen`` the last."""
    found = _upload_or_404(request, pk)
    row = upload_row(found)
    news = request.GET.get("seen") != row.state
    context = {"row": row, "workload": found.workload, "now": timezone.now(), "news": news}
    return render(request, "pilots/uploads/_live.html", context)


@door("GET")
def rejects(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Number, field and reason of each bad line, one JSON object a line."""
    path = Path(_upload_or_404(request, pk).rejects_path)
    if not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)
