"""Replay runs: start one, watch it, cancel or resume it, and read what came of it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from msgspec import UNSET, UnsetType
from rest_framework.request import Request

from evaluations.enums import ArmRole, Decision, FinishReason, Outcome, RunStatus, RunTrigger, TeamRole
from evaluations.models import ComparisonRow, Completion, ReplayRun, Rescoring, SampleSet, ScoreRow
from evaluations.selectors.estimates import estimate_replay
from evaluations.selectors.evidence import own_scores
from evaluations.selectors.progress import run_document
from evaluations.selectors.reviews import read_blind
from evaluations.services.errors import Refused
from evaluations.services.replays import cancel_run, newest_set, resume_run, settle_run
from evaluations.services.rescoring import rescoring_document
from evaluations.services.saving import Maybe
from evaluations.tasks import hint
from pilots.api.base import Answer, ApiView, Nothing, operation
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, narrowed, page_of
from pilots.api.pilots import MANAGER, OfAPilot
from pilots.api.shapes import ComparisonDocument, RescoringDocument, RunDocument
from pilots.enums import TokenScope
from pilots.services.portfolio_document import Entry
from pilots.services.replays import judge_again, start_replay


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a list; the run document says what came of it."""

    run: int
    pilot: str
    status: RunStatus
    status_reason: str | None
    trigger: RunTrigger
    plan_version: int
    sample_set: int | None  # None: no new samples
    total: int
    done: int
    calls: int
    spent: Decimal
    budget: Decimal
    currency: str
    created_at: Instant
    finished_at: Instant | None  # None: not over
    decision: Decision | None


class RunPage(PageQuery):
    pilot: Maybe[str] = UNSET
    status: Maybe[RunStatus] = UNSET
    ordering: Literal["id", "-id"] = "-id"


class NewReplay(Entry):
    set: int | None = None  # None: the workload's newest
    take: Annotated[int, msgspec.Meta(ge=1)] | None = None  # that many which the plan has not replayed yet
    repeats: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    budget: Decimal | None = None  # hard cap in the plan's currency; None: the plan's


class Resumption(Entry):
    budget: Decimal | None = None  # the new hard cap; None: as before


def _summaries(rows: Sequence[ReplayRun]) -> Iterator[RunSummary]:
    for row in rows:
        yield RunSummary(
            run=row.pk,
            pilot=row.plan_version.plan.slug,
            status=row.status,
            status_reason=row.status_reason or None,
            trigger=row.trigger,
            plan_version=row.plan_version.number,
            sample_set=row.sample_set_id,
            total=row.total,
            done=row.done,
            calls=row.calls,
            spent=row.spent_amount,
            budget=row.budget_amount,
            currency=row.currency,
            created_at=row.created_at,
            finished_at=row.finished_at,
            decision=row.decision or None,
        )


def _listed(rows: QuerySet[ReplayRun]) -> QuerySet[ReplayRun]:
    return rows.select_related("plan_version__plan").defer("plan_version__document")


class Runs(ApiView):
    @operation("list_runs", "List replay runs, newest first", answers=Page[RunSummary], query=RunPage)
    def get(self, request: Request, query: RunPage) -> Page[RunSummary]:
        rows = _listed(self.access.runs())
        rows = narrowed(rows, query, pilot="plan_version__plan__slug", status="status")
        return page_of(request, query, rows, _summaries, order=query.ordering.replace("id", "pk"))


class OfAPilotsReplays(OfAPilot):
    def sample_set(self, pk: int | UnsetType | None) -> SampleSet | None:
        """The set of that number, of one of the person's teams. Raises ``Refused``."""
        if not isinstance(pk, int):
            return None
        found = self.access.sample_sets().filter(pk=pk).first()
        if found is None:
            raise Refused(f"there is no sample set {pk}", field="set")
        return found


