"""What somebody says of an alarm. Public surface: ``AcknowledgeForm``."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluations.services.drift import LONGEST_NOTE
from pilots.forms.base import ServiceForm
from pilots.selectors.alarms import Alarm, AlarmKind


class AcknowledgeForm(ServiceForm):
    """What it was; of a model, the version that its vendor says it serves now."""

    model_version = forms.CharField(
        required=False,
        max_length=200,
        label="Version that the vendor serves now",
        help_text="As the vendor states it, in its release notes or in an answer to your question. Empty: not known.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    note = forms.CharField(
        max_length=LONGEST_NOTE,
        label="What you found",
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
    )

    def __init__(self, data: Any = None, *, alarm: Alarm) -> None:
        super().__init__(data)
        if alarm.kind is AlarmKind.SHARE:
            del self.fields["model_version"]
