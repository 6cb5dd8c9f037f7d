"""What people and programs are told: the outbox, who has read what, and what has left the house.

A ``Notice`` is written in the transaction of what caused it. Workers turn it into one ``Notification`` for each person
and one ``Delivery`` for each e-mail and webhook, and send those.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.models import Team
from evaluations.models.fields import EnumField, one_of
from pilots.enums import Channel, DeliveryState, NoticeKind, NoticeMode
from pilots.models.pilots import Pilot


class Notice(models.Model):
    """One thing to be told to a team's people and webhooks."""

    key = models.CharField(max_length=250, unique=True)  # the same thing is told once
    kind = EnumField(NoticeKind, max_length=40)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="notices")
    pilot = models.ForeignKey(Pilot, on_delete=models.CASCADE, null=True, related_name="notices")  # None: of a model
    words = models.CharField(max_length=500)  # one sentence
    data = models.JSONField(default=dict)  # for programs; the body of the webhook
    actor = models.CharField(max_length=200, blank=True)  # who caused it, and so need not be told; '': nobody
    happened_at = models.DateTimeField()
    spread_at = models.DateTimeField(null=True)  # None: its notifications and deliveries are not written yet

    class Meta:
        ordering = ["-happened_at", "-id"]
        indexes = [models.Index(fields=["id"], condition=Q(spread_at=None), name="notice_to_spread")]
        constraints = [one_of("kind", NoticeKind, "notice_kind_known")]

    def __str__(self) -> str:
        return self.words


class Webhook(models.Model):
    """An address of a team's that is called. Its signing secret is derived from the site's key and ``salt``."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    kinds = models.JSONField()  # values of NoticeKind
    salt = models.CharField(max_length=64)
    secret_digest = models.CharField(max_length=64)  # sha256 of the secret: tells when the site's key has changed
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)  # no longer called

    class Meta:
        ordering = ["team", "id"]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """An e-mail or a call of a webhook: sent until it arrives, ``give_up_after`` attempts at the most.

    Each attempt is claimed by a lease before it is made, and its number never comes again.
    """

    channel = EnumField(Channel)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, null=True, related_name="deliveries")  # None: a digest
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, null=True, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    digest_on = models.DateField(null=True)  # the day, on the reader's calendar, whose digest this is
    state = EnumField(DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    give_up_after = models.PositiveIntegerField()
    due_at = models.DateTimeField()  # the next attempt's time
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)  # HTTP status of the last answer; None: there was none
    error = models.CharField(max_length=300, blank=True)  # why the last attempt failed
    created_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(state__in=[DeliveryState.PENDING.value, DeliveryState.SENDING.value]),
                name="delivery_open",
            )
        ]
        constraints = [
            one_of("channel", Channel, "delivery_channel_known"),
            one_of("state", DeliveryState, "delivery_state_known"),
            models.UniqueConstraint(fields=["notice", "webhook"], name="delivery_once_a_webhook"),
            models.UniqueConstraint(fields=["notice", "user"], name="delivery_once_a_reader"),
            models.UniqueConstraint(fields=["user", "digest_on"], name="digest_once_a_day"),
            models.CheckConstraint(
                condition=Q(channel=Channel.WEBHOOK.value, webhook__isnull=False, user=None, digest_on=None)
                | Q(channel=Channel.EMAIL.value, webhook=None, user__isnull=False),
                name="delivery_goes_somewhere",
            ),
            models.CheckConstraint(
                condition=Q(notice__isnull=False) | Q(digest_on__isnull=False), name="delivery_says_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.pk}"


class Notification(models.Model):
    """A notice for one person, who may have read it."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="notifications")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    mode = EnumField(NoticeMode)
    read_at = models.DateTimeField(null=True)
    digest = models.ForeignKey(Delivery, on_delete=models.SET_NULL, null=True, related_name="notifications")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user"], condition=Q(read_at=None), name="notification_unread"),
            models.Index(
                fields=["user"],
                condition=Q(mode=NoticeMode.DIGEST.value, digest=None),
                name="notification_for_digest",
            ),
        ]
        constraints = [
            one_of("mode", NoticeMode, "notification_mode_known"),
            models.UniqueConstraint(fields=["notice", "user"], name="notification_once"),
        ]

    def __str__(self) -> str:
        return f"{self.notice} for {self.user}"


class NoticeSettings(models.Model):
    """How one person wants to be told. Without a row, and for kinds not named, the defaults hold."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_settings")
    modes = models.JSONField(default=dict)  # value of NoticeKind -> value of NoticeMode
    timezone = models.CharField(max_length=60, default="UTC")
    digest_hour = models.PositiveSmallIntegerField(default=8)  # on the clock of that zone

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(digest_hour__lte=23), name="digest_hour_of_a_day")]

    def __str__(self) -> str:
        return f"notice settings of {self.user}"