class PilotReplays(OfAPilotsReplays):
    @operation("list_replays", "List a pilot's replay runs", answers=Page[RunSummary], query=PageQuery)
    def get(self, request: Request, slug: str, query: PageQuery) -> Page[RunSummary]:
        rows = _listed(ReplayRun.objects.filter(plan_version__plan__pilot=self.pilot(slug), judges=None))
        return page_of(request, query, rows, _summaries, order="-pk")

    @operation(
        "start_replay",
        "Replay a pilot's samples against both models",
        answers=RunDocument,
        status=HTTPStatus.ACCEPTED,
        body=NewReplay,
    )
    def post(self, request: Request, slug: str, body: NewReplay) -> Answer:
        pilot = self.pilot(slug, managed=True)
        run = start_replay(
            pilot=pilot,
            by=self.actor,
            at=self.now,
            sample_set=self.sample_set(body.set),
            take=body.take,
            repeats=body.repeats,
            budget=body.budget,
            trigger=RunTrigger.API,
        )
        return Answer(run_document(run), headers={"Location": reverse("pilots:api:run", args=[run.pk])})


class EstimateQuery(Nothing):
    set: Maybe[int] = UNSET
    take: Maybe[Annotated[int, msgspec.Meta(ge=1)]] = UNSET
    repeats: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class ReplayEstimate(OfAPilotsReplays):
    @operation(
        "estimate_replay", "Say what a replay would take, and start none", answers=dict[str, Any], query=EstimateQuery
    )
    def get(self, request: Request, slug: str, query: EstimateQuery) -> dict[str, Any]:
        """Calls, tokens, money and minutes of each arm, what is not known, and what would stop it."""
        pilot = self.pilot(slug)
        if pilot.plan is None:
            raise Http404
        sample_set = newest_set(pilot.plan, self.sample_set(query.set))
        take = None if query.take is UNSET else query.take
        return estimate_replay(
            plan=pilot.plan, sample_set=sample_set, at=self.now, take=take, repeats=query.repeats
        ).to_document()


class OfARun(ApiView):
    def run(self, pk: int, *, managed: bool = False) -> ReplayRun:
        """The run if it is of one of the person's teams. Raises ``Http404``, ``NotAllowed``."""
        found = get_object_or_404(
            self.access.runs().select_related("plan_version__plan__workload__team", "sample_set"), pk=pk
        )
        if managed:
            self.allow(self.access.has_role(found.plan_version.plan.workload.team, TeamRole.MANAGER), MANAGER)
            self.versioned = found
        return found


class OneRun(OfARun):
    @operation("read_run", "Read a run", answers=RunDocument)
    def get(self, request: Request, pk: int) -> dict[str, Any]:
        return run_document(self.run(pk))


class CancelRun(OfARun):
    @operation("cancel_run", "Cancel a run: calls in flight are settled, answers stay", answers=RunDocument)
    def post(self, request: Request, pk: int) -> dict[str, Any]:
        run = self.run(pk, managed=True)
        cancel_run(run=run, by=self.actor, at=self.now)
        settle_run(run=run, at=self.now)
        return run_document(run)


class ResumeRun(OfARun):
    @operation(
        "resume_run",
        "Resume a stopped run, under a new cap where its budget stopped it",
        answers=RunDocument,
        status=HTTPStatus.ACCEPTED,
        body=Resumption,
    )
    def post(self, request: Request, pk: int, body: Resumption) -> dict[str, Any]:
        run = self.run(pk, managed=True)
        resume_run(run=run, by=self.actor, at=self.now, budget=body.budget)
        hint(run.pk, chunks=run.arms.count())
        return run_document(run)


@dataclass(frozen=True, slots=True)
class TokensDocument:
    input_uncached: int | None  # None: unknown, here and below
    cache_read: int | None
    cache_write: int | None
    output_total: int | None
    output_visible: int | None
    reasoning: int | None


@dataclass(frozen=True, slots=True)
class ContentDocument:
    """What was asked and answered; None where there was none, or it was purged."""

    purged_at: Instant | None  # when all of it was removed; None: it was not
    request: Any
    reference: Any
    text: str | None
    message: Any
    error: str  # vendors repeat the request in their errors


@dataclass(frozen=True, slots=True)
class CompletionDocument:
    """One arm's answer, or failure, to one sample and repeat."""

    id: int
    arm: ArmRole
    sample: str  # the log's own id
    position: int  # of the sample in the set
    repeat: int
    segments: dict[str, Any]
    outcome: Outcome
    finish_reason: FinishReason | None
    served_model: str  # '': not said
    attempts: int  # calls sent for it; 0 for a recorded answer
    latency_ms: float | None
    ttft_ms: float | None
    tokens: TokensDocument
    cost: Decimal | None  # of all its attempts; None: unknown
    scores: dict[str, float | None]  # by scorer key; None: unscored
    finished_at: Instant
    content: ContentDocument | None  # None: not asked for, or you are to judge the sample blind


