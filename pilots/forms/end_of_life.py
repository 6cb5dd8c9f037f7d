"""Choosing what is prepared before a model ends. Public surface: ``PreparationForm``, ``SCORERS_WITHOUT_SETTINGS``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q

from evaluations.models import Endpoint, ModelVersion, Workload
from pilots.forms.base import ServiceForm
from pilots.selectors.access import PilotAccess
from pilots.services.end_of_life import Proposal

SCORERS_WITHOUT_SETTINGS = [
    ("exact", "Same text as the reference"),
    ("contains", "Contains the reference"),
    ("numeric", "Same number as the reference"),
    ("tool_call", "Same tool calls as the reference"),
    ("rouge_l", "Words in common with the reference (ROUGE-L)"),
    ("chrf", "Characters in common with the reference (chrF)"),
    ("refusal", "Not refused"),
]


class PreparationForm(ServiceForm):
    """For which workloads, to which candidate, by whom; and how answers are judged where nothing says so yet."""

    workload = forms.ModelMultipleChoiceField(
        Workload.objects.none(), to_field_name="slug", error_messages={"required": "Choose at least one workload."}
    )
    candidate = forms.ModelChoiceField(
        Endpoint.objects.none(),
        to_field_name="slug",
        empty_label="Choose where to",
        help_text="The model under trial, and where it is reached.",
    )
    owner = forms.ModelChoiceField(
        get_user_model().objects.none(), to_field_name="username", empty_label=None, label="Owner of the pilots"
    )
    scorer = forms.ChoiceField(
        choices=SCORERS_WITHOUT_SETTINGS,
        label="How an answer is judged",
        help_text="Where a workload has no earlier plan to take it from. Drafts can be changed until they are frozen.",
    )
    margin = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_value=99,
        max_digits=4,
        decimal_places=2,
        initial=3,
        label="Largest loss accepted",
        help_text="In percentage points.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    minimum_samples = forms.IntegerField(min_value=1, max_value=10_000_000, initial=350, label="Samples at least")

    aliases = {"workloads": "workload"}

    def __init__(self, data: Any = None, *, access: PilotAccess, model: ModelVersion) -> None:
        super().__init__(data, initial={"owner": access.user.get_username()})
        fields: Any = self.fields
        managed = [team.pk for team in access.teams() if access.may_open_for(team)]
        fields["workload"].queryset = access.workloads().filter(team__in=managed)
        fields["candidate"].queryset = (
            Endpoint.objects.exclude(model=model).select_related("model").order_by("model__slug", "slug")
        )
        fields["candidate"].label_from_instance = lambda endpoint: f"{endpoint.model.slug} at {endpoint.slug}"
        people = Q(pk=access.user.pk) | Q(team_memberships__team__in=managed)
        fields["owner"].queryset = get_user_model().objects.filter(people, is_active=True).distinct()

    def proposal(self) -> Proposal:
        given = self.cleaned_data
        return Proposal(scorer=given["scorer"], margin=given["margin"] / 100, minimum_samples=given["minimum_samples"])
