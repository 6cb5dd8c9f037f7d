"""Who did what, when, from where. Rows outlive what they speak of: labels are copied in, nothing is referenced."""

from __future__ import annotations

from django.db import models

from evaluations.enums import AuditSource
from evaluations.models.fields import EnumField


class AuditEvent(models.Model):
    """One link of the audit chain; ``hash`` covers the row and ``previous_hash``. Append-only in the database too."""

    sequence = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)  # user name, or the command or task that acted
    source = EnumField(AuditSource)
    action = models.CharField(max_length=80)  # a registered name, for example replay_run.created
    team = models.CharField(max_length=80, blank=True)  # slug; '': not about one team
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=80)
    object_label = models.CharField(max_length=200)
    data = models.JSONField(default=dict)  # from, to, reason, ...; never content, never a key
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-sequence"]
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action} {self.object_label}"


class AuditHead(models.Model):
    """The end of the chain: one row, locked while a link is added."""

    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return str(self.sequence)
