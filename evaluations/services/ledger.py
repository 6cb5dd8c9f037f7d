"""The engine's ledger in the database: intents before calls, results after them, money exact.

Public surface: ``DatabaseLedger``, ``close_thread_connections``. Whoever lost the lease changes nothing but the record
of what was paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import InterfaceError, OperationalError, close_old_connections, connection, transaction
from django.utils import timezone

from evaluations.conf import setting
from evaluations.enums import AttemptState, ChunkState, CostState, Outcome, Purpose, RunStatus
from evaluations.models import Attempt, Chunk, Endpoint, ReplayRun, RunArm
from evaluations.pricing import PriceRow, cost_of_call, price_in_force, reservation, total_input
from evaluations.providers.base import CompletionResult
from evaluations.replay.engine import Answer, Intent, Settlement
from evaluations.services.answers import completion_row, write_completions
from evaluations.services.budget import Bill, reserve, settle
from evaluations.services.consent import consent_for
from evaluations.services.leases import Claim, renew
from evaluations.services.tallies import tally

# A database that restarts is back within seconds; paid answers are worth waiting for it.
_RETRY_DELAYS_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 15)


@dataclass
class DatabaseLedger:
    """The engine's ``Ledger`` on Django's ORM. Lives in one thread and never touches the network."""

    claim: Claim
    endpoint: Endpoint
    prices: Sequence[PriceRow]
    clock: Callable[[], datetime] = timezone.now
    _open: dict[tuple[int, int], Attempt] = field(default_factory=dict)  # by sample and number
    _reserved: dict[tuple[int, int], Decimal] = field(default_factory=dict)  # for them, however often a commit is tried

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
            del self._open[_key(settlement.intent)], self._reserved[_key(settlement.intent)]
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
                self._reserved[_key(intent)] = stored[_key(intent)].reserved_amount
        return intents, [
            settlement
            for settlement in settlements
            if stored[_key(settlement.intent)].state is not AttemptState.SETTLED
        ]

    def _commit(self, intents: Sequence[Intent], settlements: Sequence[Settlement]) -> Sequence[Answer]:
        now = self.clock()
        ours = renew(self.claim, now=now)
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
            self._reserved[attempt.sample_id or 0, attempt.number] = attempt.reserved_amount
        return [Answer.GO if _key(intent) in self._open else Answer.BUDGET for intent in intents]

    def _reservation(self, intent: Intent, now: datetime) -> Decimal:
        return reservation(
            {**intent.work.request.body, **self.endpoint.parameters},
            self.prices,
            on=now.date(),
            assumed=self._assumed_price(),
            assumed_output_tokens=setting("ASSUMED_OUTPUT_TOKENS"),
        )

    def _assumed_price(self) -> PriceRow | None:
        """What the budget says to assume where the vendor discloses no price."""
        run = self.claim.run
        return None if run.assume_per_mtok is None else PriceRow.assumed(run.assume_per_mtok, currency=run.currency)

    def _settle(self, settlements: Sequence[Settlement], *, now: datetime, fenced: bool) -> None:
        attempts, final, bills = [], [], []
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
            attempt.cost_amount = cost_of_call(result, price)
            attempt.cost_state = CostState.UNKNOWN if attempt.cost_amount is None else CostState.KNOWN
            reserved = self._reserved[_key(intent)]
            if attempt.cost_amount is None:
                # Nobody knows what it cost: the cap goes on counting it, at the assumed price where there is one.
                assumed = cost_of_call(result, self._assumed_price())
                attempt.reserved_amount = reserved if assumed is None else assumed
                bills.append(Bill(attempt.sent_at, released=reserved - attempt.reserved_amount, spent=Decimal(0)))
            else:
                bills.append(Bill(attempt.sent_at, released=reserved, spent=attempt.cost_amount))
            attempts.append(attempt)
            if settlement.final:
                final.append((intent, result, attempt))
        # One upsert by primary key; bulk_update would build a CASE of every row for every field.
        Attempt.objects.bulk_create(
            attempts, update_conflicts=True, unique_fields=["pk"], update_fields=_SETTLED_FIELDS
        )
        done = 0 if fenced else self._complete(final, now=now)
        tally(run=self.claim.run, endpoint=self.endpoint, settled=attempts, at=now)
        settle(
            run=self.claim.run,
            team=self.claim.run.plan_version.plan.workload.team,
            bills=bills,
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
                bills=(),
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


def close_thread_connections() -> None:
    """For the engine's ledger thread: leave no connection behind."""
    close_old_connections()
    connection.close()
