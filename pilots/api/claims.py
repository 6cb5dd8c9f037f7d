"""What vendors say of their models, word for word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Literal

from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.models import ModelVersion
from evaluations.services.saving import Maybe
from pilots.api.base import Answer, ApiView, operation
from pilots.api.catalogue import given, named
from pilots.api.describe import Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.enums import ClaimKind
from pilots.models import Claim
from pilots.services.claims import save_claim
from pilots.services.portfolio_document import ClaimEntry


@dataclass(frozen=True, slots=True)
class ClaimDocument:
    id: int
    model: str
    words: str
    kind: ClaimKind
    source: str  # '': not said
    stated_on: date


class ClaimPage(PageQuery):
    model: Maybe[str] = UNSET
    kind: Maybe[ClaimKind] = UNSET
    ordering: Literal["stated_on", "-stated_on"] = "-stated_on"


def _claims(rows: Sequence[Claim]) -> Iterator[ClaimDocument]:
    return (ClaimDocument(row.pk, row.model.slug, row.words, row.kind, row.source, row.stated_on) for row in rows)


class Claims(ApiView):
    @operation("list_claims", "List vendors' claims, newest first", answers=Page[ClaimDocument], query=ClaimPage)
    def get(self, request: Request, query: ClaimPage) -> Page[ClaimDocument]:
        rows = Claim.objects.select_related("model")
        rows = narrowed(rows, query, model="model__slug", kind="kind")
        return page_of(request, query, rows, _claims, order=query.ordering)

    @operation(
        "record_claim",
        "Record a claim",
        answers=ClaimDocument,
        status=HTTPStatus.CREATED,
        or_status=HTTPStatus.OK,
        body=ClaimEntry,
    )
    def post(self, request: Request, body: ClaimEntry) -> Answer:
        """The same words, source and day again are the claim on record; its kind may be set anew."""
        self.allow(self.access.may_open_any(), "Only pilot managers record claims.")
        model = named(ModelVersion, body.model, field="model")
        row, created = save_claim(model=model, **given(body, "model"), by=self.actor, at=self.now)
        return Answer(
            next(_claims([row])),
            status=HTTPStatus.CREATED if created else HTTPStatus.OK,
            headers={"Location": reverse("pilots:api:claim", args=[row.pk])},
        )


class OneClaim(ApiView):
    @operation("read_claim", "Read a claim", answers=ClaimDocument)
    def get(self, request: Request, pk: int) -> ClaimDocument:
        return next(_claims([get_object_or_404(Claim.objects.select_related("model"), pk=pk)]))
