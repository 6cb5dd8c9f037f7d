"""How many calls a second a vendor takes, found out where it does not say. Public surface: ``FoundRate``, ``Schedule``.

Every 429 lowers the rate below what was answered since the one before; without one it grows, slowly near the rate at
which the last one came. So a vendor at half of our speed costs a few refused calls and not half of them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from evaluations.replay.meter import Slots

_DECREASE = 0.7
# Growth in a second, or in a call where that takes longer.
_GROWTH_SEARCHING = 4.0  # until a rate was found to be too high
_GROWTH_FAR = 2.0  # below half of the rate of the last refusal
_GROWTH_BELOW = 1.10
_GROWTH_NEAR = 1.03
_FAR, _NEAR = 0.5, 0.85
_RECENT = 32  # answers
_LEAST_SECONDS = 0.25  # an answer a hundredth of a second after another is no hundred a second
_FIRST = 2.0  # calls a second, where the first call of all is refused
_LOWEST = 0.02  # calls a second
_FORGET_SECONDS = 5.0  # without having been the limit
# A call that is due a little late does not move all later ones.
_CREDIT_SECONDS = 0.02
# What was granted and not used for longer is lost: kept, it would be a burst.
_EXPIRES_SECONDS = 1.0


@dataclass(slots=True)
class FoundRate:
    """One worker's view. ``rate`` None: no limit was met."""

    rate: float | None = None
    refused_at_rate: float = math.inf
    _next_at: float = 0.0
    _grown_at: float = 0.0
    _bound_at: float = 0.0  # when it last made a call wait
    _answers: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))  # when the last ones came
    _refusals: int = 0
    _answered: bool = False  # since the last refusal

    def wait(self, now: float) -> float:
        """Seconds until the next call is due."""
        if self.rate is None:
            return 0.0
        self._grow(now)
        if self.rate is None or self._next_at <= now:
            return 0.0
        self._bound_at = now
        return self._next_at - now

    def take(self, now: float) -> None:
        if self.rate is not None:
            self._next_at = max(self._next_at, now - _CREDIT_SECONDS) + 1 / self.rate

    def answered(self, now: float) -> None:
        self._answers.append(now)
        self._answered = True

    def adopt(self, rate: float, now: float) -> None:
        """Begin with what another worker found."""
        if self.rate is None:
            self.rate, self.refused_at_rate = rate, rate
            self._refusals = 2
            self._grown_at = self._bound_at = now

    def refused(self, now: float) -> None:
        """A 429 that was not the echo of an earlier one."""
        good = len(self._answers) / max(now - self._answers[0], _LEAST_SECONDS) if self._answers else 0.0
        if self.rate is None:
            self.rate = good or _FIRST
            self._refusals += 1
        elif self._answered:
            # Without an answer since the last one it is no matter of the rate: the waits grow, and that is enough.
            self.refused_at_rate = self.rate
            self.rate = min(_DECREASE * self.rate, 1.2 * good)
            self._refusals += 1
        self.rate = max(self.rate, _LOWEST)
        self._answered = False
        self._grown_at = self._bound_at = now
        self._next_at = now  # where the vendor names a time, the next call is due then; the rate spaces those after it

    def resume(self, at: float) -> None:
        """Nothing is sent before ``at``; that time is no reason to go faster afterwards."""
        self._next_at = max(self._next_at, at)
        self._grown_at = max(self._grown_at, at)
        self._bound_at = max(self._bound_at, at)

    def _grow(self, now: float) -> None:
        elapsed = now - self._grown_at
        if elapsed < 0.05 or self.rate is None:
            return
        if now - self._bound_at > _FORGET_SECONDS:
            self.rate = None
            return
        if self._refusals < 2:
            growth = _GROWTH_SEARCHING
        elif self.rate < _FAR * self.refused_at_rate:
            growth = _GROWTH_FAR
        else:
            growth = _GROWTH_BELOW if self.rate < _NEAR * self.refused_at_rate else _GROWTH_NEAR
        self.rate *= growth ** min(elapsed * min(self.rate, 1.0), 1.0)
        self._grown_at = now


@dataclass(slots=True)
class Schedule:
    """The times of calls that were granted to this worker."""

    _parts: deque[tuple[float, float, int]] = field(default_factory=deque)

    def add(self, slots: Slots, now: float) -> None:
        if slots.n:
            self._parts.append((now + slots.first_seconds, slots.every_seconds, slots.n))

    def left(self, now: float) -> int:
        self._expire(now)
        return sum(n for _, _, n in self._parts)

    def wait(self, now: float) -> float | None:
        """Seconds until the next call is due; None: nothing is granted."""
        self._expire(now)
        return max(0.0, self._parts[0][0] - now) if self._parts else None

    def take(self) -> None:
        at, every, n = self._parts[0]
        if n > 1:
            self._parts[0] = (at + every, every, n - 1)
        else:
            self._parts.popleft()

    def _expire(self, now: float) -> None:
        while self._parts:
            at, every, n = self._parts[0]
            late = now - _EXPIRES_SECONDS - at
            if late <= 0:
                return
            lost = min(n, math.ceil(late / every))
            if lost < n:
                self._parts[0] = (at + lost * every, every, n - lost)
                return
            self._parts.popleft()
