"""From tokens to money. No Django.

Public surface: ``PriceRow``, ``price_in_force``, ``price_of``, ``price_of_day``, ``cost_of``, ``cost_of_call``,
``reservation``, ``total_input``, ``input_at_full_price``.

A price row gives money per million tokens from a day on. A number that is missing is undisclosed: the cost of a call
that needs it is unknown, never zero. So is that of a call which the vendor served in a tier of its own (flex, priority,
batch) where no row is of that tier. Amounts are whole trillionths, rounded up, so that any grouping of them sums to the
same total.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_UP, Decimal
from typing import Any

from evaluations.enums import Outcome, PriceKind
from evaluations.providers.base import CompletionResult, Usage

MTOK = Decimal(1_000_000)
# No call of today's largest window at today's highest price comes near; more is a vendor's mistake in counting.
MOST_FOR_ONE_CALL = Decimal(10_000)
# What no budget can hold: such a call is never sent.
BEYOND_ANY_BUDGET = Decimal(9_000_000)
# Images and files are billed by pixels and pages, which their bytes do not bound: a blank picture packs into few. The
# dearest image known is about 48,000 tokens.
TOKENS_OF_AN_ATTACHMENT = 50_000
_OF_ATTACHMENTS = frozenset({"image_url", "file", "file_data", "file_id"})
_TRILLIONTH = Decimal("0.000000000001")
_RANK = {PriceKind.CONTRACT: 0, PriceKind.LIST: 1, PriceKind.THIRD_PARTY: 2}

# The vendor bills nothing for a call that never arrived or that it refused at the door.
_NOT_BILLED = frozenset(
    {Outcome.RATE_LIMITED, Outcome.OVERLOADED, Outcome.AUTH, Outcome.MODEL_GONE, Outcome.QUOTA_EXHAUSTED}
    | {Outcome.REJECTED_INPUT, Outcome.SERVER_ERROR, Outcome.UNREACHABLE}
)
# The answer did not arrive whole, so neither did its counts: the vendor bills what it sent, not what was read.
_COUNTED_IN_PART = frozenset({Outcome.STREAM_CUT, Outcome.TIMEOUT, Outcome.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price as frozen with a run. Amounts are per million tokens; ``None`` = undisclosed."""

    id: int
    effective_from: date
    currency: str
    kind: PriceKind
    input_per_mtok: Decimal | None
    output_per_mtok: Decimal | None
    cache_read_per_mtok: Decimal | None = None  # None: cached input is charged as input
    cache_write_per_mtok: Decimal | None = None  # None: likewise
    cache_write_1h_per_mtok: Decimal | None = None  # None: what is kept for an hour costs as other cache writes do
    audio_input_per_mtok: Decimal | None = None
    audio_cache_read_per_mtok: Decimal | None = None  # None: cached audio costs as other audio does
    audio_output_per_mtok: Decimal | None = None
    image_output_per_mtok: Decimal | None = None  # of generated images
    above_input_tokens: int | None = None  # the tier holds for calls with more input tokens than this
    hours: str = ""  # of the day, in UTC, from which and before which it holds: "16:30-00:30"; '': all day
    service_tier: str = ""  # flex, priority, batch, ...; '': the vendor's standard

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "effective_from": self.effective_from.isoformat(),
            "currency": self.currency,
            "kind": str(self.kind),
            "above_input_tokens": self.above_input_tokens,
            "hours": self.hours,
            "service_tier": self.service_tier,
        } | {name: None if (value := getattr(self, name)) is None else str(value) for name in AMOUNTS}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> PriceRow:
        return cls(
            id=row["id"],
            effective_from=date.fromisoformat(row["effective_from"]),
            currency=row["currency"],
            kind=PriceKind(row["kind"]),
            above_input_tokens=row["above_input_tokens"],
            hours=row.get("hours", ""),
            service_tier=row.get("service_tier", ""),
            **{name: None if row.get(name) is None else Decimal(row[name]) for name in AMOUNTS},
        )

    @property
    def disclosed(self) -> bool:
        return self.input_per_mtok is not None and self.output_per_mtok is not None

    def holds_at(self, instant: datetime) -> bool:
        """Whether the hours are those of ``instant``; a window may pass midnight."""
        if not self.hours:
            return True
        start, end = self.hours.split("-")
        clock = f"{instant.astimezone(UTC):%H:%M}"
        return start <= clock < end if start < end else clock >= start or clock < end

    @classmethod
    def assumed(cls, per_mtok: Mapping[str, str], *, currency: str) -> PriceRow:
        """What a budget says to assume (``input``, ``output``) where the vendor discloses no price."""
        return cls(
            id=0,
            effective_from=date.min,
            currency=currency,
            kind=PriceKind.THIRD_PARTY,
            input_per_mtok=Decimal(per_mtok["input"]),
            output_per_mtok=Decimal(per_mtok["output"]),
        )


