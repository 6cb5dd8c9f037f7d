"""Vendors, models, endpoints and prices. Everybody reads them; only site administrators change them.

A key is named, never sent: an endpoint says which variable or file holds it, and a change of host names it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import msgspec
from django.db import models, transaction
from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.enums import PriceKind
from evaluations.models import Endpoint, ModelVersion, Price, Vendor
from evaluations.services.catalogue import save_endpoint, save_model, save_price, save_vendor
from evaluations.services.errors import Conflict, Refused
from evaluations.services.saving import Maybe
from pilots.api.base import Answer, ApiView, operation
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.services.portfolio_document import EndpointEntry, Entry, ModelEntry, PriceEntry, VendorEntry

M = TypeVar("M", bound=models.Model)
_ADMIN = "Only a site administrator changes the catalogue."


def named(model: type[M], slug: str, *, field: str) -> M:
    """The row that a body names. Raises ``Refused``."""
    row = model._default_manager.filter(slug=slug).first()
    if row is None:
        raise Refused(f"there is no {model._meta.verbose_name} {slug}", field=field)
    return row


def refuse_taken(model: type[models.Model], slug: str) -> None:
    """Raises ``Conflict`` where something has that name already."""
    if model._default_manager.filter(slug=slug).exists():
        raise Conflict(f"{slug} is taken", field="slug")


def given(body: msgspec.Struct, *but: str) -> dict[str, Any]:
    """The body's values as a service's keywords."""
    return {name: getattr(body, name) for name in body.__struct_fields__ if name not in but}


class SlugPage(PageQuery):
    ordering: Literal["slug", "-slug"] = "slug"


@dataclass(frozen=True, slots=True)
class VendorDocument:
    slug: str
    name: str


class VendorChange(Entry):
    name: Maybe[str | None] = UNSET


def _vendors(rows: Sequence[Vendor]) -> Iterator[VendorDocument]:
    return (VendorDocument(row.slug, row.name) for row in rows)


class Vendors(ApiView):
    @operation("list_vendors", "List vendors", answers=Page[VendorDocument], query=SlugPage)
    def get(self, request: Request, query: SlugPage) -> Page[VendorDocument]:
        return page_of(request, query, Vendor.objects.all(), _vendors, order=query.ordering)

    @operation("add_vendor", "Add a vendor", answers=VendorDocument, status=HTTPStatus.CREATED, body=VendorEntry)
    def post(self, request: Request, body: VendorEntry) -> Answer:
        self.allow(self.access.user.is_superuser, _ADMIN)
        with transaction.atomic():
            refuse_taken(Vendor, body.slug)
            row, _ = save_vendor(**given(body), by=self.actor, at=self.now)
        return Answer(next(_vendors([row])), headers={"Location": reverse("pilots:api:vendor", args=[row.slug])})


class OneVendor(ApiView):
    @operation("read_vendor", "Read a vendor", answers=VendorDocument)
    def get(self, request: Request, slug: str) -> VendorDocument:
        return next(_vendors([get_object_or_404(Vendor, slug=slug)]))

    @operation("change_vendor", "Rename a vendor", answers=VendorDocument, body=VendorChange)
    def patch(self, request: Request, slug: str, body: VendorChange) -> VendorDocument:
        row = get_object_or_404(Vendor, slug=slug)
        self.allow(self.access.user.is_superuser, _ADMIN)
        return next(_vendors([save_vendor(slug=row.slug, name=body.name, by=self.actor, at=self.now)[0]]))


@dataclass(frozen=True, slots=True)
class ModelDocument:
    slug: str
    vendor: str
    family: str  # '': a family of its own
    retirement_announced_on: date | None
    retires_on: date | None  # first day on which it no longer answers


class ModelChange(Entry):
    vendor: Maybe[str] = UNSET
    family: Maybe[str | None] = UNSET
    retirement_announced_on: Maybe[date | None] = UNSET
    retires_on: Maybe[date | None] = UNSET


class ModelPage(SlugPage):
    vendor: Maybe[str] = UNSET


def _models(rows: Sequence[ModelVersion]) -> Iterator[ModelDocument]:
    return (
        ModelDocument(row.slug, row.vendor.slug, row.family, row.retirement_announced_on, row.retires_on)
        for row in rows
    )


class Models(ApiView):
    @operation("list_models", "List models", answers=Page[ModelDocument], query=ModelPage)
    def get(self, request: Request, query: ModelPage) -> Page[ModelDocument]:
        rows = ModelVersion.objects.select_related("vendor")
        rows = narrowed(rows, query, vendor="vendor__slug")
        return page_of(request, query, rows, _models, order=query.ordering)

    @operation("add_model", "Add a model", answers=ModelDocument, status=HTTPStatus.CREATED, body=ModelEntry)
    def post(self, request: Request, body: ModelEntry) -> Answer:
        self.allow(self.access.user.is_superuser, _ADMIN)
        with transaction.atomic():
            refuse_taken(ModelVersion, body.slug)
            vendor = named(Vendor, body.vendor, field="vendor")
            row, _ = save_model(vendor=vendor, **given(body, "vendor"), by=self.actor, at=self.now)
        return Answer(next(_models([row])), headers={"Location": reverse("pilots:api:model", args=[row.slug])})


class OneModel(ApiView):
    @operation("read_model", "Read a model", answers=ModelDocument)
    def get(self, request: Request, slug: str) -> ModelDocument:
        return next(_models([get_object_or_404(ModelVersion.objects.select_related("vendor"), slug=slug)]))

    @operation("change_model", "Change a model", answers=ModelDocument, body=ModelChange)
    def patch(self, request: Request, slug: str, body: ModelChange) -> ModelDocument:
        row = get_object_or_404(ModelVersion.objects.select_related("vendor"), slug=slug)
        self.allow(self.access.user.is_superuser, _ADMIN)
        vendor = row.vendor if body.vendor is UNSET else named(Vendor, str(body.vendor), field="vendor")
        row, _ = save_model(slug=row.slug, vendor=vendor, **given(body, "vendor"), by=self.actor, at=self.now)
        return next(_models([row]))


@dataclass(frozen=True, slots=True)
class EndpointDocument:
    slug: str
    model: str
    protocol: str
    base_url: str
    wire_model: str  # name sent to the vendor
    region: str  # '': unknown
    credential_env: str  # the variable that holds the key, never the key; '': none
    credential_file: str
    max_concurrency: int
    requests_per_minute: int | None  # None: not limited by us
    tokens_per_minute: int | None
    deadline_seconds: int
    stream: bool
    parameters: dict[str, Any]
    options: dict[str, Any]
    version: int


class EndpointChange(Entry):
    """``base_url`` on another host needs the key named again."""

    version: int | None = None  # as it was read; another one since then is a conflict
    protocol: Maybe[str] = UNSET
    base_url: Maybe[str] = UNSET
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


class EndpointPage(SlugPage):
    model: Maybe[str] = UNSET


def _endpoints(rows: Sequence[Endpoint]) -> Iterator[EndpointDocument]:
    for row in rows:
        names = (name for name in EndpointDocument.__slots__ if name != "model")
        yield EndpointDocument(model=row.model.slug, **{name: getattr(row, name) for name in names})


class Endpoints(ApiView):
    @operation("list_endpoints", "List endpoints", answers=Page[EndpointDocument], query=EndpointPage)
    def get(self, request: Request, query: EndpointPage) -> Page[EndpointDocument]:
        rows = Endpoint.objects.select_related("model")
        rows = narrowed(rows, query, model="model__slug")
        return page_of(request, query, rows, _endpoints, order=query.ordering)

    @operation(
        "add_endpoint", "Add an endpoint", answers=EndpointDocument, status=HTTPStatus.CREATED, body=EndpointEntry
    )
    def post(self, request: Request, body: EndpointEntry) -> Answer:
        self.allow(self.access.user.is_superuser, _ADMIN)
        with transaction.atomic():
            refuse_taken(Endpoint, body.slug)
            model = named(ModelVersion, body.model, field="model")
            row, _ = save_endpoint(model=model, **given(body, "model"), version=0, by=self.actor, at=self.now)
        return Answer(next(_endpoints([row])), headers={"Location": reverse("pilots:api:endpoint", args=[row.slug])})


class OneEndpoint(ApiView):
    @operation("read_endpoint", "Read an endpoint", answers=EndpointDocument)
    def get(self, request: Request, slug: str) -> EndpointDocument:
        return next(_endpoints([get_object_or_404(Endpoint.objects.select_related("model"), slug=slug)]))

    @operation("change_endpoint", "Change an endpoint", answers=EndpointDocument, body=EndpointChange)
    def patch(self, request: Request, slug: str, body: EndpointChange) -> EndpointDocument:
        row = get_object_or_404(Endpoint.objects.select_related("model"), slug=slug)
        self.allow(self.access.user.is_superuser, _ADMIN)
        self.versioned = row
        changes = {name: value for name, value in given(body).items() if value is not UNSET}
        kept = {"protocol": row.protocol, "base_url": row.base_url}
        row, _ = save_endpoint(slug=row.slug, model=row.model, **{**kept, **changes}, by=self.actor, at=self.now)
        return next(_endpoints([row]))


@dataclass(frozen=True, slots=True)
class PriceDocument:
    id: int
    model: str
    endpoint: str | None  # of a contract price
    kind: PriceKind
    currency: str
    effective_from: date
    above_input_tokens: int | None
    hours: str  # UTC; '': all day
    service_tier: str  # '': the vendor's standard
    input_per_mtok: Decimal | None  # None: undisclosed
    output_per_mtok: Decimal | None
    cache_read_per_mtok: Decimal | None  # None: as input
    cache_write_per_mtok: Decimal | None
    cache_write_1h_per_mtok: Decimal | None
    audio_input_per_mtok: Decimal | None
    audio_cache_read_per_mtok: Decimal | None
    audio_output_per_mtok: Decimal | None
    image_output_per_mtok: Decimal | None
    source: str
    recorded_at: Instant


class PricePage(PageQuery):
    model: Maybe[str] = UNSET
    endpoint: Maybe[str] = UNSET
    kind: Maybe[PriceKind] = UNSET
    ordering: Literal["effective_from", "-effective_from", "recorded_at", "-recorded_at"] = "-effective_from"


def _prices(rows: Sequence[Price]) -> Iterator[PriceDocument]:
    related = ("id", "model", "endpoint")
    for row in rows:
        names = (name for name in PriceDocument.__slots__ if name not in related)
        yield PriceDocument(
            id=row.pk,
            model=row.model.slug,
            endpoint=row.endpoint.slug if row.endpoint else None,
            **{name: getattr(row, name) for name in names},
        )


class Prices(ApiView):
    @operation("list_prices", "List prices, newest first", answers=Page[PriceDocument], query=PricePage)
    def get(self, request: Request, query: PricePage) -> Page[PriceDocument]:
        rows = Price.objects.select_related("model", "endpoint")
        rows = narrowed(rows, query, model="model__slug", endpoint="endpoint__slug", kind="kind")
        return page_of(request, query, rows, _prices, order=query.ordering)

    @operation(
        "save_price",
        "Add or correct the price of a model from a day on",
        answers=PriceDocument,
        status=HTTPStatus.CREATED,
        or_status=HTTPStatus.OK,
        body=PriceEntry,
    )
    def post(self, request: Request, body: PriceEntry) -> Answer:
        """A price is known by model, endpoint, day, currency, kind, tier and hours: the same again corrects it."""
        self.allow(self.access.user.is_superuser, _ADMIN)
        row, created = save_price(
            model=named(ModelVersion, body.model, field="model"),
            endpoint=None if body.endpoint is None else named(Endpoint, body.endpoint, field="endpoint"),
            **given(body, "model", "endpoint"),
            by=self.actor,
            at=self.now,
        )
        row.refresh_from_db()
        return Answer(
            next(_prices([row])),
            status=HTTPStatus.CREATED if created else HTTPStatus.OK,
            headers={"Location": reverse("pilots:api:price", args=[row.pk])},
        )


class OnePrice(ApiView):
    @operation("read_price", "Read a price", answers=PriceDocument)
    def get(self, request: Request, pk: int) -> PriceDocument:
        return next(_prices([get_object_or_404(Price.objects.select_related("model", "endpoint"), pk=pk)]))
