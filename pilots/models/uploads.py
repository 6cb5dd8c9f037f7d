"""Files that people bring, and the histories that were imported from some."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.models import SampleSet, Workload
from evaluations.models.fields import EnumField, one_of
from pilots.enums import UploadKind, UploadState


class Upload(models.Model):
    """A file that somebody brought, what was to be done with it, and what became of it.

    Only the record stays: the file itself is removed once it has been read.
    """

    kind = EnumField(UploadKind)
    workload = models.ForeignKey(  # whose pool the samples are for; None: it is a history
        Workload, on_delete=models.CASCADE, null=True, blank=True, related_name="uploads"
    )
    file_name = models.CharField(max_length=120)
    size = models.PositiveBigIntegerField()  # bytes
    path = models.CharField(max_length=500, blank=True)  # '': read, or removed
    options = models.JSONField(default=dict)  # as the service takes them; of a history its mapping of columns
    uploaded_at = models.DateTimeField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    state = EnumField(UploadState, default=UploadState.PENDING)
    reason = models.CharField(max_length=500, blank=True)  # why it failed
    attempts = models.PositiveSmallIntegerField(default=0)  # times that a worker began to read it
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    step = models.CharField(max_length=120, blank=True)  # how far it is, in words
    result = models.JSONField(default=dict)  # read, stored, duplicates, ...; '': not yet
    rejects_path = models.CharField(max_length=500, blank=True)  # the list of bad lines; '': there are none
    sample_set = models.ForeignKey(SampleSet, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-uploaded_at", "-id"]
        indexes = [models.Index(fields=["state"], name="upload_state")]
        constraints = [
            one_of("kind", UploadKind, "upload_kind_known"),
            one_of("state", UploadState, "upload_state_known"),
            models.CheckConstraint(
                condition=Q(kind=UploadKind.SAMPLES.value, workload__isnull=False)
                | Q(kind=UploadKind.HISTORY.value, workload__isnull=True),
                name="upload_of_samples_has_workload",
            ),
            models.CheckConstraint(
                condition=~Q(state=UploadState.FAILED.value) | ~Q(reason=""), name="upload_failed_says_why"
            ),
        ]

    def __str__(self) -> str:
        return self.file_name


class HistoryImport(models.Model):
    """One import of past switches. Its events carry its key under ``data["import"]["id"]``.

    Undoing it voids these by corrections and leaves the row, and the past, as they were.
    """

    file_name = models.CharField(max_length=255)
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=200)  # as in the audit
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    upload = models.OneToOneField(  # None: imported by command
        Upload, on_delete=models.SET_NULL, null=True, related_name="history_import"
    )
    events = models.PositiveIntegerField()  # that were new
    pilots = models.PositiveIntegerField()  # that got at least one
    undone_at = models.DateTimeField(null=True)  # None: it stands
    undone_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-imported_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True) | ~Q(undone_by=""), name="history_import_undone_by_somebody"
            ),
        ]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.file_name}"
