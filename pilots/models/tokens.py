"""How programs identify themselves, and what makes a repeated request of theirs one request."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A person's key for a program. Only its digest is kept: the text is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)  # what it is for
    prefix = models.CharField(max_length=16)  # its beginning, to tell tokens apart
    digest = models.CharField(max_length=64, unique=True)  # sha256 of the whole text
    scopes = models.JSONField()  # values of TokenScope
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)  # to the minute; None: never
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")), name="token_expires_after_it_was_made"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class IdempotentRequest(models.Model):
    """A POST that carried an ``Idempotency-Key``: one row per person, route and key, with the answer to repeat."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    route = models.CharField(max_length=400)
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # sha256 of what was sent
    begun_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)  # None: being worked on, or its process died
    document = models.JSONField(null=True)
    headers = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["begun_at"], name="idempotent_request_age")]
        constraints = [
            models.UniqueConstraint(fields=["user", "route", "key"], name="idempotency_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key} at {self.route}"
