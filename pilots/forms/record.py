"""One form for each thing that can be recorded of a pilot. Public surface: ``RECORDS``, ``Record``, ``possible``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms

from evaluations.models import ModelVersion
from pilots.enums import EventKind, PilotStatus, Reason
from pilots.forms.base import EventForm, PercentField
from pilots.models import Pilot, PilotEvent
from pilots.services import lifecycle
from pilots.transitions import TRANSITIONS


class FollowUpForm(EventForm):
    pass


class CutoverForm(EventForm):
    share = PercentField(label="Traffic on the candidate, in %", initial=100)


class RampForm(EventForm):
    share = PercentField(label="Traffic on the candidate, in %", help_text="From this moment on.")


class AlongsideForm(EventForm):
    share = PercentField(label="Agreed traffic on the candidate, in %")
    review_on = forms.DateField(
        label="Day of the next review", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )


class DecisionForm(EventForm):
    go = forms.TypedChoiceField(
        label="Decision",
        choices=[("go", "Go: move the workload"), ("no-go", "No-go: stay on the incumbent")],
        widget=forms.RadioSelect,
        coerce=lambda value: value == "go",
    )
    note = forms.CharField(
        max_length=10_000,
        label="Rationale",
        required=False,
        help_text="Stored with the verdict as it stands now. A decision against the verdict needs a second person,"
        " as every decision does where the team's policy asks for one.",
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
    )


class RollbackForm(EventForm):
    """Nothing is required here: the service refuses an incomplete rollback, so that every path says the same."""

    reason = forms.ChoiceField(
        required=False,
        label="Reason",
        choices=[("", "Choose the reason"), *((r.value, r.label) for r in Reason if r is not Reason.UNEXPLAINED)],
    )
    share_moved_back = PercentField(label="Traffic moved back, in %", initial=100)
    to_model = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        required=False,
        label="Back to which model",
        empty_label=None,
        to_field_name="slug",
    )

    def for_pilot(self, pilot: Pilot) -> None:
        _choices(self, "to_model").queryset = ModelVersion.objects.filter(vendor=pilot.incumbent.vendor)
        self.fields["to_model"].initial = pilot.incumbent.slug

    def clean_reason(self) -> Reason | None:
        return Reason(self.cleaned_data["reason"]) if self.cleaned_data["reason"] else None


class SupersededForm(EventForm):
    to_model = forms.ModelChoiceField(
        ModelVersion.objects.none(), label="To which model", empty_label="Choose the model", to_field_name="slug"
    )

    def for_pilot(self, pilot: Pilot) -> None:
        others = ModelVersion.objects.exclude(pk__in=[pilot.incumbent_id, pilot.candidate_id])
        _choices(self, "to_model").queryset = others


def _choices(form: forms.Form, name: str) -> Any:
    return form.fields[name]


@dataclass(frozen=True, slots=True)
class Record:
    """An entry of the "Record ..." menu: its words, its form and the one door it goes through."""

    kind: EventKind
    label: str
    button: str
    consequence: str  # what recording it means; this product moves no traffic
    form: type[EventForm]
    door: Callable[..., PilotEvent]
    against_traffic: bool = False  # a button in the colour of warning


RECORDS: dict[str, Record] = {
    record.kind.value: record
    for record in (
        Record(
            EventKind.DECIDED,
            "Decision",
            "Record decision",
            "Go lets the pilot ramp; no-go declines it.",
            DecisionForm,
            lifecycle.decide,
        ),
        Record(
            EventKind.APPROVED,
            "Approval",
            "Record approval",
            "You agree, as a second person, to the decision: traffic may move on it from then on.",
            FollowUpForm,
            lifecycle.approve_decision,
        ),
        Record(
            EventKind.RAMP,
            "Traffic share",
            "Record traffic share",
            "Your gateway moves the traffic; this records how much of it is on the candidate.",
            RampForm,
            lifecycle.record_ramp,
        ),
        Record(
            EventKind.CUTOVER,
            "Cutover",
            "Record cutover",
            "The candidate is primary from then on: a period on the model begins and the retention clock starts.",
            CutoverForm,
            lifecycle.record_cutover,
        ),
        Record(
            EventKind.FOLLOW_UP,
            "Follow-up",
            "Record follow-up",
            "You confirm that the workload was still on the candidate at that time. Time after the last confirmation"
            " does not count.",
            FollowUpForm,
            lifecycle.record_follow_up,
        ),
        Record(
            EventKind.ALONGSIDE,
            "Running alongside",
            "Record running alongside",
            "Both models stay, by decision. The pilot is counted on its own, never among the switched.",
            AlongsideForm,
            lifecycle.record_alongside,
        ),
        Record(
            EventKind.ROLLBACK,
            "Rollback",
            "Record rollback",
            "The incumbent is primary again: the period on the candidate ends. A rollback is stored only with its"
            " reason and at least one attachment.",
            RollbackForm,
            lifecycle.record_rollback,
            against_traffic=True,
        ),
        Record(
            EventKind.SUPERSEDED,
            "Move to a third model",
            "Record move to a third model",
            "The period on the candidate ends as moved on. A successor in the candidate's family continues it,"
            " marked upgraded.",
            SupersededForm,
            lifecycle.record_superseded,
        ),
        Record(
            EventKind.ENDED,
            "End of the workload",
            "Record end of the workload",
            "The workload itself is gone: the period ends, and is not counted as a rollback.",
            FollowUpForm,
            lifecycle.record_ended,
        ),
        Record(
            EventKind.DECLINED,
            "Declined",
            "Record declined",
            "The pilot ends before any cutover, by decision.",
            FollowUpForm,
            lifecycle.record_declined,
        ),
        Record(
            EventKind.ABANDONED,
            "Abandoned",
            "Record abandoned",
            "The pilot ends before any cutover, given up.",
            FollowUpForm,
            lifecycle.record_abandoned,
        ),
        Record(
            EventKind.CLOSED,
            "Close the pilot",
            "Close the pilot",
            "This ends the pilot's administration, never the observation of the workload.",
            FollowUpForm,
            lifecycle.close_pilot,
        ),
    )
}


def possible(pilot: Pilot, *, awaiting_approval: bool) -> tuple[Record, ...]:
    """What may be recorded at the pilot's present status, in the order of the menu."""
    status: PilotStatus = pilot.status
    kinds = {kind for kind, sources in TRANSITIONS.items() if status in sources}
    if pilot.closed_at:
        kinds.discard(EventKind.CLOSED)
    if not awaiting_approval:
        kinds.discard(EventKind.APPROVED)
    if EventKind.DECIDED in kinds:
        kinds.discard(EventKind.DECLINED)  # the no-go of a decision
    return tuple(record for record in RECORDS.values() if record.kind in kinds)
