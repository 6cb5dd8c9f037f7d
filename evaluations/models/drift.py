"""Alarms of models that moved while they were compared."""

from __future__ import annotations

from django.db import models

from evaluations.models.plans import PlanVersion
from evaluations.models.replays import ReplayRun


class DriftAlarm(models.Model):
    """A model, or the difference of the two, has moved since the first nights of a period, and so ended the period.

    Evidence from before and after is not mixed: runs that are created later belong to the next period, whose nights and
    whose verdict begin anew.
    """

    plan_version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="drift_alarms")
    period = models.PositiveSmallIntegerField()  # that it ended
    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, related_name="drift_alarms")  # the night that told
    raised_at = models.DateTimeField()
    moved = models.JSONField()  # each figure that moved, as ``selectors.drift.Move``
    served = models.JSONField()  # by arm, the model as pinned and as it named itself before and since
    words = models.CharField(max_length=500)  # one sentence without its full stop
    acknowledged_at = models.DateTimeField(null=True)  # None: nobody has said what it was
    acknowledged_by = models.CharField(max_length=200, blank=True)
    model_version = models.CharField(max_length=200, blank=True)  # what the vendor says that it serves; '': not known
    note = models.CharField(max_length=2000, blank=True)

    class Meta:
        ordering = ["plan_version", "period"]
        constraints = [
            models.UniqueConstraint(fields=["plan_version", "period"], name="drift_alarm_once_a_period"),
        ]

    def __str__(self) -> str:
        return self.words
