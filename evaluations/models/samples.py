"""Captured production requests, and the frozen memberships that are replayed."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from evaluations.models.teams import Workload


class Sample(models.Model):
    """One captured production request, without its content (see ``SampleContent``)."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="samples")
    external_id = models.CharField(max_length=200)  # the log's own id; from the digest where it has none
    digest = models.CharField(max_length=64)  # sha256 over the content
    occurred_at = models.DateTimeField(null=True, blank=True)
    cluster = models.CharField(max_length=200, blank=True)  # '': a unit of its own
    segments = models.JSONField(default=dict)
    replayable = models.BooleanField(default=True)  # False: the log held no prompt
    captured_at = models.DateTimeField(auto_now_add=True)
    purged_at = models.DateTimeField(null=True, blank=True)  # when its contents were removed; None: they are kept

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workload", "external_id"], name="sample_once_in_pool"),
        ]
        indexes = [models.Index(fields=["workload", "digest"], name="sample_digest")]

    def __str__(self) -> str:
        return self.external_id


class SampleContent(models.Model):
    """Prompt and reference; a table of its own, so that it can be purged and left out."""

    sample = models.OneToOneField(Sample, on_delete=models.CASCADE, primary_key=True, related_name="content")
    request = models.JSONField(null=True)  # OpenAI chat form; None: the log held no prompt
    reference = models.JSONField(null=True)  # None: no reference


class RecordedResponse(models.Model):
    """What production answered at the time; the incumbent's arm once its model is gone."""

    sample = models.OneToOneField(Sample, on_delete=models.CASCADE, primary_key=True, related_name="recorded")
    model_name = models.CharField(max_length=200, blank=True)  # as named in the log
    usage = models.JSONField(null=True)  # the log's usage object, untouched
    latency_ms = models.FloatField(null=True)
    finish_reason = models.CharField(max_length=60, blank=True)


class RecordedContent(models.Model):
    response = models.OneToOneField(
        RecordedResponse, on_delete=models.CASCADE, primary_key=True, related_name="content"
    )
    text = models.TextField(null=True)  # noqa: DJ001 - None: the answer had no text
    message = models.JSONField(null=True)


class SampleSet(models.Model):
    """A frozen membership of a workload's pool, with the method that chose it and a digest over its members."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="sample_sets")
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    method = models.JSONField(default=dict)  # how members were chosen: kind, seed, source file, ...
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="parts")
    frozen_at = models.DateTimeField()
    frozen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-frozen_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["workload", "digest"], name="sample_set_once"),
            models.CheckConstraint(condition=models.Q(size__gt=0), name="sample_set_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name


class SampleSetMember(models.Model):
    """Membership in the set's seeded order: ``position`` counts from 0 without gaps."""

    sample_set = models.ForeignKey(SampleSet, on_delete=models.CASCADE, related_name="members")
    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="memberships")
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["sample_set", "position"], name="member_position_once"),
            models.UniqueConstraint(fields=["sample_set", "sample"], name="member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.sample}"
