"""Prices that are only asked about. Public surface: ``supposed_prices``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import UNSET

from evaluations.enums import PriceKind
from evaluations.models import Endpoint, ModelVersion
from evaluations.pricing import AMOUNTS, PriceRow
from evaluations.services.errors import Refused
from evaluations.services.teams import check_currency
from pilots.selectors.costs import SupposedPrice
from pilots.services.documents import read_document
from pilots.services.portfolio_document import Entry, PriceEntry


class _Prices(Entry):
    prices: list[PriceEntry]


def supposed_prices(path: Path) -> tuple[SupposedPrice, ...]:
    """The ``prices`` of the file, with the keys that they have in a portfolio file; nothing is stored.

    A number that is left out is undisclosed. Raises ``Refused`` naming file and field.
    """
    try:
        entries = read_document(path, _Prices).prices
        models = set(ModelVersion.objects.values_list("slug", flat=True))
        owners = dict(Endpoint.objects.values_list("slug", "model__slug"))
        return tuple(_supposed(place, entry, models, owners) for place, entry in enumerate(entries))
    except Refused as refusal:
        where = f"{path.name}: {refusal.field}" if refusal.field else path.name
        raise Refused(refusal.message, field=where) from None


def _supposed(place: int, entry: PriceEntry, models: set[str], owners: dict[str, str]) -> SupposedPrice:
    at = f"prices[{place}]"
    if entry.model not in models:
        raise Refused(f"unknown model {entry.model}", field=f"{at}.model")
    if entry.endpoint is not None and owners.get(entry.endpoint) != entry.model:
        raise Refused(f"{entry.model} has no endpoint {entry.endpoint}", field=f"{at}.endpoint")
    for name in ("hours", "service_tier"):
        if getattr(entry, name):
            raise Refused("cannot be supposed: replayed answers count by their tokens alone", field=f"{at}.{name}")
    check_currency(entry.currency, field=f"{at}.currency")
    amounts: dict[str, Any] = {name: value for name in AMOUNTS if (value := getattr(entry, name)) is not UNSET}
    for name, value in amounts.items():
        if value is not None and not (value.is_finite() and value >= 0):
            raise Refused("must not be below 0", field=f"{at}.{name}")
    return SupposedPrice(
        model=entry.model,
        endpoint=entry.endpoint,
        row=PriceRow(
            id=0,
            effective_from=entry.effective_from,
            currency=entry.currency,
            kind=entry.kind or (PriceKind.CONTRACT if entry.endpoint else PriceKind.LIST),
            above_input_tokens=entry.above_input_tokens,
            **{"input_per_mtok": None, "output_per_mtok": None, **amounts},
        ),
    )
