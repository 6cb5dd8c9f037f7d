"""How fast one endpoint is called from this process. Public surface: ``Pace``.

Concurrency adapts (additive increase, multiplicative decrease); a 429 stops new calls until the vendor's own time;
requests and tokens per minute are token buckets. The shares of several workers are set from outside (``share``).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from evaluations.enums import Outcome

_SLOW_DOWN = frozenset({Outcome.RATE_LIMITED, Outcome.OVERLOADED})
BACKOFF_BASE_SECONDS = 0.5
# An intent that has waited this long for a place is withdrawn: consent and budget are asked again before the call.
PATIENCE_SECONDS = 5.0
BACKOFF_CAP_SECONDS = 60.0


def backoff_seconds(attempt: int, *, rng: random.Random) -> float:
    """Full jitter: uniform between 0 and the doubling bound, capped at a minute."""
    return rng.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2**attempt))


@dataclass
class Pace:
    """Admission for one endpoint in one event loop. ``clock`` gives monotonic seconds."""

    max_concurrency: int
    requests_per_minute: int | None = None
    clock: Callable[[], float] = field(default=lambda: asyncio.get_running_loop().time())
    limit: float = field(init=False)
    in_flight: int = field(default=0, init=False)
    not_before: float = field(default=0.0, init=False)
    _share: float = field(default=1.0, init=False)
    _tokens: float = field(default=1.0, init=False)
    _refilled_at: float | None = field(default=None, init=False)
    _waiters: deque[asyncio.Future[None]] = field(default_factory=deque, init=False)
    _ending: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # no new intents
    _closed: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # no calls at all

    def __post_init__(self) -> None:
        self.limit = float(self.max_concurrency)

    def share(self, workers: int) -> None:
        """This process is one of ``workers`` that call the endpoint now."""
        self._share = 1.0 / max(1, workers)
        self.limit = min(self.limit, self.ceiling)

    @property
    def ceiling(self) -> float:
        return max(1.0, self.max_concurrency * self._share)

    async def ready(self) -> bool:
        """Wait until a call may be intended: nobody said to wait, and the minute has room. False: closed meanwhile."""
        while not self._ending.is_set():
            wait = self._wait()
            if wait <= 0:
                return True
            await self.sleep(wait)
        return False

    def _wait(self) -> float:
        """Seconds until the next call is due; 0 takes its share of the minute."""
        now = self.clock()
        if now < self.not_before:
            return self.not_before - now
        if self.requests_per_minute is not None:
            rate = self.requests_per_minute * self._share / 60
            self._tokens = min(max(1.0, rate), self._tokens + (now - (self._refilled_at or now)) * rate)
            self._refilled_at = now
            if self._tokens < 1:
                return (1 - self._tokens) / rate
            self._tokens -= 1
        return 0.0

    async def enter(self) -> bool:
        """Wait for a place; True is followed by one ``leave``. False: closed, told to wait, or no place in time."""
        deadline = self.clock() + PATIENCE_SECONDS
        while not self._closed.is_set() and self.clock() >= self.not_before:
            if self.in_flight < int(self.limit):
                self.in_flight += 1
                return True
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            try:
                async with asyncio.timeout(deadline - self.clock()):
                    await future
            except TimeoutError:
                return False
        return False

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not past ``end``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    def end(self) -> None:
        """No new intents; calls that were granted are still sent."""
        self._ending.set()

    def close(self) -> None:
        """Nobody enters any more; everyone who waits is let go."""
        self._ending.set()
        self._closed.set()
        self._wake(len(self._waiters))

    def learn(self, outcome: Outcome, *, retry_after_seconds: float | None = None) -> None:
        """Take to heart how a call ended, as soon as it is known."""
        if outcome in _SLOW_DOWN:
            self.limit = max(1.0, self.limit / 2)
            if retry_after_seconds is not None:
                self.not_before = max(self.not_before, self.clock() + retry_after_seconds)
                self._wake(len(self._waiters))
        elif outcome is Outcome.OK:
            self.limit = min(self.ceiling, self.limit + 1 / self.limit)

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake(max(1, int(self.limit) - self.in_flight))

    def _wake(self, n: int) -> None:
        while n > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                n -= 1
