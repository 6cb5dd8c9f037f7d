"""Opening a pilot with its plan. Public surface: ``OpenForm``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth import get_user_model

from evaluations.enums import CriterionRole, Looks
from evaluations.models import Endpoint, ModelVersion, Workload
from evaluations.services.plan_document import BudgetEntry, CriterionEntry, PlanDefinition, ScorerEntry
from pilots.enums import Motive
from pilots.forms.base import ServiceForm
from pilots.selectors.access import PilotAccess
from pilots.services.opening import Arm

# What needs no more than a choice, or the one setting that has a field of its own below.
_SCORERS = [
    ("exact", "Same text as the reference"),
    ("contains", "Contains the reference"),
    ("numeric", "Same number as the reference"),
    ("json_field", "Same value in a field of a JSON answer"),
    ("tool_call", "Same tool calls as the reference"),
    ("rouge_l", "Words in common with the reference (ROUGE-L)"),
    ("chrf", "Characters in common with the reference (chrF)"),
    ("language", "In the language of the request"),
    ("length", "Not too long"),
    ("refusal", "Not refused"),
]
_LIMITS: dict[str, Any] = {"max_digits": 6, "decimal_places": 2, "widget": forms.NumberInput(attrs={"step": "any"})}


def _points(label: str, **kwargs: Any) -> forms.DecimalField:
    return forms.DecimalField(label=label, min_value=0, max_value=100, **_LIMITS, **kwargs)


def _percent(label: str, **kwargs: Any) -> forms.DecimalField:
    return forms.DecimalField(label=label, min_value=1, max_value=1000, required=False, **_LIMITS, **kwargs)


class OpenForm(ServiceForm):
    """Who and what, then the plan's essentials; a portfolio file can say more."""

    workload = forms.ModelChoiceField(Workload.objects.none(), empty_label="Choose the workload", to_field_name="slug")
    slug = forms.SlugField(max_length=80, label="Name of the pilot", help_text="Short, in the address: triage-to-mai.")
    incumbent = forms.ChoiceField(help_text="The model in production, and how its answers are had.")
    candidate = forms.ChoiceField(help_text="The model under trial.")
    motive = forms.ChoiceField(choices=[("", "Not declared"), *Motive.choices()], required=False)
    deputy = forms.ModelChoiceField(
        get_user_model().objects.none(), required=False, empty_label="Nobody", to_field_name="username"
    )
    hypothesis = forms.CharField(
        required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"})
    )
    scorer = forms.ChoiceField(
        choices=_SCORERS, label="How an answer is judged", help_text="A portfolio file knows more, and several at once."
    )
    field = forms.CharField(required=False, max_length=200, label="JSON field", help_text="Only for a JSON answer.")
    words = forms.IntegerField(
        required=False, min_value=1, max_value=10_000_000, label="Words at most", help_text="Only for “Not too long”."
    )
    margin = _points(
        "Largest loss accepted", initial=3, help_text="In percentage points: the margin, fixed before the first call."
    )
    failure_margin = _points("More failed calls", initial=3, required=False, help_text="In percentage points, at most.")
    cost_ratio = _percent("Cost per request", help_text="In % of the incumbent's, at most.")
    latency_ratio = _percent("95th percentile of latency", help_text="In % of the incumbent's, at most.")
    looks = forms.ChoiceField(choices=Looks.choices(), label="Planned checks")
    minimum_samples = forms.IntegerField(min_value=1, max_value=10_000_000, initial=350, label="Samples at least")
    maximum_samples = forms.IntegerField(min_value=1, max_value=10_000_000, required=False, label="Samples at most")
    planned_looks = forms.CharField(
        required=False,
        max_length=1000,
        label="Read at",
        help_text="Only for planned looks: sample numbers, the last of them the most. For example 500, 1000, 1500.",
    )
    decide_by = forms.DateField(
        required=False, label="Decided by", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    budget = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_digits=13,
        decimal_places=2,
        initial=25,
        label="Hard cap, in USD",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    WHO = ("workload", "slug", "incumbent", "candidate", "motive", "deputy")
    QUALITY = ("hypothesis", "scorer", "field", "words", "margin")
    GUARDRAILS = ("failure_margin", "cost_ratio", "latency_ratio")
    EVIDENCE = ("looks", "minimum_samples", "maximum_samples", "planned_looks", "decide_by", "budget")
    aliases = {
        "incumbent.endpoint": "incumbent",
        "candidate.endpoint": "candidate",
        "plan.scorers[0].config": "field",
        "plan.criteria[0].margin": "margin",
        "plan.minimum_samples": "minimum_samples",
        "plan.maximum_samples": "maximum_samples",
        "plan.planned_looks": "planned_looks",
        "plan.budget.amount": "budget",
    }

    def __init__(self, data: Any = None, *, access: PilotAccess, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        if self.data.get("scorer") == "length":
            self.aliases = {**self.aliases, "plan.scorers[0].config": "words"}
        teams = [team for team in access.teams() if access.may_open_for(team)]
        fields: dict[str, Any] = self.fields
        fields["workload"].queryset = Workload.objects.filter(team__in=teams).select_related("team")
        fields["workload"].label_from_instance = lambda row: f"{row.team.name}: {row.name}"
        members = get_user_model().objects.filter(team_memberships__team__in=teams, is_active=True).distinct()
        fields["deputy"].queryset = members.order_by("username")
        endpoints = [
            (f"endpoint:{endpoint.slug}", f"{endpoint.model.slug} at {endpoint.slug}")
            for endpoint in Endpoint.objects.select_related("model").order_by("model__slug", "slug")
        ]
        recorded = [
            (f"recorded:{slug}", f"{slug}, its recorded production answers")
            for slug in ModelVersion.objects.order_by("slug").values_list("slug", flat=True)
        ]
        fields["incumbent"].choices = [("", "Choose the model"), ("Called", endpoints), ("Recorded", recorded)]
        fields["candidate"].choices = [("", "Choose the model"), *endpoints]

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        titles = {
            "Who and what": self.WHO,
            "Quality": self.QUALITY,
            "Guardrails": self.GUARDRAILS,
            "Evidence and money": self.EVIDENCE,
        }
        return [(title, [self[name] for name in names]) for title, names in titles.items()]

    def arm(self, role: str) -> Arm:
        kind, _, slug = self.cleaned_data[role].partition(":")
        if kind == "recorded":
            return Arm(ModelVersion.objects.get(slug=slug), None)
        endpoint = Endpoint.objects.select_related("model").get(slug=slug)
        return Arm(endpoint.model, endpoint)

    def clean_planned_looks(self) -> list[int]:
        given = self.cleaned_data["planned_looks"].replace(",", " ").split()
        if not all(each.isascii() and each.isdigit() and len(each) <= 8 for each in given):
            raise forms.ValidationError("Sample numbers with commas between them, without thousands separators.")
        return [int(each) for each in given]

    def clean_motive(self) -> Motive | None:
        return Motive(self.cleaned_data["motive"]) if self.cleaned_data["motive"] else None

    def definition(self) -> PlanDefinition:
        given = self.cleaned_data
        configs: dict[str, dict[str, Any]] = {
            "json_field": {"field": given["field"], "compare": "exact"},
            "length": {} if given["words"] is None else {"maximum": given["words"]},
        }
        criteria = [CriterionEntry(metric=given["scorer"], margin=given["margin"] / 100)]
        for name, metric, limit in (
            ("failure_margin", "failure_rate", "margin"),
            ("cost_ratio", "cost_per_request", "max_ratio"),
            ("latency_ratio", "latency_p95_ms", "max_ratio"),
        ):
            if given[name] is not None:
                criteria.append(
                    CriterionEntry(metric=metric, role=CriterionRole.GUARDRAIL, **{limit: given[name] / 100})
                )
        return PlanDefinition(
            hypothesis=given["hypothesis"],
            scorers=[ScorerEntry(name=given["scorer"], config=configs.get(given["scorer"], {}))],
            criteria=criteria,
            looks=Looks(given["looks"]),
            minimum_samples=given["minimum_samples"],
            maximum_samples=given["maximum_samples"],
            decide_by=given["decide_by"],
            planned_looks=given["planned_looks"],
            budget=BudgetEntry(amount=given["budget"]),
        )
