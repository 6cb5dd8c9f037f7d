"""What a call is to the record: meant, sent, ended. Public surface: ``Work``, ``Intent``, ``Settlement``, ``Answer``,
``Committed``, ``Ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from evaluations.providers.base import CompletionRequest, CompletionResult


@dataclass(frozen=True, slots=True)
class Work:
    """One sample to be answered by one arm."""

    sample_id: int
    position: int
    repeat: int
    request: CompletionRequest
    attempts: int = 0  # calls already sent for it, by lost workers or earlier ones
    failures: int = 0  # those of them that count towards the retry budget
    waited_seconds: float = 0.0  # since the vendor's first "slow down"


@dataclass(frozen=True, slots=True)
class Intent:
    """The decision to send attempt ``number`` for ``work``; committed before the call."""

    work: Work
    number: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """How the attempt of ``intent`` ended. ``final``: it is the arm's answer to that sample."""

    intent: Intent
    result: CompletionResult
    final: bool


class Answer(Enum):
    """What the ledger says to an intent."""

    GO = auto()
    BUDGET = auto()  # the cap would be passed
    LATER = auto()  # the cap has room again once calls in flight are settled for less than was reserved
    WAIT = auto()  # another worker was told to leave the vendor alone
    NOT_PERMITTED = auto()  # the data agreement does not list this vendor, region or purpose
    LEASE_LOST = auto()  # another worker has the chunk now
    STOPPED = auto()  # the run was cancelled or has ended


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit brought."""

    answers: Sequence[Answer]  # one an intent, in order
    leased: bool  # False: somebody else may have the chunk, and send again what was granted and is not sent yet


class Ledger(Protocol):
    """Where intents and results are kept. Called from one thread, never concurrently; may block and retry."""

    def commit(
        self, intents: Sequence[Intent], settlements: Sequence[Settlement], withdrawn: Sequence[Intent]
    ) -> Committed:
        """Store all in one transaction and renew the lease.

        ``withdrawn`` are intents of earlier commits that were never sent.
        """
