"""Starting and resuming replays. Public surface: ``ReplayForm``, ``ResumeForm``."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluations.conf import setting
from evaluations.enums import OTHER_CAPS, RunStatus
from evaluations.models import Plan, ReplayRun, SampleSet
from pilots.forms.base import ServiceForm


class ReplayForm(ServiceForm):
    """Which samples, how many, and what it may cost at the most."""

    sample_set = forms.ModelChoiceField(SampleSet.objects.none(), label="Sample set", empty_label=None)
    take = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000_000,
        label="How many of it",
        help_text="That many which this plan has not replayed yet. Empty: the whole set.",
    )
    repeats = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=1,
        label="Repeats",
        help_text="Answers of each model to each sample. A sample still counts once, with its mean.",
    )
    budget = forms.DecimalField(
        min_value=0,
        max_digits=19,
        decimal_places=6,
        label="Hard cap",
        help_text="No call is sent that could pass it.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    aliases = {"set": "sample_set"}

    def __init__(self, data: Any = None, *, plan: Plan) -> None:
        super().__init__(data)
        sets: Any = self.fields["sample_set"]
        sets.queryset = plan.workload.sample_sets.filter(parent__isnull=True)
        sets.label_from_instance = lambda row: f"{row.name}, {row.size:,} samples"
        newest = sets.queryset.first()
        sets.initial = newest.pk if newest else None
        self.has_samples = newest is not None
        self.fields["budget"].initial = plan.budget_amount or setting("DEFAULT_BUDGET")[0]
        self.fields["budget"].label = f"Hard cap, in {plan.budget_currency}"


class ResumeForm(ServiceForm):
    """A stopped run goes on; where the budget stopped it, under a higher cap."""

    budget = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=19,
        decimal_places=6,
        help_text="Empty: as before.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    def __init__(self, data: Any = None, *, run: ReplayRun) -> None:
        super().__init__(data)
        self.fields["budget"].label = f"New hard cap, in {run.currency}"
        if run.status is RunStatus.STOPPED_BY_BUDGET and run.status_reason not in OTHER_CAPS:
            self.fields["budget"].required = True
            self.fields["budget"].help_text = "The old one is spent: it has to be higher."
