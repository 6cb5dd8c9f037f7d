"""When somebody is due to confirm what a switched workload runs on."""

from __future__ import annotations

from django.db import models

from pilots.models.history import PilotEvent
from pilots.models.pilots import Pilot


class FollowUp(models.Model):
    """A due confirmation of one spell; answered by an event, or left open."""

    pilot = models.ForeignKey(Pilot, on_delete=models.CASCADE, related_name="follow_ups")
    spell_number = models.PositiveSmallIntegerField()
    day = models.PositiveSmallIntegerField()  # days after the cutover
    due_on = models.DateField()
    answered_by = models.ForeignKey(PilotEvent, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["due_on"]
        constraints = [
            models.UniqueConstraint(fields=["pilot", "spell_number", "day"], name="follow_up_once"),
        ]

    def __str__(self) -> str:
        return f"{self.pilot} day {self.day}"
