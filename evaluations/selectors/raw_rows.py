"""Every answer and every call of some runs, one at a time, however many there are.

Public surface: ``answers_of``, ``RawAnswer``, ``AnswerContent``, ``tally_of``, ``Tally``, ``calls_of``, ``RawCall``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any

from django.db.models import Count, Max, Prefetch, QuerySet, Sum

from evaluations.enums import ArmRole, AttemptState, Outcome
from evaluations.models import Attempt, Completion, PlanVersion, ReplayRun, ScoreRow
from evaluations.selectors.evidence import own_scores

_AT_ONCE = 5000
_POSITIONS = 500


@dataclass(frozen=True, slots=True)
class AnswerContent:
    """What was asked and answered; None where there was none, or it was purged."""

    request: Any
    reference: Any
    text: str | None
    message: Any
    details: Mapping[str, str]  # scorer key -> what was compared
    error: str  # vendors repeat the request in their errors
    purged: bool  # all of it was removed


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One arm's answer to one sample and repeat. Tokens, times and cost are None where unknown."""

    run: int
    role: ArmRole
    sample: str  # the log's own id
    position: int  # of the sample in the run's set, from 0
    segments: Mapping[str, str]
    repeat: int
    outcome: Outcome
    served_model: str  # '': not said
    attempts: int  # calls sent for it; 0 for a recorded answer
    latency_ms: float | None
    ttft_ms: float | None
    input_uncached_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_total_tokens: int | None
    output_visible_tokens: int | None
    reasoning_tokens: int | None
    cost: Decimal | None  # of its attempts but those whose result was lost
    finished_at: datetime
    scores: Mapping[str, float | None]  # None: unscored
    content: AnswerContent | None  # None: not asked for


@dataclass(frozen=True, slots=True)
class RawCall:
    """One call sent, retries and lost ones included."""

    run: int
    role: ArmRole
    sample: str
    repeat: int
    number: int
    sent_at: datetime
    state: AttemptState
    outcome: Outcome | None  # None: the result is not known
    http_status: int | None
    latency_ms: float | None
    cost: Decimal | None  # None: unknown, and possibly billed
    request_id: str  # the vendor's; ''


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers that ended alike."""

    run: int
    role: ArmRole
    currency: str
    outcome: Outcome
    n: int
    cost: Decimal | None  # of those whose cost is known; None: of none


def answers_of(runs: Sequence[int], *, content: bool, vendor: str = "") -> Iterator[RawAnswer]:
    """All answers of ``runs``, by run, in the set's order, incumbent first; prompts and answers only if asked for.

    ``vendor`` (slug) leaves only the answers of that vendor's models.
    """
    wanted = ["arm", "sample"] + (["content", "sample__content"] if content else [])
    for row in chain.from_iterable(_windows(runs, vendor, wanted)):
        scores = list(row.scores.all())
        yield RawAnswer(
            run=row.arm.run_id,
            role=row.arm.role,
            sample=row.sample.external_id,
            position=row.position,
            segments=row.sample.segments,
            repeat=row.repeat,
            outcome=row.outcome,
            served_model=row.served_model,
            attempts=row.attempts,
            latency_ms=row.latency_ms,
            ttft_ms=row.ttft_ms,
            input_uncached_tokens=row.input_uncached_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_tokens,
            output_total_tokens=row.output_total_tokens,
            output_visible_tokens=row.output_visible_tokens,
            reasoning_tokens=row.reasoning_tokens,
            cost=row.cost_amount,
            finished_at=row.finished_at,
            scores={score.key: score.value for score in scores},
            content=_content(row, {score.key: score.detail for score in scores}) if content else None,
        )


def _windows(runs: Sequence[int], vendor: str, wanted: Sequence[str]) -> Iterator[QuerySet[Completion]]:
    """A few positions of a run at a time: to sort all rows with their content at once, a database keeps them all."""
    versions = dict(ReplayRun.objects.filter(pk__in=runs).values_list("pk", "plan_version"))
    plans = PlanVersion.objects.in_bulk(set(versions.values()))
    for run in sorted(runs):
        scores = Prefetch("scores", ScoreRow.objects.filter(own_scores(plans[versions[run]])))
        answers = _answers([run], vendor)
        arms = list(answers.order_by("arm").values_list("arm", flat=True).distinct())
        last = answers.aggregate(position=Max("position"), repeat=Max("repeat"))
        # By arm and repeat, as the index has them.
        rows = Completion.objects.filter(arm__in=arms, repeat__in=range((last["repeat"] or 0) + 1))
        ordered = rows.select_related(*wanted).prefetch_related(scores).order_by("position", "repeat", "arm")
        for start in range(0, (last["position"] or 0) + 1 if arms else 0, _POSITIONS):
            yield ordered.filter(position__gte=start, position__lt=start + _POSITIONS)


def tally_of(runs: Sequence[int], *, vendor: str = "") -> tuple[Tally, ...]:
    """The same answers, counted; by run, arm and outcome."""
    by = ("arm__run", "arm__role", "arm__run__currency", "outcome")
    counted = _answers(runs, vendor).values_list(*by).annotate(n=Count("id"), cost=Sum("cost_amount")).order_by(*by)
    return tuple(
        Tally(run, ArmRole(role), currency, Outcome(outcome), n, cost)
        for run, role, currency, outcome, n, cost in counted
    )


def _answers(runs: Sequence[int], vendor: str) -> QuerySet[Completion]:
    answers = Completion.objects.filter(arm__run__in=runs)
    return answers.filter(arm__model__vendor__slug=vendor) if vendor else answers


def _content(row: Completion, details: Mapping[str, str]) -> AnswerContent:
    asked = getattr(row.sample, "content", None)
    given = getattr(row, "content", None)
    return AnswerContent(
        request=None if asked is None else asked.request,
        reference=None if asked is None else asked.reference,
        text=None if given is None else given.text,
        message=None if given is None else given.message,
        details=details,
        error=row.error,
        purged=row.sample.purged_at is not None,
    )


def calls_of(runs: Sequence[int]) -> Iterator[RawCall]:
    """Every call that the arms of ``runs`` sent, in the order of sending."""
    columns = (
        "run_id",
        "arm__role",
        "sample__external_id",
        "repeat",
        "number",
        "sent_at",
        "state",
        "outcome",
        "http_status",
        "latency_ms",
        "cost_amount",
        "request_id",
    )
    rows = Attempt.objects.filter(arm__run__in=runs).order_by("sent_at", "id").values_list(*columns)
    for run, role, sample, repeat, number, sent_at, state, outcome, *rest in rows.iterator(chunk_size=_AT_ONCE):
        yield RawCall(run, role, sample or "", repeat, number, sent_at, state, outcome or None, *rest)
