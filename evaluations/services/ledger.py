"""The database side of a replay: chunks claimed by lease, intents before calls, results after them, money exact.

Public surface: ``Claim``, ``claim_chunk``, ``release``, ``DatabaseLedger``, ``load_work``, ``record_recorded_answers``.
Every state change is one conditional UPDATE: whoever lost the lease changes nothing but the record of what was paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, connection, transaction
from django.db.models import Count, Q
from django.utils import timezone

from evaluations.conf import setting
from evaluations.enums import STOPS_ARM, AttemptState, ChunkState, CostState, Outcome, Purpose, RunStatus
from evaluations.models import (
    Attempt,
    Chunk,
    Completion,
    CompletionContent,
    Endpoint,
    ReplayRun,
    RunArm,
    Sample,
    SampleContent,
    SampleSetMember,
)
from evaluations.pricing import PriceRow, cost_of, price_in_force, reservation, total_input
from evaluations.providers.base import CompletionRequest, CompletionResult, Usage
from evaluations.providers.recorded import result_from_recording
from evaluations.replay.engine import Answer, Intent, Settlement, Work
from evaluations.services.budget import reserve, settle
from evaluations.services.consent import consent_for
from evaluations.services.requests import adapted

# A database that restarts is back within seconds; paid answers are worth waiting for it.
_RETRY_DELAYS_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 15)
_LOAD_SLICE = 500
# Ends of a call that say nothing about the sample: they do not use up its retries.
_NO_FAILURE = frozenset({Outcome.RATE_LIMITED, *STOPS_ARM})


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that is ours until its lease runs out."""

    chunk: Chunk
    arm: RunArm
    run: ReplayRun
    owner: str


def lease_until(now: datetime) -> datetime:
    return now + timedelta(seconds=setting("LEASE_SECONDS"))


def claimable(now: datetime) -> Q:
    """Chunks that anybody may take: pending, not leased, not waiting, of a run and an arm that go on."""
    return (
        Q(state=ChunkState.PENDING)
        & (Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now))
        & (Q(not_before__isnull=True) | Q(not_before__lte=now))
        & Q(arm__stopped_outcome="")
        & Q(arm__run__status__in=[RunStatus.PENDING, RunStatus.RUNNING])
    )


def claim_chunk(*, owner: str, now: datetime, run: ReplayRun | None = None) -> Claim | None:
    """Take one chunk by compare-and-set: of ``run``, or of the run with the fewest workers. None: no work."""
    waiting = Chunk.objects.filter(claimable(now))
    if run is not None:
        waiting = waiting.filter(arm__run=run)
    busy = dict(
        Chunk.objects.filter(state=ChunkState.PENDING, lease_expires_at__gt=now)
        .values_list("arm_id")
        .annotate(workers=Count("id"))
    )
    # Fewest workers first: runs share fairly, and so do a run's two arms.
    first_of_arm: dict[int, tuple[int, str]] = {}
    for pk, arm_id, previous in waiting.order_by("id").values_list("id", "arm_id", "lease_owner")[:2000]:
        first_of_arm.setdefault(arm_id, (pk, previous))
    for arm_id in sorted(first_of_arm, key=lambda arm_id: (busy.get(arm_id, 0), first_of_arm[arm_id][0])):
        pk, previous = first_of_arm[arm_id]
        with transaction.atomic():
            taken = Chunk.objects.filter(claimable(now), pk=pk, lease_owner=previous).update(
                lease_owner=owner, lease_expires_at=lease_until(now)
            )
            if not taken:
                continue
            if previous:
                # The former owner died or stalled. What it had sent may have been billed: its money stays reserved.
                Attempt.objects.filter(arm_id=arm_id, state=AttemptState.SENT, lease_owner=previous).update(
                    state=AttemptState.ABANDONED
                )
            ReplayRun.objects.filter(arms=arm_id, status=RunStatus.PENDING).update(
                status=RunStatus.RUNNING, started_at=now, progressed_at=now
            )
        chunk = Chunk.objects.select_related(
            "arm__run__plan_version__plan__workload__team", "arm__endpoint__model__vendor", "arm__model"
        ).get(pk=pk)
        return Claim(chunk=chunk, arm=chunk.arm, run=chunk.arm.run, owner=owner)
    return None


