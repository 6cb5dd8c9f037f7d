"""The pilot: one time-bounded attempt to move one workload from incumbent to candidate."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from evaluations.models import ModelVersion, Plan, Workload
from evaluations.models.fields import EnumField, one_of
from pilots.enums import Motive, PilotStatus


class Pilot(models.Model):
    """``status``, ``traffic_share`` and their dates are the cached last value of the pilot's events."""

    slug = models.SlugField(max_length=80, unique=True)
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="pilots")
    incumbent = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="pilots_as_incumbent")
    candidate = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="pilots_as_candidate")
    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="pilot")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="pilots_owned"
    )
    deputy = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="pilots_deputised"
    )
    motive = EnumField(Motive, blank=True)  # '': not declared
    status = EnumField(PilotStatus, default=PilotStatus.DRAFT)
    status_at = models.DateTimeField()  # when the status began
    traffic_share = models.DecimalField(max_digits=5, decimal_places=4, null=True, blank=True)  # on the candidate
    closed_at = models.DateTimeField(null=True, blank=True)
    last_seq = models.PositiveIntegerField(default=0)  # of its newest event
    version = models.PositiveIntegerField(default=0)  # compare-and-set for every change

    class Meta:
        ordering = ["slug"]
        indexes = [models.Index(fields=["status"], name="pilot_status")]
        constraints = [
            one_of("status", PilotStatus, "pilot_status_known"),
            models.CheckConstraint(condition=~Q(incumbent=F("candidate")), name="pilot_two_models"),
            models.CheckConstraint(
                condition=Q(traffic_share__isnull=True) | (Q(traffic_share__gte=0) & Q(traffic_share__lte=1)),
                name="pilot_share_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return self.slug
