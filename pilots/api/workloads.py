"""Workloads, the samples that are posted to them, and the frozen sets of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET
from rest_framework.request import Request

from evaluations.enums import TeamRole
from evaluations.models import ModelVersion, SampleSet, Workload
from evaluations.services.errors import Refused
from evaluations.services.sample_choice import parse_quota
from evaluations.services.samples import ImportReport, import_samples
from evaluations.services.saving import Maybe
from evaluations.services.teams import save_workload
from pilots.api.base import Answer, ApiView, Nothing, once, operation
from pilots.api.bodies import LINES, spool
from pilots.api.catalogue import SlugPage, given, named, refuse_taken
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.enums import TokenScope
from pilots.services.portfolio_document import Entry, WorkloadEntry

_MANAGER = "Only a pilot manager of the team does this."


@dataclass(frozen=True, slots=True)
class WorkloadDocument:
    slug: str
    team: str
    name: str
    task_type: str  # '': not said
    monthly_requests: int | None  # None: unknown
    runs_on: str | None  # the model in production now; None: unknown
    created_at: Instant
    version: int


class WorkloadChange(Entry):
    version: int | None = None  # as it was read; another one since then is a conflict
    name: Maybe[str | None] = UNSET
    task_type: Maybe[str | None] = UNSET
    monthly_requests: Maybe[int | None] = UNSET
    runs_on: Maybe[str | None] = UNSET


class WorkloadPage(SlugPage):
    team: Maybe[str] = UNSET
    task_type: Maybe[str] = UNSET


def _workloads(rows: Sequence[Workload]) -> Iterator[WorkloadDocument]:
    for row in rows:
        yield WorkloadDocument(
            slug=row.slug,
            team=row.team.slug,
            name=row.name,
            task_type=row.task_type,
            monthly_requests=row.monthly_requests,
            runs_on=row.runs_on.slug if row.runs_on else None,
            created_at=row.created_at,
            version=row.version,
        )


def _model(slug: Maybe[str | None]) -> Maybe[ModelVersion | None]:
    return named(ModelVersion, slug, field="runs_on") if isinstance(slug, str) else slug


class Workloads(ApiView):
    @operation("list_workloads", "List workloads", answers=Page[WorkloadDocument], query=WorkloadPage)
    def get(self, request: Request, query: WorkloadPage) -> Page[WorkloadDocument]:
        rows = self.access.workloads().select_related("team", "runs_on")
        rows = narrowed(rows, query, team="team__slug", task_type="task_type")
        return page_of(request, query, rows, _workloads, order=query.ordering)

    @operation(
        "add_workload", "Add a workload", answers=WorkloadDocument, status=HTTPStatus.CREATED, body=WorkloadEntry
    )
    def post(self, request: Request, body: WorkloadEntry) -> Answer:
        team = self.access.teams().filter(slug=body.team).first()
        if team is None:
            raise Refused(f"there is no team {body.team}", field="team")
        self.allow(self.access.has_role(team, TeamRole.MANAGER), _MANAGER)
        with transaction.atomic():
            refuse_taken(Workload, body.slug)
            runs_on = _model(body.runs_on)
            row, _ = save_workload(
                team=team, runs_on=runs_on, **given(body, "team", "runs_on"), version=0, by=self.actor, at=self.now
            )
        return Answer(next(_workloads([row])), headers={"Location": reverse("pilots:api:workload", args=[row.slug])})


class OfAWorkload(ApiView):
    def workload(self, slug: str, *, managed: bool = False) -> Workload:
        """The workload if it is of one of the person's teams. Raises ``Http404``, ``NotAllowed``."""
        row = get_object_or_404(self.access.workloads().select_related("team", "runs_on"), slug=slug)
        if managed:
            self.allow(self.access.has_role(row.team, TeamRole.MANAGER), _MANAGER)
        return row


class OneWorkload(OfAWorkload):
    @operation("read_workload", "Read a workload", answers=WorkloadDocument)
    def get(self, request: Request, slug: str) -> WorkloadDocument:
        return next(_workloads([self.workload(slug)]))

    @operation("change_workload", "Change a workload", answers=WorkloadDocument, body=WorkloadChange)
    def patch(self, request: Request, slug: str, body: WorkloadChange) -> WorkloadDocument:
        row = self.versioned = self.workload(slug, managed=True)
        runs_on = _model(body.runs_on)
        row, _ = save_workload(
            slug=row.slug, team=row.team, runs_on=runs_on, **given(body, "runs_on"), by=self.actor, at=self.now
        )
        return next(_workloads([row]))


