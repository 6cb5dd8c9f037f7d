"""What a replay would take, before it starts. Public surface: ``Estimate``, ``ArmEstimate``, ``estimate_replay``,
``Lengths``, ``pool_lengths``, ``cost_per_call``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Avg, F, Window
from django.db.models.functions import RowNumber

from evaluations.conf import setting
from evaluations.enums import ArmRole, Outcome
from evaluations.models import BudgetMonth, Completion, Endpoint, ModelVersion, Plan, Sample, SampleContent, SampleSet
from evaluations.pricing import PriceRow, cost_of, price_in_force, total_input
from evaluations.providers.base import Usage
from evaluations.providers.requests import output_limit
from evaluations.providers.usage import tier_of, usage_from_raw
from evaluations.selectors.consent import refusals
from evaluations.selectors.prices import prices_for
from evaluations.selectors.unreplayed import unreplayed

BYTES_PER_TOKEN = 4  # English text; only for estimates, never for money that is booked
SAMPLED = 300  # requests of the set, and a few times as many earlier answers
OUTPUT_TOKENS_IF_UNKNOWN = 300
LATENCY_SECONDS_IF_UNKNOWN = 2.0


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """One arm. ``cost`` is None where the price is undisclosed and nothing is assumed."""

    role: ArmRole
    model: str
    endpoint: str | None  # None: recorded answers
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    minutes: float
    refusal: str | None = None  # why the data agreement permits no call of it; None: it does
    assumed: tuple[str, ...] = ()  # what nothing is known of, and was put in its place

    @property
    def recorded(self) -> bool:
        return self.endpoint is None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Calls, tokens, money and minutes; arms on endpoints of their own run side by side."""

    samples: int
    arms: tuple[ArmEstimate, ...]
    currency: str
    cap: Decimal
    month_left: Decimal | None  # of the team's monthly cap; None: there is none
    max_calls: int | None  # None: no limit
    judge_cap: str = ""  # of the judge that is asked afterwards, not in the figures; '': the plan has none

    @property
    def calls(self) -> int:
        return sum(arm.calls for arm in self.arms)

    @property
    def known_cost(self) -> Decimal:
        """Of the arms whose price is known."""
        return sum((arm.cost for arm in self.arms if arm.cost is not None), Decimal(0))

    @property
    def cost(self) -> Decimal | None:
        return None if any(arm.cost is None for arm in self.arms) else self.known_cost

    @property
    def minutes(self) -> float:
        by_endpoint: dict[str | None, float] = {}
        for arm in self.arms:
            by_endpoint[arm.endpoint] = by_endpoint.get(arm.endpoint, 0.0) + arm.minutes
        return max(by_endpoint.values(), default=0.0)

    @property
    def may_be_stopped(self) -> bool:
        """Whether a cap would stop a replay that takes twice what is expected."""
        caps = [self.cap] if self.month_left is None else [self.cap, self.month_left]
        return 2 * self.known_cost > min(caps) or (self.max_calls is not None and 2 * self.calls > self.max_calls)

    @property
    def share_paid_for(self) -> float:
        """Of the replay, by its tightest cap; 1 where none is expected to stop it."""
        caps = [self.cap] if self.month_left is None else [self.cap, self.month_left]
        by_money = float(min(caps) / self.known_cost) if self.known_cost else 1.0
        by_calls = self.max_calls / self.calls if self.max_calls is not None and self.calls else 1.0
        return min(by_money, by_calls, 1.0)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the figures leave out or take for granted, in sentences."""
        said = [
            f"{arm.model} has no {self.currency} price in force: what it costs is not in the sum."
            for arm in self.arms
            if arm.cost is None
        ]
        if self.judge_cap:
            said.append(
                f"A model judge is asked about the answers afterwards, under a cap of {self.judge_cap} of its own."
            )
        return (*said, *(sentence for arm in self.arms for sentence in arm.assumed))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is better known before the start, in sentences."""
        refused = [arm for arm in self.arms if arm.refusal is not None]
        all_of_it = all(arm.recorded or arm in refused for arm in self.arms)
        then = "The replay would be refused." if all_of_it else "They would show as not permitted."
        said = [f"No sample may be sent to the {arm.role}, {arm.model}: {arm.refusal}. {then}" for arm in refused]
        if not self.samples:
            said.append("This plan has replayed every sample of the set: nothing is left to take.")
        if self.known_cost > self.cap:
            said.append(self._stops(f"the hard cap of {self._money(self.cap)}"))
        if self.month_left is not None and self.known_cost > self.month_left:
            said.append(self._stops(f"the {self._money(self.month_left)} that the team has left this month"))
        if self.max_calls is not None and self.calls > self.max_calls:
            said.append(f"The budget allows {self.max_calls:,} calls: the replay would stop before its end.")
        return tuple(said)

    def _stops(self, cap: str) -> str:
        cost = self._money(self.known_cost)
        return f"The estimate of {cost} is above {cap}: the replay would stop there. A higher cap resumes it."

    def _money(self, amount: Decimal) -> str:
        return f"{amount:,.2f} {self.currency}" if amount >= 1 else f"{amount:.4f} {self.currency}"

    def to_document(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "calls": self.calls,
            "cost": {
                "amount": None if self.cost is None else f"{self.cost:.4f}",
                "known": f"{self.known_cost:.4f}",
                "currency": self.currency,
            },
            "cap": {"amount": f"{self.cap:f}", "currency": self.currency},
            "month_left": None if self.month_left is None else f"{self.month_left:f}",
            "max_calls": self.max_calls,
            "minutes": round(self.minutes, 2),
            "arms": [
                {
                    "role": str(arm.role),
                    "model": arm.model,
                    "endpoint": arm.endpoint,
                    "recorded": arm.recorded,
                    "calls": arm.calls,
                    "tokens": {"input": arm.input_tokens, "output": arm.output_tokens},
                    "cost": None if arm.cost is None else f"{arm.cost:.4f}",
                    "minutes": round(arm.minutes, 2),
                    "refusal": arm.refusal,
                }
                for arm in self.arms
            ],
            "unknown": list(self.unknown),
            "warnings": list(self.warnings),
        }


