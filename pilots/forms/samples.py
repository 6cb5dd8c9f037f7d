"""Bring samples. Public surface: ``UploadSamplesForm``."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluations.capture.registry import READERS
from pilots.forms.base import ServiceForm

_CHOOSING = ("take", "stratify", "quotas", "newest", "per_cluster", "seed")


class UploadSamplesForm(ServiceForm):
    """A log of production requests, how it is read, and which of its samples make up the set."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,  # said in the same words as everything else that is wrong with a file
        max_length=1000,
        help_text="JSON lines or a table, .gz too. Personal data and secrets are taken out before anything is stored.",
    )
    format = forms.ChoiceField(label="Format", help_text="Recognised by its content unless you name it.")
    name = forms.CharField(required=False, max_length=200, label="Name of the set")
    skip_bad = forms.BooleanField(
        required=False,
        label="Leave out bad lines",
        help_text="They are listed for download. Else one refuses the file.",
    )
    take = forms.IntegerField(
        required=False, min_value=1, label="How many", help_text="Of the file's samples in the set. Empty: all."
    )
    stratify = forms.CharField(
        required=False, max_length=200, label="In proportion to", help_text="A segment, for example language."
    )
    quotas = forms.CharField(
        required=False,
        label="Edge cases",
        help_text="One a line, SEGMENT=VALUE:N, for example edge=long:20. At least so many of them.",
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false"}),
    )
    newest = forms.IntegerField(required=False, min_value=1, label="Only the newest")
    per_cluster = forms.IntegerField(required=False, min_value=1, label="At most of one conversation")
    seed = forms.IntegerField(required=False, min_value=0, label="Seed", help_text="The same seed draws the same set.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        formats = [(reader.key, reader.label) for reader in READERS]
        self.fields["format"] = forms.ChoiceField(
            choices=[("auto", "Recognise it"), *formats],
            required=False,
            label=self.fields["format"].label,
            help_text=self.fields["format"].help_text,
        )

    def choosing(self) -> list[forms.BoundField]:
        return [self[name] for name in _CHOOSING]

    @property
    def chose(self) -> bool:
        """Whether anything was said about which samples make up the set, or is wrong with it."""
        return any(self[name].value() or self[name].errors for name in _CHOOSING)

    def options(self) -> dict[str, Any]:
        """As ``receive_samples`` takes them."""
        given = dict(self.cleaned_data)
        del given["file"]
        given["quotas"] = [line.strip() for line in given["quotas"].splitlines() if line.strip()]
        given["skip_bad"] = given["skip_bad"] or None
        return {**given, "format": given["format"] or "auto"}
