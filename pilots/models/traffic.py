"""Observed production usage, by day and model, and how the names in gateways' logs are read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from evaluations.models import ModelVersion, Workload
from evaluations.models.fields import EnumField, ExactDecimalField, one_of
from pilots.enums import ConflictKind, GatewayName, MeasuredState
from pilots.models.pilots import Pilot


class TrafficSource(models.Model):
    """The names under which somebody logged usage, as they were written: what the mapping rules look at."""

    key_alias = models.CharField(max_length=200, blank=True)  # of the key; in a table, the cell "workload"
    tags = models.JSONField(default=list)  # texts
    wire_name = models.CharField(max_length=200)  # the model as it was called
    digest = models.CharField(max_length=64, unique=True)  # of the three

    def __str__(self) -> str:
        return " ".join(filter(None, [self.key_alias, *self.tags, self.wire_name]))


class TrafficDay(models.Model):
    """One day's observed usage of a workload by one model. A day without rows is missing, not zero.

    Without a workload or a model the row waits for a mapping rule. A row is never overwritten: what is told anew of a
    source's day is another row, and the older one keeps the instant at which it was replaced.

    The keys are kept by the services alone: the database's own check of three keys a row would be two thirds of the
    time that importing a month takes.
    """

    source = models.ForeignKey(
        TrafficSource, on_delete=models.CASCADE, related_name="days", db_index=False, db_constraint=False
    )
    workload = models.ForeignKey(
        Workload, on_delete=models.CASCADE, null=True, related_name="traffic_days", db_index=False, db_constraint=False
    )
    day = models.DateField()  # UTC
    model = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    requests = models.PositiveBigIntegerField()  # errors included
    input_tokens = models.PositiveBigIntegerField(null=True)  # None: not said, here and below
    output_tokens = models.PositiveBigIntegerField(null=True)
    errors = models.PositiveBigIntegerField(null=True)
    cost_amount = ExactDecimalField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    recorded_at = models.DateTimeField()  # when it was imported; of a row that had to wait, when it was mapped
    replaced_at = models.DateTimeField(null=True)  # None: the row in force

    class Meta:
        ordering = ["workload", "day", "model"]
        indexes = [
            models.Index(fields=["workload", "day"], name="traffic_of_workload"),
            models.Index(
                fields=["source"],
                condition=Q(workload__isnull=True) | Q(model__isnull=True),
                name="traffic_waiting",
            ),
        ]
        constraints = [
            # The day first: what is imported lies at the end of the index, and not everywhere in it.
            models.UniqueConstraint(
                fields=["day", "source"], condition=Q(replaced_at__isnull=True), name="traffic_day_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workload or self.source} {self.day} {self.model or ''}"


class TrafficRule(models.Model):
    """What a gateway's name stands for, from a day on: a workload, a model or both."""

    kind = EnumField(GatewayName)
    name = models.CharField(max_length=200)
    from_on = models.DateField(null=True)  # first day; None: always
    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, null=True, related_name="traffic_rules")
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    made_by = models.CharField(max_length=200)
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["kind", "name", "from_on"]
        constraints = [
            one_of("kind", GatewayName, "traffic_rule_kind_known"),
            models.UniqueConstraint(fields=["kind", "name", "from_on"], name="traffic_rule_once"),
            models.UniqueConstraint(
                fields=["kind", "name"], condition=Q(from_on__isnull=True), name="traffic_rule_always_once"
            ),
            models.CheckConstraint(
                condition=Q(workload__isnull=False) | Q(model__isnull=False), name="traffic_rule_says_something"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="traffic_rule_has_name"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class TrafficReading(models.Model):
    """What a pilot's traffic said when it was last read: a projection of its days and its events (``pilots.measured``).

    It is in force while ``due`` is false and ``pilot_version`` is the pilot's; else the days themselves are read.
    """

    pilot = models.OneToOneField(Pilot, on_delete=models.CASCADE, primary_key=True, related_name="traffic_reading")
    pilot_version = models.PositiveIntegerField()
    due = models.BooleanField(default=False)  # traffic came in since
    read_at = models.DateTimeField()
    observed_days = models.PositiveIntegerField()
    first_on = models.DateField(null=True)  # None: nothing was observed, here and below
    last_on = models.DateField(null=True)
    state = EnumField(MeasuredState, blank=True)
    state_since = models.DateField(null=True)
    confirmed = models.JSONField(default=list)  # number, first and last day of each period seen on the candidate
    found = models.JSONField(default=list)  # the contradictions, as ``measured.Found``
    origin_on = models.DateField(null=True)  # no cutover is recorded: day one of the run that is read as one
    origin_established_on = models.DateField(null=True)  # from this day on
    confirmed_on = models.DateField(null=True)  # last day seen on the candidate in the newest period

    class Meta:
        indexes = [models.Index(fields=["due"], condition=Q(due=True), name="traffic_reading_due")]

    def __str__(self) -> str:
        return f"traffic of {self.pilot}"


class SavingsReading(models.Model):
    """What a pilot's periods on the candidate had saved when they were last read: a projection of its traffic, its
    events, the prices and its replays (``pilots.selectors.saved_days``).

    In force as a ``TrafficReading`` is, and while the incumbent's shutdown is the one it was read with.
    """

    pilot = models.OneToOneField(Pilot, on_delete=models.CASCADE, primary_key=True, related_name="savings_reading")
    pilot_version = models.PositiveIntegerField()
    due = models.BooleanField(default=False)  # traffic, a price or the end of a replay came in since
    read_at = models.DateTimeField()
    read_to = models.DateField()  # the last day that was looked at
    retires_on = models.DateField(null=True)  # of the incumbent; None: no date known
    document = models.JSONField()  # a ``PilotSavings``; of it what sums over a portfolio need:
    currency = models.CharField(max_length=3, blank=True)
    days = models.PositiveIntegerField()
    computed_days = models.PositiveIntegerField()
    saved_millionths = models.BigIntegerField(null=True)  # None: no day was computed
    evaluated_millionths = models.BigIntegerField()  # cost of evaluating, in the same currency

    class Meta:
        indexes = [models.Index(fields=["due"], condition=Q(due=True), name="savings_reading_due")]

    def __str__(self) -> str:
        return f"savings of {self.pilot}"


class TrafficConflict(models.Model):
    """A contradiction that was found and told. It ends with what its owner records, or disputed with an attachment."""

    pilot = models.ForeignKey(Pilot, on_delete=models.CASCADE, related_name="traffic_conflicts")
    kind = EnumField(ConflictKind)
    since_on = models.DateField()
    found_at = models.DateTimeField()
    words = models.CharField(max_length=500)
    disputed_at = models.DateTimeField(null=True)  # None: it stands, as far as traffic and events say
    disputed_by = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField(null=True)  # when events or newer traffic no longer contradicted each other

    class Meta:
        ordering = ["pilot", "since_on"]
        constraints = [
            one_of("kind", ConflictKind, "traffic_conflict_kind_known"),
            models.UniqueConstraint(fields=["pilot", "kind", "since_on"], name="traffic_conflict_once"),
        ]

    def __str__(self) -> str:
        return f"{self.pilot} {self.kind} since {self.since_on}"


class ShareAlarm(models.Model):
    """The measured share of a pilot lies off the recorded one, and is no contradiction yet. It ends by itself: when the
    share is back or recorded anew, or when it has become a contradiction.
    """

    pilot = models.ForeignKey(Pilot, on_delete=models.CASCADE, related_name="share_alarms")
    since_on = models.DateField()
    share = models.FloatField()  # measured, when it was found
    recorded_share = models.DecimalField(max_digits=5, decimal_places=4)
    raised_at = models.DateTimeField()
    words = models.CharField(max_length=500)  # one sentence without its full stop
    settled_at = models.DateTimeField(null=True)  # None: it stands
    acknowledged_at = models.DateTimeField(null=True)  # None: nobody has looked
    acknowledged_by = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=2000, blank=True)

    class Meta:
        ordering = ["pilot", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["pilot"], condition=Q(settled_at__isnull=True), name="share_alarm_once_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pilot}: {self.words}"
