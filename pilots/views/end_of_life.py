"""Models that end, the workloads on them, and getting ready in one step."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone

from evaluations.models import ModelVersion, Workload
from evaluations.services.errors import Conflict, Refused
from pilots.conf import setting
from pilots.forms.end_of_life import PreparationForm
from pilots.selectors.end_of_life_report import Line, ends_of_life
from pilots.selectors.preparation import preparation
from pilots.services.end_of_life import prepare_for_end
from pilots.views.page import access_of, actor_of, door, page, whole_number

LINES_A_PAGE = 50


def _workloads(request: HttpRequest) -> QuerySet[Workload]:
    workloads = access_of(request).workloads()
    team = request.GET.get("team", "")
    return workloads.filter(team__slug=team) if team else workloads


@door("GET")
def end_of_life(request: HttpRequest) -> HttpResponse:
    """Every model that ends; with ``model`` in the address, the workloads on that one."""
    now, slug = timezone.now(), request.GET.get("model", "")
    found = ends_of_life(_workloads(request), at=now, model=slug)
    shared = {"now": now, "ramp_days": setting("RAMP_DAYS"), "nightly_samples": setting("NIGHTLY_SAMPLES")}
    if not slug:
        return page(request, "pilots/end_of_life/list.html", {"ends": found, **shared}, section="end-of-life")
    model = get_object_or_404(ModelVersion.objects.select_related("vendor"), slug=slug)
    access = access_of(request)
    one = next(iter(found), None)
    listed = Paginator(one.lines if one else (), LINES_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1)
    managed = access.managed_teams()
    ended = one is not None and one.standing.ended
    rows = [(line, _may_prepare(line, managed, ended=ended)) for line in listed]
    context = {
        "model": model,
        "end": one,
        "listed": listed,
        "rows": rows,
        "form": PreparationForm(access=access, model=model) if any(may for _, may in rows) else None,
        **shared,
    }
    return page(request, "pilots/end_of_life/model.html", context, section="end-of-life")


def _may_prepare(line: Line, managed: frozenset[str] | None, *, ended: bool) -> bool:
    """Whether there is something to create for it, and the person may."""
    open_to = managed is None or line.on.team in managed
    return open_to and (line.on.needs_pilot or (bool(line.short) and not ended))


@door("GET", "POST")
def prepare(request: HttpRequest) -> HttpResponse:
    """The list of what would be created, and what it costs; then, agreed to, all of it or nothing."""
    now, access = timezone.now(), access_of(request)
    if not access.may_open_any():
        raise PermissionDenied
    model = get_object_or_404(ModelVersion, slug=request.GET.get("model", ""))
    form = PreparationForm(request.GET, access=access, model=model)
    context: dict[str, Any] = {"now": now, "model": model, "form": form, "key": request.POST.get("key") or uuid4().hex}
    if not form.is_valid():
        return page(request, "pilots/end_of_life/prepare.html", context, section="end-of-life", status=400)
    given = form.cleaned_data
    status = 200
    if request.method == "POST":
        try:
            done = prepare_for_end(
                model=model,
                workloads=list(given["workload"]),
                candidate=given["candidate"],
                owner=given["owner"],
                proposal=form.proposal(),
                seen=request.POST.get("seen", "")[:64],
                key=context["key"][:64],
                user=access.user,
                by=actor_of(request),
                at=now,
            )
        except Refused as refusal:
            form.refuse(refusal)
            status = 409 if isinstance(refusal, Conflict) else 400
            context["key"] = uuid4().hex
        else:
            messages.success(request, _said(len(done.pilots), len(done.asked)))
            return redirect(f"{reverse('pilots:end-of-life')}?{urlencode({'model': model.slug})}")
    found = next(iter(ends_of_life(Workload.objects.filter(pk__in=given["workload"]), at=now, model=model.slug)), None)
    if found is None:
        raise Http404
    slugs = [workload.slug for workload in given["workload"]]
    context |= {"end": found, "prepared": preparation(found, slugs, candidate=given["candidate"], at=now)}
    return page(request, "pilots/end_of_life/prepare.html", context, section="end-of-life", status=status)


def _said(pilots: int, asked: int) -> str:
    opened = f"{pilots:,} draft{'' if pilots == 1 else 's'} opened; each plan is frozen before its first replay."
    return f"{opened} {asked:,} request{'' if asked == 1 else 's'} to record answers sent. No vendor was called."
