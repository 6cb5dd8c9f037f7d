"""Files that were asked for and given out."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.enums import AuditSource
from evaluations.models.fields import EnumField, one_of
from pilots.enums import Audience, ExportState, FileFormat


class ExportFile(models.Model):
    """An export: what was asked for, by whom, and once it is written the digest by which a copy is recognised."""

    key = models.CharField(max_length=40)  # the exporter
    filters = models.JSONField(default=dict)
    audience = EnumField(Audience, default=Audience.FULL)  # as asked; once written, as it became
    vendor = models.CharField(max_length=80, blank=True)  # slug of the vendor whose copy it is; '': of none
    format = EnumField(FileFormat, default=FileFormat.XLSX)
    asked_at = models.DateTimeField()  # the present that the file shows
    source = EnumField(AuditSource)  # the door through which it was asked for
    written_by = models.ForeignKey(  # whose file it is; None: of a command, or of somebody who is gone
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    state = EnumField(ExportState, default=ExportState.PENDING)
    reason = models.CharField(max_length=300, blank=True)  # why it failed
    attempts = models.PositiveSmallIntegerField(default=0)  # times that a worker began to write it
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    sheet = models.CharField(max_length=120, blank=True)  # being written now
    rows = models.PositiveIntegerField(default=0)  # written so far, over all sheets
    file_name = models.CharField(max_length=200, blank=True)
    path = models.CharField(max_length=500, blank=True)
    sheets = models.JSONField(default=dict)  # sheet title -> rows
    sha256 = models.CharField(max_length=64, blank=True)  # of the file
    digest = models.CharField(max_length=64, blank=True)  # of the data behind it; '': the exporter gives none
    written_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)  # the file was kept its time; the record stays

    class Meta:
        ordering = ["-asked_at", "-id"]
        indexes = [models.Index(fields=["state"], name="export_state")]
        constraints = [
            one_of("audience", Audience, "export_audience_known"),
            one_of("state", ExportState, "export_state_known"),
            one_of("format", FileFormat, "export_format_known"),
            models.CheckConstraint(
                condition=~Q(state=ExportState.DONE.value) | (Q(written_at__isnull=False) & ~Q(sha256="")),
                name="export_done_is_written",
            ),
            models.CheckConstraint(
                condition=~Q(state=ExportState.FAILED.value) | ~Q(reason=""), name="export_failed_says_why"
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or self.key

    @property
    def for_whom(self) -> str:
        """The audience as it is spelled everywhere: ``full``, ``no-content`` or ``vendor:SLUG``."""
        return f"{self.audience}:{self.vendor}" if self.vendor else str(self.audience)