def release(claim: Claim, *, done: bool, not_before: datetime | None = None) -> bool:
    """Give the chunk back, finished or not; False if it was no longer ours."""
    return bool(
        Chunk.objects.filter(pk=claim.chunk.pk, lease_owner=claim.owner, state=ChunkState.PENDING).update(
            state=ChunkState.DONE if done else ChunkState.PENDING,
            # An unfinished chunk keeps its last owner's name: the next one settles what that owner left open.
            lease_owner=claim.owner,
            lease_expires_at=None,
            not_before=not_before,
        )
    )


def _open_members(claim: Claim) -> list[SampleSetMember]:
    """The chunk's members that this arm has not answered yet, in order."""
    chunk = claim.chunk
    answered = Completion.objects.filter(
        arm=claim.arm, repeat=chunk.repeat, position__gte=chunk.start, position__lt=chunk.stop
    ).values("position")
    return list(
        SampleSetMember.objects.filter(
            sample_set=claim.run.sample_set, position__gte=chunk.start, position__lt=chunk.stop
        )
        .exclude(position__in=answered)
        .order_by("position")
    )


def load_work(claim: Claim) -> list[Work]:
    """What is left of the chunk, with the requests as this arm sends them."""
    members = _open_members(claim)
    sent: dict[int, tuple[int, int]] = {}
    earlier = Attempt.objects.filter(
        arm=claim.arm, repeat=claim.chunk.repeat, sample_id__in=[member.sample_id for member in members]
    )
    for sample_id, outcome in earlier.values_list("sample_id", "outcome"):
        calls, failures = sent.get(sample_id or 0, (0, 0))
        sent[sample_id or 0] = calls + 1, failures + (outcome not in _NO_FAILURE)
    works: list[Work] = []
    for first in range(0, len(members), _LOAD_SLICE):
        part = members[first : first + _LOAD_SLICE]
        contents = SampleContent.objects.in_bulk([member.sample_id for member in part])
        works += [
            Work(
                sample_id=member.sample_id,
                position=member.position,
                repeat=claim.chunk.repeat,
                request=CompletionRequest(adapted(contents[member.sample_id].request or {}, claim.arm.request)),
                attempts=sent.get(member.sample_id, (0, 0))[0],
                failures=sent.get(member.sample_id, (0, 0))[1],
            )
            for member in part
        ]
    return works


