"""What the workers on one endpoint tell each other. Public surface: ``Meter``, ``Report``, ``Grant``, ``Slots``.

An exchange now and then, never one a call: a worker reports what the vendor said, and is granted its places and its
part of the minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evaluations.enums import PauseReason


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker has seen since its last report, and what it could use now."""

    want: int = 0  # places
    held: int = 0  # places that it keeps to now
    in_flight: int = 0  # places in use
    requests: int = 0  # calls that it could send within the next second
    tokens: float = 0.0  # and what they would take of the minute's tokens
    flowing: bool = False  # this chunk has had answers
    answered: bool = False  # the vendor was at work, if only to say no, before any of ``failures``
    failures: int = 0  # calls in a row, up to now, that found it not at work
    pause_seconds: float = 0.0  # the vendor wants to be left alone this long
    pause_reason: PauseReason | None = None
    probed: bool = False  # the call that a pause lets through was answered
    stated_requests_per_minute: int | None = None  # by the vendor's headers
    stated_tokens_per_minute: int | None = None
    rate: float | None = None  # calls a second that the vendor was found to take from this worker; None: no limit met
    call_seconds: float | None = None  # on average
    call_tokens: float | None = None

    @property
    def is_news(self) -> bool:
        """Others have to know it."""
        return bool(self.failures or self.pause_reason or self.probed)


@dataclass(frozen=True, slots=True)
class Slots:
    """Times at which one call each may be sent: the first in so many seconds, then one after the other."""

    first_seconds: float
    every_seconds: float
    n: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a worker may do until its next exchange."""

    places: int  # calls in flight at the most
    crowded: bool = False  # there are more workers than places: this one is not needed here
    paused_seconds: float = 0.0  # nothing new is sent before
    reason: PauseReason | None = None
    failures: int = 0  # in a row, over all workers
    requests: Slots | None = None  # None: the minute's requests are not limited
    tokens: float | None = None  # more of them; None: the minute's tokens are not limited
    rate: float | None = None  # found by others a short while ago
    call_tokens: float | None = None  # as seen earlier


class Meter(Protocol):
    """Called from the ledger's thread; may block."""

    def exchange(self, report: Report) -> Grant: ...
