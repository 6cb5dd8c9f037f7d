"""Comparisons that take a worker, kept by what they are of."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class CustomerComparison(models.Model):
    """A log-rank test by exchanges of customers. The same spells in the same groups are the same row."""

    fingerprint = models.CharField(max_length=64, unique=True)  # of ``rows`` and of how they are compared
    rows = models.JSONField()  # columns time, event, entry, group, customer; {}: computed, and no longer kept
    asked_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)  # times that a worker began with it
    computed_at = models.DateTimeField(null=True)  # None: not yet
    p = models.FloatField(null=True)  # None: not yet, or no exchange changes anything
    customers = models.PositiveIntegerField(default=0)
    permutations = models.PositiveIntegerField(default=0)  # labellings looked at
    exact = models.BooleanField(default=False)  # all of them there are

    class Meta:
        ordering = ["asked_at"]
        indexes = [
            models.Index(fields=["asked_at"], condition=Q(computed_at__isnull=True), name="customer_comparison_due")
        ]

    def __str__(self) -> str:
        return f"comparison {self.fingerprint[:12]}"
