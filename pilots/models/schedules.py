"""Scheduled replays: a cron line in the pilot's time zone, and one row a slot."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from evaluations.models import ReplayRun
from evaluations.models.fields import EnumField, one_of
from pilots.cron import CronLine
from pilots.enums import CatchUp, SlotState
from pilots.models.pilots import Pilot


class Schedule(models.Model):
    pilot = models.OneToOneField(Pilot, on_delete=models.CASCADE, related_name="schedule")
    cron = models.CharField(max_length=120)
    timezone = models.CharField(max_length=60, default="UTC")
    take = models.PositiveIntegerField()
    catch_up = EnumField(CatchUp, default=CatchUp.ONCE)
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [one_of("catch_up", CatchUp, "schedule_catch_up_known")]

    def __str__(self) -> str:
        return f"{self.pilot}: {self.cron} {self.timezone}"

    @property
    def line(self) -> CronLine:
        return CronLine(self.cron, self.timezone)


class ScheduleSlot(models.Model):
    """One due time of a schedule; unique, so that two schedulers start one run. The next one is a row already."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="slots")
    due_at = models.DateTimeField()
    state = EnumField(SlotState, default=SlotState.DUE)
    run = models.ForeignKey(ReplayRun, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)  # why it was skipped
    settled_at = models.DateTimeField(null=True)  # when it was started or skipped

    class Meta:
        ordering = ["-due_at"]
        indexes = [models.Index(fields=["state", "due_at"], name="slot_state_due")]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "due_at"], name="slot_once"),
            one_of("state", SlotState, "slot_state_known"),
            models.CheckConstraint(
                condition=~Q(state=SlotState.SKIPPED.value) | ~Q(reason=""), name="slot_skipped_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule.pilot} {self.due_at}"
