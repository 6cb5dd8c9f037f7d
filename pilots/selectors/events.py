"""What happened to a pilot, in order. Public surface: ``events_of``, ``Entry``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from evaluations.enums import Decision
from pilots.enums import AttachmentKind, EventKind, EventSource, Reason
from pilots.models import Pilot, PilotEvent


@dataclass(frozen=True, slots=True)
class Attachment:
    kind: AttachmentKind
    reference: str
    run: int | None  # the replay run it names, where it does


@dataclass(frozen=True, slots=True)
class Entry:
    seq: int
    kind: EventKind
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    source: EventSource
    traffic_share: Decimal | None
    reason: Reason | None
    to_model: str  # '': none
    note: str
    attachments: tuple[Attachment, ...]
    corrects: int | None  # seq of the event that this one corrects
    corrected_by: int | None  # seq of the event that corrects this one
    decision: Decision | None  # verdict stored with it
    go: bool | None  # for a decision: go or no-go


def events_of(pilot: Pilot, *, newest: int | None = None) -> tuple[Entry, ...]:
    """Events by the instant they happened, newest first; only the ``newest`` so many where given."""
    events = list(
        PilotEvent.objects.filter(pilot=pilot)
        .select_related("to_model", "corrects")
        .prefetch_related("attachments")
        .order_by("-occurred_at", "-seq")
    )
    corrected = {event.corrects_id: event.seq for event in events if event.corrects_id}
    return tuple(
        Entry(
            seq=event.seq,
            kind=event.kind,
            occurred_at=event.occurred_at,
            recorded_at=event.recorded_at,
            actor=event.actor,
            source=event.source,
            traffic_share=event.traffic_share,
            reason=event.reason or None,
            to_model=event.to_model.slug if event.to_model else "",
            note=event.note,
            attachments=tuple(_attachment(row.kind, row.reference) for row in event.attachments.all()),
            corrects=event.corrects.seq if event.corrects else None,
            corrected_by=corrected.get(event.pk),
            decision=_decision(event.data.get("decision")),
            go=event.data.get("go"),
        )
        for event in events[:newest]
    )


def _attachment(kind: AttachmentKind, reference: str) -> Attachment:
    is_run = kind == AttachmentKind.REPLAY_RUN and reference.isascii() and reference.isdigit() and len(reference) < 19
    return Attachment(kind, reference, int(reference) if is_run else None)


def _decision(value: object) -> Decision | None:
    return Decision(value) if isinstance(value, str) and value in list(Decision) else None
