"""Mapping rules, and files of observed traffic. Public surface: ``RuleForm``, ``TrafficFileForm``."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluations.models import ModelVersion, Workload
from pilots.enums import GatewayName
from pilots.forms.base import ServiceForm
from pilots.selectors.access import PilotAccess


class RuleForm(ServiceForm):
    kind = forms.TypedChoiceField(choices=GatewayName.choices(), coerce=GatewayName, label="The name is")
    name = forms.CharField(
        max_length=200, label="Name in the log", help_text="As the gateway writes it; case does not matter."
    )
    workload = forms.ModelChoiceField(
        Workload.objects.none(), required=False, label="Workload", empty_label="Not said", to_field_name="slug"
    )
    model = forms.ModelChoiceField(
        ModelVersion.objects.all(), required=False, label="Model", empty_label="Not said", to_field_name="slug"
    )
    from_on = forms.DateField(
        required=False,
        label="From this day on",
        help_text="UTC. Leave empty for always. The name may get another meaning from a later day on.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, data: Any = None, *, access: PilotAccess, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        managed = access.workloads_managed()
        workloads: Any = self.fields["workload"]
        workloads.queryset = access.workloads() if managed is None else access.workloads().filter(pk__in=managed)


class TrafficFileForm(ServiceForm):
    file = forms.FileField(
        label="File",
        help_text="CSV, XLSX or JSON lines with workload, day, model, requests; LiteLLM spend logs, OTLP GenAI spans or"
        " Azure diagnostic logs. May be packed with gzip.",
        max_length=200,
    )
