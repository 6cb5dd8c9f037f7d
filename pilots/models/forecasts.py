"""What pilots cost at prices that have changed since they were replayed."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from evaluations.models import ReplayRun
from pilots.models.pilots import Pilot


class CostForecast(models.Model):
    """The newest run's answers at the prices of the day. A projection: no run is changed by it.

    It is due while ``asked`` is ahead of ``answered``, and again from ``next_on``.
    """

    pilot = models.OneToOneField(Pilot, on_delete=models.CASCADE, primary_key=True, related_name="cost_forecast")
    asked = models.PositiveIntegerField(default=1)  # times that a price or a run came in
    answered = models.PositiveIntegerField(default=0)  # as of which of them it was read
    next_on = models.DateField(null=True)  # first day of a price that is on record and not yet in force; None: no such
    read_at = models.DateTimeField(null=True)  # None: not yet, as for all below
    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, null=True, related_name="+")  # whose answers
    lines = models.JSONField(null=True)  # ``CostLine`` documents; None: the prices are those of the run
    no_longer_met = models.JSONField(default=list)  # metrics of agreed criteria that were met at the prices of the run
    broken_at = models.DateTimeField(null=True)  # since when there are such

    class Meta:
        indexes = [models.Index(fields=["next_on"], name="forecast_next")]
        constraints = [models.CheckConstraint(condition=Q(answered__lte=F("asked")), name="forecast_answers_asked")]

    def __str__(self) -> str:
        return f"costs of {self.pilot}"
