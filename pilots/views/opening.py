"""Open a pilot."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from evaluations.services.errors import Refused
from pilots.forms.opening import OpenForm
from pilots.services.opening import open_with_plan
from pilots.views.page import access_of, actor_of, door, page


@door("GET", "POST")
def open_pilot(request: HttpRequest) -> HttpResponse:
    access = access_of(request)
    if not access.may_open_any():
        raise PermissionDenied
    form = OpenForm(request.POST or None, access=access, initial={"workload": request.GET.get("workload")})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            pilot = open_with_plan(
                by=actor_of(request),
                at=timezone.now(),
                slug=given["slug"],
                workload=given["workload"],
                incumbent=form.arm("incumbent"),
                candidate=form.arm("candidate"),
                owner=access.user,
                deputy=given["deputy"],
                motive=given["motive"],
                definition=form.definition(),
            )
        except Refused as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, "Pilot opened. Freeze its plan before the first replay.")
            return redirect("pilots:pilot", slug=pilot.slug)
    return page(
        request, "pilots/open.html", {"form": form}, section="pilots", status=400 if request.method == "POST" else 200
    )
