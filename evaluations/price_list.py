"""List prices from a well-kept package, offline. Public surface: ``read_price_list``, ``PriceList``, ``Listed``,
``ListPrice``. No Django.

The package (pydantic/genai-prices, MIT) carries its prices as data. Its updater, which would fetch newer ones, is never
started: what a run is priced with comes from the installed, pinned version and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from evaluations.pricing import AMOUNTS

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, MatchLogic, ModelInfo, Provider

CURRENCY = "USD"
# What the package calls each amount of a price row.
_KEYS = {
    "input_per_mtok": "input_mtok",
    "output_per_mtok": "output_mtok",
    "cache_read_per_mtok": "cache_read_mtok",
    "cache_write_per_mtok": "cache_write_mtok",
    "cache_write_1h_per_mtok": "cache_write_1h_mtok",
    "audio_input_per_mtok": "input_audio_mtok",
    "audio_cache_read_per_mtok": "cache_audio_read_mtok",
    "audio_output_per_mtok": "output_audio_mtok",
    "image_output_per_mtok": "output_image_mtok",
}
# Beside them, and harmless: tools that a replay does not send, and tokens whose cost is unknown by their own count.
_ASIDE = frozenset({"web_searches_kcount", "storage_searches_kcount", "output_video_mtok"})


@dataclass(frozen=True, slots=True)
class ListPrice:
    """One tier of a model's list price, in ``CURRENCY`` per million tokens, by the names of ``AMOUNTS``."""

    effective_from: date | None  # None: the list does not say since when
    above_input_tokens: int | None
    amounts: Mapping[str, Decimal | None]
    hours: str = ""  # as of a price row


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as the list has it."""

    name: str
    prices: tuple[ListPrice, ...]  # oldest first; empty: see ``obstacle``
    obstacle: str | None = None  # why its price does not fit a price row


@dataclass(frozen=True, slots=True)
class PriceList:
    """The package's prices as of one day."""

    source: str  # package and version
    as_of: date  # the newest day, up to the one asked for, from which one of its prices holds
    _providers: Sequence[Provider]

    def find(self, *, vendor: str, names: Iterable[str]) -> Listed | None:
        """The model of ``vendor`` that the list has under exactly one of ``names``, the first that fits."""
        models = [model for provider in self._providers if provider.id == vendor for model in provider.models]
        for name in names:
            for model in models:
                if name.lower() in {model.id.lower(), *_exact_names(model.match)}:
                    return _listed(model)
        return None


def read_price_list(on: date) -> PriceList:
    """The installed package's list. Takes seconds: the package builds it from 1.6 MB of code."""
    from genai_prices import __version__
    from genai_prices.data import providers

    starts = [start for provider in providers for model in provider.models for start in _starts(model)]
    return PriceList(
        source=f"genai-prices {__version__}", as_of=max(start for start in starts if start <= on), _providers=providers
    )


def _exact_names(rule: MatchLogic) -> Iterator[str]:
    """Names that ``rule`` takes as they stand; a rule of beginnings or parts names no one model."""
    from genai_prices.types import ClauseEquals, ClauseOr

    if isinstance(rule, ClauseEquals):
        yield rule.equals.lower()
    elif isinstance(rule, ClauseOr):
        for part in rule.or_:
            yield from _exact_names(part)


def _conditional(model: ModelInfo) -> list[ConditionalPrice]:
    from genai_prices.types import ConditionalPrice

    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def _starts(model: ModelInfo) -> Iterator[date]:
    from genai_prices.types import StartDateConstraint

    for entry in _conditional(model):
        if isinstance(entry.constraint, StartDateConstraint):
            yield entry.constraint.start_date


def _listed(model: ModelInfo) -> Listed:
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    day: date | None = None
    held: dict[tuple[date | None, str], ConditionalPrice] = {}  # of one day and hour the last of the list counts
    for entry in _conditional(model):
        hours = ""
        if isinstance(entry.constraint, TimeOfDateConstraint):
            # A part of the day on which the entry before it holds.
            hours = f"{entry.constraint.start_time:%H:%M}-{entry.constraint.end_time:%H:%M}"
        else:
            day = entry.constraint.start_date if isinstance(entry.constraint, StartDateConstraint) else None
        held[day, hours] = entry
    prices: list[ListPrice] = []
    for (day, hours), entry in sorted(held.items(), key=lambda item: (item[0][0] or date.min, item[0][1])):
        named = {key: value for key, value in vars(entry.prices).items() if value is not None}
        if unknown := named.keys() - _KEYS.values() - _ASIDE:
            return Listed(model.id, (), f"it is also charged by {', '.join(sorted(unknown))}")
        if not {"input_mtok", "output_mtok"} <= named.keys():
            return Listed(model.id, (), "it has no price of input and output tokens")
        prices += _tiers(day, hours, named)
    return Listed(model.id, tuple(prices))


def _tiers(day: date | None, hours: str, named: Mapping[str, object]) -> Iterator[ListPrice]:
    from genai_prices.types import TieredPrices

    tiered = [value for key, value in named.items() if isinstance(value, TieredPrices) and key in _KEYS.values()]
    for above in (None, *sorted({tier.start for value in tiered for tier in value.tiers})):
        yield ListPrice(day, above, {name: _amount(named.get(_KEYS[name]), above) for name in AMOUNTS}, hours)


def _amount(value: object, above: int | None) -> Decimal | None:
    from genai_prices.types import TieredPrices

    if isinstance(value, TieredPrices):
        reached = [tier.price for tier in value.tiers if above is not None and tier.start <= above]
        return reached[-1] if reached else value.base
    return value if isinstance(value, Decimal) else None
