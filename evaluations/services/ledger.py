"""The engine's ledger in the database: intents before calls, results after them, money exact.

Public surface: ``DatabaseLedger``, ``close_thread_connections``. Whoever lost the lease changes nothing but the record
of what was paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property

from django.db import (
    DataError,
    InterfaceError,
    InternalError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from django.utils import timezone

from evaluations.conf import setting
from evaluations.enums import ArmRole, AttemptPurpose, AttemptState, CostState, Outcome, Purpose, RunStatus
from evaluations.models import Attempt, Completion, DataAgreement, Endpoint, ReplayRun, Team
from evaluations.pricing import PriceRow, reservation
from evaluations.providers.base import CompletionResult
from evaluations.providers.requests import limit_to_send
from evaluations.replay.ledger import Answer, Committed, Intent, Settlement
from evaluations.selectors.consent import Consent, consent_of
from evaluations.services.answers import FinalAnswer, write_completions
from evaluations.services.budget import Bill, book, expect_booked, may_fit_later, mostly_fits, unreserve
from evaluations.services.bulk import at_once, insert_rows, takes_many_at_once
from evaluations.services.leases import Claim, Held, expect_held, hold, renew
from evaluations.services.pacing import gate_of
from evaluations.services.settlements import Ended, OpenCall, how_it_ended, settle

# A database that restarts is back within seconds; paid answers are worth waiting for it.
_RETRY_DELAYS_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 15)


@dataclass
class DatabaseLedger:
    """The engine's ``Ledger`` in the database. Lives in one thread and never touches the network."""

    claim: Claim
    endpoint: Endpoint
    prices: Sequence[PriceRow]
    clock: Callable[[], datetime] = timezone.now
    _open: dict[tuple[int, int], OpenCall] = field(default_factory=dict)  # by sample and number
    _consents: dict[tuple[int | None, date], Consent] = field(default_factory=dict)
    _held: Held | None = None  # what the last look found, where calls may go on; None: look
    _look_by: datetime | None = None  # then the lease is to be renewed

    @property
    def _purpose(self) -> tuple[AttemptPurpose, Purpose]:
        """Of the call, and what the data agreement has to list for it."""
        if self.claim.arm.role is ArmRole.JUDGE:
            return AttemptPurpose.JUDGE, Purpose.JUDGING
        return AttemptPurpose.ARM, Purpose.EVALUATION

    @property
    def _team(self) -> Team:
        return self.claim.run.plan_version.plan.workload.team

    def commit(
        self, intents: Sequence[Intent], settlements: Sequence[Settlement], withdrawn: Sequence[Intent]
    ) -> Committed:
        interrupted = False
        now = self.clock()
        # Worked out before the transaction: on SQLite every other writer waits for its end.
        ended = [
            how_it_ended(
                settlement,
                self._open[_key(settlement.intent)],
                self.prices,
                assumed_price=self._assumed_price,
            )
            for settlement in settlements
        ]
        needs = [self._reservation(intent, now) for intent in intents]
        for delay in (*_RETRY_DELAYS_SECONDS, None):
            opened: dict[tuple[int, int], OpenCall] = {}
            try:
                if interrupted:
                    ended, withdrawn = self._not_yet_committed(intents, ended, withdrawn)
                hopeful = not interrupted and not withdrawn and self._hopeful(intents, needs, ended, now=now)
                if hopeful and self._commit_at_once(intents, needs, ended, opened, now=now):
                    committed = Committed([Answer.GO] * len(intents), leased=True)
                else:
                    with transaction.atomic():
                        committed = self._commit(intents, needs, ended, withdrawn, opened, now=now)
            except (OperationalError, InterfaceError, InternalError):
                if delay is None:
                    raise
                connection.close()
                time.sleep(delay)
                interrupted = True
            else:
                break
        for intent in (*(settlement.intent for settlement in settlements), *withdrawn):
            self._open.pop(_key(intent), None)
        self._open |= opened
        return committed

    def _not_yet_committed(
        self, intents: Sequence[Intent], ended: Sequence[Ended], withdrawn: Sequence[Intent]
    ) -> tuple[list[Ended], Sequence[Intent]]:
        """A commit whose answer was lost with the connection may have happened: never count it twice."""
        stored = {
            (sample_id, number): (state, OpenCall(sent_at, reserved))
            for sample_id, number, state, sent_at, reserved in Attempt.objects.filter(
                arm=self.claim.arm, lease_owner=self.claim.owner
            ).values_list("sample_id", "number", "state", "sent_at", "reserved_amount")
        }
        self._open |= {_key(intent): stored[_key(intent)][1] for intent in intents if _key(intent) in stored}
        return (
            [end for end in ended if stored[_key(end.intent)][0] != AttemptState.SETTLED],
            [intent for intent in withdrawn if _key(intent) in stored],
        )

    def _hopeful(
        self, intents: Sequence[Intent], needs: Sequence[Decimal], ended: Sequence[Ended], *, now: datetime
    ) -> bool:
        """Whether this is a commit like most: nothing stopped us last time, nothing is due but what was handed in."""
        return bool(
            (intents or ended)
            and takes_many_at_once()
            and connection.get_autocommit()
            and self._held is not None
            and self._look_by is not None
            and self.clock() < self._look_by
            and (self._held.agreement_id, now.date()) in self._consents
            and mostly_fits(at=now, bills=[end.bill for end in ended], needs=needs)
        )

    def _commit_at_once(
        self,
        intents: Sequence[Intent],
        needs: Sequence[Decimal],
        ended: Sequence[Ended],
        opened: dict[tuple[int, int], OpenCall],
        *,
        now: datetime,
    ) -> bool:
        """All of it in one way to the database and back, if nothing has changed since we looked and all fits.

        False: something has, and nothing is stored. ``_commit`` finds out what, step by step.
        """
        held, self._held = self._held, None
        assert held is not None
        try:
            with at_once():
                expect_held(self.claim, held, gate_id=self._gate_id, now=now)
                done = settle(self.claim.arm, self.endpoint, ended, now=now, fenced=False) if ended else 0
                bills = [end.bill for end in ended]
                expect_booked(run=self.claim.run, team=self._team, at=now, bills=bills, done=done, needs=needs)
                self._insert(list(zip(intents, needs, strict=True)), now=now)
        except DataError:
            return False
        opened |= {_key(intent): OpenCall(now, need) for intent, need in zip(intents, needs, strict=True)}
        self._held = held
        return True

    def _commit(
        self,
        intents: Sequence[Intent],
        needs: Sequence[Decimal],
        ended: Sequence[Ended],
        withdrawn: Sequence[Intent],
        opened: dict[tuple[int, int], OpenCall],
        *,
        now: datetime,
    ) -> Committed:
        held = hold(self.claim, gate_id=self._gate_id, now=self.clock())
        if held.ours and (held.to_renew or self._look_by is None):
            renew(self.claim, now=self.clock())
            self._look_by = self.clock() + timedelta(seconds=setting("LEASE_SECONDS") / 3)
        self._held = held if self._refusal(held, now=now) is None else None
        done = settle(self.claim.arm, self.endpoint, ended, now=now, fenced=not held.ours) if ended else 0
        if withdrawn:
            self._withdraw(withdrawn, now=now)
        # One that was withdrawn and is intended again at once is a new call, with a row and a reservation of its own.
        sent = self._open.keys() - {_key(intent) for intent in withdrawn}
        refused = self._refusal(held, now=now) if intents else None
        if refused is Answer.NOT_PERMITTED:
            done += self._refuse(intents, self._consent(held, now=now).refusal or "", now=now)
        fresh = [
            (intent, need)
            for intent, need in zip(intents, needs, strict=True)
            if refused is None and _key(intent) not in sent
        ]
        granted, bills, wanted = 0, [end.bill for end in ended], [need for _, need in fresh]
        if bills or done or wanted:
            granted = book(run=self.claim.run, team=self._team, at=now, bills=bills, done=done, needs=wanted)
        if refused is not None:
            return Committed([refused] * len(intents), held.ours)
        opened |= {_key(intent): OpenCall(now, need) for intent, need in fresh[:granted]}
        self._insert(fresh[:granted], now=now)
        known = sent | opened.keys()
        short = Answer.BUDGET
        if granted < len(fresh) and may_fit_later(run=self.claim.run, team=self._team, amount=wanted[granted], at=now):
            short = Answer.LATER
        return Committed([Answer.GO if _key(intent) in known else short for intent in intents], held.ours)

    def _refusal(self, held: Held, *, now: datetime) -> Answer | None:
        """Why nothing more may be sent; None where calls go on."""
        if not held.ours:
            return Answer.LEASE_LOST
        if held.status is not RunStatus.RUNNING:
            return Answer.STOPPED
        if not self._consent(held, now=now).given:
            return Answer.NOT_PERMITTED
        return Answer.WAIT if held.waits and not self.claim.probes else None

    @cached_property
    def _gate_id(self) -> int:
        return gate_of(self.endpoint).pk

    def _consent(self, held: Held, *, now: datetime) -> Consent:
        """What the agreement in force says. Its terms never change, only which one is in force: read once for a day."""
        key = (held.agreement_id, now.date())
        if key not in self._consents:
            agreement = DataAgreement.objects.filter(pk=held.agreement_id or 0).first()
            self._consents[key] = consent_of(
                agreement, team=self._team, endpoint=self.endpoint, purpose=self._purpose[1], at=now
            )
        return self._consents[key]

    def _insert(self, calls: Sequence[tuple[Intent, Decimal]], *, now: datetime) -> None:
        run = self.claim.run
        insert_rows(
            Attempt,
            _INTENT_COLUMNS,
            [
                (
                    run.pk,
                    self.claim.arm.pk,
                    intent.work.sample_id,
                    self.endpoint.pk,
                    intent.work.repeat,
                    intent.number,
                    self._purpose[0],
                    AttemptState.SENT,
                    self.claim.owner,
                    need,
                    now,
                    "",
                    "",
                    CostState.UNKNOWN,
                    run.currency,
                    [],
                )
                for intent, need in calls
            ],
        )

    def _refuse(self, intents: Sequence[Intent], refusal: str, *, now: datetime) -> int:
        """Nothing is sent: the samples show as not permitted. Returns how many did."""
        result = CompletionResult(outcome=Outcome.NOT_PERMITTED, error=refusal)
        answered = set(
            Completion.objects.filter(
                arm=self.claim.arm,
                repeat=self.claim.chunk.repeat,
                sample_id__in=[intent.work.sample_id for intent in intents],
            ).values_list("sample_id", flat=True)
        )
        answers = [
            FinalAnswer(intent.work, result, attempts=intent.number - 1, cost=None)
            for intent in intents
            if intent.work.sample_id not in answered
        ]
        ReplayRun.objects.filter(pk=self.claim.run.pk, status_reason="").update(status_reason=Outcome.NOT_PERMITTED)
        return write_completions(self.claim.arm, answers, finished_at=now)

    def _withdraw(self, intents: Sequence[Intent], *, now: datetime) -> None:
        """Calls that were intended and never sent: as if nobody had thought of them."""
        calls = [self._open[_key(intent)] for intent in intents]
        Attempt.objects.filter(
            arm=self.claim.arm,
            lease_owner=self.claim.owner,
            # Whoever took the chunk over could not know that they were not sent.
            state__in=[AttemptState.SENT, AttemptState.ABANDONED],
            sample_id__in=[intent.work.sample_id for intent in intents],
        ).delete()
        unreserve(
            run=self.claim.run,
            team=self._team,
            bills=[Bill(call.sent_at, released=call.reserved, spent=Decimal(0)) for call in calls],
        )

    def _reservation(self, intent: Intent, now: datetime) -> Decimal:
        body, parameters = intent.work.request.body, self.endpoint.parameters
        return reservation(
            {**body, **parameters},
            self.prices,
            on=now.date(),
            assumed=self._assumed_price,
            output_limit=limit_to_send(body, parameters, setting("DEFAULT_OUTPUT_LIMIT")),
        )

    @cached_property
    def _assumed_price(self) -> PriceRow | None:
        """What the budget says to assume where the vendor discloses no price."""
        run = self.claim.run
        return None if run.assume_per_mtok is None else PriceRow.assumed(run.assume_per_mtok, currency=run.currency)


def _key(intent: Intent) -> tuple[int, int]:
    return intent.work.sample_id, intent.number


_INTENT_COLUMNS = (
    "run",
    "arm",
    "sample",
    "endpoint",
    "repeat",
    "number",
    "purpose",
    "state",
    "lease_owner",
    "reserved_amount",
    "sent_at",
    "outcome",
    "request_id",
    "cost_state",
    "currency",
    "changes",
)


def close_thread_connections() -> None:
    """For the engine's ledger thread: leave no connection behind."""
    close_old_connections()
    connection.close()
