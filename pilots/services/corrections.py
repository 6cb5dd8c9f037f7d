"""Setting the record right without editing it. Public surface: ``correct_event``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from evaluations.models import ModelVersion
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.enums import EventKind, Reason
from pilots.models import Pilot, PilotEvent
from pilots.services.appending import append_event
from pilots.services.drafts import Attachment, EventDraft, attachments_from, check


class Changes(TypedDict, total=False):
    """What a correction may replace; what is not named stays."""

    occurred_at: datetime
    traffic_share: Decimal | None  # on the candidate
    reason: Reason
    to_model: ModelVersion
    note: str
    observed_from: date
    review_on: date  # of running alongside
    void: bool  # True: it never happened; False: it did after all


def correct_event(
    *,
    pilot: Pilot,
    by: Actor,
    at: datetime,
    event: PilotEvent,
    why: str,
    attachments: Iterable[Attachment | str] = (),
    version: int | None = None,
    **changes: Unpack[Changes],
) -> PilotEvent:
    """A new event that names ``event`` and replaces some of its facts. Later corrections win, field by field.

    Raises ``Refused`` when nothing changes, when ``event`` is a correction or another pilot's, and when the pilot's
    life would no longer be possible; ``Conflict`` when somebody else was faster.
    """
    if event.pilot_id != pilot.pk:
        raise Refused("that event belongs to another pilot", field="corrects")
    if event.kind is EventKind.CORRECTED:
        raise Refused("correct the original event again, not its correction", field="corrects")
    if not why.strip():
        raise Refused("a correction says why", field="note")
    if not changes:
        raise Refused("a correction changes something: name what", field="corrects")
    added = attachments_from(attachments)
    data = _stored(changes)
    newest = event.corrections.order_by("-occurred_at", "-seq").first()
    if newest is not None and newest.data == data and newest.actor == by.name[:200]:
        return newest
    check(_as_changed(event, changes, added), at=at)
    draft = EventDraft(kind=EventKind.CORRECTED, occurred_at=at, note=why, attachments=added, corrects=event, data=data)
    return append_event(pilot=pilot, by=by, at=at, draft=draft, version=version)


def _stored(changes: Changes) -> dict[str, Any]:
    """As JSON, in the form that ``pilots.facts.corrected`` reads."""
    data: dict[str, Any] = dict(changes)
    if "occurred_at" in changes:
        data["occurred_at"] = changes["occurred_at"].astimezone(UTC).isoformat()
    if "traffic_share" in changes:
        share = changes["traffic_share"]
        data["traffic_share"] = None if share is None else str(share)
    if "to_model" in changes:
        data["to_model"] = changes["to_model"].slug
    data |= _days(changes)
    if "reason" in changes:
        data["reason"] = changes["reason"].value
    return data


def _as_changed(event: PilotEvent, changes: Changes, added: tuple[Attachment, ...]) -> EventDraft:
    """The event as it would read: it has to meet the rules of its kind like a new one."""
    attached = tuple(Attachment(item.kind, item.reference) for item in event.attachments.all())
    draft = EventDraft(
        kind=event.kind,
        occurred_at=changes.get("occurred_at", event.occurred_at),
        traffic_share=changes.get("traffic_share", event.traffic_share),
        reason=changes.get("reason", event.reason),
        to_model=changes.get("to_model", event.to_model),
        note=changes.get("note", event.note),
        attachments=attached + added,
        data=event.data,
    )
    return replace(draft, data={**event.data, **_days(changes)})


def _days(changes: Changes) -> dict[str, str]:
    days = {"observed_from": changes.get("observed_from"), "review_on": changes.get("review_on")}
    return {name: day.isoformat() for name, day in days.items() if day is not None}
