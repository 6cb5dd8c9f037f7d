"""What happened to a pilot, in order.

Public surface: ``events_of``, ``Entry``, ``standing_event``, ``StandingEvent``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from evaluations.enums import Decision
from pilots.enums import AttachmentKind, EventKind, EventSource, Reason
from pilots.facts import changed, changes_of
from pilots.formats import day, percent
from pilots.models import Pilot, PilotEvent
from pilots.selectors.timelines import histories, known_models


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
    corrected_by: int | None  # seq of the newest event that corrects this one
    voided: bool  # by a correction that still stands: it never happened
    changes: tuple[tuple[str, str], ...]  # of a correction: what it sets right, and what that is now
    decision: Decision | None  # verdict stored with it
    go: bool | None  # for a decision: go or no-go

    @property
    def correctable(self) -> bool:
        """Whether a person may set it right: not the system's own events, nor what is itself a correction."""
        return self.kind not in (EventKind.PLANNED, EventKind.EVALUATING, EventKind.CORRECTED)


def events_of(pilot: Pilot, *, newest: int | None = None) -> tuple[Entry, ...]:
    """Events by the instant they happened, newest first; only the ``newest`` so many where given."""
    events = list(
        PilotEvent.objects.filter(pilot=pilot)
        .select_related("to_model", "corrects")
        .prefetch_related("attachments")
        .order_by("-occurred_at", "-seq")
    )
    corrections = sorted((event for event in events if event.corrects_id), key=attrgetter("occurred_at", "digest"))
    corrected = {event.corrects_id: event.seq for event in corrections}
    voided = {event.corrects_id: bool(event.data["void"]) for event in corrections if "void" in event.data}
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
            voided=voided.get(event.pk, False),
            changes=tuple(_changes(event.data)) if event.corrects_id else (),
            decision=_decision(event.data.get("decision")),
            go=event.data.get("go"),
        )
        for event in events[:newest]
    )


@dataclass(frozen=True, slots=True)
class StandingEvent:
    """One event as it reads after every correction of it so far."""

    seq: int
    kind: EventKind
    occurred_at: datetime
    traffic_share: Decimal | None  # on the candidate
    reason: Reason | None
    to_model: str  # slug; '': none
    observed_from: date | None
    review_on: date | None
    voided: bool


def standing_event(pilot: Pilot, seq: int) -> StandingEvent | None:
    """The event of that number as it stands; None where there is none, or where it is itself a correction."""
    digest = PilotEvent.objects.filter(pilot=pilot, seq=seq).values_list("digest", flat=True).first()
    told = dict(histories(PilotEvent.objects.filter(pilot=pilot), known_models())).get(pilot.pk, [])
    original = next((event for event in told if event.digest == digest), None)
    if original is None or original.kind is EventKind.CORRECTED:
        return None
    change = changes_of(told).get(original.digest, {})
    event = changed(original, change)
    return StandingEvent(
        seq=seq,
        kind=event.kind,
        occurred_at=event.occurred_at,
        traffic_share=event.traffic_share,
        reason=event.reason or None,
        to_model=event.to_model,
        observed_from=_day(event.data.get("observed_from")),
        review_on=_day(event.data.get("review_on")),
        voided=bool(change.get("void")),
    )


def _day(text: object) -> date | None:
    return date.fromisoformat(text) if isinstance(text, str) else None


def _changes(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """In the order of a form; what an older version has stored and nobody reads any more is left out."""
    if "void" in data:
        yield "It", "never happened" if data["void"] else "happened after all"
    if "occurred_at" in data:
        yield "Happened", f"{datetime.fromisoformat(data['occurred_at']):%Y-%m-%d %H:%M} UTC"
    if data.get("traffic_share") is not None:
        yield "Traffic on the candidate", percent(Decimal(data["traffic_share"])) or ""
    if data.get("reason"):
        yield "Reason", Reason(data["reason"]).label
    if data.get("to_model"):
        yield "To", data["to_model"]
    if data.get("observed_from"):
        yield "Observed from", day(date.fromisoformat(data["observed_from"])) or ""
    if data.get("review_on"):
        yield "Next review", day(date.fromisoformat(data["review_on"])) or ""
    if data.get("note"):
        yield "Note", data["note"]


def _attachment(kind: AttachmentKind, reference: str) -> Attachment:
    is_run = kind == AttachmentKind.REPLAY_RUN and reference.isascii() and reference.isdigit() and len(reference) < 19
    return Attachment(kind, reference, int(reference) if is_run else None)


def _decision(value: object) -> Decision | None:
    return Decision(value) if isinstance(value, str) and value in list(Decision) else None
