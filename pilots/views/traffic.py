"""Observed traffic: what is known of each workload, the names that wait, the rules, and a file on its way in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from evaluations.services.errors import Conflict, Refused
from pilots.enums import GatewayName
from pilots.forms.traffic import RuleForm, TrafficFileForm
from pilots.selectors.access import PilotAccess
from pilots.selectors.traffic import WINDOW_DAYS, mapping_rules, recent_shares, waiting_names, workloads_with_traffic
from pilots.services.traffic import import_traffic
from pilots.services.traffic_rules import add_rule, remove_rule
from pilots.services.uploads import Upload, drop_upload, keep_upload, kept_upload
from pilots.views.page import access_of, actor_of, door, page, whole_number

WORKLOADS_A_PAGE = 50


@door("GET")
def traffic(request: HttpRequest) -> HttpResponse:
    access, today = access_of(request), timezone.now().date()
    workloads = workloads_with_traffic(access, team=request.GET.get("team", ""))
    listed = Paginator(workloads, WORKLOADS_A_PAGE).get_page(whole_number(request.GET.get("page")) or 1)
    managed = access.workloads_managed()
    context = {
        "listed": listed,
        "rows": recent_shares(list(listed.object_list), today=today),
        "window": WINDOW_DAYS,
        "waiting": waiting_names(access),
        "rules": [(rule, _may_remove(rule.workload_id, managed)) for rule in mapping_rules(access)],
        "may_manage": access.may_open_any(),
        "kinds": GatewayName,
    }
    return page(request, "pilots/traffic/traffic.html", context, section="traffic")


def _may_remove(workload: int | None, managed: frozenset[int] | None) -> bool:
    return managed is None or (workload in managed if workload is not None else bool(managed))


def _manager(request: HttpRequest) -> PilotAccess:
    access = access_of(request)
    if not access.may_open_any():
        raise PermissionDenied
    return access


@door("GET", "POST")
def add(request: HttpRequest) -> HttpResponse:
    access = _manager(request)
    if request.method == "GET":
        given = {name: request.GET[name][:200] for name in ("kind", "name", "workload", "model") if name in request.GET}
        return page(
            request, "pilots/traffic/rule.html", {"form": RuleForm(access=access, initial=given)}, section="traffic"
        )
    form = RuleForm(request.POST, access=access)
    status = 400
    if form.is_valid():
        try:
            rule, mapped = add_rule(
                by=actor_of(request), at=timezone.now(), workloads=access.workloads_managed(), **form.cleaned_data
            )
        except Refused as refusal:
            form.refuse(refusal)
            status = 409 if isinstance(refusal, Conflict) else 400
        else:
            days = f"{mapped:,} day{'' if mapped == 1 else 's'} that waited {'is' if mapped == 1 else 'are'} mapped."
            messages.success(
                request,
                f"Rule for {rule.name} added. {days if mapped else 'Nothing that waits is mapped by it alone.'}",
            )
            return redirect("pilots:traffic")
    return page(request, "pilots/traffic/rule.html", {"form": form}, section="traffic", status=status)


@door("POST")
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    access = _manager(request)
    rule = get_object_or_404(mapping_rules(access), pk=pk)
    if not _may_remove(rule.workload_id, access.workloads_managed()):
        raise PermissionDenied
    remove_rule(rule=rule, by=actor_of(request), at=timezone.now())
    messages.success(request, f"Rule for {rule.name} removed. What it mapped stays as it is.")
    return redirect("pilots:traffic")


@door("GET", "POST")
def bring(request: HttpRequest) -> HttpResponse:
    """First look, then import: the file is kept in between."""
    access = _manager(request)
    form = TrafficFileForm(request.POST or None, request.FILES or None)
    if request.method == "GET":
        return _file_page(request, form)
    now, user = timezone.now(), access.user.pk
    checked = request.POST.get("kept", "")
    try:
        upload = kept_upload(key=checked, user=user) if checked else _sent(form, user)
        if upload is None:
            return _file_page(request, form, status=400)
        report = import_traffic(
            paths=[upload.path], by=actor_of(request), at=now, workloads=access.workloads_managed(), dry_run=not checked
        )
    except Refused as refusal:
        again = TrafficFileForm()
        again.cleaned_data = {}
        again.refuse(refusal)
        return _file_page(request, again, status=409 if isinstance(refusal, Conflict) else 400)
    if not checked:
        return _file_page(request, form, report=report, upload=upload, status=400 if report.problems else 200)
    drop_upload(upload)
    changes = f"{report.added:,} days new, {report.replaced:,} replaced, {report.unchanged:,} unchanged"
    messages.success(request, f"{upload.path.name} imported: {changes}, {report.unmapped:,} wait for a rule.")
    return redirect("pilots:traffic")


def _sent(form: TrafficFileForm, user: int) -> Upload | None:
    if not form.is_valid():
        return None
    file = form.cleaned_data["file"]
    return keep_upload(name=file.name, blocks=file.chunks(), user=user, at=timezone.now())


def _file_page(request: HttpRequest, form: TrafficFileForm, *, status: int = 200, **context: Any) -> HttpResponse:
    return page(request, "pilots/traffic/file.html", {"form": form, **context}, section="traffic", status=status)
