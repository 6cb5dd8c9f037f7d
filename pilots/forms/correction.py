"""Setting an event right. Public surface: ``CorrectionForm``, ``CORRECTABLE``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from typing import Any

from django import forms

from evaluations.models import ModelVersion
from pilots.enums import EventKind, Reason
from pilots.forms.base import EventForm, PercentField
from pilots.models import Pilot
from pilots.selectors.events import StandingEvent

# What can be set right of each kind, beyond when it happened and whether it did. Freezing a plan and starting a replay
# are the system's own events: they happened.
CORRECTABLE: Mapping[EventKind, tuple[str, ...]] = {
    EventKind.OPENED: (),
    EventKind.DECIDED: (),
    EventKind.APPROVED: (),
    EventKind.RAMP: ("share",),
    EventKind.CUTOVER: ("share", "observed_from"),
    EventKind.FOLLOW_UP: (),
    EventKind.ALONGSIDE: ("share", "review_on"),
    EventKind.ROLLBACK: ("reason", "share_moved_back", "to_model"),
    EventKind.SUPERSEDED: ("to_model",),
    EventKind.ENDED: (),
    EventKind.DECLINED: (),
    EventKind.ABANDONED: (),
    EventKind.CLOSED: (),
}
_MINUTE = "%Y-%m-%dT%H:%M"


class CorrectionForm(EventForm):
    """Filled with the event as it stands; only what is changed is sent on."""

    share = PercentField(label="Traffic on the candidate, in %")
    reason = forms.ChoiceField(
        label="Reason", choices=[(r.value, r.label) for r in Reason if r is not Reason.UNEXPLAINED]
    )
    share_moved_back = PercentField(label="Traffic moved back, in %")
    to_model = forms.ModelChoiceField(ModelVersion.objects.none(), label="To which model", to_field_name="slug")
    observed_from = forms.DateField(
        required=False,
        label="Known about only from",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    review_on = forms.DateField(
        label="Day of the next review", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    void = forms.BooleanField(
        required=False, label="It never happened", help_text="It stays on record, marked, and no longer counts."
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, pilot: Pilot, event: StandingEvent) -> None:
        self.event = event
        super().__init__(data, pilot=pilot, initial=self._as_it_stands())
        wanted = {*CORRECTABLE[event.kind], "void"}
        for name in [name for name in type(self).base_fields if name not in EventForm.base_fields]:
            if name not in wanted:
                del self.fields[name]
        if event.kind is EventKind.ROLLBACK:
            self.aliases = {"traffic_share": "share_moved_back"}
        self.fields["occurred_at"].help_text = "In UTC."
        self.fields["occurred_at"].required = True
        self.fields["note"].label = "Why it is corrected"

    def for_pilot(self, pilot: Pilot) -> None:
        models = ModelVersion.objects.all()
        if self.event.kind is EventKind.ROLLBACK:
            models = models.filter(vendor=pilot.incumbent.vendor)
        field: Any = self.fields["to_model"]
        field.queryset = models

    def leading_fields(self) -> list[forms.BoundField]:
        wanted = CORRECTABLE[self.event.kind]
        return [self[name] for name in wanted]

    def arguments(self) -> dict[str, Any]:
        """Keywords of ``correct_event``: the changed facts, why, the attachments and the version seen."""
        given, was = self.cleaned_data, self.event
        changes: dict[str, Any] = {}
        if given["occurred_at"] != was.occurred_at.replace(second=0, microsecond=0):
            changes["occurred_at"] = given["occurred_at"]
        share = 1 - given["share_moved_back"] if "share_moved_back" in given else given.get("share", was.traffic_share)
        if share != was.traffic_share:
            changes["traffic_share"] = share
        if given.get("reason", was.reason) != was.reason:
            changes["reason"] = Reason(given["reason"])
        if "to_model" in given and given["to_model"].slug != was.to_model:
            changes["to_model"] = given["to_model"]
        for name in ("observed_from", "review_on"):
            if given.get(name) not in (None, getattr(was, name)):
                changes[name] = given[name]
        if given["void"] != was.voided:
            changes["void"] = given["void"]
        return {
            **changes,
            "why": given["note"],
            "attachments": given["attachments"],
            "version": given["version"],
        }

    def _as_it_stands(self) -> dict[str, Any]:
        event = self.event
        share = event.traffic_share
        return {
            "occurred_at": event.occurred_at.astimezone(UTC).strftime(_MINUTE),
            "share": _percent(share),
            "share_moved_back": _percent(None if share is None else 1 - share),
            "reason": event.reason,
            "to_model": event.to_model,
            "observed_from": event.observed_from,
            "review_on": event.review_on,
            "void": event.voided,
        }


def _percent(share: Decimal | None) -> str:
    return "" if share is None else f"{(share * 100).normalize():f}"
