"""What is watched while it runs: signs of life, and running totals of calls."""

from __future__ import annotations

from django.db import models

from evaluations.enums import Beat, Outcome
from evaluations.models.catalogue import Endpoint
from evaluations.models.fields import EnumField, ExactDecimalField, one_of
from evaluations.models.replays import ReplayRun


class Heartbeat(models.Model):
    """When something that has to go on happening last happened."""

    name = EnumField(Beat, max_length=40, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.at}"


class CallTally(models.Model):
    """A run's settled calls of one UTC day by endpoint and outcome, counted by the same commits as the attempts.

    So that a page polled every second reads a few rows, however many calls there are.
    """

    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, related_name="tallies")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    outcome = EnumField(Outcome)
    calls = models.PositiveIntegerField(default=0)
    cost_amount = ExactDecimalField(default=0)  # of calls whose cost is known, in the run's currency

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "endpoint", "day", "outcome"], name="tally_once"),
            one_of("outcome", Outcome, "tally_outcome_known"),
        ]
        indexes = [models.Index(fields=["day"], name="tally_day")]

    def __str__(self) -> str:
        return f"{self.run} {self.day} {self.outcome}: {self.calls}"
