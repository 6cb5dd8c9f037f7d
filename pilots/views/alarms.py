"""The page of one alarm: what drifted, and the form that says what it was."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from evaluations.models import DriftAlarm
from evaluations.services.drift import acknowledge_drift
from evaluations.services.errors import Conflict, Refused
from pilots.forms.alarms import AcknowledgeForm
from pilots.selectors.alarms import AlarmKind, alarm_of, read_alarm
from pilots.selectors.profile import pilot_profile
from pilots.services.share_alarms import acknowledge_share_alarm
from pilots.views.page import access_of, actor_of, door, page
from pilots.views.pilot import managed_pilot, pilot_or_404


@door("GET", "POST")
def alarm(request: HttpRequest, slug: str, kind: str, pk: int) -> HttpResponse:
    """For everybody of the team to read; whoever manages the pilot acknowledges."""
    pilot = managed_pilot(request, slug) if request.method == "POST" else pilot_or_404(request, slug)
    row = alarm_of(pilot, AlarmKind(kind), pk) if kind in set(AlarmKind) else None
    if row is None:
        raise Http404
    now = timezone.now()
    form = AcknowledgeForm(request.POST or None, alarm=read_alarm(row))
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            said = form.cleaned_data
            try:
                if isinstance(row, DriftAlarm):
                    acknowledge_drift(alarm=row, by=actor_of(request), at=now, **said)
                else:
                    acknowledge_share_alarm(alarm=row, by=actor_of(request), at=now, **said)
            except Refused as refusal:
                status = 409 if isinstance(refusal, Conflict) else 400
                row.refresh_from_db()
                form.refuse(refusal)
            else:
                messages.success(request, "Acknowledged, and noted in the audit log.")
                return redirect("pilots:alarm", slug=slug, kind=kind, pk=pk)
    context = {
        "now": now,
        "facts": pilot_profile(pilot, at=now),
        "alarm": read_alarm(row),
        "form": form,
        "may_manage": access_of(request).may_manage(pilot),
    }
    return page(request, "pilots/pilot/alarm.html", context, section="pilots", status=status)
