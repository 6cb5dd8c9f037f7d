"""Money from tokens; expected figures from the price table's own README and the vendors' published cases."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.enums import Outcome, PriceKind
from evaluations.pricing import (
    BEYOND_ANY_BUDGET,
    PriceRow,
    cost_of,
    cost_of_call,
    price_in_force,
    price_of,
    reservation,
)
from evaluations.providers.base import CompletionResult, Usage
from evaluations.providers.usage import usage_from_raw
from tests.shared_data import shared_data


def noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


NOON = noon(2025, 6, 1)


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


def test_cache_kept_for_an_hour_has_its_own_price_where_there_is_one() -> None:
    """Anthropic lists 1.25 x input for five minutes and 2 x input for an hour; without an own price both cost alike."""
    usage = Usage(input_uncached=0, cache_write=1000, cache_write_1h=400, output_total=0)
    alike, apart = row(cache_write_per_mtok=Decimal("2.5")), {"cache_write_1h_per_mtok": Decimal(4)}
    assert cost_of(usage, alike) == Decimal(2500) / 1_000_000
    assert cost_of(usage, row(cache_write_per_mtok=Decimal("2.5"), **apart)) == Decimal(1500 + 1600) / 1_000_000
    unsaid = Usage(input_uncached=0, cache_write=1000, output_total=0)
    assert cost_of(unsaid, alike) == Decimal(2500) / 1_000_000
    assert cost_of(unsaid, row(**apart)) is None


@pytest.mark.parametrize("kind", ["audio_input", "audio_output", "image_output", "priced_apart"])
def test_tokens_that_a_row_cannot_price_make_the_cost_unknown(kind) -> None:
    assert cost_of(Usage(input_uncached=10, output_total=1, **{kind: 1}), row()) is None
    assert cost_of(Usage(input_uncached=10, output_total=1, **{kind: 0}), row()) == Decimal(28) / 1_000_000


def test_audio_and_generated_images_have_their_own_prices() -> None:
    """By hand: 60 text x 2 + 20 cached text x 1 + 15 audio x 30 + 5 cached audio x 3; 2 text x 8 + 3 x 60 + 4 x 40."""
    price = row(
        cache_read_per_mtok=Decimal(1),
        audio_input_per_mtok=Decimal(30),
        audio_cache_read_per_mtok=Decimal(3),
        audio_output_per_mtok=Decimal(60),
        image_output_per_mtok=Decimal(40),
    )
    usage = Usage(
        input_uncached=75,
        cache_read=25,
        audio_input=20,
        audio_cache_read=5,
        output_total=9,
        audio_output=3,
        image_output=4,
    )
    assert cost_of(usage, price) == Decimal(120 + 20 + 450 + 15 + 16 + 180 + 160) / 1_000_000
    # Without a price of its own, cached audio costs as other audio does: 135 more.
    dearer = cost_of(usage, replace(price, audio_cache_read_per_mtok=None))
    assert dearer == cost_of(usage, price) + Decimal(135) / 1_000_000
    # Whose of the cached tokens were audio, nobody said; and more audio than there was.
    assert cost_of(replace(usage, audio_cache_read=None), price) is None
    assert cost_of(replace(usage, audio_output=10), price) is None


def test_a_call_is_priced_by_a_row_of_the_tier_in_which_the_vendor_served_it() -> None:
    usage, flex = Usage(input_uncached=10, output_total=0), row(input_per_mtok=Decimal(1), service_tier="flex")
    served = replace(usage, service_tier="flex")
    assert cost_of(served, row()) is cost_of(usage, flex) is None
    rows = [row(), flex]
    assert cost_of(usage, price_of(rows, usage, at=NOON)) == Decimal(20) / 1_000_000
    assert cost_of(served, price_of(rows, served, at=NOON)) == Decimal(10) / 1_000_000
    assert price_of([row()], served, at=NOON) is None


def test_of_the_rows_of_one_day_the_one_of_the_calls_hour_holds() -> None:
    night, all_day = row(input_per_mtok=Decimal(1), hours="16:30-00:30"), row()
    instants = [datetime(2025, 6, 1, hour, minute, tzinfo=UTC) for hour, minute in ((0, 29), (0, 30), (16, 30))]
    found = [price_in_force([night, all_day], at=instant) for instant in instants]
    assert found == [night, all_day, night]
    # 18:30 in Berlin is 16:30 UTC, on the same day; 01:30 on the 10th is still the 9th.
    berlin = timezone(timedelta(hours=2))
    assert price_in_force([night, all_day], at=datetime(2025, 6, 1, 18, 30, tzinfo=berlin)) == night
    later = row("2025-06-10")
    assert price_in_force([later, all_day], at=datetime(2025, 6, 10, 1, 30, tzinfo=berlin)) == all_day


def test_a_cost_is_whole_trillionths_and_never_rounded_down() -> None:
    price = row(input_per_mtok=Decimal("0.000000000001"), output_per_mtok=Decimal(0))
    assert cost_of(Usage(input_uncached=1, output_total=0), price) == Decimal("0.000000000001")
    assert cost_of(Usage(input_uncached=2_000_001, output_total=0), price) == Decimal("0.000000000003")


def test_a_cost_beyond_belief_is_unknown() -> None:
    dear = row(input_per_mtok=Decimal(600))
    assert cost_of(Usage(input_uncached=10_000_000, output_total=0), dear) == 6000
    assert cost_of(Usage(input_uncached=1_000_000_000, output_total=0), dear) is None


_COUNTS = st.one_of(
    st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.lists(st.integers(), max_size=2)
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("prompt_tokens", "completion_tokens"), _COUNTS)))
def test_no_usage_object_gives_a_cost_that_is_negative_or_no_number(raw) -> None:
    cost = cost_of(usage_from_raw(raw), row())
    assert cost is None or (cost.is_finite() and 0 <= cost <= 10_000)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=30), st.randoms())
def test_any_grouping_of_costs_sums_to_the_same_total(calls, shuffled) -> None:
    price = row(input_per_mtok=Decimal("0.0375"), output_per_mtok=Decimal("0.15"))
    costs = [cost_of(Usage(input_uncached=read, output_total=written), price) for read, written in calls]
    groups: dict[int, Decimal] = defaultdict(Decimal)
    for cost in costs:
        groups[shuffled.randrange(5)] += cost
    owed = sum(read * 375 + written * 1500 for read, written in calls)
    assert sum(groups.values()) == sum(costs) == Decimal(owed) / 10_000 / 1_000_000


@pytest.mark.parametrize(
    ("outcome", "usage", "cost"),
    [
        (Outcome.RATE_LIMITED, Usage(), Decimal(0)),
        (Outcome.SERVER_ERROR, Usage(), Decimal(0)),
        (Outcome.UNREACHABLE, Usage(), Decimal(0)),
        (Outcome.TIMEOUT, Usage(), None),
        (Outcome.OK, Usage(), None),
        (Outcome.OK, Usage(input_uncached=1_000_000, output_total=0, raw={"x": 1}), Decimal(2)),
        (Outcome.CONTENT_FILTERED, Usage(input_uncached=1_000_000, output_total=0, raw={"x": 1}), Decimal(2)),
        # A cut stream has counted a part of what the vendor bills.
        (Outcome.STREAM_CUT, Usage(input_uncached=1_000_000, output_total=0, raw={"x": 1}), None),
    ],
)
def test_what_a_call_costs_depends_on_how_it_ended(outcome, usage, cost) -> None:
    assert cost_of_call(CompletionResult(outcome, usage=usage), row()) == cost


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
    assert price_in_force(rows, at=noon(2025, 6, 9)) == rows[1]
    assert price_in_force(rows, at=noon(2025, 6, 10)) == rows[0]
    assert price_in_force(rows, at=noon(2025, 4, 15)) is None


def test_a_contract_price_beats_a_list_price_beats_a_third_party_figure() -> None:
    rows = [row(kind=PriceKind.THIRD_PARTY), row(kind=PriceKind.LIST), row("2024-01-01", kind=PriceKind.CONTRACT)]
    assert price_in_force(rows, at=noon(2025, 6, 1)) == rows[2]
    assert price_in_force(rows[:2], at=noon(2025, 6, 1)) == rows[1]


def test_a_tier_holds_for_the_whole_call_once_its_input_passes_the_start() -> None:
    base, tier = row(), row(input_per_mtok=Decimal(4), above_input_tokens=200_000)
    assert price_in_force([base, tier], at=noon(2025, 6, 1), input_tokens=200_000) == base
    assert price_in_force([base, tier], at=noon(2025, 6, 1), input_tokens=200_001) == tier


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
    price = price_in_force(rows, at=datetime.fromisoformat(f"{on}T12:00Z"), input_tokens=tokens[0])
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


def reserved(body: object, *rows: PriceRow, assumed: PriceRow | None = None, output_limit: int = 0) -> Decimal:
    return reservation(body, rows, on=date(2025, 6, 1), assumed=assumed, output_limit=output_limit)


def test_a_reservation_is_never_below_the_cost() -> None:
    """A token is at least one byte, and the answer stops at its limit."""
    body = {"messages": [{"role": "user", "content": "Grüße an 你好"}], "max_completion_tokens": 50}
    price = row()
    worst = Usage(input_uncached=len("Grüße an 你好".encode()), output_total=50)
    assert reserved(body, price, output_limit=50) >= cost_of(worst, price)


def test_the_output_limit_is_reserved_at_the_price_of_output() -> None:
    body = {"messages": []}
    low, high = (reserved(body, row(), output_limit=n) for n in (100, 200))
    assert high - low == Decimal(100 * 8) / 1_000_000


def test_a_limit_beyond_any_budget_stays_beyond_it() -> None:
    assert reserved({}, row(input_per_mtok=Decimal(0)), output_limit=10**400) == BEYOND_ANY_BUDGET


def test_of_the_tiers_that_a_call_may_reach_the_dearest_is_reserved() -> None:
    tier = row(input_per_mtok=Decimal(4), above_input_tokens=1000)
    short, long = {"messages": "x" * 500}, {"messages": "x" * 2000}
    assert reserved(short, row(), tier) == reserved(short, row())
    assert reserved(long, row(), tier) == 2 * reserved(long, row())


def test_of_the_hours_and_service_tiers_that_a_call_may_fall_under_the_dearest_is_reserved() -> None:
    def at_most(*rows: PriceRow) -> Decimal:
        return reserved({}, *rows, output_limit=10)

    priority = row("2025-05-01", output_per_mtok=Decimal(16), service_tier="priority")
    night = row(input_per_mtok=Decimal(1), output_per_mtok=Decimal(1), hours="16:30-00:30")
    assert at_most(row(), priority, night) == at_most(priority) > at_most(row())
    # A newer row of another tier ends no standard price.
    assert at_most(row(), replace(priority, output_per_mtok=Decimal(1))) == at_most(row())


def test_audio_is_reserved_for_where_the_request_has_some() -> None:
    price = row(audio_input_per_mtok=Decimal(200))
    heard = {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "abcd", "format": "wav"}}]}]}
    read = {"messages": [{"content": [{"type": "input_video", "input_video": {"data": "abcd", "format": "wav"}}]}]}
    assert reserved(heard, price) == 100 * reserved(heard, row()) == 100 * reserved(read, price)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://images/1.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
    ],
)
def test_an_image_or_file_is_reserved_by_what_an_image_may_cost(part: dict[str, object]) -> None:
    """Not by its bytes: a picture of 4,000 blank pixels square has few, and is billed by its size."""

    def asked(*parts: object) -> Decimal:
        return reserved({"messages": [{"content": list(parts)}]}, row())

    in_text = {"type": "text", "text": json.dumps(part)}
    assert asked(part) >= asked(in_text) + Decimal(2 * 50_000 - 100) / 1_000_000
    assert asked(part, part) >= asked(part) + Decimal(2 * 50_000) / 1_000_000


def test_an_undisclosed_price_reserves_what_is_assumed_or_nothing() -> None:
    undisclosed, body = row(output_per_mtok=None), {"max_tokens": 10}
    assert reserved(body, undisclosed) == reserved(body) == 0
    assert reserved(body, undisclosed, assumed=row()) == reserved(body, row())


@pytest.mark.parametrize("messages", ["\ud800", 5, None, [None, "x", {"content": 3}, {"content": [None]}]])
def test_any_request_can_be_reserved_for(messages) -> None:
    assert reserved({"messages": messages}, row()) > 0


def test_a_row_frozen_before_there_was_a_price_of_an_hour_is_read() -> None:
    frozen = row().to_json()
    for name in ("cache_write_1h_per_mtok", "audio_input_per_mtok", "hours", "service_tier"):
        del frozen[name]
    assert PriceRow.from_json(frozen) == row()


def test_rows_survive_being_frozen_with_a_run() -> None:
    price = row(cache_read_per_mtok=Decimal("0.01875"), above_input_tokens=7, hours="00:30-16:30", service_tier="flex")
    assert PriceRow.from_json(json.loads(json.dumps(price.to_json()))) == price