class SamplesQuery(Nothing):
    """How the lines are read, and which of them make up the set."""

    format: Annotated[str, msgspec.Meta(description="A log format by its key, or auto.")] = "auto"
    name: Maybe[Annotated[str, msgspec.Meta(description="Of the frozen set.")]] = UNSET
    take: Maybe[Annotated[int, msgspec.Meta(ge=1, description="Freeze that many; the pool gets all.")]] = UNSET
    seed: int = 0
    stratify: Maybe[Annotated[str, msgspec.Meta(description="With take: in proportion to this segment.")]] = UNSET
    newest: Maybe[Annotated[int, msgspec.Meta(ge=1, description="Only of those that happened last.")]] = UNSET
    per_cluster: Maybe[Annotated[int, msgspec.Meta(ge=1, description="At most that many of a conversation.")]] = UNSET
    quota: Annotated[
        tuple[str, ...], msgspec.Meta(description="With take: SEGMENT=VALUE:N, at least N edge cases; may be repeated.")
    ] = ()


@dataclass(frozen=True, slots=True)
class ImportDocument:
    sample_set: int | None  # None: no line had a prompt
    read: int
    stored: int
    duplicates: int
    rejected: int
    redacted: dict[str, int]
    digest: str | None


class Samples(OfAWorkload):
    @operation(
        "add_samples",
        "Add samples to the pool, one JSON object a line, and freeze them as a set",
        answers=ImportDocument,
        status=HTTPStatus.CREATED,
        query=SamplesQuery,
        raw_body=LINES,
        scopes=(TokenScope.SAMPLES, TokenScope.WRITE),
    )
    def post(self, request: Request, slug: str, query: SamplesQuery) -> Any:
        """All lines or none: the first bad one is refused with its number. Personal data and secrets are redacted.

        The same lines again find what they stored the first time, so a repeat needs no transaction around it.
        """
        workload = self.workload(slug, managed=True)
        with spool(request) as body:

            def answer() -> Answer:
                report = import_samples(
                    workload=workload,
                    path=body.path,
                    by=self.actor,
                    at=self.now,
                    format=query.format,
                    name=query.name if isinstance(query.name, str) else f"posted {self.now:%Y-%m-%d %H:%M}",
                    take=None if query.take is UNSET else query.take,
                    seed=query.seed,
                    stratify=None if query.stratify is UNSET else query.stratify,
                    newest=None if query.newest is UNSET else query.newest,
                    per_cluster=None if query.per_cluster is UNSET else query.per_cluster,
                    quotas=[parse_quota(text) for text in query.quota],
                )
                return Answer(_imported(report), status=HTTPStatus.CREATED)

            if "Idempotency-Key" in request.headers:
                return once(self, body.digest, answer, together=False)
            return answer()


def _imported(report: ImportReport) -> ImportDocument:
    return ImportDocument(
        sample_set=None if report.sample_set is None else report.sample_set.pk,
        read=report.read,
        stored=report.stored,
        duplicates=report.duplicates,
        rejected=report.rejected,
        redacted=dict(report.redacted),
        digest=report.digest,
    )


@dataclass(frozen=True, slots=True)
class SampleSetDocument:
    id: int
    workload: str
    name: str
    size: int
    digest: str
    method: dict[str, Any]  # how its members were chosen
    parent: int | None  # the set that it was taken from
    frozen_at: Instant


class SampleSetPage(PageQuery):
    workload: Maybe[str] = UNSET
    ordering: Literal["frozen_at", "-frozen_at"] = "-frozen_at"


def _sets(rows: Sequence[SampleSet]) -> Iterator[SampleSetDocument]:
    for row in rows:
        yield SampleSetDocument(
            id=row.pk,
            workload=row.workload.slug,
            name=row.name,
            size=row.size,
            digest=row.digest,
            method=row.method,
            parent=row.parent_id,
            frozen_at=row.frozen_at,
        )


class SampleSets(ApiView):
    @operation(
        "list_sample_sets", "List sample sets, newest first", answers=Page[SampleSetDocument], query=SampleSetPage
    )
    def get(self, request: Request, query: SampleSetPage) -> Page[SampleSetDocument]:
        rows = self.access.sample_sets().select_related("workload")
        rows = narrowed(rows, query, workload="workload__slug")
        return page_of(request, query, rows, _sets, order=query.ordering)


class OneSampleSet(ApiView):
    @operation("read_sample_set", "Read a sample set", answers=SampleSetDocument)
    def get(self, request: Request, pk: int) -> SampleSetDocument:
        return next(_sets([get_object_or_404(self.access.sample_sets().select_related("workload"), pk=pk)]))
