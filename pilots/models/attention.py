"""What one person put off, and when they were here."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Snooze(models.Model):
    """A matter that one person does not want to see until a day, or until more is at stake. Others go on seeing it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="snoozes")
    key = models.CharField(max_length=200)  # of the matter
    until_on = models.DateField()  # UTC; on that day it is back
    reason = models.CharField(max_length=500)
    tone = models.CharField(max_length=10)  # as it was then, as the following
    size = models.BigIntegerField()
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["user", "until_on", "key"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="snooze_once"),
            models.CheckConstraint(condition=~Q(reason=""), name="snooze_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.key} until {self.until_on}"


class HomeVisit(models.Model):
    """The present visit of one person and the one before: what came up in between is new to them."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="home_visit")
    began_at = models.DateTimeField()
    before_at = models.DateTimeField(null=True)  # None: this is the first

    def __str__(self) -> str:
        return f"{self.user} since {self.began_at}"
