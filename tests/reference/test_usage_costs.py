"""Real usage blocks cost what was published: `data/prices/usage_cost_cases`, priced by `genai_prices.json` alone.

827 responses of 41 models through our own reading of usage and our own arithmetic. What that price file does not
determine is left out by name and counted below: nothing is left out silently, and nothing comes out wrong.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from evaluations.enums import PriceKind
from evaluations.pricing import PriceRow, cost_of, price_in_force, total_input
from evaluations.providers.base import Usage
from evaluations.providers.usage import usage_from_raw
from tests.shared_data import shared_data

# The cases were published in August 2026; the price file holds on that day.
ON = date(2026, 8, 21)
ALWAYS = date(2020, 1, 1)
COLUMNS = {
    "input_per_mtok": "input_mtok",
    "output_per_mtok": "output_mtok",
    "cache_read_per_mtok": "cache_read_mtok",
    "cache_write_per_mtok": "cache_write_mtok",
}
# Why a case is not determined by the tokens and the price file, and how many are so.
LEFT_OUT = {
    "audio input has a price of its own": 35,
    "an image model: its output price is that of generated images": 5,
    "the price depends on the time of day": 3,
    "the file has no price of this provider for the model": 5,
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
    """The listed prices as ours: one row for each start date and tier. A later entry of the list wins."""
    for entry in listed_prices:
        start = entry.get("constraint", {}).get("start_date")
        prices = {ours: entry["prices"].get(theirs) for ours, theirs in COLUMNS.items()}
        tiers = {tier["start"] for price in prices.values() if isinstance(price, dict) for tier in price["tiers"]}
        for above in (None, *sorted(tiers)):
            yield PriceRow(
                id=1,
                effective_from=date.fromisoformat(start) if start else ALWAYS,
                currency="USD",
                kind=PriceKind.LIST,
                above_input_tokens=above,
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
    return usage_from_raw(raw)


def cost(usage: Usage, prices: list[PriceRow]) -> tuple[Decimal | None, Decimal | None]:
    """Input and output apart, as the cases publish them; the tier is that of the whole request."""
    price = price_in_force(prices, on=ON, input_tokens=total_input(usage) or 0)
    known = usage.output_total is not None
    only_input = Usage(
        input_uncached=usage.input_uncached,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        cache_write_1h=usage.cache_write_1h,
        output_total=0 if known else None,
        priced_apart=usage.priced_apart,
    )
    only_output = Usage(input_uncached=0, output_total=usage.output_total, priced_apart=usage.priced_apart)
    whole, parts = cost_of(usage, price), (cost_of(only_input, price), cost_of(only_output, price))
    assert whole == (None if None in parts else sum(parts))
    return parts


def left_out(case: dict[str, Any], usage: Usage, prices: list[dict[str, Any]]) -> str | None:
    if not prices:
        return "the file has no price of this provider for the model"
    if any("start_time" in entry.get("constraint", {}) for entry in prices):
        return "the price depends on the time of day"
    if "-image" in case["model"]:
        return "an image model: its output price is that of generated images"
    return "audio input has a price of its own" if usage.priced_apart else None


def test_every_case_costs_what_was_published_or_is_left_out_by_name() -> None:
    reproduced: Counter[str] = Counter()
    totals: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    excluded: Counter[str] = Counter()
    for case in cases():
        usage, prices = usage_of(case), listed(case["provider"], case["model"])
        expected = Decimal(case["expected_input_usd"]), Decimal(case["expected_output_usd"])
        reason = left_out(case, usage, prices)
        if reason is not None:
            excluded[reason] += 1
            continue
        assert cost(usage, list(rows(prices))) == expected, case["case_id"]
        reproduced[case["provider"]] += 1
        totals[case["provider"]] = [
            total + more for total, more in zip(totals[case["provider"]], expected, strict=True)
        ]
    assert excluded == LEFT_OUT
    assert reproduced.total() == 827 - sum(LEFT_OUT.values()) == 779
    published = json.loads(shared_data("prices", "reference.json").read_text())["totals_usd"]
    whole = {name for name, figures in published.items() if figures["cases"] == reproduced[name]}
    assert whole == {"anthropic", "groq", "mistral", "openai"}
    for name in whole:
        assert totals[name] == [Decimal(published[name]["input"]), Decimal(published[name]["output"])]


def test_what_a_row_cannot_price_costs_unknown_and_never_a_wrong_amount() -> None:
    audio = [case for case in cases() if (usage_of(case).priced_apart or 0) > 0]
    assert len(audio) == 35 + 4  # and four generated images
    for case in audio:
        assert None in cost(usage_of(case), list(rows(listed(case["provider"], case["model"])))), case["case_id"]


def test_the_cases_that_depend_on_the_time_of_day_fit_the_price_of_their_window() -> None:
    """A row holds a day, not an hour: with the row of the hour at which they were published they fit as well."""
    noon = time(12, tzinfo=UTC)

    def holds(entry: dict[str, Any]) -> bool:
        window = entry.get("constraint", {})
        if "start_time" not in window:
            return True
        start, end = (
            datetime.fromisoformat(f"2026-01-01T{window[key]}").timetz() for key in ("start_time", "end_time")
        )
        return start <= noon < end

    fitting = 0
    for case in cases():
        prices = listed(case["provider"], case["model"])
        if left_out(case, usage_of(case), prices) != "the price depends on the time of day":
            continue
        row = list(rows([entry for entry in prices if holds(entry)][-1:]))
        assert cost(usage_of(case), row) == (Decimal(case["expected_input_usd"]), Decimal(case["expected_output_usd"]))
        fitting += 1
    assert fitting == 3


def dated_cases() -> list[dict[str, Any]]:
    return json.loads(shared_data("prices", "reference.json").read_text())["dated_price_cases"]


def test_dated_and_tiered_prices_as_published() -> None:
    """The README's table: o3 before and from 2025-06-10, claude-sonnet-5 before and from 2026-09-01."""
    checked = 0
    for case in dated_cases():
        prices = list(rows(listed(case["provider"], case["model"])))
        tokens = case["input_tokens"]
        price = price_in_force(prices, on=date.fromisoformat(case["date"]), input_tokens=tokens)
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
    price = price_in_force(prices, on=date(2026, 3, 12), input_tokens=input_tokens)
    assert cost_of(Usage(input_uncached=input_tokens, output_total=0), price) == Decimal(expected)
