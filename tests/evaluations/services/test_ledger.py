"""Commits that go to the database once, and what they do when something is otherwise than at the last look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import AttemptState, ChunkState, Outcome, PauseReason, RunStatus
from evaluations.models import (
    Attempt,
    BudgetMonth,
    CallTally,
    Chunk,
    Completion,
    CompletionContent,
    DataAgreement,
    ReplayRun,
    Team,
    VendorGate,
)
from evaluations.providers.base import CompletionRequest, CompletionResult
from evaluations.providers.usage import usage_from_raw
from evaluations.replay.ledger import Answer, Committed, Intent, Settlement, Work
from evaluations.services.leases import claim_chunk
from evaluations.services.ledger import DatabaseLedger
from evaluations.services.run_arms import prices_of
from tests.replays import ready_plan, start

pytestmark = pytest.mark.django_db(transaction=True)
BODY = {"messages": [{"role": "user", "content": "1 + 1?"}], "max_completion_tokens": 100}
# 10 tokens in at $2 and 5 out at $8 a million.
COST = Decimal(10 * 2 + 5 * 8) / 1_000_000


@pytest.fixture(params=["at once", "step by step"])
def ledger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DatabaseLedger:
    if request.param == "step by step":
        monkeypatch.setattr(DatabaseLedger, "_hopeful", lambda self, *args, **kwargs: False)
    Team.objects.all().delete()
    run = start(ready_plan("http://127.0.0.1:9", n=8, budget="1"))
    Team.objects.update(monthly_cap_amount=1, monthly_cap_currency="USD")
    claim = claim_chunk(owner="us", now=timezone.now(), run=run)
    assert claim is not None
    assert claim.arm.endpoint is not None
    return DatabaseLedger(claim=claim, endpoint=claim.arm.endpoint, prices=prices_of(claim.arm))


def intent_of(ledger: DatabaseLedger, position: int) -> Intent:
    member = ledger.claim.run.sample_set.members.get(position=position)
    return Intent(Work(member.sample_id, position, 0, CompletionRequest(BODY)), 1)


def answered(intent: Intent) -> Settlement:
    usage = usage_from_raw({"prompt_tokens": 10, "completion_tokens": 5})
    return Settlement(intent, CompletionResult(Outcome.OK, text="2", usage=usage), final=True)


def stored(ledger: DatabaseLedger) -> dict[str, Any]:
    """Everything that a commit writes."""
    run = ReplayRun.objects.get()
    return {
        "attempts": list(Attempt.objects.order_by("sample_id").values_list("state", "reserved_amount", "cost_amount")),
        "answers": list(Completion.objects.order_by("position").values_list("position", "outcome", "cost_amount")),
        "texts": list(CompletionContent.objects.order_by("completion__position").values_list("text", flat=True)),
        "tally": list(CallTally.objects.values_list("outcome", "calls", "cost_amount")),
        "run": (run.done, run.calls, run.reserved_amount, run.spent_amount),
        "months": list(BudgetMonth.objects.values_list("reserved_amount", "spent_amount")),
    }


def test_a_commit_like_most_is_one_way_to_postgresql_and_stores_what_the_steps_do(
    ledger: DatabaseLedger, request: pytest.FixtureRequest
) -> None:
    first, second, third = (intent_of(ledger, position) for position in range(3))
    ledger.commit([first, second], [], [])
    need = Attempt.objects.values_list("reserved_amount", flat=True)[0]
    with CaptureQueriesContext(connection) as queries:
        committed = ledger.commit([third], [answered(first), answered(second)], [])
    assert committed == Committed([Answer.GO], leased=True)
    at_once = "at once" in request.node.callspec.id and connection.vendor == "postgresql"
    assert (len(queries) == 1) is at_once
    assert stored(ledger) == {
        "attempts": [(AttemptState.SETTLED, need, COST)] * 2 + [(AttemptState.SENT, need, None)],
        "answers": [(0, Outcome.OK, COST), (1, Outcome.OK, COST)],
        "texts": ["2", "2"],
        "tally": [(Outcome.OK, 2, 2 * COST)],
        "run": (2, 3, need, 2 * COST),
        "months": [(need, 2 * COST)],
    }
    ledger.commit([], [answered(third)], [])
    assert stored(ledger)["run"] == (3, 3, 0, 3 * COST)


def lose_the_lease(ledger: DatabaseLedger) -> None:
    Chunk.objects.filter(pk=ledger.claim.chunk.pk).update(lease_owner="somebody else")


def finish_the_chunk(ledger: DatabaseLedger) -> None:
    Chunk.objects.filter(pk=ledger.claim.chunk.pk).update(state=ChunkState.DONE)


def cancel(ledger: DatabaseLedger) -> None:
    ReplayRun.objects.update(status=RunStatus.CANCELLED)


def end_the_agreement(ledger: DatabaseLedger) -> None:
    DataAgreement.objects.update(ended_at=timezone.now())


def agree_on_other_vendors(ledger: DatabaseLedger) -> None:
    end_the_agreement(ledger)
    DataAgreement.objects.create(
        team=Team.objects.get(), vendors=[], regions=["eu"], purposes=["evaluation"], agreed_at=timezone.now()
    )


def pause_the_vendor(ledger: DatabaseLedger) -> None:
    until = timezone.now() + timedelta(minutes=1)
    VendorGate.objects.update(not_before=until, reason=PauseReason.RATE_LIMITED)


def spend_the_budget(ledger: DatabaseLedger) -> None:
    ReplayRun.objects.update(spent_amount=1)


def spend_the_month(ledger: DatabaseLedger) -> None:
    BudgetMonth.objects.update(spent_amount=1)


def allow_no_more_calls(ledger: DatabaseLedger) -> None:
    ReplayRun.objects.update(max_calls=1)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lose_the_lease, Answer.LEASE_LOST),
        (finish_the_chunk, Answer.LEASE_LOST),
        (cancel, Answer.STOPPED),
        (end_the_agreement, Answer.NOT_PERMITTED),
        (agree_on_other_vendors, Answer.NOT_PERMITTED),
        (pause_the_vendor, Answer.WAIT),
        (spend_the_budget, Answer.BUDGET),
        (spend_the_month, Answer.BUDGET),
        (allow_no_more_calls, Answer.BUDGET),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_changed_since_the_last_commit_is_seen_by_the_next(
    ledger: DatabaseLedger, change: Callable[[DatabaseLedger], None], answer: Answer
) -> None:
    """The call in flight is settled, none is sent any more, and only a worker with a lease writes its answer."""
    first, second = intent_of(ledger, 0), intent_of(ledger, 1)
    assert ledger.commit([first], [], []).answers == [Answer.GO]
    change(ledger)
    committed = ledger.commit([second], [answered(first)], [])
    ours = answer is not Answer.LEASE_LOST
    assert committed == Committed([answer], leased=ours)
    after = stored(ledger)
    assert [state for state, *_ in after["attempts"]] == [AttemptState.SETTLED]
    assert (0, Outcome.OK, COST) in after["answers"] or not ours
    refused = answer is Answer.NOT_PERMITTED
    assert (len(after["answers"]), after["run"][1]) == (ours + refused, 1)
    assert after["run"][2] == 0
    # Nothing is taken for granted afterwards either.
    assert ledger.commit([replace(second, number=2)], [], []).answers == [answer]
    assert stored(ledger)["attempts"] == after["attempts"]


def test_the_lease_is_renewed_when_a_third_of_it_is_over(ledger: DatabaseLedger) -> None:
    began = timezone.now()
    ledger.clock = lambda: began
    ledger.commit([intent_of(ledger, 0)], [], [])
    expires = []
    for seconds in (4, 6, 7, 12):
        ledger.clock = lambda seconds=seconds: began + timedelta(seconds=seconds)
        ledger.commit([intent_of(ledger, len(expires) + 1)], [], [])
        expires.append(round((Chunk.objects.get(pk=ledger.claim.chunk.pk).lease_expires_at - began).total_seconds()))
    assert expires == [15, 21, 21, 27]  # of 15 seconds
