"""What happened to a pilot, append-only, and the spells that follow from it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from evaluations.enums import Decision
from evaluations.models import ModelVersion
from evaluations.models.fields import EnumField, one_of
from pilots.enums import AttachmentKind, EventKind, EventSource, KnownBy, Reason, SpellEnd
from pilots.models.pilots import Pilot


class PilotEvent(models.Model):
    """One thing that happened. Never edited: a correction is a new event that names the old one."""

    pilot = models.ForeignKey(Pilot, on_delete=models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField()  # order of recording
    kind = EnumField(EventKind)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    source = EnumField(EventSource)
    traffic_share = models.DecimalField(max_digits=5, decimal_places=4, null=True, blank=True)
    reason = EnumField(Reason, blank=True)
    to_model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    note = models.TextField(blank=True)
    corrects = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="corrections")
    data = models.JSONField(default=dict)  # verdict snapshot, observed_from, go or no-go, import batch
    digest = models.CharField(max_length=64)  # of what happened: the same event twice is one event

    class Meta:
        ordering = ["pilot", "seq"]
        indexes = [models.Index(fields=["kind", "occurred_at"], name="event_kind_time")]
        constraints = [
            models.UniqueConstraint(fields=["pilot", "seq"], name="event_seq_once"),
            models.UniqueConstraint(fields=["pilot", "digest"], name="event_once"),
            one_of("kind", EventKind, "event_kind_known"),
            models.CheckConstraint(condition=~Q(kind="rollback") | ~Q(reason=""), name="rollback_has_reason"),
            models.CheckConstraint(
                condition=~Q(kind="superseded") | Q(to_model__isnull=False), name="superseded_names_model"
            ),
            models.CheckConstraint(
                condition=~Q(kind="corrected") | Q(corrects__isnull=False), name="correction_names_event"
            ),
            models.CheckConstraint(
                condition=Q(traffic_share__isnull=True) | (Q(traffic_share__gte=0) & Q(traffic_share__lte=1)),
                name="event_share_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pilot} #{self.seq} {self.kind}"


class EventAttachment(models.Model):
    """A reference bound to an event: a replay run, an incident, an invoice, a link or a note."""

    event = models.ForeignKey(PilotEvent, on_delete=models.PROTECT, related_name="attachments")
    kind = EnumField(AttachmentKind)
    reference = models.CharField(max_length=1000)

    class Meta:
        constraints = [
            one_of("kind", AttachmentKind, "attachment_kind_known"),
            models.CheckConstraint(condition=~Q(reference=""), name="attachment_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.reference}"


class Spell(models.Model):
    """One unbroken time on the candidate, from cutover to its end or to the last confirmation.

    A projection: rebuilt from the events of its pilot by ``services.lifecycle``.
    """

    pilot = models.ForeignKey(Pilot, on_delete=models.CASCADE, related_name="spells")
    number = models.PositiveSmallIntegerField()
    started_on = models.DateField()
    observed_from_on = models.DateField()  # late entry: known about only from here on
    ended_on = models.DateField(null=True)
    end_kind = EnumField(SpellEnd, blank=True)  # '': not ended
    end_reason = EnumField(Reason, blank=True)
    end_model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    last_confirmed_on = models.DateField()
    known_by = EnumField(KnownBy, default=KnownBy.DECLARED)
    forced = models.BooleanField(default=False)
    upgraded = models.BooleanField(default=False)
    against_verdict = models.BooleanField(default=False)
    decision_at_cutover = EnumField(Decision, blank=True)  # verdict on the agreed criteria; "": none was read

    class Meta:
        ordering = ["pilot", "number"]
        constraints = [
            models.UniqueConstraint(fields=["pilot", "number"], name="spell_number_once"),
            models.CheckConstraint(
                condition=Q(ended_on__isnull=True) | Q(ended_on__gte=models.F("started_on")),
                name="spell_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pilot} period {self.number}"