@dataclass
class DatabaseLedger:
    """The engine's ``Ledger`` on Django's ORM. Lives in one thread and never touches the network."""

    claim: Claim
    endpoint: Endpoint
    prices: Sequence[PriceRow]
    clock: Callable[[], datetime] = timezone.now
    on_commit: Callable[[], None] = lambda: None
    _open: dict[tuple[int, int], Attempt] = field(default_factory=dict)  # by sample and number

    def workers_on_endpoint(self) -> int:
        return (
            Chunk.objects.filter(
                arm__endpoint=self.endpoint, state=ChunkState.PENDING, lease_expires_at__gt=self.clock()
            ).count()
            or 1
        )

    def commit(self, intents: Sequence[Intent], settlements: Sequence[Settlement]) -> Sequence[Answer]:
        for delay in (*_RETRY_DELAYS_SECONDS, None):
            try:
                with transaction.atomic():
                    answers = self._commit(intents, settlements)
            except (OperationalError, InterfaceError):
                if delay is None:
                    raise
                connection.close()
                time.sleep(delay)
                intents, settlements = self._not_yet_committed(intents, settlements)
            else:
                break
        for settlement in settlements:
            del self._open[_key(settlement.intent)]
        return answers

    def _not_yet_committed(
        self, intents: Sequence[Intent], settlements: Sequence[Settlement]
    ) -> tuple[Sequence[Intent], Sequence[Settlement]]:
        """A commit whose answer was lost with the connection may have happened: never count it twice."""
        stored = {
            (attempt.sample_id or 0, attempt.number): attempt
            for attempt in Attempt.objects.filter(arm=self.claim.arm, lease_owner=self.claim.owner)
        }
        for intent in intents:
            if _key(intent) in stored:
                self._open[_key(intent)] = stored[_key(intent)]
        return intents, [
            settlement
            for settlement in settlements
            if stored[_key(settlement.intent)].state is not AttemptState.SETTLED
        ]

    def _commit(self, intents: Sequence[Intent], settlements: Sequence[Settlement]) -> Sequence[Answer]:
        now = self.clock()
        ours = Chunk.objects.filter(
            pk=self.claim.chunk.pk, lease_owner=self.claim.owner, state=ChunkState.PENDING
        ).update(lease_expires_at=lease_until(now))
        if settlements:
            self._settle(settlements, now=now, fenced=not ours)
        if not intents:
            return []
        if not ours:
            return [Answer.LEASE_LOST] * len(intents)
        return self._intend(intents, now=now)

    def _intend(self, intents: Sequence[Intent], *, now: datetime) -> list[Answer]:
        run, arm = self.claim.run, self.claim.arm
        status = ReplayRun.objects.values_list("status", flat=True).get(pk=run.pk)
        if status != RunStatus.RUNNING:
            return [Answer.STOPPED] * len(intents)
        team = run.plan_version.plan.workload.team
        if (
            refusal := consent_for(team=team, endpoint=self.endpoint, purpose=Purpose.EVALUATION, at=now).refusal
        ) is not None:
            self._complete(
                [(intent, CompletionResult(outcome=Outcome.NOT_PERMITTED, error=refusal), None) for intent in intents],
                now=now,
                attempts=0,
            )
            return [Answer.NOT_PERMITTED] * len(intents)
        fresh = [intent for intent in intents if _key(intent) not in self._open]
        needs = [self._reservation(intent, now) for intent in fresh]
        granted = reserve(run=run, team=team, amounts=needs, at=now) if fresh else 0
        attempts = [
            Attempt(
                run=run,
                arm=arm,
                sample_id=intent.work.sample_id,
                endpoint=self.endpoint,
                repeat=intent.work.repeat,
                number=intent.number,
                lease_owner=self.claim.owner,
                reserved_amount=need,
                sent_at=now,
                currency=run.currency,
            )
            for intent, need in zip(fresh[:granted], needs, strict=False)
        ]
        Attempt.objects.bulk_create(attempts)
        for attempt in attempts:
            self._open[attempt.sample_id or 0, attempt.number] = attempt
        return [Answer.GO if _key(intent) in self._open else Answer.BUDGET for intent in intents]

    def _reservation(self, intent: Intent, now: datetime) -> Decimal:
        price = price_in_force(self.prices, on=now.date())
        if price is None or price.input_per_mtok is None or price.output_per_mtok is None:
            price = self._assumed_price()
        return reservation(
            {**intent.work.request.body, **self.endpoint.parameters},
            price,
            assumed_output_tokens=setting("ASSUMED_OUTPUT_TOKENS"),
        )

    def _assumed_price(self) -> PriceRow | None:
        """What the budget says to assume where the vendor discloses no price."""
        run = self.claim.run
        return None if run.assume_per_mtok is None else PriceRow.assumed(run.assume_per_mtok, currency=run.currency)

    def _settle(self, settlements: Sequence[Settlement], *, now: datetime, fenced: bool) -> None:
        attempts, final = [], []
        released = spent = Decimal(0)
        for settlement in settlements:
            result, intent = settlement.result, settlement.intent
            attempt = self._open[_key(intent)]
            price = price_in_force(self.prices, on=attempt.sent_at.date(), input_tokens=total_input(result.usage) or 0)
            attempt.state = AttemptState.SETTLED
            attempt.settled_at = now
            attempt.outcome = result.outcome
            attempt.http_status = result.http_status
            attempt.request_id = (result.request_id or "")[:120]
            attempt.latency_ms = None if result.timing is None else result.timing.latency_ms
            attempt.raw_usage = None if result.usage.raw is None else dict(result.usage.raw)
            attempt.changes = [
                {"parameter": change.parameter, "action": change.action, "detail": change.detail}
                for change in result.changes
            ]
            attempt.price_id = None if price is None else price.id
            attempt.cost_amount = _cost(result, price)
            attempt.cost_state = CostState.UNKNOWN if attempt.cost_amount is None else CostState.KNOWN
            kept = attempt.cost_amount
            if kept is None:
                # Nobody knows what it cost: the cap goes on counting it, at the assumed price where there is one.
                kept = cost_of(result.usage, self._assumed_price())
                if kept is not None:
                    released += attempt.reserved_amount - kept
                    attempt.reserved_amount = kept
            else:
                released += attempt.reserved_amount
                spent += kept
            attempts.append(attempt)
            if settlement.final:
                final.append((intent, result, attempt))
        # One upsert by primary key; bulk_update would build a CASE of every row for every field.
        Attempt.objects.bulk_create(
            attempts, update_conflicts=True, unique_fields=["pk"], update_fields=_SETTLED_FIELDS
        )
        done = 0 if fenced else self._complete(final, now=now)
        settle(
            run=self.claim.run,
            team=self.claim.run.plan_version.plan.workload.team,
            released=released,
            spent=spent,
            done=done,
            at=now,
        )

    def _complete(
        self,
        final: Sequence[tuple[Intent, CompletionResult, Attempt | None]],
        *,
        now: datetime,
        attempts: int | None = None,
    ) -> int:
        """Write the arm's answers; returns how many were new. Somebody else's answer is never overwritten."""
        costs = _earlier_costs(self.claim.arm, [intent for intent, _, attempt in final if intent.number > 1])
        rows = []
        for intent, result, attempt in final:
            earlier = costs.get((intent.work.sample_id, intent.work.repeat), (Decimal(0), True))
            own = None if attempt is None else attempt.cost_amount
            known = own is not None and earlier[1]
            rows.append(
                (
                    completion_row(
                        arm=self.claim.arm,
                        sample_id=intent.work.sample_id,
                        repeat=intent.work.repeat,
                        position=intent.work.position,
                        result=result,
                        attempts=intent.number if attempts is None else attempts,
                        cost=earlier[0] + own if known and own is not None else None,
                        finished_at=now,
                    ),
                    result,
                )
            )
        done = write_completions(rows)
        if attempts is not None:
            settle(
                run=self.claim.run,
                team=self.claim.run.plan_version.plan.workload.team,
                released=Decimal(0),
                spent=Decimal(0),
                done=done,
                at=now,
            )
        return done


