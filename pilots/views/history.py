"""Bring your spreadsheet: a history of past switches, its columns mapped, checked and only then imported."""

from __future__ import annotations

from pathlib import Path

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from evaluations.services.errors import Conflict, Refused
from pilots.conf import setting
from pilots.enums import UploadState
from pilots.forms.history import BringHistoryForm, ColumnsForm
from pilots.models import Upload
from pilots.selectors.uploads import histories_of, imports_of
from pilots.services.brought import confirm_history, map_columns, receive_history
from pilots.services.history_columns import Preview, preview
from pilots.services.history_import import HistoryReport
from pilots.services.history_undo import undo_import
from pilots.views.page import access_of, actor_of, door, page, sign_in_url, too_long, whole_number

IMPORTS_A_PAGE = 50
_LATELY = 10  # files, with those that still wait for their confirmation


@csrf_exempt
def bring_history(request: HttpRequest) -> HttpResponseBase:
    """The form, and the file that it takes: one that is too large is refused before any of it is read."""
    if request.method == "POST" and too_long(request, setting("HISTORY_MAX_BYTES")):
        if not request.user.is_authenticated:
            return redirect_to_login(request.path, sign_in_url())
        _allow(request)
        most = setting("HISTORY_MAX_BYTES") // (1024 * 1024)
        said = f"The file is larger than {most:,} MB. Nothing was stored; split it, or use manage.py import_history."
        return _form(request, BringHistoryForm(), status=413, too_large=said)
    return _bring(request)


@door("GET", "POST")
@csrf_protect
def _bring(request: HttpRequest) -> HttpResponse:
    _allow(request)
    if request.method == "GET":
        return _form(request, BringHistoryForm())
    form = BringHistoryForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            upload = receive_history(file=form.cleaned_data["file"], by=actor_of(request), at=timezone.now())
        except Refused as refusal:
            form.refuse(refusal)
        else:
            return redirect("pilots:history", pk=upload.pk)
    return _form(request, form, status=400)


@door("GET", "POST")
def history(request: HttpRequest, pk: int) -> HttpResponse:
    """The preview; its buttons save the mapping of columns, and then check or import the file as it is mapped."""
    _allow(request)
    upload = get_object_or_404(histories_of(access_of(request)), pk=pk)
    if upload.state is not UploadState.DRAFT or not Path(upload.path).is_file():
        return page(request, "pilots/history/done.html", {"upload": upload}, section="home")
    try:
        read = preview(Path(upload.path), upload.options["mapping"])
    except Refused as refusal:
        return page(request, "pilots/history/done.html", {"upload": upload, "refusal": refusal}, section="home")
    if request.method == "GET":
        return _preview(request, upload, read, ColumnsForm(read.headers, upload.options["mapping"]))
    form = ColumnsForm(read.headers, upload.options["mapping"], request.POST)
    if not form.is_valid():
        return _preview(request, upload, read, form, status=400)
    try:
        map_columns(upload=upload, mapping=form.cleaned_data)
        read = preview(Path(upload.path), upload.options["mapping"])
        if read.problems:
            return _preview(request, upload, read, form, status=400)
        report = confirm_history(
            upload=upload,
            teams=access_of(request).managed_teams(),
            by=actor_of(request),
            at=timezone.now(),
            dry_run=request.POST.get("do") != "import",
        )
    except Conflict as refusal:
        return _preview(request, upload, read, form, status=409, refusal=refusal)
    except Refused as refusal:
        form.refuse(refusal) if refusal.field in form.fields else None
        return _preview(request, upload, read, form, status=400, refusal=refusal)
    if request.POST.get("do") == "import":
        return redirect("pilots:history", pk=pk)
    return _preview(request, upload, read, form, report=report)


@door("GET")
def imports(request: HttpRequest) -> HttpResponse:
    """What was imported, by whom and when, and what was taken back."""
    _allow(request)
    found = Paginator(imports_of(access_of(request)), IMPORTS_A_PAGE)
    listed = found.get_page(whole_number(request.GET.get("page")) or 1)
    return page(request, "pilots/history/imports.html", {"listed": listed}, section="home")


@door("GET", "POST")
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what taking an import back means; its button does it."""
    _allow(request)
    row = get_object_or_404(imports_of(access_of(request)), pk=pk)
    if request.method == "GET":
        return page(request, "pilots/history/undo.html", {"row": row}, section="home")
    try:
        done = undo_import(key=pk, teams=access_of(request).managed_teams(), by=actor_of(request), at=timezone.now())
    except (Conflict, Refused) as refusal:
        row.refresh_from_db()
        status = 409 if isinstance(refusal, Conflict) else 400
        context = {"row": row, "refusal": refusal}
        return page(request, "pilots/history/undo.html", context, section="home", status=status)
    messages.success(request, f"The import is undone: {done.events:,} events no longer count.")
    return redirect("pilots:history-imports")


def _allow(request: HttpRequest) -> None:
    if not access_of(request).may_bring_history():
        raise PermissionDenied


def _form(request: HttpRequest, form: BringHistoryForm, *, status: int = 200, too_large: str = "") -> HttpResponse:
    lately = histories_of(access_of(request))[:_LATELY]
    context = {"form": form, "too_large": too_large, "lately": lately}
    return page(request, "pilots/history/bring.html", context, section="home", status=status)


def _preview(
    request: HttpRequest,
    upload: Upload,
    read: Preview,
    form: ColumnsForm,
    *,
    report: HistoryReport | None = None,
    refusal: Refused | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"upload": upload, "preview": read, "form": form, "report": report, "refusal": refusal}
    return page(request, "pilots/history/preview.html", context, section="home", status=status)
