"""Answers as rows: written once, by whoever holds the lease. Public surface: ``FinalAnswer``, ``write_completions``,
``store_uncalled``, ``record_recorded_answers``, ``give_up_on``, ``storable``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from evaluations.enums import Outcome
from evaluations.models import Completion, CompletionContent, RunArm, Sample, SampleSetMember
from evaluations.pricing import PriceRow, cost_of, input_at_full_price, price_of
from evaluations.providers.base import CompletionRequest, CompletionResult
from evaluations.providers.recorded import result_from_recording
from evaluations.replay.ledger import Work
from evaluations.services.budget import book
from evaluations.services.bulk import insert_beside, insert_rows
from evaluations.services.leases import Claim, open_members, renew

_SLICE = 500


COMPLETION_COLUMNS = (
    "arm",
    "sample",
    "repeat",
    "position",
    "outcome",
    "finish_reason",
    "vendor_finish_reason",
    "served_model",
    "error",
    "attempts",
    "latency_ms",
    "ttft_ms",
    "input_uncached_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_total_tokens",
    "output_visible_tokens",
    "reasoning_tokens",
    "cost_amount",
    "finished_at",
)


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The arm's answer to one sample and repeat. ``cost`` is of its attempts but lost ones; None = unknown."""

    work: Work
    result: CompletionResult
    attempts: int
    cost: Decimal | None


def _columns(arm: RunArm, answer: FinalAnswer, finished_at: datetime) -> tuple[Any, ...]:
    """In the order of ``COMPLETION_COLUMNS``."""
    work, result = answer.work, answer.result
    usage, timing = result.usage, result.timing
    return (
        arm.pk,
        work.sample_id,
        work.repeat,
        work.position,
        result.outcome,
        result.finish_reason or "",
        (result.vendor_finish_reason or "")[:60],
        (result.served_model or "")[:200],
        storable(result.error or "")[:400],
        answer.attempts,
        None if timing is None else timing.latency_ms,
        None if timing is None else timing.ttft_ms,
        input_at_full_price(usage),
        usage.cache_read,
        usage.cache_write,
        usage.output_total,
        usage.output_visible,
        usage.reasoning,
        answer.cost,
        finished_at,
    )


def storable(value: Any) -> Any:
    """Text as every database takes it: NUL and lone surrogates in escaped form, nothing lost."""
    if isinstance(value, str):
        if value.isascii() and "\x00" not in value:
            return value
        if "\x00" in value:
            value = value.replace("\x00", "\\u0000")
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def write_completions(arm: RunArm, answers: Sequence[FinalAnswer], *, finished_at: datetime) -> int:
    """Insert the answers with their content, inside the transaction that holds the lease; returns how many."""
    insert_rows(Completion, COMPLETION_COLUMNS, [_columns(arm, answer, finished_at) for answer in answers])
    insert_beside(
        CompletionContent,
        ("completion", "text", "message"),
        Completion,
        ("arm", "sample", "repeat"),
        [
            (
                storable(answer.result.text),
                storable(_beyond_text(answer.result)),
                arm.pk,
                answer.work.sample_id,
                answer.work.repeat,
            )
            for answer in answers
            if answer.result.text is not None or answer.result.message is not None
        ],
    )
    return len(answers)


def _beyond_text(result: CompletionResult) -> Mapping[str, Any] | None:
    """The message where it holds more than the text, which most do not: it would be kept twice."""
    plain = {"role": "assistant", "content": result.text}
    return None if result.message == plain else result.message


def store_uncalled(claim: Claim, answers: Sequence[FinalAnswer], *, now: datetime) -> bool:
    """Answers that cost nothing and were not called for, in one transaction; False if the lease is lost."""
    with transaction.atomic():
        if not renew(claim, now=now):
            return False
        book(
            run=claim.run,
            team=claim.run.plan_version.plan.workload.team,
            at=now,
            done=write_completions(claim.arm, answers, finished_at=now),
        )
    return True


def record_recorded_answers(claim: Claim, prices: Sequence[PriceRow], *, now: datetime) -> None:
    """The recorded arm: production's own answers become completions, priced on the day they were given."""
    members = open_members(claim)
    for first in range(0, len(members), _SLICE):
        part = members[first : first + _SLICE]
        samples = {
            sample.pk: sample
            for sample in Sample.objects.filter(pk__in=[member.sample_id for member in part]).select_related(
                "recorded__content"
            )
        }
        answers = [_recorded(member, samples[member.sample_id], claim, prices, now=now) for member in part]
        if not store_uncalled(claim, answers, now=now):
            return


def _recorded(
    member: SampleSetMember, sample: Sample, claim: Claim, prices: Sequence[PriceRow], *, now: datetime
) -> FinalAnswer:
    work = Work(sample.pk, member.position, claim.chunk.repeat, CompletionRequest({}))
    recorded = getattr(sample, "recorded", None)
    content = getattr(recorded, "content", None)
    if recorded is None or content is None:
        return FinalAnswer(work, CompletionResult(outcome=Outcome.MISSING), attempts=0, cost=None)
    result = result_from_recording(
        text=content.text,
        message=content.message,
        usage=recorded.usage,
        latency_ms=recorded.latency_ms,
        finish_reason=recorded.finish_reason or None,
        model=recorded.model_name or None,
    )
    price = price_of(prices, result.usage, at=sample.occurred_at or now)
    return FinalAnswer(work, result, attempts=0, cost=cost_of(result.usage, price))


def give_up_on(claim: Claim, works: Sequence[Work], *, now: datetime) -> None:
    """Samples whose calls were lost with their worker again and again: left out as our own error, and listed."""
    answers = [
        FinalAnswer(
            work,
            CompletionResult(
                outcome=Outcome.HARNESS_ERROR,
                error=f"given up: {work.failures} calls ended without a result that was stored",
            ),
            attempts=work.attempts,
            cost=None,
        )
        for work in works
    ]
    store_uncalled(claim, answers, now=now)