AMOUNTS = (
    "input_per_mtok",
    "output_per_mtok",
    "cache_read_per_mtok",
    "cache_write_per_mtok",
    "cache_write_1h_per_mtok",
    "audio_input_per_mtok",
    "audio_cache_read_per_mtok",
    "audio_output_per_mtok",
    "image_output_per_mtok",
)
_OF_OUTPUT = frozenset({"output_per_mtok", "audio_output_per_mtok", "image_output_per_mtok"})
_OF_AUDIO = frozenset({"audio_input_per_mtok", "audio_cache_read_per_mtok"})
_OF_INPUT = frozenset(AMOUNTS) - _OF_OUTPUT


def price_in_force(
    rows: Iterable[PriceRow], *, at: datetime, input_tokens: int = 0, service_tier: str = ""
) -> PriceRow | None:
    """The row that applies to a call sent ``at`` with ``input_tokens``; ``None`` if nothing was in force yet.

    A contract price beats a list price beats a third-party figure; of one kind the newest that has begun; of that day
    the one of the call's hour, and the highest tier that its input passes.
    """
    of_tier = [row for row in rows if row.service_tier == service_tier]
    begun = _begun(of_tier, on=at.astimezone(UTC).date(), input_tokens=input_tokens)
    holding = [row for row in begun if row.holds_at(at)]
    return max(holding, key=lambda row: (row.hours != "", row.above_input_tokens or 0), default=None)


def price_of(rows: Iterable[PriceRow], usage: Usage, *, at: datetime) -> PriceRow | None:
    """The row that a call sent ``at`` falls under, by the tokens that it used and the tier in which it was served."""
    return price_in_force(rows, at=at, input_tokens=total_input(usage) or 0, service_tier=usage.service_tier)


def price_of_day(rows: Iterable[PriceRow], *, on: date, input_tokens: int = 0) -> PriceRow | None:
    """The row that holds all day ``on`` for calls with ``input_tokens``; ``None`` if nothing was in force yet, or if
    the price changes with the hour."""
    begun = _begun([row for row in rows if not row.service_tier], on=on, input_tokens=input_tokens)
    if any(row.hours for row in begun):
        return None
    return max(begun, key=lambda row: row.above_input_tokens or 0, default=None)


def _begun(rows: Iterable[PriceRow], *, on: date, input_tokens: int) -> list[PriceRow]:
    """Of rows of one service tier: those in force on ``on``, at whatever hour, for a call with ``input_tokens``."""
    begun = [row for row in rows if row.effective_from <= on]
    if not begun:
        return []
    kind = min((row.kind for row in begun), key=_RANK.__getitem__)
    newest = max(row.effective_from for row in begun if row.kind == kind)
    return [
        row
        for row in begun
        if row.kind == kind
        and row.effective_from == newest
        and (row.above_input_tokens is None or input_tokens > row.above_input_tokens)
    ]


def input_at_full_price(usage: Usage) -> int | None:
    """Input that no cache had: the request's, and what the vendor's own tools put beside it; ``None`` = unknown."""
    return None if usage.input_uncached is None else usage.input_uncached + (usage.input_tool_use or 0)


def total_input(usage: Usage) -> int | None:
    """Input tokens of every kind; ``None`` if the vendor did not say."""
    full = input_at_full_price(usage)
    return None if full is None else full + (usage.cache_read or 0) + (usage.cache_write or 0)


