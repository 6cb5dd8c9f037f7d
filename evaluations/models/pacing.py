"""What all workers have to know to call a vendor no more than it allows."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.db import models

from evaluations.enums import PauseReason
from evaluations.models.catalogue import Endpoint, Vendor
from evaluations.models.fields import EnumField

GateKey = tuple[int, str, str]


class VendorGate(models.Model):
    """Whether a vendor may be called with one key: rate limits, money and outages are of that key, not of a model."""

    vendor = models.ForeignKey(Vendor, on_delete=models.CASCADE, related_name="gates")
    credential = models.CharField(max_length=500, blank=True)  # where the key is named, never the key
    host = models.CharField(max_length=260)
    not_before = models.DateTimeField(null=True)  # no call before; after it one at a time where the reason says so
    reason = EnumField(PauseReason, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row, of all workers: nobody was there to answer

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["vendor", "credential", "host"], name="gate_once"),
            models.CheckConstraint(
                condition=models.Q(reason__in=["", *(reason.value for reason in PauseReason)]), name="gate_reason_known"
            ),
        ]
        indexes = [models.Index(fields=["not_before"], name="gate_not_before")]

    def __str__(self) -> str:
        return f"{self.vendor} at {self.host}"

    @property
    def key(self) -> GateKey:
        return self.vendor_id, self.credential, self.host


def gate_key(*, vendor_id: int, credential_env: str, credential_file: str, base_url: str) -> GateKey:
    """The gate in front of an endpoint with these fields; an endpoint that changes them stands at another gate."""
    return vendor_id, credential_env or credential_file, urlsplit(base_url).netloc.rpartition("@")[2].lower()[:260]


class EndpointPace(models.Model):
    """An endpoint's minute, given out to workers in advance by compare-and-set, and what they found out about it."""

    endpoint = models.OneToOneField(Endpoint, on_delete=models.CASCADE, primary_key=True, related_name="pace")
    requests_until = models.DateTimeField(null=True)  # the calls up to this moment are given out
    tokens_until = models.DateTimeField(null=True)
    stated_requests_per_minute = models.PositiveIntegerField(null=True)  # by the vendor's headers
    stated_tokens_per_minute = models.PositiveBigIntegerField(null=True)
    found_rate = models.FloatField(null=True)  # calls a second that one worker's 429s left
    found_at = models.DateTimeField(null=True)
    call_seconds = models.FloatField(null=True)  # of an answered call, on average
    call_tokens = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"pace of {self.endpoint}"
