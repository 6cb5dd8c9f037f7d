"""Parts of forms. Public surface: ``ServiceForm``, ``PercentField``, ``AttachmentsMixin``, ``EventForm``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone

from evaluations.services.errors import Refused
from pilots.enums import AttachmentKind
from pilots.models import Pilot
from pilots.services.drafts import Attachment

ATTACHMENT_ROWS = 3


class ServiceForm(forms.Form):
    """A form whose service may still refuse; the refusal lands at the field it names."""

    # What a service calls an input, where the form calls it otherwise.
    aliases: dict[str, str] = {}

    def refuse(self, refusal: Refused) -> None:
        name = self.aliases.get(refusal.field, refusal.field)
        message = refusal.message[:1].upper() + refusal.message[1:] + "."
        self.add_error(name if name in self.fields else None, message)


class PercentField(forms.DecimalField):
    """A share of traffic typed as a percentage; cleaned to a number between 0 and 1."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=100, max_digits=5, decimal_places=2, **kwargs)
        self.widget.attrs |= {"inputmode": "decimal", "step": "any"}

    def clean(self, value: Any) -> Decimal | None:
        percent = super().clean(value)
        return None if percent is None else percent / 100


class AttachmentsMixin(forms.Form):
    """Rows of kind and reference, gathered into ``cleaned_data["attachments"]``."""

    attachments = forms.CharField(required=False, widget=forms.HiddenInput)  # where refusals of them land

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for row in range(ATTACHMENT_ROWS):
            self.fields[f"kind_{row}"] = forms.ChoiceField(
                choices=[(kind.value, kind.label) for kind in AttachmentKind],
                required=False,
                initial=AttachmentKind.INCIDENT.value,
                label="Kind of attachment",
            )
            self.fields[f"reference_{row}"] = forms.CharField(max_length=1000, required=False, label="Reference")

    def attachment_rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """Kind and reference of each row; a refusal of the attachments is said at the first."""
        if self.errors.get("attachments"):
            described = {"aria-invalid": "true", "aria-describedby": "attachments-help attachments-error"}
            self.fields["reference_0"].widget.attrs |= described
        return [(self[f"kind_{row}"], self[f"reference_{row}"]) for row in range(ATTACHMENT_ROWS)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        found = []
        for row in range(ATTACHMENT_ROWS):
            kind, reference = cleaned.pop(f"kind_{row}", ""), cleaned.pop(f"reference_{row}", "")
            if not reference:
                continue
            try:
                found.append(Attachment(AttachmentKind(kind), reference).checked())
            except Refused as refusal:
                self.add_error("attachments", refusal.message[:1].upper() + refusal.message[1:] + ".")
        cleaned["attachments"] = found
        return cleaned


class EventForm(AttachmentsMixin, ServiceForm):
    """What every recorded event may carry, and the version of the pilot that the person saw."""

    occurred_at = forms.DateTimeField(
        required=False,
        label="When it happened",
        help_text="In UTC. Leave empty for now.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
    )
    note = forms.CharField(
        required=False, max_length=10_000, label="Note", widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"})
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    aliases = {"traffic_share": "share", "rationale": "note"}

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, pilot: Pilot, initial: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        self.fields["version"].initial = pilot.version
        self.for_pilot(pilot)

    def leading_fields(self) -> list[forms.BoundField]:
        """What only this kind of event asks, in the order of the form."""
        common = EventForm.base_fields
        return [self[name] for name in self.base_fields if name not in common]

    def for_pilot(self, pilot: Pilot) -> None:
        """Narrow choices and set defaults to what ``pilot`` allows."""

    def arguments(self) -> dict[str, Any]:
        """The cleaned values as the service's keywords."""
        return dict(self.cleaned_data)

    def clean_occurred_at(self) -> datetime | None:
        """As typed, read in UTC whatever the site's zone."""
        instant: datetime | None = self.cleaned_data["occurred_at"]
        if instant is None:
            return None
        return timezone.make_naive(instant).replace(tzinfo=UTC) if timezone.is_aware(instant) else instant