def cost_of(usage: Usage, price: PriceRow | None) -> Decimal | None:
    """Money for one call; ``None`` where the tokens or the price it needs are unknown.

    Only the split that the price needs must be known: without a price of its own, cached input costs as input does.
    Audio and generated images never cost as text does. A cost beyond belief is no cost: ``None``.
    """
    if price is None or price.input_per_mtok is None or price.output_per_mtok is None:
        return None
    full = input_at_full_price(usage)
    if full is None or usage.output_total is None or usage.priced_apart:
        return None
    if usage.service_tier != price.service_tier:
        return None
    read, written, for_an_hour = usage.cache_read or 0, usage.cache_write or 0, 0
    if written and price.cache_write_1h_per_mtok is not None:
        if usage.cache_write_1h is None:
            return None
        for_an_hour = usage.cache_write_1h
    heard, heard_before = usage.audio_input or 0, usage.audio_cache_read or 0
    if heard and read and usage.audio_cache_read is None:
        return None  # nobody said how much of what was cached is audio
    spoken, drawn = usage.audio_output or 0, usage.image_output or 0
    lines = (
        (full - (heard - heard_before), price.input_per_mtok),
        (read - heard_before, _first(price.cache_read_per_mtok, price.input_per_mtok)),
        (written - for_an_hour, _first(price.cache_write_per_mtok, price.input_per_mtok)),
        (for_an_hour, price.cache_write_1h_per_mtok),
        (heard - heard_before, price.audio_input_per_mtok),
        (heard_before, _first(price.audio_cache_read_per_mtok, price.audio_input_per_mtok)),
        (usage.output_total - spoken - drawn, price.output_per_mtok),
        (spoken, price.audio_output_per_mtok),
        (drawn, price.image_output_per_mtok),
    )
    amount = Decimal(0)
    for tokens, per_mtok in lines:
        if tokens < 0 or (tokens and per_mtok is None):
            return None
        amount += tokens * (per_mtok or 0)
    return None if amount > MOST_FOR_ONE_CALL * MTOK else _whole(amount)


def _first(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None), None)


def cost_of_call(result: CompletionResult, price: PriceRow | None) -> Decimal | None:
    """What the vendor bills for a call that ended as ``result``; ``None``: unknown, and it may have been billed."""
    if result.usage.raw is None and result.outcome in _NOT_BILLED:
        return Decimal(0)
    return None if result.outcome in _COUNTED_IN_PART else cost_of(result.usage, price)


def reservation(
    body: Mapping[str, Any],
    prices: Iterable[PriceRow],
    *,
    on: date,
    assumed: PriceRow | None,
    output_limit: int,
) -> Decimal:
    """An upper bound of what one call may cost: a token of text is at least one byte, and output stops at its limit.

    Of the tiers that it may fall under the dearest counts: by input, by hour, and in which the vendor may serve it.
    ``assumed`` holds where the price in force is undisclosed; without one it is 0: such a run is limited by its number
    of calls instead.
    """
    text = json.dumps(body, ensure_ascii=False)
    input_tokens = len(text.encode("utf-8", "surrogatepass"))
    input_tokens += TOKENS_OF_AN_ATTACHMENT * _attachments(body.get("messages"))
    by_tier: dict[str, list[PriceRow]] = {}
    for row in prices:
        by_tier.setdefault(row.service_tier, []).append(row)
    rows = [row for tier in by_tier.values() for row in _begun(tier, on=on, input_tokens=input_tokens)]
    if not rows or not all(row.disclosed for row in rows):
        rows = [] if assumed is None else [assumed]
    for_input = _OF_INPUT if '"input_audio"' in text else _OF_INPUT - _OF_AUDIO
    return max((_most(row, for_input, input_tokens, output_limit) for row in rows), default=Decimal(0))


def _most(row: PriceRow, for_input: Iterable[str], input_tokens: int, output_tokens: int) -> Decimal:
    dearest, of_output = (max(getattr(row, name) or Decimal(0) for name in names) for names in (for_input, _OF_OUTPUT))
    amount = input_tokens * dearest + output_tokens * of_output
    return BEYOND_ANY_BUDGET if amount >= BEYOND_ANY_BUDGET * MTOK else _whole(amount)


def _attachments(messages: Any) -> int:
    """How many parts of ``messages`` are images or files."""
    listed = messages if isinstance(messages, list) else []
    contents = [message.get("content") for message in listed if isinstance(message, Mapping)]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, Mapping)]
    return sum(not part.keys().isdisjoint(_OF_ATTACHMENTS) for part in parts)


def _whole(amount_times_mtok: Decimal) -> Decimal:
    amount = amount_times_mtok / MTOK
    rounded = amount.quantize(_TRILLIONTH, ROUND_UP)
    return amount if amount == rounded else rounded
