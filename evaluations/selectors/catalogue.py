"""What is known of vendors, models, endpoints and prices. Public surface: ``models``, ``endpoints``, ``prices``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from evaluations.enums import PriceKind
from evaluations.models import Endpoint, ModelVersion, Price
from evaluations.selectors.queue import Pause, paused_endpoints


@dataclass(frozen=True, slots=True)
class ModelRow:
    slug: str
    vendor: str
    family: str  # '': a family of its own
    retirement_announced_on: date | None  # None: nothing announced
    retires_on: date | None
    days_to_retirement: int | None  # negative or zero: no longer served
    endpoints: int


@dataclass(frozen=True, slots=True)
class EndpointRow:
    slug: str
    model: str
    protocol: str
    base_url: str
    wire_model: str
    region: str  # '': unknown
    credential: str  # where the key is named, never the key; '': none needed
    max_concurrency: int
    requests_per_minute: int | None  # None: not limited by us
    paused_until: datetime | None  # past: the next call finds out whether the vendor is back
    pause_reason: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    model: str
    vendor: str
    endpoint: str  # '': every endpoint of the model
    kind: PriceKind
    currency: str
    effective_from: date
    in_force: bool  # the newest of its kind, scope, tiers and hours that has begun
    above_input_tokens: int | None
    hours: str  # of the day, in UTC; '': all day
    service_tier: str  # '': the vendor's standard
    input_per_mtok: Decimal | None  # None: undisclosed
    output_per_mtok: Decimal | None
    cache_read_per_mtok: Decimal | None  # None: as input
    cache_write_per_mtok: Decimal | None
    cache_write_1h_per_mtok: Decimal | None  # None: as other cache writes
    apart: tuple[tuple[str, Decimal], ...]  # what audio and generated images cost, where that is disclosed
    source: str


_APART = {
    "audio input": "audio_input_per_mtok",
    "cached audio": "audio_cache_read_per_mtok",
    "audio output": "audio_output_per_mtok",
    "generated images": "image_output_per_mtok",
}


def models(on: date) -> tuple[ModelRow, ...]:
    """Every model by vendor and name, with its distance to retirement on day ``on``."""
    endpoint_counts: dict[int, int] = {}
    for model_id in Endpoint.objects.values_list("model_id", flat=True):
        endpoint_counts[model_id] = endpoint_counts.get(model_id, 0) + 1
    return tuple(
        ModelRow(
            slug=row.slug,
            vendor=row.vendor.name,
            family=row.family,
            retirement_announced_on=row.retirement_announced_on,
            retires_on=row.retires_on,
            days_to_retirement=(row.retires_on - on).days if row.retires_on else None,
            endpoints=endpoint_counts.get(row.pk, 0),
        )
        for row in ModelVersion.objects.select_related("vendor").order_by("vendor__slug", "slug")
    )


def endpoints(now: datetime) -> tuple[EndpointRow, ...]:
    """Every endpoint by name. Keys are named by their variable or file; no key is read."""
    pauses = paused_endpoints(now)
    return tuple(
        EndpointRow(
            slug=row.slug,
            model=row.model.slug,
            protocol=row.protocol,
            base_url=row.base_url,
            wire_model=row.wire_model,
            region=row.region,
            credential=row.credential_env or row.credential_file,
            max_concurrency=row.max_concurrency,
            requests_per_minute=row.requests_per_minute,
            paused_until=pauses[row.pk].until if row.pk in pauses else None,
            pause_reason=_reason(pauses.get(row.pk)),
        )
        for row in Endpoint.objects.select_related("model")
    )


def _reason(pause: Pause | None) -> str:
    return "" if pause is None or pause.reason is None else pause.reason.label


def prices(on: date) -> tuple[PriceRow, ...]:
    """Every price row, newest first within its model; ``in_force`` as of day ``on``."""
    seen: set[tuple[object, ...]] = set()
    rows = []
    for row in Price.objects.select_related("model__vendor", "endpoint").order_by(
        "model__vendor__slug", "model__slug", "endpoint__slug", "kind", "above_input_tokens", "-effective_from"
    ):
        scope = (
            *(row.model_id, row.endpoint_id, row.kind, row.currency),
            *(row.above_input_tokens, row.hours, row.service_tier),
        )
        begun = row.effective_from <= on
        rows.append(
            PriceRow(
                model=row.model.slug,
                vendor=row.model.vendor.name,
                endpoint=row.endpoint.slug if row.endpoint else "",
                kind=row.kind,
                currency=row.currency,
                effective_from=row.effective_from,
                in_force=begun and scope not in seen,
                above_input_tokens=row.above_input_tokens,
                hours=row.hours,
                service_tier=row.service_tier,
                input_per_mtok=row.input_per_mtok,
                output_per_mtok=row.output_per_mtok,
                cache_read_per_mtok=row.cache_read_per_mtok,
                cache_write_per_mtok=row.cache_write_per_mtok,
                cache_write_1h_per_mtok=row.cache_write_1h_per_mtok,
                apart=tuple(
                    (name, amount) for name, column in _APART.items() if (amount := getattr(row, column)) is not None
                ),
                source=row.source,
            )
        )
        if begun:
            seen.add(scope)
    return tuple(rows)