def estimate_replay(
    *,
    plan: Plan,
    sample_set: SampleSet,
    at: datetime,
    take: int | None = None,
    repeats: int = 1,
    budget: Decimal | None = None,
) -> Estimate:
    """Expected, not worst case: from what production counted for a slice of the set, and what the models did before."""
    samples = sample_set.size if take is None else unreplayed(plan, sample_set)[:take].count()
    lengths, refused = _lengths(sample_set), refusals(plan, at=at)
    arms = (
        (ArmRole.INCUMBENT, plan.incumbent_model, plan.incumbent_endpoint, plan.incumbent_request),
        (ArmRole.CANDIDATE, plan.candidate_model, plan.candidate_endpoint, plan.candidate_request),
    )
    return Estimate(
        samples=samples,
        arms=tuple(
            replace(
                _arm(role, plan, model, endpoint, adaptation, calls=samples * repeats, lengths=lengths, at=at),
                refusal=refused.get(role),
            )
            for role, model, endpoint, adaptation in arms
        ),
        currency=plan.budget_currency,
        cap=budget or plan.budget_amount or setting("DEFAULT_BUDGET")[0],
        month_left=_month_left(plan, at),
        max_calls=plan.max_calls,
        judge_cap=_judge_cap(plan),
    )


def _judge_cap(plan: Plan) -> str:
    judge = plan.definition.get("judge")
    return "" if judge is None else f"{judge['budget']['amount']} {judge['budget'].get('currency', 'USD')}"


def _month_left(plan: Plan, at: datetime) -> Decimal | None:
    team = plan.workload.team
    if team.monthly_cap_amount is None or team.monthly_cap_currency != plan.budget_currency:
        return None
    first_day = at.astimezone(UTC).date().replace(day=1)
    month = BudgetMonth.objects.filter(team=team, month=first_day, currency=plan.budget_currency).first()
    used = Decimal(0) if month is None else month.spent_amount + month.reserved_amount
    return max(Decimal(team.monthly_cap_amount - used), Decimal(0))


class Lengths(NamedTuple):
    """Tokens of one request and its answer, on average."""

    input_tokens: int
    output_tokens: int
    counted: bool  # by production, at least in part; else by size and output limit


def _lengths(sample_set: SampleSet) -> Lengths:
    """As counted in production where that was logged, else by the size of the requests and their output limits."""
    contents = SampleContent.objects.filter(sample__memberships__sample_set=sample_set)
    rows = contents.values_list("request", "sample__recorded__usage")[:SAMPLED]
    return _averages(rows)


def pool_lengths(workloads: Collection[int], *, each: int) -> dict[int, Lengths]:
    """By workload, from the ``each`` newest samples of its pool that have a prompt, those with a recorded answer first;
    without any it is left out."""
    newest_first = [F("recorded__pk").desc(nulls_last=True), F("pk").desc()]
    place = Window(RowNumber(), partition_by=F("workload_id"), order_by=newest_first)
    pool = Sample.objects.filter(workload__in=workloads, replayable=True, purged_at__isnull=True)
    newest = pool.annotate(place=place).filter(place__lte=each)
    found: dict[int, list[tuple[Any, Any]]] = {}
    for workload, *row in newest.values_list("workload_id", "content__request", "recorded__usage"):
        found.setdefault(workload, []).append((row[0], row[1]))
    return {workload: _averages(rows) for workload, rows in found.items()}


