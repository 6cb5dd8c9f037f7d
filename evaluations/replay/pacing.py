"""How fast one endpoint is called from this process. Public surface: ``Pace``.

Concurrency adapts (additive increase, multiplicative decrease); a 429 stops new calls until the vendor's own time;
requests and tokens per minute are token buckets. The shares of several workers are set from outside (``share``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from evaluations.enums import Outcome

_SLOW_DOWN = frozenset({Outcome.RATE_LIMITED, Outcome.OVERLOADED})
BACKOFF_BASE_SECONDS = 0.5
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
    _waiters: list[asyncio.Future[None]] = field(default_factory=list, init=False)
    _closed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.limit = float(self.max_concurrency)

    def share(self, workers: int) -> None:
        """This process is one of ``workers`` that call the endpoint now."""
        self._share = 1.0 / max(1, workers)
        self.limit = min(self.limit, self.ceiling)

    @property
    def ceiling(self) -> float:
        return max(1.0, self.max_concurrency * self._share)

    async def enter(self) -> bool:
        """Wait for a place; True is followed by one ``leave``. False: closed meanwhile, no place was taken."""
        while not self._closed.is_set():
            wait = self._admit()
            if wait is None:
                return True
            if wait > 0:
                await self.sleep(wait)
            else:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(future)
                await future
        return False

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not past ``close``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def close(self) -> None:
        """Nobody enters any more; everyone who waits is let go."""
        self._closed.set()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _admit(self) -> float | None:
        """Take a place (``None``), or say how long to sleep, or 0 to wait for somebody to leave."""
        now = self.clock()
        if now < self.not_before:
            return self.not_before - now
        if self.in_flight >= int(self.limit):
            return 0.0
        if self.requests_per_minute is not None:
            rate = self.requests_per_minute * self._share / 60
            self._tokens = min(max(1.0, rate), self._tokens + (now - (self._refilled_at or now)) * rate)
            self._refilled_at = now
            if self._tokens < 1:
                return (1 - self._tokens) / rate
            self._tokens -= 1
        self.in_flight += 1
        return None

    def leave(self, outcome: Outcome, *, retry_after_seconds: float | None = None) -> None:
        """Give the place back and learn from how the call ended."""
        self.in_flight -= 1
        if outcome in _SLOW_DOWN:
            self.limit = max(1.0, self.limit / 2)
            if retry_after_seconds is not None:
                self.not_before = max(self.not_before, self.clock() + retry_after_seconds)
        elif outcome is Outcome.OK:
            self.limit = min(self.ceiling, self.limit + 1 / self.limit)
        for _ in range(max(1, int(self.limit) - self.in_flight)):
            if not self._waiters:
                break
            waiter = self._waiters.pop(0)
            if not waiter.done():
                waiter.set_result(None)
