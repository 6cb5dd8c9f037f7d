"""Putting a matter off. Public surface: ``SnoozeForm``."""

from __future__ import annotations

from django import forms

from pilots.forms.base import ServiceForm


class SnoozeForm(ServiceForm):
    until_on = forms.DateField(
        label="Until",
        help_text="UTC. On that day it is back, and earlier if more is at stake.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(
        max_length=500, label="Why it can wait", widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"})
    )
