"""Workloads, their samples and sets, and the door through which files of samples come in."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from evaluations.models import Workload
from evaluations.selectors.sample_mix import mix_of
from evaluations.services.errors import Refused
from pilots.conf import setting
from pilots.forms.samples import UploadSamplesForm
from pilots.selectors.uploads import uploads_of
from pilots.selectors.workloads import set_row, workload_facts, workload_rows
from pilots.services.brought import receive_samples
from pilots.views.page import access_of, actor_of, door, page, sign_in_url, too_long, whole_number

WORKLOADS_A_PAGE = 50


def _workload_or_404(request: HttpRequest, slug: str) -> Workload:
    return get_object_or_404(access_of(request).workloads().select_related("team"), slug=slug)


@door("GET")
def workloads(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "").strip()[:100]
    team = request.GET.get("team", "")
    rows = workload_rows(access_of(request), team=team, search=search)
    context = {
        "listed": Paginator(rows, WORKLOADS_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1),
        "search": search,
        "narrowed": bool(search or team),
    }
    return page(request, "pilots/workloads/list.html", context, section="workloads")


@csrf_exempt
def workload(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The page, and the files that it takes: one that is too large is refused before any of it is read."""
    if request.method == "POST" and too_long(request, setting("UPLOAD_MAX_BYTES")):
        return _too_large(request, slug)
    return _workload(request, slug)


@door("GET")
def sample_set(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What a set is made of, beside what production sends."""
    found = _workload_or_404(request, slug)
    row = get_object_or_404(found.sample_sets.select_related("frozen_by", "parent"), pk=pk)
    mix = mix_of(row)
    context = {
        "workload": found,
        "set": set_row(row),
        "mix": mix,
        "missing": sum(segment.missing for segment in mix),
    }
    return page(request, "pilots/workloads/set.html", context, section="workloads")


@door("GET", "POST")
@csrf_protect
def _workload(request: HttpRequest, slug: str) -> HttpResponse:
    found = _workload_or_404(request, slug)
    access = access_of(request)
    if request.method == "GET":
        return _page(request, found, UploadSamplesForm())
    if not access.may_open_for(found.team):
        raise PermissionDenied
    form = UploadSamplesForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            upload = receive_samples(
                workload=found,
                file=form.cleaned_data["file"],
                options=form.options(),
                by=actor_of(request),
                at=timezone.now(),
            )
        except Refused as refusal:
            form.refuse(refusal)
        else:
            return redirect("pilots:upload", pk=upload.pk)
    return _page(request, found, form, status=400)


def _too_large(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Without a look at what was posted, which would read all of it first."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.path, sign_in_url())
    found = _workload_or_404(request, slug)
    if not access_of(request).may_open_for(found.team):
        raise PermissionDenied
    most = setting("UPLOAD_MAX_BYTES") // (1024 * 1024)
    said = f"The file is larger than {most:,} MB. Nothing was stored; split it, or have it imported on the server."
    return _page(request, found, UploadSamplesForm(), status=413, too_large=said)


def _page(
    request: HttpRequest, found: Workload, form: UploadSamplesForm, *, status: int = 200, too_large: str = ""
) -> HttpResponse:
    uploads = uploads_of(found)
    context = {
        "workload": found,
        "facts": workload_facts(found),
        "uploads": uploads,
        "open": sum(row.open for row in uploads),
        "form": form,
        "too_large": too_large,
        "may_manage": access_of(request).may_open_for(found.team),
    }
    return page(request, "pilots/workloads/workload.html", context, section="workloads", status=status)
