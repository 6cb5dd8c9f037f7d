"""One chunk of calls in one event loop: intent row before each call, result after it, both by group commit.

Public surface: ``RetryRule``, ``ChunkEnd`` and ``run_chunk``. The engine knows providers, a ledger and a meter; it
knows no database and no Celery.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from evaluations.enums import PAUSES_VENDOR, RETRIED, STOPS_ARM, Outcome
from evaluations.faults import reached
from evaluations.providers.base import EndpointConfig, Provider, Transport
from evaluations.replay.commits import GroupCommit
from evaluations.replay.ledger import Answer, Intent, Ledger, Settlement, Work
from evaluations.replay.meter import Meter
from evaluations.replay.pacing import Pace, backoff_seconds

TICK_SECONDS = 0.2
# Beyond the first eight places, one in four may be taken anew while results wait for their commit: else a wave of
# answers would empty all of them. So much can a kill lose beyond the calls at the vendor.
KEPT_PLACES, REFILLED_EARLY = 8, 4
# Between two exchanges with the other workers: at the least, and at the most.
EXCHANGE_SECONDS = (0.05, 0.25)


@dataclass(frozen=True, slots=True)
class RetryRule:
    max_attempts: int = 4  # for one sample and arm, over all workers; waits for a rate limit do not count
    rate_limit_patience_seconds: float = 600.0


class ChunkEnd(Enum):
    """Why a chunk's loop ended."""

    DONE = auto()
    BUDGET = auto()
    LEASE_LOST = auto()
    STOPPED = auto()  # the run ended, or the process is told to stop: the rest is left for somebody else
    ARM_STOPPED = auto()  # auth or model_gone
    PAUSED = auto()  # the vendor is to be left alone for a while, or others use all of its places


_END_OF = {
    Answer.BUDGET: ChunkEnd.BUDGET,
    Answer.LEASE_LOST: ChunkEnd.LEASE_LOST,
    Answer.STOPPED: ChunkEnd.STOPPED,
}


@dataclass
class _Chunk:
    provider: Provider
    endpoint: EndpointConfig
    transport: Transport
    commits: GroupCommit
    pace: Pace
    retry: RetryRule
    rng: random.Random
    end: ChunkEnd = ChunkEnd.DONE

    @property
    def ended(self) -> bool:
        return self.end is not ChunkEnd.DONE

    def finish(self, end: ChunkEnd) -> None:
        """No further intents; calls in flight still end and are settled, and so are those that the budget granted."""
        if not self.ended:
            self.end = end
            if end is ChunkEnd.BUDGET:
                self.pace.end()
            else:
                self.pace.close()

    async def caller(self, works: Iterator[Work], *, finds_out: bool) -> None:
        """``finds_out``: the one that calls while nobody knows whether the vendor is back."""
        if not finds_out:
            await self.pace.found_out.wait()
        if self.ended:
            return
        for work in works:
            await self.answer(work)
            if self.ended:
                return

    async def answer(self, work: Work) -> None:
        """Call until there is an answer, the retry budget is used up, or the ledger says stop."""
        loop = asyncio.get_running_loop()
        number, failures, waited_since = work.attempts, work.failures, loop.time() - work.waited_seconds
        while await self.pace.ready():
            number += 1
            intent = Intent(work, number)
            reply = await self.commits.intend(intent)
            if reply is Answer.LATER or reply is Answer.WAIT:
                number -= 1
                if reply is Answer.WAIT:
                    self.pace.news.set()  # the meter knows for how long
                await self.commits.settled(TICK_SECONDS)
                continue
            if reply is not Answer.GO:
                if reply in _END_OF:
                    self.finish(_END_OF[reply])
                return
            if not await self.pace.enter():
                self.commits.withdraw(intent)
                number -= 1
                if self.end in (ChunkEnd.DONE, ChunkEnd.BUDGET):
                    continue
                return
            if not self.commits.leased:
                # Somebody else may have the chunk by now, and send the same call: ask anew.
                self.pace.leave()
                self.commits.withdraw(intent)
                number -= 1
                continue
            epoch, holds_place = self.pace.epoch, True
            try:
                reached("before_send")
                result = await self.provider.complete(work.request, endpoint=self.endpoint, transport=self.transport)
                reached("after_send")
                outcome, retry_after = result.outcome, result.retry_after_seconds
                self.pace.learn(result, epoch=epoch)
                limited = outcome is Outcome.RATE_LIMITED
                failures += not limited
                again = outcome in RETRIED and (
                    loop.time() - waited_since < self.retry.rate_limit_patience_seconds
                    if limited
                    else failures < self.retry.max_attempts
                )
                stops = outcome in STOPS_ARM
                if self.pace.left_alone:
                    self.finish(ChunkEnd.PAUSED)
                elif stops and outcome not in PAUSES_VENDOR:
                    self.finish(ChunkEnd.ARM_STOPPED)
                stored = self.commits.settle(Settlement(intent, result, final=not again and not stops))
                if self.commits.unsettled <= (self.pace.limit - KEPT_PLACES) // REFILLED_EARLY:
                    self.pace.leave()
                    holds_place = False
                await stored
            finally:
                if holds_place:
                    self.pace.leave()
            if stops:
                return
            if not again:
                return
            if not limited and retry_after is None:  # else the pace makes everybody wait
                await self.pace.sleep(backoff_seconds(number - work.attempts, rng=self.rng))


