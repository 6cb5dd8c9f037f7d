"""From tokens to money. No Django. Public surface: ``PriceRow``, ``price_in_force``, ``cost_of``, ``reservation``.

A price row gives money per million tokens from a day on. A number that is missing is undisclosed: the cost of a call
that needs it is unknown, never zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from evaluations.enums import PriceKind
from evaluations.providers.base import Usage

MTOK = Decimal(1_000_000)
_RANK = {PriceKind.CONTRACT: 0, PriceKind.LIST: 1, PriceKind.THIRD_PARTY: 2}


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
    above_input_tokens: int | None = None  # the tier holds for calls with more input tokens than this

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "effective_from": self.effective_from.isoformat(),
            "currency": self.currency,
            "kind": str(self.kind),
            "above_input_tokens": self.above_input_tokens,
        } | {name: None if (value := getattr(self, name)) is None else str(value) for name in _AMOUNTS}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> PriceRow:
        return cls(
            id=row["id"],
            effective_from=date.fromisoformat(row["effective_from"]),
            currency=row["currency"],
            kind=PriceKind(row["kind"]),
            above_input_tokens=row["above_input_tokens"],
            **{name: None if row[name] is None else Decimal(row[name]) for name in _AMOUNTS},
        )

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


_AMOUNTS = ("input_per_mtok", "output_per_mtok", "cache_read_per_mtok", "cache_write_per_mtok")


def price_in_force(rows: Iterable[PriceRow], *, on: date, input_tokens: int = 0) -> PriceRow | None:
    """The row that applies to a call on ``on`` with ``input_tokens``; ``None`` if nothing was in force yet.

    A contract price beats a list price beats a third-party figure; of one kind the newest that has begun; of that day
    the highest tier that the call's input passes.
    """
    begun = [row for row in rows if row.effective_from <= on]
    if not begun:
        return None
    kind = min((row.kind for row in begun), key=_RANK.__getitem__)
    newest = max(row.effective_from for row in begun if row.kind == kind)
    tiers = [
        row
        for row in begun
        if row.kind == kind
        and row.effective_from == newest
        and (row.above_input_tokens is None or input_tokens > row.above_input_tokens)
    ]
    return max(tiers, key=lambda row: row.above_input_tokens or 0, default=None)


def total_input(usage: Usage) -> int | None:
    """Input tokens of every kind; ``None`` if the vendor did not say."""
    if usage.input_uncached is None:
        return None
    return usage.input_uncached + (usage.cache_read or 0) + (usage.cache_write or 0)


def cost_of(usage: Usage, price: PriceRow | None) -> Decimal | None:
    """Money for one call; ``None`` where the tokens or the price it needs are unknown.

    Only the split that the price needs must be known: without a price of its own, cached input costs as input does.
    """
    if price is None or price.input_per_mtok is None or price.output_per_mtok is None:
        return None
    if usage.input_uncached is None or usage.output_total is None:
        return None
    amount = usage.input_uncached * price.input_per_mtok + usage.output_total * price.output_per_mtok
    for tokens, per_mtok in (
        (usage.cache_read, price.cache_read_per_mtok),
        (usage.cache_write, price.cache_write_per_mtok),
    ):
        amount += (tokens or 0) * (price.input_per_mtok if per_mtok is None else per_mtok)
    return amount / MTOK


def reservation(body: Mapping[str, Any], price: PriceRow | None, *, assumed_output_tokens: int) -> Decimal:
    """An upper bound of what one call may cost: a token is at least one byte, and output stops at its limit.

    Without a price it is 0: such a run is limited by its number of calls instead.
    """
    if price is None or price.input_per_mtok is None or price.output_per_mtok is None:
        return Decimal(0)
    input_price = max(price.input_per_mtok, price.cache_write_per_mtok or 0)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or assumed_output_tokens
    input_tokens = len(json.dumps(body, ensure_ascii=False).encode())
    return (input_tokens * input_price + int(limit) * price.output_per_mtok) / MTOK
