"""What vendors say of their models, word for word."""

from __future__ import annotations

from django.db import models

from evaluations.models import ModelVersion
from evaluations.models.fields import EnumField, one_of
from pilots.enums import ClaimKind


class Claim(models.Model):
    model = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="claims")
    words = models.TextField()  # exact
    kind = EnumField(ClaimKind)
    source = models.CharField(max_length=500, blank=True)  # "": not said
    stated_on = models.DateField()

    class Meta:
        ordering = ["model", "stated_on"]
        constraints = [
            one_of("kind", ClaimKind, "claim_kind_known"),
            models.UniqueConstraint(fields=["model", "stated_on", "source", "words"], name="claim_once"),
        ]

    def __str__(self) -> str:
        return self.words[:80]
