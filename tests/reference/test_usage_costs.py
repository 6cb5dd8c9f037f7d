"""Real usage blocks cost what was published: `data/prices/usage_cost_cases`, priced by `genai_prices.json`.

827 responses of 41 models through our own reading of usage and our own arithmetic: all of them, to the last digit. For
two models the cases are newer than that file; their price is the same project's, from the list that is installed.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from evaluations.enums import PriceKind
from evaluations.price_list import read_price_list
from evaluations.pricing import AMOUNTS, PriceRow, cost_of, price_in_force, price_of
from evaluations.providers.base import Usage
from evaluations.providers.usage import usage_from_raw
from tests.shared_data import shared_data

# The cases were published in August 2026; the price file holds on that day. Noon is when DeepSeek's day price does.
AT = datetime(2026, 8, 21, 12, tzinfo=UTC)
ALWAYS = date(2020, 1, 1)
# What the price file lacks: a price of the model on this provider (its later reduction is not in the cases), and one of
# text beside that of generated images. As the installed list names them.
NEWER = {
    ("aws", "openai.gpt-5.6-luna"): ("regional.openai.gpt-5.6-luna", AT - timedelta(days=60)),
    ("google", "gemini-2.5-flash-image"): ("gemini-2.5-flash-image", AT),
}
COLUMNS = {
    "input_per_mtok": "input_mtok",
    "output_per_mtok": "output_mtok",
    "cache_read_per_mtok": "cache_read_mtok",
    "cache_write_per_mtok": "cache_write_mtok",
    "audio_input_per_mtok": "input_audio_mtok",
    "audio_cache_read_per_mtok": "cache_audio_read_mtok",
    "audio_output_per_mtok": "output_audio_mtok",
}


def cases() -> list[dict[str, Any]]:
    with gzip.open(shared_data("prices", "usage_cost_cases.jsonl.gz"), "rt") as lines:
        return [json.loads(line) for line in lines]


@cache
def providers() -> dict[str, dict[str, Any]]:
    with gzip.open(shared_data("prices", "genai_prices.json.gz"), "rt") as file:
        return {provider["id"]: provider for provider in json.load(file, parse_float=Decimal)}


def matches(rule: dict[str, Any], name: str) -> bool:
    ((kind, value),) = rule.items()
    match kind:
        case "or":
            return any(matches(part, name) for part in value)
        case "and":
            return all(matches(part, name) for part in value)
        case "equals":
            return name == value
        case "starts_with":
            return name.startswith(value)
        case "ends_with":
            return name.endswith(value)
        case "contains":
            return value in name
    raise AssertionError(kind)


def listed(provider: str, name: str) -> list[dict[str, Any]]:
    """The conditional prices of the first model that ``name`` matches; none where the provider lists no such model."""
    for model in providers()[provider]["models"]:
        if matches(model["match"], name):
            prices = model["prices"]
            return prices if isinstance(prices, list) else [{"prices": prices}]
    return []


def rows(listed_prices: list[dict[str, Any]]) -> Iterator[PriceRow]:
    """The listed prices as ours: one row for each start date, window of the day and tier. A later entry wins."""
    for entry in listed_prices:
        constraint = entry.get("constraint", {})
        start = constraint.get("start_date")
        hours = f"{constraint['start_time'][:5]}-{constraint['end_time'][:5]}" if "start_time" in constraint else ""
        prices = {ours: entry["prices"].get(theirs) for ours, theirs in COLUMNS.items()}
        tiers = {tier["start"] for price in prices.values() if isinstance(price, dict) for tier in price["tiers"]}
        for above in (None, *sorted(tiers)):
            yield PriceRow(
                id=1,
                effective_from=date.fromisoformat(start) if start else ALWAYS,
                currency="USD",
                kind=PriceKind.LIST,
                above_input_tokens=above,
                hours=hours,
                **{ours: amount(price, above) for ours, price in prices.items()},
            )


def amount(price: Any, above: int | None) -> Decimal | None:
    if not isinstance(price, dict):
        return None if price is None else Decimal(price)
    reached = [tier["price"] for tier in price["tiers"] if above is not None and tier["start"] <= above]
    return Decimal(reached[-1] if reached else price["base"])


def usage_of(case: dict[str, Any]) -> Usage:
    raw = case["response_body"].get("usage") or case["response_body"]["usageMetadata"]
    if case["api_flavor"] == "embeddings":
        # Published as an embeddings call: billed by its prompt, whatever else the block counts.
        return Usage(input_uncached=raw["prompt_tokens"], output_total=0)
    if case["provider"] == "aws":
        # Published as an Anthropic call, whose usage has no such details: they were not read.
        raw = {name: count for name, count in raw.items() if name != "input_tokens_details"}
    return usage_from_raw(raw)


def prices_of(provider: str, model: str) -> tuple[list[PriceRow], datetime]:
    """The rows for a case of ``model``, and when it was called."""
    if (provider, model) not in NEWER:
        return list(rows(listed(provider, model))), AT
    name, at = NEWER[provider, model]
    return installed(provider, name), at


@cache
def installed(provider: str, name: str) -> list[PriceRow]:
    found = read_price_list(AT.date()).find(vendor=provider, names=[name])
    assert found is not None
    return [
        PriceRow(
            id=1,
            effective_from=price.effective_from or ALWAYS,
            currency="USD",
            kind=PriceKind.LIST,
            above_input_tokens=price.above_input_tokens,
            hours=price.hours,
            **price.amounts,
        )
        for price in found.prices
    ]


def cost(usage: Usage, prices: list[PriceRow], at: datetime = AT) -> tuple[Decimal | None, Decimal | None]:
    """Input and output apart, as the cases publish them; the tier is that of the whole request."""
    price = price_of(prices, usage, at=at)
    known = usage.output_total is not None
    only_input = replace(usage, output_total=0 if known else None, audio_output=None, image_output=None)
    only_output = replace(
        usage,
        input_uncached=0,
        input_tool_use=None,
        cache_read=None,
        cache_write=None,
        audio_input=None,
        audio_cache_read=None,
    )
    whole, parts = cost_of(usage, price), (cost_of(only_input, price), cost_of(only_output, price))
    assert whole == (None if None in parts else sum(parts))
    return parts


def test_every_case_costs_what_was_published() -> None:
    reproduced: Counter[str] = Counter()
    totals: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for case in cases():
        prices, at = prices_of(case["provider"], case["model"])
        usage = usage_of(case)
        # The source has one price for every service tier, and prices a call that was served as flex with it.
        of_tier = [replace(price, service_tier=usage.service_tier) for price in prices]
        expected = Decimal(case["expected_input_usd"]), Decimal(case["expected_output_usd"])
        assert cost(usage, of_tier, at) == expected, case["case_id"]
        reproduced[case["provider"]] += 1
        totals[case["provider"]] = [
            total + more for total, more in zip(totals[case["provider"]], expected, strict=True)
        ]
    assert reproduced.total() == 827
    published = json.loads(shared_data("prices", "reference.json").read_text())["totals_usd"]
    assert reproduced == {name: figures["cases"] for name, figures in published.items()}
    for name, figures in published.items():
        assert totals[name] == [Decimal(figures["input"]), Decimal(figures["output"])]


def test_what_a_row_cannot_price_costs_unknown_and_never_a_wrong_amount() -> None:
    """Audio and generated images where the row has no price for them, and a service tier that it is not of."""
    apart = 0
    for case in cases():
        usage = usage_of(case)
        prices, at = prices_of(case["provider"], case["model"])
        text_only = [
            replace(price, **{name: None for name in AMOUNTS if "audio" in name or "image" in name}) for price in prices
        ]
        if (usage.audio_input or 0) + (usage.audio_output or 0) + (usage.image_output or 0) > 0 or usage.service_tier:
            assert None in cost(usage, text_only, at), case["case_id"]
            apart += 1
        else:
            assert None not in cost(usage, text_only, at), case["case_id"]
    assert apart == 35 + 4 + 1


def test_a_price_that_depends_on_the_time_of_day_is_that_of_the_calls_own_hour() -> None:
    """DeepSeek's reasoner: $0.55 from 00:30 to 16:30 UTC, $0.135 in the night that passes midnight."""
    prices = list(rows(listed("deepseek", "deepseek-reasoner")))

    def at(clock: str) -> Decimal | None:
        instant = datetime.fromisoformat(f"2025-08-01T{clock}:00+00:00")
        return cost_of(Usage(input_uncached=1_000_000, output_total=0), price_in_force(prices, at=instant))

    day, night = Decimal("0.55"), Decimal("0.135")
    assert [at(clock) for clock in ("00:29", "00:30", "16:29", "16:30", "23:59")] == [night, day, day, night, night]


