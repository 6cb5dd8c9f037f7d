"""The audit chain. Public surface: ``Actor``, ``record``, ``record_all`` with ``Link``, ``verify``,
``register_actions``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F

from evaluations.audit_actions import ACTIONS, register_actions
from evaluations.enums import AuditSource
from evaluations.models import AuditEvent, AuditHead, Team

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["Actor", "Link", "record", "record_all", "register_actions", "verify"]


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


def verify() -> str | None:
    """None if every link holds; else one sentence naming the first that does not."""
    previous, expected = "0" * 64, 1
    for event in AuditEvent.objects.order_by("sequence").iterator(chunk_size=2000):
        if event.sequence != expected:
            return f"audit event {expected} is missing"
        if event.previous_hash != previous or event.hash != link_hash(event):
            return f"audit event {event.sequence} was changed"
        previous, expected = event.hash, expected + 1
    head = AuditHead.objects.get(pk=1)
    if (head.sequence, head.hash) != (expected - 1, previous):
        return f"the chain ends at {expected - 1}, its head says {head.sequence}"
    return None