async def run_chunk(
    works: Iterable[Work],
    *,
    provider: Provider,
    endpoint: EndpointConfig,
    transport: Transport,
    ledger: Ledger,
    meter: Meter,
    pace: Pace,
    retry: RetryRule,
    stopping: Callable[[], bool],
    drain_seconds: float,
    heartbeat_seconds: float,
    finalise: Callable[[], None],
    seed: int = 0,
) -> ChunkEnd:
    """Answer every work of a chunk; returns why it ended. Every call that was sent is settled or left as ``sent``.

    ``stopping`` is asked before each call and while waiting; once true, calls in flight get ``drain_seconds``.
    ``finalise`` runs last in the ledger's thread, for its connections.
    """
    commits = GroupCommit(ledger, heartbeat_seconds=heartbeat_seconds, finalise=finalise)
    chunk = _Chunk(provider, endpoint, transport, commits, pace, retry, random.Random(seed))  # noqa: S311
    iterator = iter(works)
    # As many again as may be in flight: their intents are committed while the others' calls are out.
    callers = [asyncio.create_task(chunk.caller(iterator, finds_out=not i)) for i in range(2 * pace.max_concurrency)]
    watch = asyncio.create_task(_watch(chunk, callers, stopping=stopping, drain_seconds=drain_seconds))
    exchange = asyncio.create_task(_exchange(chunk, callers, meter))
    called = asyncio.create_task(asyncio.wait(callers))
    try:
        either: list[asyncio.Future[Any]] = [commits.ended, exchange, called]
        await asyncio.wait(either, return_when="FIRST_COMPLETED")
        if not called.done():  # ledger or meter gave up: nothing more can be recorded, so nothing more is sent
            for caller in callers:
                caller.cancel()
        await called
        if exchange.done():
            exchange.result()
        elif not commits.ended.done():
            # What the last calls told, and how long they took, is for the next chunk to know.
            exchange.cancel()
            await commits.in_ledger_thread(partial(meter.exchange, pace.report(0)))
        for caller in callers:
            if not caller.cancelled() and (problem := caller.exception()) is not None:
                raise problem
    finally:
        watch.cancel()
        exchange.cancel()
        await commits.close()
    return chunk.end


async def _exchange(chunk: _Chunk, callers: Sequence[asyncio.Task[None]], meter: Meter) -> None:
    """Tell the other workers what the vendor said, hear it from them, and get a part of what it allows."""
    pace, (least, most) = chunk.pace, EXCHANGE_SECONDS
    while True:
        report = pace.report(sum(not caller.done() for caller in callers))
        pace.heed(await chunk.commits.in_ledger_thread(partial(meter.exchange, report)))
        if pace.left_alone or pace.crowded:
            chunk.finish(ChunkEnd.PAUSED)
        await asyncio.sleep(least)
        with suppress(TimeoutError):
            async with asyncio.timeout(most - least):
                await pace.news.wait()
        pace.news.clear()


async def _watch(
    chunk: _Chunk, callers: Sequence[asyncio.Task[None]], *, stopping: Callable[[], bool], drain_seconds: float
) -> None:
    """Hear a stop, and cut calls that outlast it."""
    while not stopping():
        await asyncio.sleep(TICK_SECONDS)
    chunk.finish(ChunkEnd.STOPPED)
    await asyncio.sleep(drain_seconds)
    for task in callers:
        task.cancel()
