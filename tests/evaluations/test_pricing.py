"""Money from tokens; expected figures from the price table's own README and the vendors' published cases."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest

from evaluations.enums import PriceKind
from evaluations.pricing import PriceRow, cost_of, price_in_force, reservation
from evaluations.providers.base import Usage
from evaluations.providers.usage import usage_from_raw
from tests.shared_data import shared_data


def row(start: str = "2025-01-01", kind: PriceKind = PriceKind.LIST, **amounts) -> PriceRow:
    given = {"input_per_mtok": Decimal(2), "output_per_mtok": Decimal(8), **amounts}
    return PriceRow(id=1, effective_from=date.fromisoformat(start), currency="USD", kind=kind, **given)


def test_a_call_costs_its_tokens_at_the_price() -> None:
    assert cost_of(Usage(input_uncached=1_000_000, output_total=500_000), row()) == Decimal(6)


def test_cached_input_has_its_own_price_where_there_is_one() -> None:
    usage = Usage(input_uncached=100, cache_read=1000, cache_write=10, output_total=0)
    plain = cost_of(usage, row())
    split = cost_of(usage, row(cache_read_per_mtok=Decimal("0.2"), cache_write_per_mtok=Decimal("2.5")))
    assert plain == Decimal(1110 * 2) / 1_000_000
    assert split == (Decimal(200) + Decimal(200) + Decimal(25)) / 1_000_000


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(input_uncached=1, output_total=1), None),
        (Usage(input_uncached=1, output_total=1), row(input_per_mtok=None)),
        (Usage(input_uncached=1, output_total=1), row(output_per_mtok=None)),
        (Usage(input_uncached=None, output_total=1), row()),
        (Usage(input_uncached=1, output_total=None), row()),
    ],
)
def test_unknown_tokens_or_an_undisclosed_price_give_unknown_and_never_zero(usage, price) -> None:
    assert cost_of(usage, price) is None


def test_the_newest_price_that_has_begun_is_in_force() -> None:
    rows = [row("2025-06-10", input_per_mtok=Decimal(2)), row("2025-04-16", input_per_mtok=Decimal(10))]
    assert price_in_force(rows, on=date(2025, 6, 9)) == rows[1]
    assert price_in_force(rows, on=date(2025, 6, 10)) == rows[0]
    assert price_in_force(rows, on=date(2025, 4, 15)) is None


def test_a_contract_price_beats_a_list_price_beats_a_third_party_figure() -> None:
    rows = [row(kind=PriceKind.THIRD_PARTY), row(kind=PriceKind.LIST), row("2024-01-01", kind=PriceKind.CONTRACT)]
    assert price_in_force(rows, on=date(2025, 6, 1)) == rows[2]
    assert price_in_force(rows[:2], on=date(2025, 6, 1)) == rows[1]


def test_a_tier_holds_for_the_whole_call_once_its_input_passes_the_start() -> None:
    base, tier = row(), row(input_per_mtok=Decimal(4), above_input_tokens=200_000)
    assert price_in_force([base, tier], on=date(2025, 6, 1), input_tokens=200_000) == base
    assert price_in_force([base, tier], on=date(2025, 6, 1), input_tokens=200_001) == tier


@pytest.mark.parametrize(
    ("on", "tokens", "expected"),
    [
        ("2025-06-09", (1_000_000, 1_000_000), ("10", "40")),
        ("2025-06-10", (150_000, 2000), ("0.3", "0.016")),
        ("2025-06-10", (250_000, 2000), ("0.5", "0.016")),
    ],
)
def test_dated_prices_of_o3_as_published(on, tokens, expected) -> None:
    rows = [
        row("2025-04-16", input_per_mtok=Decimal(10), output_per_mtok=Decimal(40)),
        row("2025-06-10", input_per_mtok=Decimal(2), output_per_mtok=Decimal(8)),
    ]
    price = price_in_force(rows, on=date.fromisoformat(on), input_tokens=tokens[0])
    for usage, amount in (
        (Usage(input_uncached=tokens[0], output_total=0), expected[0]),
        (Usage(input_uncached=0, output_total=tokens[1]), expected[1]),
    ):
        assert cost_of(usage, price) == Decimal(amount)


def test_the_cost_of_the_gsm8k_replays_at_list_price() -> None:
    """`reference_cost.json`: total of 1,319 calls a model at its list price."""
    published = json.loads(shared_data("gsm8k", "reference_cost.json").read_text())["models"]
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for path in shared_data("gsm8k").glob("replay.*.jsonl.gz"):
        seen: set[str] = set()
        with gzip.open(path, "rt") as lines:
            calls = [json.loads(line) for line in lines]
        for call in calls:
            figures = published[call["model"]]
            price = row(
                input_per_mtok=Decimal(figures["usd_per_mtok_in"]), output_per_mtok=Decimal(figures["usd_per_mtok_out"])
            )
            usage = Usage(input_uncached=call["prompt_tokens_est"], output_total=call["output_tokens_est"])
            totals[f"{path.name}:{call['model']}"] += cost_of(usage, price)
            seen.add(call["model"])
    for name, total in totals.items():
        assert total == Decimal(published[name.rsplit(":", 1)[1]]["cost_usd"])


def test_plain_usage_blocks_of_real_responses_cost_what_was_published() -> None:
    """`usage_cost_cases`: those of models with one undated, untiered price, checked by their publisher's arithmetic."""
    prices: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with gzip.open(shared_data("prices", "price_table.csv.gz"), "rt") as file:
        for line in csv.DictReader(file):
            prices[line["provider"], line["model"]].append(line)
    with gzip.open(shared_data("prices", "usage_cost_cases.jsonl.gz"), "rt") as lines:
        cases = [json.loads(line) for line in lines]
    checked = 0
    for case in cases:
        listed = prices[case["provider"], case["model"]]
        body = case["response_body"]
        raw = body.get("usage") or body.get("usageMetadata")
        flat = len(listed) == 1 and not listed[0]["valid_from"] and listed[0]["has_tiers"] == "no"
        if not flat or raw is None or not case.get("checked_by_own_arithmetic"):
            continue
        amounts = {
            name: Decimal(text) if (text := listed[0][column]) else None
            for name, column in (
                ("input_per_mtok", "input_usd_per_mtok"),
                ("output_per_mtok", "output_usd_per_mtok"),
                ("cache_read_per_mtok", "cache_read_usd_per_mtok"),
                ("cache_write_per_mtok", "cache_write_usd_per_mtok"),
            )
        }
        expected = Decimal(case["expected_input_usd"]) + Decimal(case["expected_output_usd"])
        assert cost_of(usage_from_raw(raw), row(**amounts)) == expected, case["case_id"]
        checked += 1
    assert checked == 67


def test_a_reservation_is_never_below_the_cost() -> None:
    """A token is at least one byte, and the answer stops at its limit."""
    body = {"messages": [{"role": "user", "content": "Grüße an 你好"}], "max_completion_tokens": 50}
    price = row()
    worst = Usage(input_uncached=len("Grüße an 你好".encode()), output_total=50)
    assert reservation(body, price, assumed_output_tokens=4096) >= cost_of(worst, price)


def test_a_call_without_a_limit_reserves_the_assumed_output() -> None:
    body = {"messages": []}
    low, high = (reservation(body, row(), assumed_output_tokens=n) for n in (100, 200))
    assert high - low == Decimal(100 * 8) / 1_000_000


def test_rows_survive_being_frozen_with_a_run() -> None:
    price = row(cache_read_per_mtok=Decimal("0.01875"), above_input_tokens=7)
    assert PriceRow.from_json(json.loads(json.dumps(price.to_json()))) == price
