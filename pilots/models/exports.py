"""Files that were given out."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from evaluations.models.fields import EnumField, one_of
from pilots.enums import Audience


class ExportFile(models.Model):
    """A written export: what it covers, for whom, and the digest by which a copy is recognised."""

    key = models.CharField(max_length=40)  # the exporter
    filters = models.JSONField(default=dict)
    audience = EnumField(Audience, default=Audience.FULL)
    file_name = models.CharField(max_length=200)
    path = models.CharField(max_length=500)
    sheets = models.JSONField(default=dict)  # sheet title -> rows
    sha256 = models.CharField(max_length=64)
    written_at = models.DateTimeField()
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-written_at"]
        constraints = [one_of("audience", Audience, "export_audience_known")]

    def __str__(self) -> str:
        return self.file_name
