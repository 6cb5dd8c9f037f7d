"""Vendors, models, endpoints and prices.

Public surface: ``save_vendor``, ``save_model``, ``save_endpoint``, ``save_price``. Each returns its row and a flag:
True created, False changed, None unchanged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q
from msgspec import UNSET

from evaluations.enums import PriceKind
from evaluations.models import Endpoint, ModelVersion, Plan, PlanVersion, Price, Vendor
from evaluations.providers.egress_policy import EgressPolicy, EgressRefused, check_base_url
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.usage import tier_of
from evaluations.services import audit
from evaluations.services.errors import Refused
from evaluations.services.plans import freeze_plan
from evaluations.services.saving import Maybe, Saved, save_row
from evaluations.services.teams import check_currency
from evaluations.signals import model_changed, price_saved

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
_PORTS = {"http": 80, "https": 443}


@transaction.atomic
def save_vendor(
    *, slug: str, name: Maybe[str | None] = UNSET, by: audit.Actor, at: datetime
) -> tuple[Vendor, bool | None]:
    """Create or rename a vendor. Raises ``Refused``."""
    saved = save_row(Vendor, key={"slug": slug}, values={"name": name}, defaults={"name": slug})
    _audit(saved, by=by, at=at)
    return saved.row, saved.created


@transaction.atomic
def save_model(
    *,
    slug: str,
    vendor: Vendor,
    family: Maybe[str | None] = UNSET,
    retirement_announced_on: Maybe[date | None] = UNSET,
    retires_on: Maybe[date | None] = UNSET,
    by: audit.Actor,
    at: datetime,
) -> tuple[ModelVersion, bool | None]:
    """Create or change a model version; ``retires_on`` is the first day on which it no longer answers."""
    days = {"retirement_announced_on": retirement_announced_on, "retires_on": retires_on}
    stored = ModelVersion.objects.filter(slug=slug).first()
    announced, retires = (getattr(stored, name, None) if day is UNSET else day for name, day in days.items())
    if announced is not None and retires is not None and announced > retires:
        raise Refused(f"{announced} is after the retirement on {retires}", field="retirement_announced_on")
    saved = save_row(ModelVersion, key={"slug": slug}, values={"vendor": vendor, "family": family, **days})
    _audit(saved, by=by, at=at)
    if saved.created is False:
        model_changed.send(sender=ModelVersion, model=saved.row)
    return saved.row, saved.created


@transaction.atomic
def save_endpoint(
    *,
    slug: str,
    model: ModelVersion,
    protocol: str,
    base_url: str,
    wire_model: Maybe[str | None] = UNSET,
    region: Maybe[str | None] = UNSET,
    credential_env: Maybe[str | None] = UNSET,
    credential_file: Maybe[str | None] = UNSET,
    max_concurrency: Maybe[int | None] = UNSET,
    requests_per_minute: Maybe[int | None] = UNSET,
    tokens_per_minute: Maybe[int | None] = UNSET,
    deadline_seconds: Maybe[int | None] = UNSET,
    stream: Maybe[bool | None] = UNSET,
    parameters: Maybe[Mapping[str, Any] | None] = UNSET,
    options: Maybe[Mapping[str, Any] | None] = UNSET,
    version: int | None = None,
    by: audit.Actor,
    at: datetime,
) -> tuple[Endpoint, bool | None]:
    """Create or change where and how a model is reached.

    A key belongs to the host it was named for: another scheme, host or port needs the credential named again. Frozen
    plans over an endpoint whose protocol, wire model or parameters changed are frozen again, as their next version.
    Raises ``Refused`` for an unknown protocol, an address that may not be called and a change of model; ``Conflict``.
    """
    protocols = PROVIDERS.keys()
    if protocol not in protocols:
        raise Refused(f"unknown protocol {protocol} (known: {', '.join(protocols)})", field="protocol")
    try:
        check_base_url(base_url, EgressPolicy.from_environment(os.environ))
    except EgressRefused as error:
        raise Refused(str(error), field="base_url") from None
    limits = {
        "max_concurrency": max_concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "deadline_seconds": deadline_seconds,
    }
    for name, limit in limits.items():
        if isinstance(limit, int) and limit < 1:
            raise Refused("must be at least 1", field=name)
    for name in ("messages", "model", "stream"):
        if parameters and name in parameters:
            raise Refused("cannot be a parameter of every request", field=f"parameters.{name}")
    credentials = {"credential_env": credential_env, "credential_file": credential_file}
    stored = Endpoint.objects.filter(slug=slug).select_related("model").first()
    if stored is not None:
        if stored.model_id != model.pk:
            raise Refused(f"endpoint {slug} serves {stored.model}; add another endpoint for {model}", field="model")
        _check_key_stays_home(stored, base_url, credentials)
    values = {
        "protocol": protocol,
        "base_url": base_url,
        "wire_model": wire_model,
        "region": region,
        "stream": stream,
        "parameters": parameters,
        "options": options,
        **credentials,
        **limits,
    }
    defaults = {"model": model, "wire_model": model.slug}
    saved = save_row(Endpoint, key={"slug": slug}, values=values, defaults=defaults, version=version)
    _audit(saved, by=by, at=at)
    if saved.created is False and {"protocol", "wire_model", "parameters"} & saved.changes.keys():
        _freeze_again(saved.row, by=by, at=at)
    return saved.row, saved.created


def _check_key_stays_home(stored: Endpoint, base_url: str, credentials: Mapping[str, Any]) -> None:
    if _origin(base_url) == _origin(stored.base_url):
        return
    for name, value in credentials.items():
        if getattr(stored, name) and value is UNSET:
            host = urlsplit(stored.base_url).hostname
            raise Refused(f"was named for {host}; name it again for another host", field=name)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _freeze_again(endpoint: Endpoint, *, by: audit.Actor, at: datetime) -> None:
    """What was frozen named what is no longer called: later runs are judged by a plan that names the new."""
    frozen = PlanVersion.objects.values("plan")
    names = Q(incumbent_endpoint=endpoint) | Q(candidate_endpoint=endpoint)
    names |= Q(definition__judge__endpoint=endpoint.slug)
    for plan in Plan.objects.filter(names, pk__in=frozen).order_by("slug"):
        freeze_plan(plan=plan, by=by, at=at)


@transaction.atomic
def save_price(
    *,
    model: ModelVersion,
    effective_from: date,
    endpoint: Endpoint | None = None,
    currency: str = "USD",
    kind: PriceKind | None = None,
    above_input_tokens: int | None = None,
    hours: str | None = None,
    service_tier: str | None = None,
    input_per_mtok: Maybe[Decimal | None] = UNSET,
    output_per_mtok: Maybe[Decimal | None] = UNSET,
    cache_read_per_mtok: Maybe[Decimal | None] = UNSET,
    cache_write_per_mtok: Maybe[Decimal | None] = UNSET,
    cache_write_1h_per_mtok: Maybe[Decimal | None] = UNSET,
    audio_input_per_mtok: Maybe[Decimal | None] = UNSET,
    audio_cache_read_per_mtok: Maybe[Decimal | None] = UNSET,
    audio_output_per_mtok: Maybe[Decimal | None] = UNSET,
    image_output_per_mtok: Maybe[Decimal | None] = UNSET,
    source: Maybe[str | None] = UNSET,
    by: audit.Actor,
    at: datetime,
) -> tuple[Price, bool | None]:
    """Create or correct one price: of a model, from a day on, in a currency, of a kind, for a tier of input, for hours
    of the day (UTC, ``16:30-00:30``), for a service tier of the vendor.

    ``kind`` is a contract price where an endpoint is named and a list price elsewhere. ``None`` as an amount is
    undisclosed, not free. Runs keep the prices they were created with. Raises ``Refused``.
    """
    kind = kind or (PriceKind.LIST if endpoint is None else PriceKind.CONTRACT)
    if endpoint is not None and endpoint.model_id != model.pk:
        raise Refused(f"endpoint {endpoint.slug} does not serve {model.slug}", field="endpoint")
    if kind is PriceKind.CONTRACT and endpoint is None:
        raise Refused("a contract price names its endpoint", field="endpoint")
    if kind is not PriceKind.CONTRACT and endpoint is not None:
        raise Refused("only a contract price belongs to an endpoint", field="kind")
    check_currency(currency, field="currency")
    if above_input_tokens is not None and above_input_tokens < 1:
        raise Refused("must be at least 1", field="above_input_tokens")
    if hours and (_HOURS.fullmatch(hours) is None or hours[:5] == hours[6:]):
        raise Refused("must be a part of the day in UTC, as 16:30-00:30", field="hours")
    amounts = {
        "input_per_mtok": input_per_mtok,
        "output_per_mtok": output_per_mtok,
        "cache_read_per_mtok": cache_read_per_mtok,
        "cache_write_per_mtok": cache_write_per_mtok,
        "cache_write_1h_per_mtok": cache_write_1h_per_mtok,
        "audio_input_per_mtok": audio_input_per_mtok,
        "audio_cache_read_per_mtok": audio_cache_read_per_mtok,
        "audio_output_per_mtok": audio_output_per_mtok,
        "image_output_per_mtok": image_output_per_mtok,
    }
    for name, amount in amounts.items():
        if isinstance(amount, Decimal) and not (amount.is_finite() and amount >= 0):
            raise Refused("must be 0 or more", field=name)
    saved = save_row(
        Price,
        key={
            "model": model,
            "endpoint": endpoint,
            "effective_from": effective_from,
            "currency": currency,
            "kind": kind,
            "above_input_tokens": above_input_tokens,
            "hours": hours or "",
            "service_tier": tier_of(service_tier),
        },
        values={**amounts, "source": source},
    )
    _audit(saved, by=by, at=at)
    if saved.created or saved.changes.keys() - {"source"}:
        price_saved.send(sender=Price, price=saved.row, created=bool(saved.created), at=at)
    return saved.row, saved.created


def _audit(saved: Saved[Any], *, by: audit.Actor, at: datetime) -> None:
    if saved.created is None:
        return
    audit.record(
        by=by,
        at=at,
        action="catalogue.created" if saved.created else "catalogue.changed",
        object_type=saved.row._meta.model_name,
        object_id=saved.row.pk,
        object_label=str(saved.row),
        data=saved.changes,
    )
