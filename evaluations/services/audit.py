"""The audit chain. Public surface: ``Actor``, ``record``, ``record_all`` with ``Link``, ``check_chain`` with ``Chain``
and ``Break``, ``verify``, ``register_actions``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from django.db import transaction
from django.db.models import F

from evaluations.audit_actions import ACTIONS, register_actions
from evaluations.enums import AuditSource
from evaluations.models import AuditEvent, AuditHead, Team

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "Actor",
    "Break",
    "Chain",
    "Link",
    "check_chain",
    "record",
    "record_all",
    "register_actions",
    "verify",
]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and through which door."""

    name: str
    source: AuditSource
    user: User | None = None

    @classmethod
    def person(cls, user: User, source: AuditSource = AuditSource.WEB) -> Actor:
        return cls(name=user.get_username(), source=source, user=user)

    @classmethod
    def command(cls, name: str) -> Actor:
        return cls(name=f"manage.py {name}", source=AuditSource.COMMAND)

    @classmethod
    def task(cls, name: str) -> Actor:
        return cls(name=name, source=AuditSource.TASK)


def record(
    *,
    by: Actor,
    at: datetime,
    action: str,
    object_type: str,
    object_id: object,
    object_label: str,
    team: Team | None = None,
    data: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Add one link to the chain, inside the caller's transaction: no audit row, no change.

    Raises ``KeyError`` for an unregistered action and ``RuntimeError`` outside a transaction.
    """
    link = Link(
        action=action,
        object_type=object_type,
        object_id=object_id,
        object_label=object_label,
        team=team,
        data=data or {},
    )
    return record_all([link], by=by, at=at)[0]


@dataclass(frozen=True, slots=True)
class Link:
    """What one audit event is to say."""

    action: str
    object_type: str
    object_id: object
    object_label: str
    team: Team | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def record_all(links: Sequence[Link], *, by: Actor, at: datetime) -> list[AuditEvent]:
    """Many links at once, for changes in bulk; otherwise as ``record``."""
    for link in links:
        ACTIONS[link.action]
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an audit event belongs to the transaction of the change it records")
    if not links:
        return []
    # Moving the head first takes its row lock: links are added one after the other on every database.
    AuditHead.objects.filter(pk=1).update(sequence=F("sequence") + len(links))
    head = AuditHead.objects.get(pk=1)
    events: list[AuditEvent] = []
    previous = head.hash
    for sequence, link in enumerate(links, head.sequence - len(links) + 1):
        event = AuditEvent(
            sequence=sequence,
            at=at,
            actor=by.name[:200],
            source=by.source,
            action=link.action,
            team=link.team.slug if link.team else "",
            object_type=link.object_type,
            object_id=str(link.object_id),
            object_label=link.object_label[:200],
            data=dict(link.data),
            previous_hash=previous,
        )
        event.hash = previous = link_hash(event)
        events.append(event)
    AuditEvent.objects.bulk_create(events, batch_size=500)
    AuditHead.objects.filter(pk=1).update(hash=previous)
    return events


def link_hash(event: AuditEvent) -> str:
    """sha256 over the row's content in canonical JSON, the previous hash included."""
    content = [
        event.sequence,
        event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        event.actor,
        str(event.source),
        event.action,
        event.team,
        event.object_type,
        event.object_id,
        event.object_label,
        event.data,
        event.previous_hash,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the chain does not hold."""

    kind: Literal["changed", "inserted", "missing", "unlinked", "head"]
    sequence: int  # of the event; of the first of several that are missing
    words: str

    def to_document(self) -> dict[str, Any]:
        return {"kind": self.kind, "sequence": self.sequence, "words": self.words}


@dataclass(frozen=True, slots=True)
class Chain:
    """What was found of the whole chain. Its last link, noted elsewhere, proves later that nothing was rewritten."""

    events: int
    sequence: int  # of the last event; 0: there is none
    hash: str  # of the last event
    breaks: tuple[Break, ...]  # in order; the first hundred

    @property
    def holds(self) -> bool:
        return not self.breaks

    def to_document(self) -> dict[str, Any]:
        return {
            "ok": self.holds,
            "events": self.events,
            "sequence": self.sequence,
            "hash": self.hash,
            "breaks": [broken.to_document() for broken in self.breaks],
        }


def check_chain(*, noted: tuple[int, str] | None = None) -> Chain:
    """Read every link, however many there are; events that are recorded meanwhile are read as well.

    ``noted`` is sequence and hash of a link as an earlier check said them: who can write to the database can also
    hash a whole chain anew, and only a link that was noted elsewhere shows that.
    """
    breaks: list[Break] = []
    previous = AuditEvent(sequence=0, hash="0" * 64)
    events, head = 0, AuditHead(sequence=-1)
    while True:
        before = head.sequence
        for event in AuditEvent.objects.filter(**_after(previous)).order_by("sequence").iterator(chunk_size=2000):
            events += 1
            breaks += _breaks(previous, event)
            if noted is not None and event.sequence == noted[0] and event.hash != noted[1]:
                breaks.append(Break("changed", event.sequence, f"audit event {event.sequence} is not the one noted"))
            del breaks[_BREAKS_AT_MOST:]
            if event.sequence > 0:
                previous = event
        head = AuditHead.objects.filter(pk=1).first() or AuditHead()
        if head.sequence in (before, previous.sequence) or head.sequence < previous.sequence:
            break  # else events were recorded while these were read
    if (end := _end_of(previous, head)) is not None:
        breaks.append(end)
    if noted is not None and noted[0] > previous.sequence and (end is None or end.kind != "missing"):
        breaks.append(Break("missing", noted[0], f"audit event {noted[0]}, which was noted, is missing"))
    return Chain(events, previous.sequence, previous.hash, tuple(breaks))


_BREAKS_AT_MOST = 100


def _after(previous: AuditEvent) -> dict[str, int]:
    return {"sequence__gt": previous.sequence} if previous.pk else {}


def _breaks(previous: AuditEvent, event: AuditEvent) -> Iterator[Break]:
    """What is wrong with ``event``, which was found after ``previous``."""
    number, expected = event.sequence, previous.sequence + 1
    if number < 1:
        yield Break("inserted", number, f"audit event {number} was inserted: the chain begins at 1")
        return
    if number > expected:
        gone = f"event {expected} is" if number == expected + 1 else f"events {expected} to {number - 1} are"
        yield Break("missing", expected, f"audit {gone} missing")
    if event.hash != link_hash(event):
        yield Break("changed", number, f"audit event {number} was changed")
    elif number == expected and event.previous_hash != previous.hash:
        yield Break("unlinked", number, f"audit event {number} does not follow from the one before it")


def _end_of(last: AuditEvent, head: AuditHead) -> Break | None:
    if head.sequence > last.sequence:
        return Break("missing", last.sequence + 1, f"the chain ends at {last.sequence}, its head says {head.sequence}")
    if head.sequence < last.sequence:
        first = head.sequence + 1
        return Break("inserted", first, f"audit events from {first} on were inserted: the head says {head.sequence}")
    if head.hash != last.hash:
        return Break("head", last.sequence, f"the head does not say the hash of audit event {last.sequence}")
    return None


def verify() -> str | None:
    """None if every link holds; else one sentence naming the first that does not."""
    return next((broken.words for broken in check_chain().breaks), None)
