"""How calls end, as rows: attempts settled, answers written, totals moved.

Public surface: ``OpenCall``, ``Ended``, ``how_it_ended``, ``settle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from evaluations.enums import AttemptState, CostState
from evaluations.faults import reached
from evaluations.models import Attempt, Endpoint, RunArm
from evaluations.pricing import PriceRow, cost_of_call, price_of
from evaluations.replay.ledger import Intent, Settlement
from evaluations.services.answers import FinalAnswer, storable, write_completions
from evaluations.services.budget import Bill
from evaluations.services.bulk import at_once, update_rows
from evaluations.services.tallies import tally


@dataclass(frozen=True, slots=True)
class OpenCall:
    """An attempt whose intent is committed and whose end is not."""

    sent_at: datetime
    reserved: Decimal


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended, and what that changes."""

    settlement: Settlement
    cost: Decimal | None  # None: unknown
    bill: Bill
    columns: tuple[Any, ...]  # in the order of ``_SETTLED_COLUMNS[2:]``

    @property
    def intent(self) -> Intent:
        return self.settlement.intent

    @property
    def final(self) -> bool:
        return self.settlement.final


def how_it_ended(
    settlement: Settlement, call: OpenCall, prices: Sequence[PriceRow], *, assumed_price: PriceRow | None
) -> Ended:
    """What the end of a call costs, and what it changes in its row."""
    result = settlement.result
    price = price_of(prices, result.usage, at=call.sent_at)
    cost = cost_of_call(result, price)
    kept = Decimal(0)
    if cost is None:
        # Nobody knows what it cost: the cap goes on counting it, at the assumed price where there is one.
        assumed = cost_of_call(result, assumed_price)
        kept = call.reserved if assumed is None else assumed
    return Ended(
        settlement=settlement,
        cost=cost,
        bill=Bill(call.sent_at, released=call.reserved - kept, spent=cost or Decimal(0)),
        columns=(
            kept if cost is None else call.reserved,
            result.outcome,
            result.http_status,
            (result.request_id or "")[:120],
            None if result.timing is None else result.timing.latency_ms,
            None if result.usage.raw is None else storable(dict(result.usage.raw)),
            [{"parameter": c.parameter, "action": c.action, "detail": c.detail} for c in result.changes],
            None if price is None else price.id,
            cost,
            CostState.UNKNOWN if cost is None else CostState.KNOWN,
        ),
    )


def settle(arm: RunArm, endpoint: Endpoint, ended: Sequence[Ended], *, now: datetime, fenced: bool) -> int:
    """Store how calls ended, and the answers among them unless ``fenced``; returns how many answers were written."""
    earlier = _earlier_costs(arm, [end.intent for end in ended if end.final and end.intent.number > 1])
    answers = []
    for end in ended:
        if end.final:
            before = earlier.get((end.intent.work.sample_id, end.intent.work.repeat), Decimal(0))
            total = None if end.cost is None or before is None else before + end.cost
            answers.append(FinalAnswer(end.intent.work, end.settlement.result, attempts=end.intent.number, cost=total))
    reached("before_save")
    with at_once():
        update_rows(
            Attempt,
            _SETTLED_COLUMNS,
            ("arm", "sample", "repeat", "number"),
            [
                (
                    AttemptState.SETTLED,
                    now,
                    *end.columns,
                    arm.pk,
                    end.intent.work.sample_id,
                    end.intent.work.repeat,
                    end.intent.number,
                )
                for end in ended
            ],
        )
        done = 0 if fenced else write_completions(arm, answers, finished_at=now)
        tally(
            run=arm.run,
            endpoint=endpoint,
            settled=[(end.settlement.result.outcome, end.cost) for end in ended],
            at=now,
        )
    return done


_SETTLED_COLUMNS = (
    "state",
    "settled_at",
    "reserved_amount",
    "outcome",
    "http_status",
    "request_id",
    "latency_ms",
    "raw_usage",
    "changes",
    "price",
    "cost_amount",
    "cost_state",
)


def _earlier_costs(arm: RunArm, intents: Sequence[Intent]) -> dict[tuple[int, int], Decimal | None]:
    """What earlier attempts on the same samples cost together; None where one of them is unknown.

    Calls whose result was lost with our own worker are no cost of the answer: the cap goes on counting them.
    """
    if not intents:
        return {}
    numbers = {(intent.work.sample_id, intent.work.repeat): intent.number for intent in intents}
    totals: dict[tuple[int, int], Decimal | None] = {}
    ended = Attempt.objects.filter(arm=arm).exclude(state=AttemptState.ABANDONED)
    earlier = ended.filter(sample_id__in=[sample_id for sample_id, _ in numbers])
    for sample_id, repeat, number, amount in earlier.values_list("sample_id", "repeat", "number", "cost_amount"):
        key = (sample_id or 0, repeat)
        if number < numbers.get(key, 0):
            so_far = totals.get(key, Decimal(0))
            totals[key] = None if so_far is None or amount is None else so_far + amount
    return totals