def cost_per_call(
    *, model: ModelVersion, endpoint: Endpoint | None, currency: str, at: datetime
) -> Callable[[Lengths], Decimal | None]:
    """Money for one call of such lengths at the price in force; None: undisclosed. One query, however many lengths."""
    prices = prices_for(model=model, endpoint=endpoint, currency=currency)

    def cost(lengths: Lengths) -> Decimal | None:
        price = price_in_force(prices, at=at, input_tokens=lengths.input_tokens)
        return cost_of(Usage(input_uncached=lengths.input_tokens, output_total=lengths.output_tokens), price)

    return cost


def _averages(rows: Iterable[tuple[Any, Any]]) -> Lengths:
    """Of requests with the usage that was logged of them."""
    inputs, outputs, counted = [], [], False
    for request, raw in rows:
        usage = usage_from_raw(raw)
        by_size = len(json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN
        known = total_input(usage)
        inputs.append(by_size if known is None else known)
        most = output_limit(request or {}) or OUTPUT_TOKENS_IF_UNKNOWN
        outputs.append(min(most, OUTPUT_TOKENS_IF_UNKNOWN) if usage.output_total is None else usage.output_total)
        counted = counted or usage.output_total is not None
    return Lengths(
        int(sum(inputs) / len(inputs)) if inputs else 0,
        int(sum(outputs) / len(outputs)) if outputs else OUTPUT_TOKENS_IF_UNKNOWN,
        counted,
    )


def _arm(
    role: ArmRole,
    plan: Plan,
    model: ModelVersion,
    endpoint: Endpoint | None,
    adaptation: Mapping[str, Any],
    *,
    calls: int,
    lengths: Lengths,
    at: datetime,
) -> ArmEstimate:
    if endpoint is None:
        return ArmEstimate(role, model.slug, None, 0, 0, 0, Decimal(0), 0.0)
    newest = Completion.objects.filter(arm__endpoint=endpoint, outcome=Outcome.OK).order_by("-id")[: 3 * SAMPLED]
    seen = newest.aggregate(output=Avg("output_total_tokens"), latency=Avg("latency_ms"))
    parameters = {**adaptation.get("parameters", {}), **endpoint.parameters}
    prefix = len((adaptation.get("system_prefix") or "").encode()) // BYTES_PER_TOKEN
    input_tokens, output_tokens = lengths.input_tokens + prefix, int(seen["output"] or lengths.output_tokens)
    assumed = []
    if seen["output"] is None:
        output_tokens = min(output_tokens, output_limit(parameters) or output_tokens)
        basis = "as long as production's" if lengths.counted else f"{output_tokens:,} tokens long"
        assumed.append(f"Nothing is known of {model.slug}'s answers here: they are taken to be {basis}.")
    if seen["latency"] is None:
        assumed.append(
            f"Nothing is known of {model.slug}'s speed here: {LATENCY_SECONDS_IF_UNKNOWN:g} s a call are assumed."
        )
    price = price_in_force(
        prices_for(model=model, endpoint=endpoint, currency=plan.budget_currency),
        at=at,
        input_tokens=input_tokens,
        service_tier=tier_of(parameters.get("service_tier")),
    )
    if (price is None or not price.disclosed) and plan.assume_per_mtok is not None:
        price = PriceRow.assumed(plan.assume_per_mtok, currency=plan.budget_currency)
        amounts = f"{price.input_per_mtok:f} and {price.output_per_mtok:f} {price.currency} a million tokens"
        assumed.append(f"{model.slug} has no price in force: the budget's assumption of {amounts} is taken.")
    tier = "" if price is None else price.service_tier
    per_call = cost_of(Usage(input_uncached=input_tokens, output_total=output_tokens, service_tier=tier), price)
    seconds = LATENCY_SECONDS_IF_UNKNOWN if seen["latency"] is None else seen["latency"] / 1000
    per_minute = 60 * endpoint.max_concurrency / max(seconds, 0.001)
    if endpoint.requests_per_minute is not None:
        per_minute = min(per_minute, endpoint.requests_per_minute)
    if endpoint.tokens_per_minute is not None:
        per_minute = min(per_minute, endpoint.tokens_per_minute / max(input_tokens + output_tokens, 1))
    return ArmEstimate(
        role=role,
        model=model.slug,
        endpoint=endpoint.slug,
        calls=calls,
        input_tokens=calls * input_tokens,
        output_tokens=calls * output_tokens,
        cost=None if per_call is None else calls * per_call,
        minutes=calls / per_minute,
        assumed=tuple(assumed),
    )
