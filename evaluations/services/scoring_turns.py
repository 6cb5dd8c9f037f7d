"""Whose turn it is to score a run, and how a scorer that ends its process is found.

Public surface: ``Turn``, ``take_turn``.

Before a batch is scored its place is written down. Whoever takes over from a process that ended there scores the batch
one by one; the answer at which ``LOST_AT_MOST`` processes have ended is given up.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, F, Q, QuerySet, When
from django.utils import timezone

from evaluations.conf import setting
from evaluations.models import ReplayRun, ScoringTurn

LOST_AT_MOST = 3


@dataclass(slots=True)
class Turn:
    """The turn of this process, and where the one before it ended. Each note is False once somebody else has it."""

    run: ReplayRun
    owner: str
    key: str  # of the scorer in whose batch a process ended; "": none did
    last: int  # place of that batch's last answer
    lost: int  # processes that ended there
    clock: Callable[[], datetime]
    renewed_at: datetime

    def suspects(self, key: str) -> int:
        """Up to which place scorer ``key`` may end its process; 0: nowhere."""
        return self.last if self.key == key else 0

    @property
    def gives_up(self) -> bool:
        return self.lost >= LOST_AT_MOST

    def begin(self, key: str, first: int, last: int, *, suspect: bool) -> bool:
        """Note that this batch is scored next."""
        return self._note(key=key, first=first, last=last, lost=self.lost if suspect else 0)

    def keep(self) -> bool:
        """Between two answers, as some scorers take their time."""
        if self.clock() - self.renewed_at < _lease() / 3:
            return True
        return self._note()

    def end(self) -> None:
        """Nobody scores the run any more, and nobody ended at it."""
        self._mine.update(owner="", expires_at=None, key="", first=None, last=None, lost=0)

    def _note(self, **place: object) -> bool:
        self.renewed_at = self.clock()
        return bool(self._mine.update(expires_at=self.renewed_at + _lease(), **place))

    @property
    def _mine(self) -> QuerySet[ScoringTurn]:
        return ScoringTurn.objects.filter(run=self.run, owner=self.owner)


def take_turn(run: ReplayRun, *, clock: Callable[[], datetime] = timezone.now) -> Turn | None:
    """The turn to score ``run``; None while another process has it."""
    now, owner = clock(), f"{os.getpid()}:{uuid.uuid4().hex[:12]}"
    ScoringTurn.objects.bulk_create([ScoringTurn(run=run)], ignore_conflicts=True)
    free = Q(expires_at__isnull=True) | Q(expires_at__lte=now)
    # A place that is still noted is where the process before us ended.
    ended = Case(When(first__isnull=False, then=F("lost") + 1), default=0)
    if not ScoringTurn.objects.filter(free, run=run).update(owner=owner, expires_at=now + _lease(), lost=ended):
        return None
    row = ScoringTurn.objects.get(run=run)
    return Turn(run, owner, row.key, row.last or 0, row.lost, clock, now)


def _lease() -> timedelta:
    return timedelta(seconds=setting("LEASE_SECONDS"))
