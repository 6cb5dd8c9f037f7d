"""What is known of a pilot, as plain values. Public surface: ``Model``, ``Switch``, ``Event``, ``corrected``,
``changes_of``, ``changed``, ``Problem``, ``Spell``, ``Timeline``.

No Django, no database: ``pilots.timeline`` turns events into a timeline. Days are UTC dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from pilots.enums import EventKind, Motive, PilotStatus, Reason, SpellEnd


@dataclass(frozen=True, slots=True)
class Model:
    """What the clock needs to know of a model version."""

    slug: str
    vendor: str  # slug
    family: str = ""  # '': a family of its own
    retirement_announced_on: date | None = None
    retires_on: date | None = None  # first day on which it no longer answers

    def same_line_as(self, other: Model) -> bool:
        """Whether moving from one to the other is an upgrade: same vendor and family."""
        if self.slug == other.slug:
            return True
        return bool(self.family) and (self.vendor, self.family) == (other.vendor, other.family)


@dataclass(frozen=True, slots=True)
class Switch:
    """What a pilot tries: from which model to which, and why."""

    incumbent: Model
    candidate: Model
    motive: Motive | None = None

    def forced(self, cutover_on: date, within_days: int) -> bool:
        """Whether a cutover on that day was forced by the incumbent's retirement, and so not chosen."""
        if self.motive is Motive.RETIREMENT:
            return True
        if self.incumbent.retirement_announced_on is not None:
            return cutover_on >= self.incumbent.retirement_announced_on
        retires_on = self.incumbent.retires_on
        return retires_on is not None and cutover_on >= retires_on - timedelta(days=within_days)


class Event(NamedTuple):
    """One recorded event. ``digest`` says what happened: equal digests are the same event."""

    kind: EventKind
    occurred_at: datetime
    digest: str
    traffic_share: Decimal | None = None  # on the candidate from here on; None: not said
    reason: Reason | None = None
    to_model: str = ""  # slug
    corrects: str = ""  # digest of the event that this correction names
    data: Mapping[str, Any] = MappingProxyType({})

    @property
    def day(self) -> date:
        return self.occurred_at.astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class Problem:
    """An event that cannot have happened as told, and the rule it breaks. The rest is read without it."""

    event: Event
    rule: str


@dataclass(slots=True)
class Spell:
    """One unbroken time on the candidate. ``model`` is what runs now: the candidate or, upgraded, its successor."""

    number: int
    started_at: datetime
    started_on: date
    observed_from_on: date  # late entry: known about only from here on
    forced: bool
    against_verdict: bool
    decision_at_cutover: str  # '': no verdict had been read
    model: str
    last_confirmed_on: date
    confirmations: list[tuple[date, str]]  # day and digest of each event that shows it was on the candidate
    upgraded: bool = False
    ended_on: date | None = None
    end_kind: SpellEnd | None = None
    end_reason: Reason | None = None
    end_model: str = ""
    returned_to_vendor: bool = False  # ended on a model of the incumbent's vendor
    back_on_incumbent: bool = False  # ended on the incumbent model itself


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where a pilot stands after its events, and every time it spent on the candidate."""

    status: PilotStatus
    status_at: datetime | None  # None: nothing has happened
    traffic_share: Decimal | None  # on the candidate; None: never said
    opened_at: datetime | None  # the first event, whatever its kind
    closed_at: datetime | None
    ramped: bool  # some traffic was moved before or without a cutover
    decision: str  # latest verdict that a decision was taken on; ''
    decided_by_event: str  # digest of the decision in force, go or no-go; '': none is on record
    against_verdict: bool  # that decision overruled it
    awaiting_approval: bool  # that decision needs a second person, and nobody else has agreed yet
    review_on: date | None  # running alongside: day on which that is reviewed; None: no day was agreed
    spells: tuple[Spell, ...]
    problems: tuple[Problem, ...]
    share_on: date | None = None  # when that share was recorded; None: never said


def corrected(events: Iterable[Event]) -> list[Event]:
    """Each event once, with its corrections worked in (later ones win, field by field), voided ones left out."""
    distinct = {event.digest: event for event in events}
    changes = changes_of(distinct.values())
    return [
        changed(event, changes.get(event.digest, {}))
        for event in distinct.values()
        if event.kind is not EventKind.CORRECTED and not changes.get(event.digest, {}).get("void")
    ]


def changes_of(events: Iterable[Event]) -> dict[str, dict[str, Any]]:
    """What the corrections among ``events`` make of each event they name, by its digest."""
    corrections = [event for event in events if event.kind is EventKind.CORRECTED]
    changes: dict[str, dict[str, Any]] = {}
    for correction in sorted(corrections, key=lambda event: (event.occurred_at, event.digest)):
        changes.setdefault(correction.corrects, {}).update(correction.data)
    return changes


def changed(event: Event, change: Mapping[str, Any]) -> Event:
    """The event as it reads with ``change``; whether it is void is not said."""
    if not change:
        return event
    share = change.get("traffic_share", event.traffic_share)
    told = {name: change[name] for name in ("observed_from", "review_on") if change.get(name)}
    return event._replace(
        occurred_at=datetime.fromisoformat(change["occurred_at"]) if "occurred_at" in change else event.occurred_at,
        traffic_share=None if share is None else Decimal(share),
        reason=Reason(change["reason"]) if change.get("reason") else event.reason,
        to_model=change.get("to_model", event.to_model),
        data={**event.data, **told} if told else event.data,
    )
