"""Group commit: the intents and results of many calls, stored together by one thread of their own.

Public surface: ``GroupCommit``.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from evaluations.replay.ledger import Answer, Intent, Ledger, Settlement

T = TypeVar("T")

# Of one commit: what arrived as one wave is stored in parts, and the places of the first are taken anew meanwhile.
MOST_ROWS = 32
# A commit leaves at least two thirds of a lease, and a heartbeat is a third.
LEASED_FOR_HEARTBEATS = 2

_Asked = tuple[Intent, "asyncio.Future[Answer]"]
_Stored = tuple[Settlement, "asyncio.Future[None]"]
_Called = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class GroupCommit:
    """Takes what a loop's callers hand in and commits it, soon after the previous commit returned.

    The ledger and everything else that blocks is called from the one thread; ``finalise`` runs there last. All methods
    are for the loop in which it was made.
    """

    def __init__(self, ledger: Ledger, *, heartbeat_seconds: float, finalise: Callable[[], None]) -> None:
        self.unsettled = 0  # results whose commit has not returned
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ledger = ledger
        self._heartbeat_seconds = heartbeat_seconds
        self._finalise = finalise
        self._loop = asyncio.get_running_loop()
        # Filled by the loop and emptied by the thread; a deque's own operations are whole.
        self._intents: deque[_Asked] = deque()
        self._settlements: deque[_Stored] = deque()
        self._withdrawn: deque[Intent] = deque()
        self._calls: deque[_Called] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._held = True
        self._committed_at = time.monotonic()
        self._settled = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    @property
    def leased(self) -> bool:
        """Whether the chunk was ours at the last commit and still is: not after this process slept for a while, say."""
        return self._held and time.monotonic() - self._committed_at < LEASED_FOR_HEARTBEATS * self._heartbeat_seconds

    async def intend(self, intent: Intent) -> Answer:
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._intents.append((intent, future))
        self._wake.set()
        return await future

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Done when it is committed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.unsettled += 1
        self._settlements.append((settlement, future))
        self._wake.set()
        return future

    def withdraw(self, intent: Intent) -> None:
        """``intent`` was committed, and its call is not sent after all."""
        self._withdrawn.append(intent)
        self._wake.set()

    async def settled(self, seconds: float) -> None:
        """Until a settlement is committed, ``seconds`` at the most: calls of other workers are settled elsewhere."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()

    async def in_ledger_thread(self, function: Callable[[], T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.append((function, future))
        self._wake.set()
        return await future

    async def close(self) -> None:
        """Commit what was handed in and end the thread. Raises what the ledger gave up with."""
        self._closing = True
        self._wake.set()
        try:
            await asyncio.shield(self.ended)
        finally:
            self._thread.join()

    def _serve(self) -> None:
        """The thread. An empty commit now and then renews the lease while calls are in flight."""
        error: BaseException | None = None
        try:
            while not self._closing or self._intents or self._settlements or self._withdrawn or self._calls:
                self._wake.wait(self._heartbeat_seconds)
                self._wake.clear()
                # A call that was withdrawn may be among the intents again: its withdrawal is not left for later.
                self._commit(
                    _taken(self._intents, MOST_ROWS), _taken(self._settlements, MOST_ROWS), _taken(self._withdrawn)
                )
                self._call(_taken(self._calls))
                if self._intents or self._settlements:
                    self._wake.set()
        except BaseException as problem:  # the callers are told, and whoever waits for the end
            error = problem
        finally:
            self._finalise()
            self._loop.call_soon_threadsafe(self._end, error)

    def _commit(self, asked: list[_Asked], stored: list[_Stored], withdrawn: list[Intent]) -> None:
        began_at = time.monotonic()
        try:
            committed = self._ledger.commit(
                [intent for intent, _ in asked], [settlement for settlement, _ in stored], withdrawn
            )
            self._held, self._committed_at = committed.leased, began_at
        except BaseException as error:
            waiting: list[asyncio.Future[Any]] = [*(future for _, future in asked), *(future for _, future in stored)]
            self._loop.call_soon_threadsafe(_fail, waiting, error)
            raise
        if asked or stored or withdrawn:
            self._loop.call_soon_threadsafe(self._tell, asked, committed.answers, stored, bool(withdrawn))

    def _tell(self, asked: list[_Asked], answers: Sequence[Answer], stored: list[_Stored], withdrawn: bool) -> None:
        self.unsettled -= len(stored)
        for _, future in stored:
            if not future.done():
                future.set_result(None)
        if stored or withdrawn:
            self._settled.set()
            self._settled = asyncio.Event()
        for (_, wish), answer in zip(asked, answers, strict=True):
            if not wish.done():
                wish.set_result(answer)

    def _call(self, calls: list[_Called]) -> None:
        for function, future in calls:
            try:
                result = function()
            except Exception as error:
                self._loop.call_soon_threadsafe(_fail, [future], error)
            else:
                self._loop.call_soon_threadsafe(_give, future, result)

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            _give(self.ended, None)
            return
        left: list[asyncio.Future[Any]] = [self.ended]
        for items in (self._intents, self._settlements, self._calls):
            left += [future for _, future in items]
        _fail(left, error)
        with suppress(BaseException):
            self.ended.exception()  # whoever closes is told


def _taken(items: deque[T], most: float = math.inf) -> list[T]:
    found: list[T] = []
    while items and len(found) < most:
        found.append(items.popleft())
    return found


def _give(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(futures: Sequence[asyncio.Future[Any]], error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
