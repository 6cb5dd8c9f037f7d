"""A portfolio file as typed entries. Public surface: ``read_portfolio``, ``Portfolio`` and its entries.

YAML or JSON in the form of the contract's "Portfolio file". A key that is absent is ``UNSET`` and leaves what is
stored; ``null`` clears it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from evaluations.enums import PriceKind, Purpose, TeamRole
from evaluations.services.errors import Refused
from evaluations.services.plan_document import PlanDefinition
from evaluations.services.saving import Maybe
from pilots.enums import CatchUp, ClaimKind, Motive
from pilots.services.documents import read_document


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """What all entries share: an unknown key is an error, so that a misspelt one is not lost in silence."""


class VendorEntry(Entry):
    slug: str
    name: Maybe[str | None] = UNSET


class ModelEntry(Entry):
    slug: str
    vendor: str
    family: Maybe[str | None] = UNSET
    retirement_announced_on: Maybe[date | None] = UNSET
    retires_on: Maybe[date | None] = UNSET


class PriceEntry(Entry):
    model: str
    effective_from: date
    currency: str = "USD"
    kind: PriceKind | None = None
    endpoint: str | None = None
    above_input_tokens: int | None = None
    hours: str | None = None
    service_tier: str | None = None
    input_per_mtok: Maybe[Decimal | None] = UNSET
    output_per_mtok: Maybe[Decimal | None] = UNSET
    cache_read_per_mtok: Maybe[Decimal | None] = UNSET
    cache_write_per_mtok: Maybe[Decimal | None] = UNSET
    cache_write_1h_per_mtok: Maybe[Decimal | None] = UNSET
    audio_input_per_mtok: Maybe[Decimal | None] = UNSET
    audio_cache_read_per_mtok: Maybe[Decimal | None] = UNSET
    audio_output_per_mtok: Maybe[Decimal | None] = UNSET
    image_output_per_mtok: Maybe[Decimal | None] = UNSET
    source: Maybe[str | None] = UNSET


class EndpointEntry(Entry):
    slug: str
    model: str
    protocol: str
    base_url: str
    wire_model: Maybe[str | None] = UNSET
    region: Maybe[str | None] = UNSET
    credential_env: Maybe[str | None] = UNSET
    credential_file: Maybe[str | None] = UNSET
    max_concurrency: Maybe[int | None] = UNSET
    requests_per_minute: Maybe[int | None] = UNSET
    tokens_per_minute: Maybe[int | None] = UNSET
    deadline_seconds: Maybe[int | None] = UNSET
    stream: Maybe[bool | None] = UNSET
    parameters: Maybe[dict[str, Any] | None] = UNSET
    options: Maybe[dict[str, Any] | None] = UNSET


class MoneyEntry(Entry):
    amount: Decimal
    currency: str = "USD"


class MemberEntry(Entry):
    user: str
    role: Maybe[TeamRole | None] = UNSET
    may_read_content: Maybe[bool | None] = UNSET


class AgreementEntry(Entry):
    vendors: list[str]
    regions: list[str]
    purposes: list[Purpose]
    expires_on: date | None = None
    keep_content_days: int | None = None


class TeamEntry(Entry):
    slug: str
    name: Maybe[str | None] = UNSET
    monthly_cap: Maybe[MoneyEntry | None] = UNSET
    second_person: Maybe[bool] = UNSET
    members: list[MemberEntry] = []
    data_agreement: Maybe[AgreementEntry | None] = UNSET


class WorkloadEntry(Entry):
    slug: str
    team: str
    name: Maybe[str | None] = UNSET
    task_type: Maybe[str | None] = UNSET
    monthly_requests: Maybe[int | None] = UNSET
    runs_on: Maybe[str | None] = UNSET


class ArmEntry(Entry):
    """An endpoint, or a model whose recorded production answers are the arm."""

    endpoint: str | None = None
    model: str | None = None
    recorded: bool = False
    request: dict[str, Any] = {}


class ScheduleEntry(Entry):
    cron: str
    timezone: Maybe[str | None] = UNSET
    take: Maybe[int | None] = UNSET
    catch_up: Maybe[CatchUp | None] = UNSET


class PilotEntry(Entry):
    slug: str
    workload: str
    incumbent: ArmEntry
    candidate: ArmEntry
    owner: Maybe[str | None] = UNSET
    deputy: Maybe[str | None] = UNSET
    motive: Maybe[Motive | None] = UNSET
    plan: Maybe[PlanDefinition] = UNSET
    schedule: Maybe[ScheduleEntry | None] = UNSET


class ClaimEntry(Entry):
    model: str
    words: str
    kind: Maybe[ClaimKind | None] = UNSET
    source: Maybe[str | None] = UNSET
    stated_on: Maybe[date | None] = UNSET


class Portfolio(Entry):
    vendors: list[VendorEntry] = []
    models: list[ModelEntry] = []
    prices: list[PriceEntry] = []
    endpoints: list[EndpointEntry] = []
    teams: list[TeamEntry] = []
    workloads: list[WorkloadEntry] = []
    pilots: list[PilotEntry] = []
    claims: list[ClaimEntry] = []


# What makes two entries of one list the same thing.
_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "prices": ("model", "endpoint", "effective_from", "currency", "kind", "above_input_tokens"),
    "claims": ("model", "words", "source", "stated_on"),
    "members": ("user",),
}


def read_portfolio(path: Path) -> Portfolio:
    """Parse and check the form of the file; what it refers to is checked when it is applied.

    Raises ``Refused`` with the path of the entry at fault as its ``field``, for example ``vendors[0].slug``.
    """
    portfolio = read_document(path, Portfolio)
    _check_entries(portfolio, "")
    return portfolio


def _check_entries(value: Any, path: str) -> None:
    """What the types leave open: numbers that are none, dates where JSON is stored, one thing listed twice."""
    if isinstance(value, Decimal) and not value.is_finite():
        raise Refused("is not a finite number", field=path)
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check_entries(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, list | dict):
        if isinstance(value, list) and value and isinstance(value[0], Entry):
            _check_distinct(value, path)
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            where = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"
            if isinstance(item, date):
                raise Refused("is read as a date; put it in quotes", field=where)
            _check_entries(item, where)


def _check_distinct(entries: list[Entry], path: str) -> None:
    names = _IDENTITY.get(path.rpartition(".")[2], ("slug",))
    first: dict[tuple[Any, ...], int] = {}
    for index, entry in enumerate(entries):
        identity = tuple(getattr(entry, name) for name in names)
        if identity in first:
            raise Refused(f"is the same as {path}[{first[identity]}]", field=f"{path}[{index}]")
        first[identity] = index
