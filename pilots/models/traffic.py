"""Observed production usage, by day and model."""

from __future__ import annotations

from django.db import models

from evaluations.models import ModelVersion, Workload
from evaluations.models.fields import ExactDecimalField


class TrafficDay(models.Model):
    """One day's observed usage of a workload by one model. A day without rows is missing, not zero."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="traffic_days")
    day = models.DateField()  # UTC
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    requests = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField(null=True)
    output_tokens = models.PositiveBigIntegerField(null=True)
    errors = models.PositiveBigIntegerField(null=True)
    cost_amount = ExactDecimalField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["workload", "day", "model"]
        constraints = [
            models.UniqueConstraint(fields=["workload", "day", "model"], name="traffic_day_once"),
        ]

    def __str__(self) -> str:
        return f"{self.workload} {self.day} {self.model}"
