"""Answers of both arms side by side. Public surface: ``PairRow``, ``pairs``, ``PairContent``, ``pair_content``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from evaluations.enums import ArmRole, Flip
from evaluations.models import Completion, ReplayRun, Sample, ScoreRow
from evaluations.selectors.evidence import own_scores

FLIPS = {"harmful": Flip.HARMFUL, "beneficial": Flip.BENEFICIAL}


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One arm's answer without its content."""

    completion_id: int
    outcome: str
    outcome_label: str
    latency_ms: float | None
    cost: Any  # Decimal; None: unknown
    scores: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class PairRow:
    """Both answers to one sample and repeat; ``flip`` by the plan's first scorer."""

    position: int
    sample_id: int
    external_id: str
    repeat: int
    segments: Mapping[str, str]
    incumbent: AnswerRow | None
    candidate: AnswerRow | None
    flip: str  # harmful, beneficial or ''


def pairs(
    run: ReplayRun, *, flip: str = "", outcome: str = "", page: int = 1, per_page: int = 50
) -> tuple[Sequence[PairRow], Page[Any]]:
    """One page of pairs in the set's order, harmful flips first; filtered by flip or by either arm's outcome."""
    arms = {arm.role: arm for arm in run.arms.all()}
    incumbent = Completion.objects.filter(arm=arms[ArmRole.INCUMBENT])
    rows = Completion.objects.filter(arm=arms[ArmRole.CANDIDATE])
    if flip in FLIPS:
        rows = rows.filter(flip=FLIPS[flip])
    count = None
    if outcome:
        # By the columns of one index: the incumbent's answers have no flip of their own.
        same = incumbent.filter(flip=Flip.NONE, position=OuterRef("position"), repeat=OuterRef("repeat"))
        own, theirs = Q(outcome=outcome), Exists(same.filter(outcome=outcome))
        # Each on its own is a plain join; counting both at once, PostgreSQL compiles more than it counts.
        count = rows.filter(own).count() + rows.filter(~own, theirs).count()
        rows = rows.filter(own | theirs)
    pages = Paginator(rows.order_by("flip", "position", "repeat"), per_page)
    if count is not None:
        pages.count = count
    listed = pages.get_page(page)
    return _finish(list(listed.object_list), incumbent, run), listed


def _finish(rows: Sequence[Completion], incumbent: QuerySet[Completion], run: ReplayRun) -> list[PairRow]:
    """Fetch everything a page shows with three queries."""
    sample_ids = [row.sample_id for row in rows]
    others = {(other.sample_id, other.repeat): other for other in incumbent.filter(sample__in=sample_ids)}
    scores: dict[int, dict[str, float | None]] = {}
    given = ScoreRow.objects.filter(
        own_scores(run.plan_version), completion__in=[answer.pk for answer in (*rows, *others.values())]
    )
    for completion_id, key, value in given.values_list("completion_id", "key", "value"):
        scores.setdefault(completion_id, {})[key] = value
    samples = Sample.objects.in_bulk(sample_ids)
    return [
        PairRow(
            position=row.position,
            sample_id=row.sample_id,
            external_id=samples[row.sample_id].external_id,
            repeat=row.repeat,
            segments=samples[row.sample_id].segments,
            incumbent=_answer(others.get((row.sample_id, row.repeat)), scores),
            candidate=_answer(row, scores),
            flip=next((name for name, flip in FLIPS.items() if flip == row.flip), ""),
        )
        for row in rows
    ]


def _answer(completion: Completion | None, scores: Mapping[int, Mapping[str, float | None]]) -> AnswerRow | None:
    if completion is None:
        return None
    return AnswerRow(
        completion_id=completion.pk,
        outcome=str(completion.outcome),
        outcome_label=completion.outcome.label,
        latency_ms=completion.latency_ms,
        cost=completion.cost_amount,
        scores=scores.get(completion.pk, {}),
    )


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One arm's answer with its content; ``text`` is None where there is none, or it was purged."""

    row: AnswerRow
    model: str
    served_model: str
    text: str | None
    message: Any
    error: str
    finish_reason: str
    tokens: Mapping[str, int | None]
    details: Mapping[str, str]  # scorer key -> what was compared


@dataclass(frozen=True, slots=True)
class PairContent:
    """Everything about one sample in a run, for somebody who may read content."""

    sample: Sample
    request: Any
    reference: Any
    answers: Mapping[str, ShownAnswer]  # by arm role
    previous_position: int | None
    next_position: int | None


def pair_content(run: ReplayRun, *, position: int, repeat: int = 0) -> PairContent | None:
    """The sample at ``position`` of the run's set with both answers; None if there is none."""
    found = list(
        Completion.objects.filter(arm__run=run, position=position, repeat=repeat)
        .select_related("arm__model", "content", "sample__content")
        .prefetch_related(Prefetch("scores", ScoreRow.objects.filter(own_scores(run.plan_version))))
    )
    if not found:
        return None
    sample = found[0].sample
    content = getattr(sample, "content", None)
    answers = {}
    for completion in found:
        given = getattr(completion, "content", None)
        scores = {completion.pk: {score.key: score.value for score in completion.scores.all()}}
        row = _answer(completion, scores)
        assert row is not None
        answers[str(completion.arm.role)] = ShownAnswer(
            row=row,
            model=completion.arm.model.slug,
            served_model=completion.served_model,
            text=None if given is None else given.text,
            message=None if given is None else given.message,
            error=completion.error,
            finish_reason=completion.vendor_finish_reason,
            tokens={
                "input": completion.input_uncached_tokens,
                "output": completion.output_total_tokens,
                "reasoning": completion.reasoning_tokens,
            },
            details={score.key: score.detail for score in completion.scores.all()},
        )
    size = run.sample_set.size if run.sample_set else 0
    return PairContent(
        sample=sample,
        request=None if content is None else content.request,
        reference=None if content is None else content.reference,
        answers=answers,
        previous_position=position - 1 if position > 0 else None,
        next_position=position + 1 if position + 1 < size else None,
    )
