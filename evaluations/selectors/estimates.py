"""What a replay would take, before it starts. Public surface: ``Estimate``, ``ArmEstimate``, ``estimate_replay``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Avg

from evaluations.conf import setting
from evaluations.enums import Outcome
from evaluations.models import Completion, Endpoint, ModelVersion, Plan, SampleContent, SampleSet
from evaluations.pricing import PriceRow, cost_of, price_in_force, total_input
from evaluations.providers.base import Usage
from evaluations.providers.requests import output_limit
from evaluations.providers.usage import usage_from_raw
from evaluations.selectors.prices import prices_for

BYTES_PER_TOKEN = 4  # English text; only for estimates, never for money that is booked
SAMPLED = 300
OUTPUT_TOKENS_IF_UNKNOWN = 300
LATENCY_SECONDS_IF_UNKNOWN = 2.0


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """One arm. ``cost`` is None where the price is undisclosed and nothing is assumed."""

    role: str
    model: str
    recorded: bool
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    minutes: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Calls, tokens, money and minutes; the arms run side by side."""

    samples: int
    arms: tuple[ArmEstimate, ...]
    currency: str
    cap: Decimal

    @property
    def calls(self) -> int:
        return sum(arm.calls for arm in self.arms)

    @property
    def cost(self) -> Decimal | None:
        known = [arm.cost for arm in self.arms if arm.cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(self.arms) else None

    @property
    def minutes(self) -> float:
        return max((arm.minutes for arm in self.arms), default=0.0)

    def to_document(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "calls": self.calls,
            "cost": {"amount": None if self.cost is None else f"{self.cost:.4f}", "currency": self.currency},
            "cap": {"amount": f"{self.cap:f}", "currency": self.currency},
            "minutes": round(self.minutes, 1),
            "arms": [
                {
                    "role": arm.role,
                    "model": arm.model,
                    "recorded": arm.recorded,
                    "calls": arm.calls,
                    "tokens": {"input": arm.input_tokens, "output": arm.output_tokens},
                    "cost": None if arm.cost is None else f"{arm.cost:.4f}",
                    "minutes": round(arm.minutes, 1),
                }
                for arm in self.arms
            ],
        }


def estimate_replay(
    *, plan: Plan, sample_set: SampleSet, at: datetime, take: int | None = None, repeats: int = 1
) -> Estimate:
    """Expected, not worst case: from what production counted for a slice of the set, and what the models did before."""
    samples = sample_set.size if take is None else min(take, sample_set.size)
    lengths = _lengths(sample_set)
    arms = tuple(
        _arm(role, plan, model, endpoint, samples=samples, repeats=repeats, lengths=lengths, at=at)
        for role, model, endpoint in (
            ("incumbent", plan.incumbent_model, plan.incumbent_endpoint),
            ("candidate", plan.candidate_model, plan.candidate_endpoint),
        )
    )
    return Estimate(
        samples=samples,
        arms=arms,
        currency=plan.budget_currency,
        cap=plan.budget_amount or setting("DEFAULT_BUDGET")[0],
    )


class _Lengths(NamedTuple):
    """Tokens of one request and its answer, on average."""

    input_tokens: int
    output_tokens: int


def _lengths(sample_set: SampleSet) -> _Lengths:
    """As counted in production where that was logged, else by the size of the requests and their output limits."""
    contents = SampleContent.objects.filter(sample__memberships__sample_set=sample_set)
    rows = contents.values_list("request", "sample__recorded__usage")[:SAMPLED]
    inputs, outputs = [], []
    for request, raw in rows:
        usage = usage_from_raw(raw)
        by_size = len(json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN
        counted = total_input(usage)
        inputs.append(by_size if counted is None else counted)
        most = output_limit(request or {}) or OUTPUT_TOKENS_IF_UNKNOWN
        outputs.append(min(most, OUTPUT_TOKENS_IF_UNKNOWN) if usage.output_total is None else usage.output_total)
    return _Lengths(
        int(sum(inputs) / len(inputs)) if inputs else 0,
        int(sum(outputs) / len(outputs)) if outputs else OUTPUT_TOKENS_IF_UNKNOWN,
    )


def _arm(
    role: str,
    plan: Plan,
    model: ModelVersion,
    endpoint: Endpoint | None,
    *,
    samples: int,
    repeats: int,
    lengths: _Lengths,
    at: datetime,
) -> ArmEstimate:
    if endpoint is None:
        return ArmEstimate(role, model.slug, True, 0, 0, 0, Decimal(0), 0.0)
    seen = Completion.objects.filter(arm__model=model, outcome=Outcome.OK, arm__endpoint__isnull=False).aggregate(
        output=Avg("output_total_tokens"), latency=Avg("latency_ms")
    )
    calls = samples * repeats
    input_tokens, output_tokens = lengths.input_tokens, int(seen["output"] or lengths.output_tokens)
    per_call = cost_of(
        Usage(input_uncached=input_tokens, output_total=output_tokens), _price(plan, model, endpoint, input_tokens, at)
    )
    seconds = (seen["latency"] or 1000 * LATENCY_SECONDS_IF_UNKNOWN) / 1000
    per_minute = 60 * endpoint.max_concurrency / max(seconds, 0.001)
    if endpoint.requests_per_minute is not None:
        per_minute = min(per_minute, endpoint.requests_per_minute)
    if endpoint.tokens_per_minute is not None:
        per_minute = min(per_minute, endpoint.tokens_per_minute / max(input_tokens + output_tokens, 1))
    return ArmEstimate(
        role=role,
        model=model.slug,
        recorded=False,
        calls=calls,
        input_tokens=calls * input_tokens,
        output_tokens=calls * output_tokens,
        cost=None if per_call is None else calls * per_call,
        minutes=calls / per_minute,
    )


def _price(plan: Plan, model: ModelVersion, endpoint: Endpoint, input_tokens: int, at: datetime) -> PriceRow | None:
    price = price_in_force(
        prices_for(model=model, endpoint=endpoint, currency=plan.budget_currency),
        on=at.date(),
        input_tokens=input_tokens,
    )
    if price is not None and price.disclosed:
        return price
    return (
        None if plan.assume_per_mtok is None else PriceRow.assumed(plan.assume_per_mtok, currency=plan.budget_currency)
    )
