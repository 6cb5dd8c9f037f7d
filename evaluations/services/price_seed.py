"""List prices for the catalogue, read offline. Public surface: ``seed_prices``, ``SeedReport``, ``Seeded``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from django.db import transaction

from evaluations.enums import PriceKind
from evaluations.models import ModelVersion, Price
from evaluations.price_list import CURRENCY, Listed, PriceList, read_price_list
from evaluations.pricing import AMOUNTS
from evaluations.services import audit
from evaluations.services.catalogue import save_price

# Rows with a source of this beginning are the seed's own; every other is somebody's knowledge and stays.
OWN = "genai-prices "
Status = Literal["seeded", "unchanged", "own_prices", "not_listed", "does_not_fit"]
_Tiers = dict[tuple[int | None, str], dict[str, Any]]  # amounts by the start of the tier and the hours of the day


@dataclass(frozen=True, slots=True)
class Seeded:
    """What happened to one model."""

    model: str
    status: Status
    listed_as: str | None = None  # None: the list has no such model
    rows: int = 0  # created or corrected
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SeedReport:
    source: str
    as_of: date
    models: tuple[Seeded, ...]

    @property
    def rows(self) -> int:
        return sum(model.rows for model in self.models)


def seed_prices(
    *,
    models: Iterable[ModelVersion] | None = None,
    since: date | None = None,
    dry_run: bool = False,
    by: audit.Actor,
    at: datetime,
) -> SeedReport:
    """Fill list prices of ``models`` (default: the whole catalogue) that the list has under exactly their name.

    A price that the list does not date holds from ``since``, by default the list's own day; what it dates, from that
    day. A model with a list price of another source is left alone, and contract prices go before list prices anyway.
    Runs keep the prices they were created with. A model that the list does not have stays undisclosed.
    """
    listed = read_price_list(at.astimezone(UTC).date())
    chosen = ModelVersion.objects.all() if models is None else models
    with transaction.atomic():
        seeded = tuple(_seed(model, listed, since=since, by=by, at=at) for model in chosen)
        transaction.set_rollback(dry_run)
    return SeedReport(source=listed.source, as_of=listed.as_of, models=seeded)


def _seed(model: ModelVersion, listed: PriceList, *, since: date | None, by: audit.Actor, at: datetime) -> Seeded:
    names = [model.slug, *model.endpoints.order_by("slug").values_list("wire_model", flat=True)]
    found = listed.find(vendor=model.vendor.slug, names=names)
    if found is None:
        return Seeded(model.slug, "not_listed")
    if found.obstacle is not None:
        return Seeded(model.slug, "does_not_fit", found.name, detail=found.obstacle)
    stored = list(Price.objects.filter(model=model, kind=PriceKind.LIST, currency=CURRENCY))
    if foreign := [price for price in stored if not price.source.startswith(OWN)]:
        return Seeded(model.slug, "own_prices", found.name, detail=foreign[0].source)
    rows = 0
    for day, tiers in _by_day(found, since or listed.as_of).items():
        if _in_force(stored, day) == tiers:
            continue
        for (above, hours), amounts in tiers.items():
            _, created = save_price(
                model=model,
                effective_from=day,
                currency=CURRENCY,
                kind=PriceKind.LIST,
                above_input_tokens=above,
                hours=hours,
                source=listed.source,
                by=by,
                at=at,
                **amounts,
            )
            rows += created is not None
    return Seeded(model.slug, "seeded" if rows else "unchanged", found.name, rows)


def _by_day(found: Listed, since: date) -> Mapping[date, _Tiers]:
    """The list's prices by the day from which they hold; an undated one that a dated one had replaced is left out."""
    dated = [price.effective_from for price in found.prices if price.effective_from is not None]
    by_day: dict[date, _Tiers] = defaultdict(dict)
    for price in found.prices:
        if price.effective_from is None and dated and since >= min(dated):
            continue
        by_day[price.effective_from or since][price.above_input_tokens, price.hours] = dict(price.amounts)
    return by_day


def _in_force(stored: Iterable[Price], day: date) -> _Tiers:
    begun = [price for price in stored if price.effective_from <= day]
    newest = max((price.effective_from for price in begun), default=None)
    return {
        (price.above_input_tokens, price.hours): {name: getattr(price, name) for name in AMOUNTS}
        for price in begun
        if price.effective_from == newest
    }
