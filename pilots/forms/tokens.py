"""Making a key for a program. Public surface: ``TokenForm``."""

from __future__ import annotations

from django import forms

from pilots.enums import TokenScope
from pilots.forms.base import ServiceForm
from pilots.services.tokens import MOST_DAYS


class TokenForm(ServiceForm):
    name = forms.CharField(max_length=100, label="What it is for", help_text="For example: gateway logs.")
    scopes = forms.TypedMultipleChoiceField(
        choices=[(scope.value, scope.label.capitalize()) for scope in TokenScope],
        coerce=TokenScope,
        initial=[TokenScope.READ.value],
        label="What it may do",
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.IntegerField(min_value=1, max_value=MOST_DAYS, initial=90, label="Days until it expires")
