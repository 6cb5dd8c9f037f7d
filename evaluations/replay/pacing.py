"""How fast one endpoint is called by one worker. Public surface: ``Pace``, ``Learned``, ``backoff_seconds``.

A call waits for its turn (``ready``: the vendor's pause, the minute's requests and tokens, the rate that was found out)
before its intent, and for its place (``enter``) before it is sent. Concurrency adapts: additive increase,
multiplicative decrease, below the places that this worker was granted of the endpoint's. What the other workers have
to know goes out in a ``Report`` and comes in as a ``Grant``; until the first one nothing is sent.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from evaluations.enums import NOT_AT_WORK, PAUSES_VENDOR, Outcome, PauseReason
from evaluations.providers.base import CompletionResult, RateHint, Usage
from evaluations.replay.meter import Grant, Report
from evaluations.replay.rates import FoundRate, Schedule

_SLOW_DOWN = frozenset({Outcome.RATE_LIMITED, Outcome.OVERLOADED})
BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 60.0
# An intent that has waited this long for a place is withdrawn: consent and budget are asked again before the call.
PATIENCE_SECONDS = 5.0
# A vendor that is to be left alone for longer keeps no worker: the chunk ends.
LEAVE_ALONE_SECONDS = 2.0
FAILURES_TO_PAUSE = 5
# Time spent on a vendor that does not answer: one call in flight for at most this share of a worker's time.
_PROBE_SHARE = 0.05
_PROBE_CAP_SECONDS = 600.0
_PER_MINUTE = 61.0  # seconds: a longer reset belongs to another limit than the minute's
_FORGET_SECONDS = 120.0
_FIRST_WAVE = 32
_WAVE_SECONDS = 0.02


def backoff_seconds(attempt: int, *, rng: random.Random) -> float:
    """Full jitter: uniform between 0 and the doubling bound, capped at a minute."""
    return rng.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2 ** min(attempt, 10)))


@dataclass(frozen=True, slots=True)
class Learned:
    """What a worker knows of an endpoint after a chunk, for its next one."""

    at: float
    limit: float | None  # None: the endpoint took all that it was given
    found: FoundRate
    call_seconds: float | None
    call_tokens: float | None


@dataclass
class Pace:
    """Admission for one endpoint in one event loop. ``clock`` gives monotonic seconds."""

    max_concurrency: int
    requests_limited: bool = False  # by the endpoint; else the vendor's own limit is taken, if it states one
    tokens_limited: bool = False
    call_tokens: float | None = None  # of one call: expected first, then on average
    probing: bool = False  # nobody knows whether the vendor is back: one call finds out
    probe_seconds: float = 10.0
    quota_pause_seconds: float = 3600.0
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic
    limit: float = field(default=0.0, init=False)
    ceiling: int = field(default=0, init=False)
    crowded: bool = field(default=False, init=False)
    in_flight: int = field(default=0, init=False)
    not_before: float = field(default=0.0, init=False)
    left_alone: bool = field(default=False, init=False)  # the pause is too long for a worker to wait
    epoch: int = field(default=0, init=False)  # calls sent before a slow-down tell nothing new
    call_seconds: float | None = field(default=None, init=False)
    news: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    found_out: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # not probing (any more), or ended
    _open: bool = field(default=False, init=False)
    _first_wave: float = field(default=math.inf, init=False)
    _flowing: bool = field(default=False, init=False)
    _ramping: bool = field(default=False, init=False)  # below the places, and not because of a slow-down here
    _threshold: float = field(default=math.inf, init=False)  # above, the limit grows by one a round trip
    _found: FoundRate = field(default_factory=FoundRate, init=False)
    _schedule: Schedule | None = field(default=None, init=False)
    _tokens: float | None = field(default=None, init=False)
    _tokens_at: float = field(default=0.0, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _queued: int = field(default=0, init=False)  # callers that wait for their turn
    _granted: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _waiters: deque[tuple[float, asyncio.Future[bool]]] = field(default_factory=deque, init=False)
    _ending: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # no new intents
    _closed: bool = field(default=False, init=False)  # no calls at all
    _refusals: int = field(default=0, init=False)  # in a row
    _failures: int = field(default=0, init=False)  # in a row, here
    _failures_elsewhere: int = field(default=0, init=False)
    _report: Report = field(default_factory=Report, init=False)

    def __post_init__(self) -> None:
        self._ramping = self.probing
        if not self.probing:
            self.found_out.set()

    # What the callers ask.

    async def ready(self) -> bool:
        """Wait until a call may be intended. False: no further calls."""
        if self._open and not self._queued and self._wait(self.clock()) <= 0:
            return not self._ending.is_set()
        self._queued += 1
        try:
            async with self._turn:  # one waits, the others wait for it: a wait that ends wakes one caller, not all
                while not self._ending.is_set():
                    wait = self._wait(self.clock()) if self._open else PATIENCE_SECONDS
                    if wait <= 0:
                        return True
                    self._granted.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._granted.wait()
        finally:
            self._queued -= 1
        return False

    def _wait(self, now: float) -> float:
        """Seconds until the next call is due; 0 takes its turn."""
        if now < self.not_before:
            return self.not_before - now
        wait = self._found.wait(now)
        if self._schedule is not None:
            due = self._schedule.wait(now)
            if due is None:
                self.news.set()
                return PATIENCE_SECONDS
            wait = max(wait, due)
        if self._tokens is not None:
            if self._tokens > 0 and now - self._tokens_at > 2.0:
                self._tokens = 0.0
            if self._tokens <= 0:
                self.news.set()
                return PATIENCE_SECONDS
        if wait > 0:
            return wait
        self._found.take(now)
        if self._schedule is not None:
            self._schedule.take()
        if self._tokens is not None:
            self._tokens -= self.call_tokens or 1.0
        return 0.0

    async def enter(self) -> bool:
        """Wait for a place; True is followed by one ``leave``. False: closed, told to wait, or no place in time."""
        if self._may_enter():
            self.in_flight += 1
            return True
        if self._closed or self.clock() < self.not_before:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append((self.clock(), future))
        return await future  # the place is taken for us

    def _may_enter(self) -> bool:
        is_free = self.in_flight + 1 <= min(self.limit, self._first_wave)
        return is_free and not self._closed and self.clock() >= self.not_before

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._may_enter():
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(True)

    def _send_away(self, *, longer_than: float = -1.0) -> None:
        """Those who have waited so long for a place ask again for everything."""
        now = self.clock()
        while self._waiters and now - self._waiters[0][0] > longer_than:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(False)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not past ``end``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    def end(self) -> None:
        """No new intents; calls that were granted are still sent."""
        self._ending.set()
        self._granted.set()
        self.found_out.set()

    def close(self) -> None:
        """Nobody enters any more; everyone who waits is let go."""
        self.end()
        self._closed = True
        self._send_away()

    # What the vendor says.

    def learn(self, result: CompletionResult, *, epoch: int) -> None:
        """Take to heart how a call ended, as soon as it is known. ``epoch``: as it was when the call was sent."""
        outcome = result.outcome
        if outcome is Outcome.OK:
            if self.limit < self.ceiling and not self.probing:
                self.limit = min(self.ceiling, self.limit + (1.0 if self.limit < self._threshold else 1 / self.limit))
                self._ramping &= self.limit < self.ceiling
                self._admit()
            self._flowing = True
            self._found.answered(self.clock())
            self._refusals = 0
            if result.timing is not None:
                self.call_seconds = _average(self.call_seconds, result.timing.latency_ms / 1000)
        if self._tokens is not None or outcome is Outcome.OK:
            self._count(result.usage)
        if result.rate is not None:
            self._heed(result.rate)
        if outcome in NOT_AT_WORK:
            self._failed(result)
        elif outcome is Outcome.RATE_LIMITED:
            self._refused(result, epoch)
        elif outcome in PAUSES_VENDOR:
            self.pause(self.quota_pause_seconds, PauseReason.QUOTA_EXHAUSTED)
        else:
            self._answered()
            if result.retry_after_seconds is not None:
                self.pause(result.retry_after_seconds, PauseReason.VENDOR_PAUSED)
        if outcome in _SLOW_DOWN and epoch == self.epoch:
            self.epoch += 1
            self._threshold = max(1.0, self.limit / 2)
            self.limit = self._threshold

    def _answered(self) -> None:
        if self._failures or self._failures_elsewhere or self.probing:
            self._failures = self._failures_elsewhere = 0
            self._report = replace(self._report, answered=True, failures=0, probed=self.probing)
            self.news.set()
        if self.probing:
            self.probing = False
            self.found_out.set()

    def _failed(self, result: CompletionResult) -> None:
        self._failures += 1
        self._report = replace(self._report, failures=self._report.failures + 1)
        self.news.set()
        if self.probing or self._failures + self._failures_elsewhere >= FAILURES_TO_PAUSE:
            seconds = 0.0 if result.timing is None else result.timing.latency_ms / 1000
            pause = min(max(self.probe_seconds, seconds / _PROBE_SHARE), _PROBE_CAP_SECONDS)
            self.pause(max(pause, result.retry_after_seconds or 0.0), PauseReason.VENDOR_PAUSED, leave=True)
        elif result.retry_after_seconds is not None:
            self.pause(result.retry_after_seconds, PauseReason.VENDOR_PAUSED)

    def _refused(self, result: CompletionResult, epoch: int) -> None:
        if self.probing or self._failures or self._failures_elsewhere:
            self._answered()
        now = self.clock()
        if epoch == self.epoch:
            self._refusals += 1
            self._found.refused(now)
        if result.retry_after_seconds is not None:
            self.pause(result.retry_after_seconds, PauseReason.RATE_LIMITED)
        elif epoch == self.epoch:
            wait = backoff_seconds(self._refusals, rng=self.rng)
            if wait > LEAVE_ALONE_SECONDS:
                self.pause(wait, PauseReason.RATE_LIMITED)
            else:
                self._not_before(now + wait)

    def pause(self, seconds: float, reason: PauseReason, *, leave: bool = False) -> None:
        """Nothing new is sent for ``seconds``, by anybody. ``leave``: however short."""
        if seconds <= 0:
            return
        if seconds > self._report.pause_seconds or self._report.pause_reason is None:
            self._report = replace(self._report, pause_seconds=seconds, pause_reason=reason)
            self.news.set()
        self._not_before(self.clock() + seconds)
        self.left_alone |= leave or reason.probed or seconds > LEAVE_ALONE_SECONDS

    def _not_before(self, at: float) -> None:
        if at > self.not_before:
            self.not_before = at
            self._found.resume(at)
            self._send_away()

    def _heed(self, hint: RateHint) -> None:
        """The vendor says what it allows: its limits are taken for ours where we have none, and nothing left waits."""
        now, requests, tokens = self.clock(), None, None
        if hint.requests_limit and not self.requests_limited and _of_a_minute(hint.requests_reset_s):
            requests = hint.requests_limit
        if hint.tokens_limit and not self.tokens_limited and _of_a_minute(hint.tokens_reset_s):
            tokens = hint.tokens_limit
        stated = self._report.stated_requests_per_minute, self._report.stated_tokens_per_minute
        if (new := (requests or stated[0], tokens or stated[1])) != stated:
            self._report = replace(self._report, stated_requests_per_minute=new[0], stated_tokens_per_minute=new[1])
            self.news.set()
        if hint.requests_remaining is not None and hint.requests_remaining < 1:
            self._not_before(now + _time_for(1, hint.requests_limit, hint.requests_remaining, hint.requests_reset_s))
        need = self.call_tokens or 1.0
        if hint.tokens_remaining is not None and hint.tokens_remaining < need:
            self._not_before(now + _time_for(need, hint.tokens_limit, hint.tokens_remaining, hint.tokens_reset_s))

    def _count(self, usage: Usage) -> None:
        """The tokens that a call took, in place of those that it was expected to take."""
        counts = (usage.input_uncached, usage.cache_read, usage.cache_write, usage.output_total)
        if all(count is None for count in counts):
            return
        taken = float(sum(count for count in counts if count is not None))
        if self._tokens is not None:
            self._tokens -= taken - (self.call_tokens or 1.0)
        self.call_tokens = _average(self.call_tokens, taken)

    # What the other workers say, and are told.

    def report(self, callers: int) -> Report:
        """News since the last report. ``callers``: how many calls could be in flight at the most."""
        rate = (self.limit or self.max_concurrency) / max(self.call_seconds or 0.1, 0.001)
        rate = min(rate, self._found.rate or math.inf, 2000.0)
        granted = 0 if self._schedule is None else self._schedule.left(self.clock())
        report = replace(
            self._report,
            want=1 if self.probing else min(callers, self.max_concurrency),
            held=self.ceiling,
            in_flight=self.in_flight,
            requests=max(0, math.ceil(rate) + 1 - granted),
            tokens=max(0.0, rate * (self.call_tokens or 1.0) - (self._tokens or 0.0)),
            flowing=self._flowing,
            rate=self._found.rate,
            call_seconds=self.call_seconds,
            call_tokens=self.call_tokens,
        )
        self._report = Report(
            stated_requests_per_minute=report.stated_requests_per_minute,
            stated_tokens_per_minute=report.stated_tokens_per_minute,
        )
        return report

    def heed(self, grant: Grant) -> None:
        now = self.clock()
        if not self._open:
            self._open = True
            self.call_tokens = grant.call_tokens or self.call_tokens
            if grant.rate is not None:
                self._found.adopt(grant.rate, now)
            if self._found.rate is None and grant.requests is None:
                self._first_wave = _FIRST_WAVE
                asyncio.get_running_loop().call_later(_WAVE_SECONDS, self._widen)
        unslowed = self.limit >= self.ceiling and not self._ramping
        self.ceiling, self.crowded = grant.places, grant.crowded
        if unslowed:
            self.limit = float(min(self.ceiling, self._threshold))
        else:
            self.limit = float(min(max(self.limit, 1.0), self.ceiling))
        if not self.probing:
            self._failures_elsewhere = max(0, grant.failures - self._failures)
        # A probe's own success is told by the next report: until then the others' word is the older one.
        if grant.reason is not None and not self.probing and not self._report.probed:
            self._not_before(now + grant.paused_seconds)
            self.left_alone |= grant.reason.probed or grant.paused_seconds > LEAVE_ALONE_SECONDS
        if grant.requests is not None:
            self._schedule = self._schedule or Schedule()
            self._schedule.add(grant.requests, now)
        if grant.tokens is not None:
            self._tokens = (self._tokens or 0.0) + grant.tokens
            self._tokens_at = now
        self._send_away(longer_than=PATIENCE_SECONDS)
        self._admit()
        self._granted.set()

    def _widen(self) -> None:
        """Nothing is known of the vendor: the first calls go out in waves, so that the first "no" is heard by most."""
        if self.epoch:
            return
        self._first_wave += _FIRST_WAVE
        if self._first_wave < self.max_concurrency:
            asyncio.get_running_loop().call_later(_WAVE_SECONDS, self._widen)
        self._admit()

    def is_hungry(self) -> bool:
        """More of the minute is wanted before long."""
        now = self.clock()
        if self._schedule is not None and self._schedule.left(now) * (self.call_seconds or 0.1) < self.limit / 2:
            return True
        return self._tokens is not None and self._tokens <= 0

    def recall(self, learned: Learned | None) -> None:
        """Begin with what an earlier chunk taught, if that is not long ago."""
        if learned is None or self.clock() - learned.at > _FORGET_SECONDS:
            return
        self._found = replace(learned.found)
        self.call_seconds = learned.call_seconds
        self.call_tokens = learned.call_tokens or self.call_tokens
        if learned.limit is not None:
            self._threshold = learned.limit

    def learned(self) -> Learned:
        slowed = self.limit if self.limit < self.ceiling else None
        return Learned(self.clock(), slowed, self._found, self.call_seconds, self.call_tokens)


def _average(so_far: float | None, value: float) -> float:
    return value if so_far is None else so_far + 0.05 * (value - so_far)


def _of_a_minute(reset_seconds: float | None) -> bool:
    return reset_seconds is None or reset_seconds <= _PER_MINUTE


def _time_for(need: float, limit: int | None, remaining: int, reset_seconds: float | None) -> float:
    """Seconds until ``need`` is there, of an allowance that refills steadily and is full at the reset."""
    if reset_seconds is None:
        return 0.0
    if limit is None or limit <= remaining:
        return min(reset_seconds, 60.0)
    return min(reset_seconds * (need - remaining) / (limit - remaining), 60.0)
