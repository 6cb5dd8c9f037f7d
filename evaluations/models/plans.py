"""What will be tested and how it will be judged: editable as a draft, hashed when frozen."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.models.catalogue import Endpoint, ModelVersion
from evaluations.models.fields import ExactDecimalField
from evaluations.models.teams import Workload


class Plan(models.Model):
    """The draft of one comparison on one workload: arms, scorers, criteria, looks, horizon, budget.

    ``frozen`` versions are what runs are judged by; the draft may differ from the newest of them.
    """

    slug = models.SlugField(max_length=80, unique=True)
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="plans")
    incumbent_model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    incumbent_endpoint = models.ForeignKey(
        Endpoint, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )  # None: the recorded production answers are the arm
    incumbent_request = models.JSONField(default=dict, blank=True)  # adaptations: system_prefix, parameters
    candidate_model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    candidate_endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    candidate_request = models.JSONField(default=dict, blank=True)
    definition = models.JSONField(default=dict, blank=True)  # hypothesis, scorers, criteria, looks, alpha, horizon
    budget_amount = ExactDecimalField(null=True, blank=True)  # per run
    budget_currency = models.CharField(max_length=3, default="USD")
    assume_per_mtok = models.JSONField(null=True, blank=True)  # {"input", "output"} for an endpoint without a price
    max_calls = models.PositiveIntegerField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)  # compare-and-set on the draft

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=~Q(incumbent_model=models.F("candidate_model")), name="plan_two_models"),
        ]

    def __str__(self) -> str:
        return self.slug


class PlanVersion(models.Model):
    """A frozen plan: ``document`` is exactly what ``digest`` covers. Never changed."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    after_the_fact = models.BooleanField(default=False)  # a run existed when it was frozen
    frozen_at = models.DateTimeField()
    frozen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["plan", "number"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="plan_version_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} v{self.number}"
