"""The installed price list, read offline. Expected prices are those of `data/prices`, which other hands collected."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest

from evaluations.price_list import Listed, read_price_list
from tests.shared_data import shared_data

ON = date(2026, 11, 20)


def find(*names: str, vendor: str = "openai") -> Listed | None:
    return read_price_list(ON).find(vendor=vendor, names=names)


def test_reading_it_needs_no_network() -> None:
    """In a process where no name is resolved and nothing connected to; nor is a thread left that could do so later."""
    program = """
import sys, threading
def refuse(event, args):
    assert event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"), event
sys.addaudithook(refuse)
from datetime import date
from evaluations.price_list import read_price_list
assert read_price_list(date(2026, 11, 20)).find(vendor="openai", names=["gpt-4"])
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["gpt-4"], "gpt-4"),
        (["our-gpt", "gpt-4-0613"], "gpt-4"),  # a name that the list gives in full
        (["GPT-4"], "gpt-4"),
        (["gpt-4-my-own"], None),
        (["ft:gpt-4-0613:acme"], None),  # begins like one of the list
        (["mai-thinking-1"], None),
        ([], None),
    ],
)
def test_only_an_exact_name_of_the_vendors_own_list_is_found(names, found) -> None:
    listed = find(*names)
    assert (listed and listed.name) == found
    assert find(*names, vendor="nobody") is None


def test_a_dated_change_gives_two_prices() -> None:
    """o3, reduced on 2025-06-10: the README's table."""
    listed = find("o3")
    assert listed is not None
    assert [
        (
            price.effective_from,
            price.above_input_tokens,
            price.amounts["input_per_mtok"],
            price.amounts["output_per_mtok"],
        )
        for price in listed.prices
    ] == [(None, None, 10, 40), (date(2025, 6, 10), None, 2, 8)]


def test_a_tiered_price_gives_one_for_each_tier_and_an_hour_in_the_cache_its_own() -> None:
    listed = find("claude-sonnet-4-6", vendor="anthropic")
    assert listed is not None
    first, tier = listed.prices[:2]
    assert (first.above_input_tokens, first.amounts["input_per_mtok"]) == (None, 3)
    assert (tier.above_input_tokens, tier.amounts["input_per_mtok"]) == (200_000, 6)
    # Anthropic: an hour costs twice the input.
    assert (first.amounts["cache_write_per_mtok"], first.amounts["cache_write_1h_per_mtok"]) == (Decimal("3.75"), 6)


def test_a_price_of_the_hour_gives_one_for_each_part_of_the_day() -> None:
    listed = find("deepseek-reasoner", vendor="deepseek")
    assert listed is not None
    assert [(price.hours, price.amounts["input_per_mtok"]) for price in listed.prices] == [
        ("", Decimal("0.135")),
        ("00:30-16:30", Decimal("0.55")),
    ]


def test_audio_and_generated_images_keep_their_own_prices() -> None:
    """Gemini 2.5 flash: $1 a million of audio; its image model: $30 of images, $2.50 of text."""
    flash, image = (find(name, vendor="google") for name in ("gemini-2.5-flash", "gemini-2.5-flash-image"))
    assert flash is not None
    assert image is not None
    heard, drawn = flash.prices[0].amounts, image.prices[0].amounts
    assert (heard["audio_input_per_mtok"], heard["image_output_per_mtok"]) == (1, None)
    assert (drawn["image_output_per_mtok"], drawn["output_per_mtok"]) == (30, Decimal("2.5"))


@pytest.mark.parametrize(
    ("vendor", "name", "obstacle"),
    [
        ("openai", "text-embedding-3-small", "it has no price of input and output tokens"),
        ("perplexity", "sonar", "it is also charged by requests_kcount"),
    ],
)
def test_a_price_that_does_not_fit_a_row_is_named_and_not_bent(vendor, name, obstacle) -> None:
    listed = find(name, vendor=vendor)
    assert listed is not None
    assert (listed.prices, listed.obstacle) == ((), obstacle)


def test_it_agrees_with_the_price_table_of_august() -> None:
    """`price_table.csv`, the same project's file of 2026-08-21: the plain models of three vendors that both have."""
    both = changed = 0
    prices = read_price_list(ON)
    with gzip.open(shared_data("prices", "price_table.csv.gz"), "rt") as file:
        for line in csv.DictReader(file):
            plain = not line["valid_from"] and not line["daily_start_utc"] and line["has_tiers"] == "no"
            if line["provider"] not in ("openai", "anthropic", "mistral") or not plain:
                continue
            listed = prices.find(vendor=line["provider"], names=[line["model"]])
            if listed is None or not listed.prices or listed.prices[-1].effective_from is not None:
                continue
            both += 1
            amounts = listed.prices[0].amounts
            listed_then = (Decimal(line["input_usd_per_mtok"] or 0), Decimal(line["output_usd_per_mtok"] or 0))
            changed += (amounts["input_per_mtok"], amounts["output_per_mtok"]) != listed_then
    assert both > 60
    assert changed <= both / 20  # what the vendors or the list corrected since


def test_its_own_day_is_the_newest_that_its_prices_speak_of() -> None:
    assert read_price_list(date(2026, 8, 25)).as_of == date(2026, 8, 21)
    assert read_price_list(ON).as_of <= ON
