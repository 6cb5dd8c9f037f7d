"""Vendors, their models, where they are reached and what they cost."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from evaluations.enums import PriceKind
from evaluations.models.fields import EnumField, ExactDecimalField, ModelNameField, one_of
from evaluations.pricing import AMOUNTS


class Vendor(models.Model):
    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=200)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """A pinned model. ``family`` is its line of successors: an upgrade inside it continues a spell."""

    slug = ModelNameField(max_length=120, unique=True)
    vendor = models.ForeignKey(Vendor, on_delete=models.PROTECT, related_name="models")
    family = models.CharField(max_length=80, blank=True)  # '': a family of its own
    retirement_announced_on = models.DateField(null=True, blank=True)
    retires_on = models.DateField(null=True, blank=True)  # first day on which it no longer answers

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=Q(retirement_announced_on__isnull=True)
                | Q(retires_on__isnull=True)
                | Q(retirement_announced_on__lte=models.F("retires_on")),
                name="model_announced_before_retired",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Endpoint(models.Model):
    """Where and how a model is reached. Keys are named, never stored."""

    slug = models.SlugField(max_length=80, unique=True)
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="endpoints")
    protocol = models.CharField(max_length=40)
    base_url = models.CharField(max_length=500)
    wire_model = models.CharField(max_length=200)  # name sent to the vendor
    region = models.CharField(max_length=40, blank=True)  # '': unknown
    credential_env = models.CharField(max_length=120, blank=True)
    credential_file = models.CharField(max_length=500, blank=True)
    max_concurrency = models.PositiveIntegerField(default=16)  # calls in flight, over all workers
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)  # None: not limited by us
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    deadline_seconds = models.PositiveIntegerField(default=120)  # total, for one call
    stream = models.BooleanField(default=False)
    parameters = models.JSONField(default=dict, blank=True)  # sent with every request
    options = models.JSONField(default=dict, blank=True)  # switches of the provider
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=Q(max_concurrency__gte=1) & Q(deadline_seconds__gte=1), name="endpoint_limits_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Price(models.Model):
    """Money per million tokens from a day on. A missing number is undisclosed, not free.

    ``above_input_tokens`` makes it a tier: it applies to calls with more input tokens than that. ``hours`` and
    ``service_tier`` narrow it likewise, to a part of the day and to calls that the vendor serves in that tier.
    """

    model = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="prices")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="prices")
    effective_from = models.DateField()
    currency = models.CharField(max_length=3, default="USD")
    kind = EnumField(PriceKind, default=PriceKind.LIST)
    input_per_mtok = ExactDecimalField(null=True, blank=True)
    output_per_mtok = ExactDecimalField(null=True, blank=True)
    cache_read_per_mtok = ExactDecimalField(null=True, blank=True)  # None: cached input costs as input does
    cache_write_per_mtok = ExactDecimalField(null=True, blank=True)
    cache_write_1h_per_mtok = ExactDecimalField(null=True, blank=True)  # None: an hour costs as other cache writes do
    audio_input_per_mtok = ExactDecimalField(null=True, blank=True)
    audio_cache_read_per_mtok = ExactDecimalField(null=True, blank=True)  # None: cached audio costs as other audio does
    audio_output_per_mtok = ExactDecimalField(null=True, blank=True)
    image_output_per_mtok = ExactDecimalField(null=True, blank=True)  # of generated images
    above_input_tokens = models.PositiveIntegerField(null=True, blank=True)
    hours = models.CharField(max_length=11, blank=True)  # UTC, "16:30-00:30", the end not included; '': all day
    service_tier = models.CharField(max_length=40, blank=True)  # flex, priority, batch, ...; '': the vendor's standard
    source = models.CharField(max_length=500, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model", "-effective_from", "above_input_tokens"]
        constraints = [
            models.UniqueConstraint(
                "model",
                Coalesce("endpoint", 0),
                "effective_from",
                "currency",
                "kind",
                Coalesce("above_input_tokens", 0),
                "hours",
                "service_tier",
                name="price_once_a_day",
            ),
            models.CheckConstraint(
                condition=(Q(endpoint__isnull=True) & ~Q(kind="contract"))
                | (Q(endpoint__isnull=False) & Q(kind="contract")),
                name="price_contract_has_endpoint",
            ),
            one_of("kind", PriceKind, "price_kind_known"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 0}), name=f"price_{name}_positive"
                )
                for name in AMOUNTS
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.effective_from}"
