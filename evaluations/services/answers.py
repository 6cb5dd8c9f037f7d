"""Answers as rows: written once, by whoever holds the lease. Public surface: ``completion_row``, ``write_completions``,
``record_recorded_answers``, ``give_up_on``, ``storable``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from evaluations.enums import Outcome
from evaluations.models import Completion, CompletionContent, RunArm, Sample
from evaluations.pricing import PriceRow, cost_of, price_in_force, total_input
from evaluations.providers.base import CompletionResult, Usage
from evaluations.providers.recorded import result_from_recording
from evaluations.replay.engine import Work
from evaluations.services.budget import settle
from evaluations.services.leases import Claim, open_members, renew

_SLICE = 500


def completion_row(
    *,
    arm: RunArm,
    sample_id: int,
    repeat: int,
    position: int,
    result: CompletionResult,
    attempts: int,
    cost: Decimal | None,
    finished_at: datetime,
) -> Completion:
    usage: Usage = result.usage
    return Completion(
        arm=arm,
        sample_id=sample_id,
        repeat=repeat,
        position=position,
        outcome=result.outcome,
        finish_reason=result.finish_reason or "",
        vendor_finish_reason=(result.vendor_finish_reason or "")[:60],
        served_model=(result.served_model or "")[:200],
        error=storable(result.error or "")[:400],
        attempts=attempts,
        latency_ms=None if result.timing is None else result.timing.latency_ms,
        ttft_ms=None if result.timing is None else result.timing.ttft_ms,
        input_uncached_tokens=usage.input_uncached,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_total_tokens=usage.output_total,
        output_visible_tokens=usage.output_visible,
        reasoning_tokens=usage.reasoning,
        cost_amount=cost,
        finished_at=finished_at,
    )


def storable(value: Any) -> Any:
    """Text as every database takes it: NUL and lone surrogates in escaped form, nothing lost."""
    if isinstance(value, str):
        if "\x00" in value:
            value = value.replace("\x00", "\\u0000")
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def write_completions(rows: Sequence[tuple[Completion, CompletionResult]]) -> int:
    """Insert answers that are not there yet, with their content; returns how many were new."""
    if not rows:
        return 0
    arm_id, repeat = rows[0][0].arm_id, rows[0][0].repeat
    sample_ids = [completion.sample_id for completion, _ in rows]
    already = set(
        Completion.objects.filter(arm_id=arm_id, repeat=repeat, sample_id__in=sample_ids).values_list(
            "sample_id", flat=True
        )
    )
    fresh = [(completion, result) for completion, result in rows if completion.sample_id not in already]
    Completion.objects.bulk_create([completion for completion, _ in fresh])
    CompletionContent.objects.bulk_create(
        [
            CompletionContent(
                completion=completion,
                text=None if result.text is None else storable(result.text),
                message=None if result.message is None else storable(result.message),
            )
            for completion, result in fresh
            if result.text is not None or result.message is not None
        ]
    )
    return len(fresh)


def record_recorded_answers(claim: Claim, prices: Sequence[PriceRow], *, now: datetime) -> None:
    """The recorded arm: production's own answers become completions, priced on the day they were given."""
    team = claim.run.plan_version.plan.workload.team
    members = open_members(claim)
    for first in range(0, len(members), _SLICE):
        part = members[first : first + _SLICE]
        samples = {
            sample.pk: sample
            for sample in Sample.objects.filter(pk__in=[member.sample_id for member in part]).select_related(
                "recorded__content"
            )
        }
        rows = []
        for member in part:
            sample = samples[member.sample_id]
            recorded = getattr(sample, "recorded", None)
            content = getattr(recorded, "content", None)
            result = (
                CompletionResult(outcome=Outcome.MISSING)
                if recorded is None or content is None
                else result_from_recording(
                    text=content.text,
                    message=content.message,
                    usage=recorded.usage,
                    latency_ms=recorded.latency_ms,
                    finish_reason=recorded.finish_reason or None,
                    model=recorded.model_name or None,
                )
            )
            price = price_in_force(
                prices, on=(sample.occurred_at or now).date(), input_tokens=total_input(result.usage) or 0
            )
            row = completion_row(
                arm=claim.arm,
                sample_id=sample.pk,
                repeat=claim.chunk.repeat,
                position=member.position,
                result=result,
                attempts=0,
                cost=None if result.outcome is Outcome.MISSING else cost_of(result.usage, price),
                finished_at=now,
            )
            rows.append((row, result))
        with transaction.atomic():
            if not renew(claim, now=now):
                return
            settle(
                run=claim.run,
                team=team,
                bills=(),
                done=write_completions(rows),
                at=now,
            )


def give_up_on(claim: Claim, works: Sequence[Work], *, now: datetime) -> None:
    """Samples whose calls were lost with their worker again and again: left out as our own error, and listed."""
    rows = []
    for work in works:
        result = CompletionResult(
            outcome=Outcome.HARNESS_ERROR,
            error=f"given up: {work.failures} calls ended without a result that was stored",
        )
        row = completion_row(
            arm=claim.arm,
            sample_id=work.sample_id,
            repeat=work.repeat,
            position=work.position,
            result=result,
            attempts=work.attempts,
            cost=None,
            finished_at=now,
        )
        rows.append((row, result))
    with transaction.atomic():
        if renew(claim, now=now):
            team = claim.run.plan_version.plan.workload.team
            settle(run=claim.run, team=team, bills=(), done=write_completions(rows), at=now)
