"""The engine against a ledger in memory and a vendor in the same loop."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from evaluations.enums import Outcome
from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig
from evaluations.replay.engine import ChunkEnd, RetryRule, run_chunk
from evaluations.replay.ledger import Answer, Committed, Intent, Settlement, Work
from evaluations.replay.meter import Grant, Report
from evaluations.replay.pacing import Pace

ENDPOINT = EndpointConfig(slug="e", protocol="fake", base_url="http://127.0.0.1", wire_model="m")


@dataclass
class MemoryLedger:
    """Keeps what it is told; ``say`` decides the answer to each intent."""

    say: Callable[[int], Answer] = lambda calls: Answer.GO
    leased: Callable[[], bool] = lambda: True
    intents: list[Intent] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    commits: int = 0
    threads: set[int] = field(default_factory=set)

    def commit(
        self, intents: Sequence[Intent], settlements: Sequence[Settlement], withdrawn: Sequence[Intent]
    ) -> Committed:
        self.commits += 1
        self.intents = [intent for intent in self.intents if intent not in withdrawn]
        self.threads.add(threading.get_ident())
        answers = []
        for intent in intents:
            answers.append(self.say(len(self.intents)))
            if answers[-1] is Answer.GO:
                self.intents.append(intent)
        self.settlements += settlements
        return Committed(answers, self.leased())


@dataclass
class LoneMeter:
    """No other worker, and nothing limits the minute."""

    places: int
    reports: list[Report] = field(default_factory=list)

    def exchange(self, report: Report) -> Grant:
        self.reports.append(report)
        return Grant(places=min(self.places, report.want))


@dataclass
class Vendor:
    """Answers with the outcomes it is given in turn for each sample, then ok; counts what it sees."""

    outcomes: Callable[[int, int], Outcome] = lambda sample, call: Outcome.OK
    seconds: float = 0.0
    key: str = "fake"
    version: str = "1"
    calls: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0
    peak: int = 0
    retry_after: float | None = 0.0

    def prepare(self, request, endpoint):
        raise AssertionError

    def parse(self, response):
        raise AssertionError

    async def complete(self, request, *, endpoint, transport) -> CompletionResult:
        sample = request.body["sample"]
        self.calls[sample] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(self.seconds)
        self.in_flight -= 1
        outcome = self.outcomes(sample, self.calls[sample])
        return CompletionResult(
            outcome=outcome, retry_after_seconds=None if outcome is Outcome.OK else self.retry_after
        )


def works(n: int, attempts: int = 0) -> list[Work]:
    return [Work(i, i, 0, CompletionRequest({"sample": i}), attempts, attempts) for i in range(n)]


def replay(n: int, vendor: Vendor, ledger: MemoryLedger, *, attempts: int = 0, concurrency: int = 8, **options):
    given = {
        "retry": RetryRule(),
        "stopping": lambda: False,
        "drain_seconds": 0.2,
        "heartbeat_seconds": 5,
        "finalise": lambda: None,
        **options,
    }

    async def main() -> ChunkEnd:
        return await run_chunk(
            works(n, attempts),
            provider=vendor,
            endpoint=ENDPOINT,
            transport=None,
            ledger=ledger,
            meter=LoneMeter(concurrency),
            pace=Pace(max_concurrency=concurrency),
            **given,
        )

    return asyncio.run(main())


def test_every_sample_is_answered_once_and_settled() -> None:
    vendor, ledger = Vendor(), MemoryLedger()
    assert replay(100, vendor, ledger) is ChunkEnd.DONE
    assert vendor.calls == Counter(range(100))
    assert sorted(s.intent.work.sample_id for s in ledger.settlements if s.final) == list(range(100))


def test_the_intent_is_committed_before_the_call_is_sent() -> None:
    ledger = MemoryLedger()

    class Checking(Vendor):
        async def complete(self, request, *, endpoint, transport):
            assert request.body["sample"] in {intent.work.sample_id for intent in ledger.intents}
            return await super().complete(request, endpoint=endpoint, transport=transport)

    assert replay(50, Checking(), ledger) is ChunkEnd.DONE


def test_commits_are_grouped_and_come_from_one_thread() -> None:
    ledger = MemoryLedger()
    replay(200, Vendor(seconds=0.01), ledger)
    assert len(ledger.threads) == 1
    assert ledger.commits < 200


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    vendor = Vendor(seconds=0.005)
    replay(60, vendor, MemoryLedger(), concurrency=3)
    assert vendor.peak == 3


@pytest.mark.parametrize(
    ("outcome", "calls"),
    [
        (Outcome.SERVER_ERROR, 4),
        (Outcome.TIMEOUT, 4),
        (Outcome.STREAM_CUT, 4),
        (Outcome.REJECTED_INPUT, 1),
        (Outcome.REFUSED, 1),
        (Outcome.TRUNCATED, 1),
        (Outcome.CONTENT_FILTERED, 1),
    ],
)
def test_a_failure_is_retried_by_its_rule_within_one_budget(outcome: Outcome, calls: int) -> None:
    vendor, ledger = Vendor(outcomes=lambda sample, call: outcome), MemoryLedger()
    assert replay(1, vendor, ledger) is ChunkEnd.DONE
    assert vendor.calls[0] == calls
    assert [s.final for s in ledger.settlements] == [False] * (calls - 1) + [True]


def test_calls_of_a_lost_worker_count_towards_the_budget() -> None:
    vendor = Vendor(outcomes=lambda sample, call: Outcome.SERVER_ERROR)
    ledger = MemoryLedger()
    replay(1, vendor, ledger, attempts=3)
    assert vendor.calls[0] == 1
    assert [intent.number for intent in ledger.intents] == [4]


def test_a_rate_limit_is_waited_for_and_never_a_failure() -> None:
    vendor = Vendor(outcomes=lambda sample, call: Outcome.RATE_LIMITED if call <= 6 else Outcome.OK)
    ledger = MemoryLedger()
    assert replay(1, vendor, ledger) is ChunkEnd.DONE
    assert vendor.calls[0] == 7
    assert [s.result.outcome for s in ledger.settlements if s.final] == [Outcome.OK]


def test_a_rate_limit_is_final_only_when_patience_ends() -> None:
    vendor = Vendor(outcomes=lambda sample, call: Outcome.RATE_LIMITED, retry_after=0.05)
    ledger = MemoryLedger()
    replay(1, vendor, ledger, retry=RetryRule(rate_limit_patience_seconds=0.2))
    assert [s.result.outcome for s in ledger.settlements if s.final] == [Outcome.RATE_LIMITED]


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Outcome.AUTH, ChunkEnd.ARM_STOPPED),
        (Outcome.MODEL_GONE, ChunkEnd.ARM_STOPPED),
        (Outcome.QUOTA_EXHAUSTED, ChunkEnd.PAUSED),
    ],
)
def test_an_outcome_that_ends_the_calls_costs_at_most_those_in_flight(outcome: Outcome, end: ChunkEnd) -> None:
    vendor, ledger = Vendor(outcomes=lambda sample, call: outcome, seconds=0.01), MemoryLedger()
    assert replay(100, vendor, ledger) is end
    assert sum(vendor.calls.values()) <= 8
    assert [s.final for s in ledger.settlements] == [False] * len(ledger.settlements)


def test_what_the_budget_granted_is_still_sent_and_nothing_more() -> None:
    ledger = MemoryLedger(say=lambda calls: Answer.GO if calls < 10 else Answer.BUDGET)
    vendor = Vendor(seconds=0.02)
    assert replay(100, vendor, ledger) is ChunkEnd.BUDGET
    assert sum(vendor.calls.values()) == len(ledger.settlements) == 10


def test_a_call_for_which_the_cap_has_no_room_yet_waits_for_the_calls_in_flight() -> None:
    vendor = Vendor(seconds=0.01)

    class Tight(MemoryLedger):
        """Room for three calls at a time."""

        def commit(self, intents, settlements, withdrawn):
            room = 3 - len(self.intents) + len(self.settlements) + len(settlements)
            self.say = lambda calls: Answer.GO if calls < len(before) + room else Answer.LATER
            before = list(self.intents)
            return super().commit(intents, settlements, withdrawn)

    ledger = Tight()
    assert replay(30, vendor, ledger) is ChunkEnd.DONE
    assert vendor.peak <= 3
    assert vendor.calls == Counter(range(30))
    assert {intent.number for intent in ledger.intents} == {1}


@pytest.mark.parametrize(
    ("answer", "end"), [(Answer.LEASE_LOST, ChunkEnd.LEASE_LOST), (Answer.STOPPED, ChunkEnd.STOPPED)]
)
def test_when_the_ledger_says_stop_calls_in_flight_are_settled_and_the_others_withdrawn(answer, end) -> None:
    ledger = MemoryLedger(say=lambda calls: Answer.GO if calls < 10 else answer)
    vendor = Vendor(seconds=0.02)
    assert replay(100, vendor, ledger) is end
    sent = {sample for sample, calls in vendor.calls.items() if calls}
    assert len(sent) <= 10
    assert {s.intent.work.sample_id for s in ledger.settlements} == sent
    assert {intent.work.sample_id for intent in ledger.intents} == sent


def test_what_was_granted_before_the_lease_was_lost_is_not_sent_after_it() -> None:
    """A commit of results alone may find it out, as after a sleep: others have sent the granted calls since."""
    vendor = Vendor(seconds=0.02)
    # Sixteen are granted at once, eight are sent; before any of them is settled, somebody else takes the chunk.
    ledger = MemoryLedger(
        say=lambda calls: Answer.GO if calls < 16 else Answer.LEASE_LOST, leased=lambda: ledger.settlements == []
    )
    assert replay(100, vendor, ledger) is ChunkEnd.LEASE_LOST
    assert sum(vendor.calls.values()) == 8
    assert len(ledger.intents) == len(ledger.settlements) == 8


def test_an_intent_that_meets_a_wait_is_withdrawn_and_asked_again_afterwards() -> None:
    """Consent and budget are as fresh as the call: nothing that was granted before a long wait is sent after it."""
    vendor = Vendor(outcomes=lambda sample, call: Outcome.RATE_LIMITED if call == 1 else Outcome.OK, seconds=0.01)
    vendor.retry_after = 0.3
    ledger = MemoryLedger()
    assert replay(20, vendor, ledger, concurrency=4) is ChunkEnd.DONE
    assert sorted(s.intent.work.sample_id for s in ledger.settlements if s.final) == list(range(20))
    assert len(ledger.intents) == sum(vendor.calls.values())


def test_a_sample_that_may_not_be_sent_is_skipped_and_the_rest_goes_on() -> None:
    asked = count(1)
    ledger = MemoryLedger(say=lambda calls: Answer.NOT_PERMITTED if next(asked) == 5 else Answer.GO)
    vendor = Vendor()
    assert replay(20, vendor, ledger) is ChunkEnd.DONE
    assert sum(vendor.calls.values()) == 19


def test_a_stop_lets_calls_in_flight_end_and_leaves_the_rest() -> None:
    vendor, ledger = Vendor(seconds=0.05), MemoryLedger()
    assert replay(10_000, vendor, ledger, stopping=lambda: sum(vendor.calls.values()) > 20) is ChunkEnd.STOPPED
    assert 0 < len(ledger.settlements) < 10_000
    assert len(ledger.settlements) == sum(vendor.calls.values())


def test_a_stop_cuts_calls_that_outlast_the_drain() -> None:
    vendor, ledger = Vendor(seconds=60), MemoryLedger()
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert replay(5, vendor, ledger, stopping=stop.is_set, drain_seconds=0.1) is ChunkEnd.STOPPED
    assert ledger.settlements == []


def test_a_ledger_that_gives_up_ends_the_chunk_with_its_error() -> None:
    class Broken(MemoryLedger):
        def commit(self, intents, settlements, withdrawn):
            if len(self.intents) >= 8:
                raise RuntimeError("disk gone")
            return super().commit(intents, settlements, withdrawn)

    with pytest.raises(RuntimeError, match="disk gone"):
        replay(100, Vendor(seconds=0.01), Broken())
