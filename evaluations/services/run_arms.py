"""What a run's sides are made of, and the size of their work. Public surface: ``frozen_arm``, ``prices_of``,
``chunk_calls``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from evaluations.conf import setting
from evaluations.enums import ArmRole
from evaluations.models import Endpoint, EndpointPace, ModelVersion, RunArm
from evaluations.pricing import PriceRow, price_in_force
from evaluations.providers.recorded import RECORDED_VERSION
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.usage import tier_of
from evaluations.selectors.prices import prices_for
from evaluations.services.errors import Refused

CHUNK_SECONDS = 20.0


def frozen_arm(
    role: ArmRole,
    model: ModelVersion,
    endpoint: Endpoint | None,
    request: dict[str, Any],
    *,
    currency: str,
    limited: bool,
    at: datetime,
) -> RunArm:
    """One side of a run, not yet stored. ``endpoint`` None: recorded answers.

    ``limited``: the budget limits what it may spend without a price too. Raises ``Refused`` where nothing does.
    """
    prices = prices_for(model=model, endpoint=endpoint, currency=currency)
    if endpoint is not None and not limited:
        tier = tier_of({**request.get("parameters", {}), **endpoint.parameters}.get("service_tier"))
        price = price_in_force(prices, at=at, service_tier=tier)
        if price is None or not price.disclosed:
            served = f" for service tier {tier}" if tier else ""
            raise Refused(
                f"{model.slug} has no {currency} price in force{served}: give the budget assume_per_mtok or max_calls",
                field=f"{role}.endpoint",
            )
    return RunArm(
        role=role,
        model=model,
        endpoint=endpoint,
        request=request,
        prices=[row.to_json() for row in prices],
        provider_version=PROVIDERS.get(endpoint.protocol).version if endpoint else RECORDED_VERSION,
    )


def prices_of(arm: RunArm) -> list[PriceRow]:
    return [PriceRow.from_json(row) for row in arm.prices]


def chunk_calls(endpoint: Endpoint | None) -> int:
    """As many as the endpoint's pace allows in about 20 s: its limits, and how long it took for a call so far."""
    if endpoint is None:
        return int(setting("CHUNK_MAX_CALLS"))
    seen = EndpointPace.objects.filter(endpoint=endpoint).first() or EndpointPace(endpoint=endpoint)
    per_second = [setting("CHUNK_DEFAULT_CALLS") / CHUNK_SECONDS]
    if seen.call_seconds:
        per_second = [endpoint.max_concurrency / seen.call_seconds]
    if requests := endpoint.requests_per_minute or seen.stated_requests_per_minute:
        per_second.append(requests / 60)
    if (tokens := endpoint.tokens_per_minute or seen.stated_tokens_per_minute) and seen.call_tokens:
        per_second.append(tokens / 60 / seen.call_tokens)
    return max(20, min(int(CHUNK_SECONDS * min(per_second)), int(setting("CHUNK_MAX_CALLS"))))
