"""Does an endpoint answer, and what does it say of itself? Public surface: ``check_endpoint``, ``EndpointCheck``."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from evaluations.enums import AttemptPurpose, AttemptState, CostState, Outcome
from evaluations.models import Attempt, Endpoint, Price
from evaluations.pricing import PriceRow, cost_of_call, price_in_force
from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig
from evaluations.providers.credentials import CredentialMissing
from evaluations.providers.egress import Egress
from evaluations.providers.egress_policy import EgressPolicy
from evaluations.providers.registry import PROVIDERS
from evaluations.selectors.prices import prices_for
from evaluations.services import audit
from evaluations.services.work import endpoint_config

audit.register_actions({"endpoint.checked": "checked"})

# Ours, not a team's: no data agreement is touched. Room enough for a short answer after some reasoning.
PROBE = CompletionRequest(
    {"messages": [{"role": "user", "content": "Reply with the one word: ready"}], "max_completion_tokens": 256}
)
_ANSWERS = frozenset({Outcome.OK, Outcome.TRUNCATED})


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """How one small call ended."""

    endpoint: Endpoint
    result: CompletionResult
    price: PriceRow | None  # in force today; None: none is known, in any currency
    cost: Decimal | None  # None: unknown

    @property
    def ok(self) -> bool:
        """Whether the endpoint answered; a cut answer is one."""
        return self.result.outcome in _ANSWERS

    def to_document(self) -> dict[str, Any]:
        result, rate = self.result, self.result.rate
        return {
            "ok": self.ok,
            "outcome": str(result.outcome),
            "error": result.error,
            "http_status": result.http_status,
            "requested_model": self.endpoint.wire_model,
            "served_model": result.served_model,
            "latency_ms": None if result.timing is None else round(result.timing.latency_ms, 1),
            "ttft_ms": None if result.timing is None else result.timing.ttft_ms,
            "usage": asdict(result.usage),
            "limits": None if rate is None else asdict(rate),
            "changes": [asdict(change) for change in result.changes],
            "price": None if self.price is None else self.price.to_json(),
            "cost": {
                "amount": None if self.cost is None else str(self.cost),
                "currency": None if self.price is None else self.price.currency,
            },
        }


def check_endpoint(*, endpoint: Endpoint, by: audit.Actor, at: datetime) -> EndpointCheck:
    """Send one small call of our own, as recorded as every other: an attempt before it, its result after it.

    Never raises for what the vendor does; a key that is not there is the outcome ``auth``, without a call.
    """
    price = _price(endpoint, at)
    try:
        config = endpoint_config(endpoint)
    except CredentialMissing as error:
        return EndpointCheck(endpoint, CompletionResult(Outcome.AUTH, error=str(error)), price, None)
    with transaction.atomic():
        attempt = Attempt.objects.create(endpoint=endpoint, purpose=AttemptPurpose.PROBE, sent_at=at)
        audit.record(
            by=by,
            at=at,
            action="endpoint.checked",
            object_type="endpoint",
            object_id=endpoint.pk,
            object_label=endpoint.slug,
            data={"attempt": attempt.pk},
        )
    result = asyncio.run(_send(config))
    return EndpointCheck(endpoint, result, price, _settle(attempt, result, price))


async def _send(config: EndpointConfig) -> CompletionResult:
    async with Egress(EgressPolicy.from_environment(os.environ)) as transport:
        return await PROVIDERS.get(config.protocol).complete(PROBE, endpoint=config, transport=transport)


def _settle(attempt: Attempt, result: CompletionResult, price: PriceRow | None) -> Decimal | None:
    cost = cost_of_call(result, price)
    took_ms = 0 if result.timing is None else result.timing.latency_ms
    Attempt.objects.filter(pk=attempt.pk).update(
        state=AttemptState.SETTLED,
        settled_at=attempt.sent_at + timedelta(milliseconds=took_ms),
        outcome=result.outcome,
        http_status=result.http_status,
        request_id=(result.request_id or "")[:120],
        latency_ms=None if result.timing is None else result.timing.latency_ms,
        raw_usage=None if result.usage.raw is None else dict(result.usage.raw),
        changes=[asdict(change) for change in result.changes],
        price=None if price is None else price.id,
        cost_amount=cost,
        cost_state=CostState.UNKNOWN if cost is None else CostState.KNOWN,
        currency="" if price is None else price.currency,
    )
    return cost


def _price(endpoint: Endpoint, at: datetime) -> PriceRow | None:
    """What a small call costs today: in US dollars where such a price is known."""
    currencies = set(Price.objects.filter(model=endpoint.model).values_list("currency", flat=True))
    for currency in sorted(currencies, key=lambda code: (code != "USD", code)):
        if (price := price_in_force(prices_for(endpoint.model, endpoint, currency), at=at)) is not None:
            return price
    return None