def dated_cases() -> list[dict[str, Any]]:
    return json.loads(shared_data("prices", "reference.json").read_text())["dated_price_cases"]


def test_dated_and_tiered_prices_as_published() -> None:
    """The README's table: o3 before and from 2025-06-10, claude-sonnet-5 before and from 2026-09-01."""
    checked = 0
    for case in dated_cases():
        prices = list(rows(listed(case["provider"], case["model"])))
        tokens = case["input_tokens"]
        price = price_in_force(prices, at=datetime.fromisoformat(f"{case['date']}T12:00Z"), input_tokens=tokens)
        assert cost_of(Usage(input_uncached=tokens, output_total=0), price) == Decimal(case["input_usd"])
        only_output = Usage(input_uncached=0, output_total=case["output_tokens"])
        assert cost_of(only_output, price) == Decimal(case["output_usd"])
        checked += 1
    assert checked == 12


@pytest.mark.parametrize(
    ("input_tokens", "expected"),
    [(200_000, "0.6"), (200_001, "1.200006")],
)
def test_a_tier_of_a_listed_model_holds_for_the_whole_request(input_tokens, expected) -> None:
    """claude-sonnet-4-6 before 2026-03-13: $3, and $6 above 200,000 input tokens."""
    prices = list(rows(listed("anthropic", "claude-sonnet-4-6")))
    price = price_in_force(prices, at=datetime(2026, 3, 12, tzinfo=UTC), input_tokens=input_tokens)
    assert cost_of(Usage(input_uncached=input_tokens, output_total=0), price) == Decimal(expected)