def _key(intent: Intent) -> tuple[int, int]:
    return intent.work.sample_id, intent.number


_SETTLED_FIELDS = [
    "state",
    "reserved_amount",
    "settled_at",
    "outcome",
    "http_status",
    "request_id",
    "latency_ms",
    "raw_usage",
    "changes",
    "price",
    "cost_amount",
    "cost_state",
]

# The vendor bills nothing for a call that it refused at the door.
_NOT_BILLED = frozenset(
    {Outcome.RATE_LIMITED, Outcome.OVERLOADED, Outcome.AUTH, Outcome.MODEL_GONE, Outcome.QUOTA_EXHAUSTED}
    | {Outcome.REJECTED_INPUT, Outcome.SERVER_ERROR}
)


def _cost(result: CompletionResult, price: PriceRow | None) -> Decimal | None:
    """Money of one settled call; a refusal with an HTTP error and no usage costs nothing."""
    if result.usage.raw is None and (result.outcome in _NOT_BILLED or result.outcome is Outcome.UNREACHABLE):
        return Decimal(0)
    return cost_of(result.usage, price)


def _earlier_costs(arm: RunArm, intents: Sequence[Intent]) -> dict[tuple[int, int], tuple[Decimal, bool]]:
    """What earlier attempts on the same samples cost, and whether all of it is known."""
    if not intents:
        return {}
    numbers = {(intent.work.sample_id, intent.work.repeat): intent.number for intent in intents}
    totals: dict[tuple[int, int], tuple[Decimal, bool]] = {}
    earlier = Attempt.objects.filter(arm=arm, sample_id__in=[key[0] for key in numbers])
    for sample_id, repeat, number, amount in earlier.values_list("sample_id", "repeat", "number", "cost_amount"):
        key = (sample_id or 0, repeat)
        if number < numbers.get(key, 0):
            total, known = totals.get(key, (Decimal(0), True))
            totals[key] = (total + (amount or 0), known and amount is not None)
    return totals


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
    members = _open_members(claim)
    for first in range(0, len(members), _LOAD_SLICE):
        part = members[first : first + _LOAD_SLICE]
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
            ours = Chunk.objects.filter(pk=claim.chunk.pk, lease_owner=claim.owner, state=ChunkState.PENDING).update(
                lease_expires_at=lease_until(now)
            )
            if not ours:
                return
            settle(
                run=claim.run,
                team=team,
                released=Decimal(0),
                spent=Decimal(0),
                done=write_completions(rows),
                at=now,
            )


def close_thread_connections() -> None:
    """For the engine's ledger thread: leave no connection behind."""
    close_old_connections()
    connection.close()
