"""Scheduled replays: a cron line in the pilot's time zone, and one row a slot."""

from __future__ import annotations

from django.db import models

from evaluations.models import ReplayRun
from evaluations.models.fields import EnumField, one_of
from pilots.enums import SlotState
from pilots.models.pilots import Pilot


class Schedule(models.Model):
    pilot = models.OneToOneField(Pilot, on_delete=models.CASCADE, related_name="schedule")
    cron = models.CharField(max_length=120)
    timezone = models.CharField(max_length=60, default="UTC")
    take = models.PositiveIntegerField()
    enabled = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"{self.pilot}: {self.cron} {self.timezone}"


class ScheduleSlot(models.Model):
    """One due time of a schedule; unique, so that two schedulers start one run."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="slots")
    due_at = models.DateTimeField()
    state = EnumField(SlotState, default=SlotState.DUE)
    run = models.ForeignKey(ReplayRun, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-due_at"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "due_at"], name="slot_once"),
            one_of("state", SlotState, "slot_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule.pilot} {self.due_at}"
