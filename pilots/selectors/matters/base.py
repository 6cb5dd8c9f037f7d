"""One line of the attention list, and what a kind looks at. Public surface: ``Matter``, ``Action``, ``Scope``,
``days``, ``midnight``, ``working_days_after``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from django.db.models import QuerySet

from evaluations.models import Team, Workload
from pilots.enums import MatterKind
from pilots.models import Pilot

Tone = Literal["bad", "caution", "unknown"]


@dataclass(frozen=True, slots=True)
class Action:
    """The one thing to do about it."""

    words: str
    page: str  # its name in ``pilots.urls``
    of: str = ""  # what the page is of: a pilot's slug, the number of a run or a webhook; '': it is of nothing
    query: str = ""  # of its address; without the question mark


@dataclass(frozen=True, slots=True)
class Matter:
    """One line of the list. ``subject`` is what it is about: a pilot's slug, a model, an address."""

    kind: MatterKind
    key: str  # the same matter keeps it, another one about the same subject has another
    tone: Tone
    subject: str
    words: str  # why
    team: str  # slug; '': of no team alone
    pilot: str  # slug; '': not about one pilot
    run: int | None  # the run to look at
    urgency: int  # days overdue; of what is due later, 0
    stake: str  # what waiting costs, in words; '': not known
    days: int | None  # at stake: gone already, or left; None: not counted in days
    amount: Decimal | None  # of money at stake; None: not known
    currency: str  # of the amount; '': none
    due_on: date | None  # None: no day is agreed
    since: datetime | None  # when it came up; None: not known
    size: int  # grows when more is at stake, not because a day has passed
    action: Action


@dataclass(frozen=True, slots=True)
class Scope:
    """What somebody's list is about."""

    pilots: QuerySet[Pilot]
    teams: QuerySet[Team]
    workloads: QuerySet[Workload]
    unassigned: bool  # also what belongs to no workload yet
    at: datetime

    @property
    def today(self) -> date:
        return self.at.astimezone(UTC).date()


Source = Callable[[Scope], Iterable[Matter]]


def days(n: int) -> str:
    return f"{n:,} day{'' if n == 1 else 's'}"


def midnight(day: date) -> datetime:
    """The first instant of the day, in UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)


def working_days_after(day: date, n: int) -> date:
    """The ``n``-th day from Monday to Friday after ``day``; public holidays are not known here."""
    weeks, rest = divmod(n, 5)
    # Saturday and Sunday count as the Friday before.
    start = day - timedelta(days=max(day.weekday() - 4, 0))
    found = start + timedelta(weeks=weeks, days=rest)
    return found + timedelta(days=2) if rest and start.weekday() + rest > 4 else found
