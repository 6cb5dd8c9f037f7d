"""Observed traffic as pages show it. Public surface: ``observed_days``, ``traffic_overview``, ``TrafficOverview``."""

from __future__ import annotations

from django.db.models import QuerySet

from pilots.models import TrafficDay


def observed_days() -> QuerySet[TrafficDay]:
    """The rows in force whose workload and model are known."""
    return TrafficDay.objects.filter(replaced_at=None, workload__isnull=False, model__isnull=False)