class CompletionPage(PageQuery):
    arm: Maybe[ArmRole] = UNSET
    outcome: Maybe[Outcome] = UNSET
    content: Annotated[bool, msgspec.Meta(description="With prompts and answers, for who may read them.")] = False


def _completions(
    rows: Sequence[Completion], *, content: bool, blind: Container[int] = ()
) -> Iterator[CompletionDocument]:
    for row in rows:
        yield CompletionDocument(
            id=row.pk,
            arm=row.arm.role,
            sample=row.sample.external_id,
            position=row.position,
            repeat=row.repeat,
            segments=row.sample.segments,
            outcome=row.outcome,
            finish_reason=row.finish_reason or None,
            served_model=row.served_model,
            attempts=row.attempts,
            latency_ms=row.latency_ms,
            ttft_ms=row.ttft_ms,
            tokens=TokensDocument(
                row.input_uncached_tokens,
                row.cache_read_tokens,
                row.cache_write_tokens,
                row.output_total_tokens,
                row.output_visible_tokens,
                row.reasoning_tokens,
            ),
            cost=row.cost_amount,
            scores={score.key: score.value for score in row.scores.all()},
            finished_at=row.finished_at,
            content=_content(row) if content and row.position not in blind else None,
        )


def _content(row: Completion) -> ContentDocument:
    asked, answered = getattr(row.sample, "content", None), getattr(row, "content", None)
    return ContentDocument(
        purged_at=row.sample.purged_at,
        request=None if asked is None else asked.request,
        reference=None if asked is None else asked.reference,
        text=None if answered is None else answered.text,
        message=None if answered is None else answered.message,
        error=row.error,
    )


class RunCompletions(OfARun):
    @operation(
        "list_completions", "List a run's answers and failures", answers=Page[CompletionDocument], query=CompletionPage
    )
    def get(self, request: Request, pk: int, query: CompletionPage) -> Page[CompletionDocument]:
        run = self.run(pk)
        related = ["arm", "sample"]
        if query.content:
            team = run.plan_version.plan.workload.team
            self.allow(self.access.may_read_content(team), "You may not read prompts and answers of this team.")
            self.allow(TokenScope.CONTENT in self.scopes, "This token lacks the scope content.")
            related += ["content", "sample__content"]
        blind = read_blind(self.access.user, run.pk) if query.content else frozenset()
        arms = list(run.arms.values_list("pk", flat=True))
        rows = Completion.objects.filter(arm__in=arms).select_related(*related)
        rows = rows.prefetch_related(
            Prefetch("scores", ScoreRow.objects.filter(own_scores(run.plan_version)).order_by("pk"))
        )
        rows = narrowed(rows, query, arm="arm__role", outcome="outcome")
        return page_of(
            request,
            query,
            rows,
            lambda found: _completions(found, content=query.content, blind=blind),
            keys_first=True,
        )


class RunRescorings(OfARun):
    @operation(
        "list_rescorings",
        "List later readings of a run's answers, each by a later version of the plan: after the fact",
        answers=Page[RescoringDocument],
        query=PageQuery,
    )
    def get(self, request: Request, pk: int, query: PageQuery) -> Page[Mapping[str, Any]]:
        rows = Rescoring.objects.filter(run=self.run(pk)).select_related("plan_version")
        return page_of(request, query, rows, lambda found: (rescoring_document(row) for row in found), order="pk")

    @operation(
        "rescore_run",
        "Judge a run's answers by the plan's scorers as they are now, without a call",
        answers=RescoringDocument,
        status=HTTPStatus.ACCEPTED,
    )
    def post(self, request: Request, pk: int) -> dict[str, Any]:
        return rescoring_document(judge_again(run=self.run(pk, managed=True), by=self.actor, at=self.now))


class RunComparisons(OfARun):
    @operation(
        "list_comparisons",
        "List what a run said on each criterion, in the plan's order",
        answers=Page[ComparisonDocument],
        query=PageQuery,
    )
    def get(self, request: Request, pk: int, query: PageQuery) -> Page[Mapping[str, Any]]:
        rows = ComparisonRow.objects.filter(run=self.run(pk))
        return page_of(request, query, rows, lambda found: (row.document for row in found), order="position")
