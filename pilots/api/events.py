"""What happens to a pilot: the one way to change its state over the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.http import Http404
from rest_framework.request import Request

from evaluations.models import ModelVersion
from evaluations.models.fields import normalised
from evaluations.services.errors import Refused
from pilots.api.base import Answer, operation
from pilots.api.catalogue import named
from pilots.api.describe import Instant, Page
from pilots.api.pages import PageQuery, page_of
from pilots.api.pilots import OfAPilot
from pilots.enums import EventKind, EventSource, PilotStatus, Reason
from pilots.models import Pilot, PilotEvent
from pilots.selectors.evidence import newest_reading
from pilots.services import lifecycle
from pilots.services.corrections import correct_event
from pilots.services.drafts import share_kept
from pilots.services.portfolio_document import Entry


@dataclass(frozen=True, slots=True)
class EventDocument:
    seq: int  # order of recording
    kind: EventKind
    occurred_at: Instant
    recorded_at: Instant
    actor: str
    source: EventSource
    traffic_share: Decimal | None  # on the candidate from then on
    reason: Reason | None
    to_model: str | None
    note: str
    attachments: tuple[str, ...]  # kind:reference
    corrects: int | None  # seq of the event that this one corrects
    data: dict[str, Any]  # what only this kind carries: the verdict as it stood, the review day, ...


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with what the pilot has become by it."""

    event: EventDocument
    status: PilotStatus
    version: int


class NewEvent(Entry):
    """Which of the keys a kind needs is what its refusal says; those that it has no use for are refused."""

    kind: EventKind
    occurred_at: Instant | None = None  # None: now
    traffic_share: Decimal | None = None
    reason: Reason | None = None
    to_model: str | None = None
    attachments: list[str] = []
    note: str = ""
    corrects: int | None = None  # seq
    review_on: date | None = None  # of running alongside
    observed_from: date | None = None  # of a cutover: known about only from that day on
    void: bool | None = None  # of a correction: it never happened, or did after all
    version: int | None = None  # the pilot's, as it was read; another one since then is a conflict


def _events(rows: Sequence[PilotEvent]) -> Iterator[EventDocument]:
    for row in rows:
        yield EventDocument(
            seq=row.seq,
            kind=row.kind,
            occurred_at=row.occurred_at,
            recorded_at=row.recorded_at,
            actor=row.actor,
            source=row.source,
            traffic_share=None if row.traffic_share is None else normalised(row.traffic_share),
            reason=row.reason or None,
            to_model=row.to_model.slug if row.to_model else None,
            note=row.note,
            attachments=tuple(map(str, row.attachments.all())),
            corrects=row.corrects.seq if row.corrects else None,
            data=row.data,
        )


def _decide(pilot: Pilot, body: NewEvent, common: Mapping[str, Any], go: bool) -> PilotEvent:
    """With the verdict as it stands, where one was read; a no-go needs none."""
    reading = newest_reading(pilot)
    if not go and reading is None:
        return lifecycle.record_declined(pilot=pilot, **common)
    snapshot = None if reading is None else reading.snapshot()
    rest = {name: value for name, value in common.items() if name != "note"}
    return lifecycle.decide(pilot=pilot, go=go, rationale=body.note, verdict=snapshot, **rest)


def _share(body: NewEvent) -> Decimal:
    if body.traffic_share is None:
        raise Refused("is needed: the share of traffic on the candidate, between 0 and 1", field="traffic_share")
    return body.traffic_share


def _alongside(pilot: Pilot, body: NewEvent, common: Mapping[str, Any]) -> PilotEvent:
    if body.review_on is None:
        raise Refused("is needed: the day on which running alongside is reviewed", field="review_on")
    return lifecycle.record_alongside(pilot=pilot, share=_share(body), review_on=body.review_on, **common)


def _cutover(pilot: Pilot, body: NewEvent, common: Mapping[str, Any]) -> PilotEvent:
    share = Decimal(1) if body.traffic_share is None else body.traffic_share
    return lifecycle.record_cutover(pilot=pilot, share=share, observed_from=body.observed_from, **common)


def _rollback(pilot: Pilot, body: NewEvent, common: Mapping[str, Any]) -> PilotEvent:
    if body.reason is None:
        raise Refused("a rollback needs its reason", field="reason")
    kept = Decimal(0) if body.traffic_share is None else share_kept(body.traffic_share)
    return lifecycle.record_rollback(
        pilot=pilot, reason=body.reason, share_moved_back=1 - kept, to_model=_model(body), **common
    )


def _superseded(pilot: Pilot, body: NewEvent, common: Mapping[str, Any]) -> PilotEvent:
    model = _model(body)
    if model is None:
        raise Refused("a move to a third model names that model", field="to_model")
    return lifecycle.record_superseded(pilot=pilot, to_model=model, **common)


def _corrected(pilot: Pilot, body: NewEvent, common: Mapping[str, Any]) -> PilotEvent:
    event = PilotEvent.objects.filter(pilot=pilot, seq=body.corrects or 0).first()
    if event is None:
        raise Refused("names the event to correct by its seq in this pilot", field="corrects")
    share = body.traffic_share
    if share is not None and event.kind is EventKind.ROLLBACK:
        share = share_kept(share)
    changes = {
        "occurred_at": body.occurred_at,
        "traffic_share": share,
        "reason": body.reason,
        "to_model": _model(body),
        "observed_from": body.observed_from,
        "review_on": body.review_on,
        "void": body.void,
    }
    rest = {name: value for name, value in common.items() if name not in ("note", "occurred_at")}
    made: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    return correct_event(pilot=pilot, event=event, why=body.note, **made, **rest)


def _model(body: NewEvent) -> ModelVersion | None:
    return None if body.to_model is None else named(ModelVersion, body.to_model, field="to_model")


def _opened(pilot: Pilot, body: NewEvent, common: Mapping[str, Any]) -> PilotEvent:
    raise Refused("the pilot is open already: a new one is opened by a POST to pilots", field="kind")


@dataclass(frozen=True, slots=True)
class _Kind:
    record: Callable[[Pilot, NewEvent, Mapping[str, Any]], PilotEvent]
    uses: frozenset[str] = frozenset()  # keys beyond those that every event may carry


def _kind(record: Callable[..., PilotEvent], *uses: str) -> _Kind:
    return _Kind(record, frozenset(uses))


_EVERY = frozenset({"kind", "occurred_at", "attachments", "note", "version"})
# ``planned`` and ``evaluating`` follow from freezing the plan and from the first replay.
KINDS: Mapping[EventKind, _Kind] = {
    EventKind.OPENED: _kind(_opened),
    EventKind.DECIDED: _kind(lambda pilot, body, common: _decide(pilot, body, common, True)),
    EventKind.APPROVED: _kind(lambda pilot, body, common: lifecycle.approve_decision(pilot=pilot, **common)),
    EventKind.RAMP: _kind(
        lambda pilot, body, common: lifecycle.record_ramp(pilot=pilot, share=_share(body), **common), "traffic_share"
    ),
    EventKind.ALONGSIDE: _kind(_alongside, "traffic_share", "review_on"),
    EventKind.CUTOVER: _kind(_cutover, "traffic_share", "observed_from"),
    EventKind.FOLLOW_UP: _kind(
        lambda pilot, body, common: lifecycle.record_follow_up(pilot=pilot, to_model=_model(body), **common), "to_model"
    ),
    EventKind.ROLLBACK: _kind(_rollback, "traffic_share", "reason", "to_model"),
    EventKind.SUPERSEDED: _kind(_superseded, "to_model"),
    EventKind.ENDED: _kind(lambda pilot, body, common: lifecycle.record_ended(pilot=pilot, **common)),
    EventKind.DECLINED: _kind(lambda pilot, body, common: _decide(pilot, body, common, False)),
    EventKind.ABANDONED: _kind(lambda pilot, body, common: lifecycle.record_abandoned(pilot=pilot, **common)),
    EventKind.CLOSED: _kind(lambda pilot, body, common: lifecycle.close_pilot(pilot=pilot, **common)),
    EventKind.CORRECTED: _kind(
        _corrected, "corrects", "traffic_share", "reason", "to_model", "observed_from", "review_on", "void"
    ),
}


class Events(OfAPilot):
    @operation(
        "list_events", "List what happened to a pilot, as recorded", answers=Page[EventDocument], query=PageQuery
    )
    def get(self, request: Request, slug: str, query: PageQuery) -> Page[EventDocument]:
        rows = PilotEvent.objects.filter(pilot=self.pilot(slug)).select_related("to_model", "corrects")
        return page_of(request, query, rows.prefetch_related("attachments"), _events, order="seq")

    @operation(
        "record_event",
        "Record what happened to a pilot",
        answers=RecordedEvent,
        status=HTTPStatus.CREATED,
        body=NewEvent,
    )
    def post(self, request: Request, slug: str, body: NewEvent) -> Answer:
        """The same event again from the same person is answered with the one on record."""
        pilot = self.pilot(slug, managed=True)
        kind = KINDS.get(body.kind)
        if kind is None:
            raise Refused(f"{body.kind} is recorded by the system", field="kind")
        for name in body.__struct_fields__:
            empty = NewEvent(kind=body.kind)
            if name not in kind.uses | _EVERY and getattr(body, name) != getattr(empty, name):
                raise Refused(f"has no meaning for {body.kind}", field=name)
        common = {
            "by": self.actor,
            "at": self.now,
            "occurred_at": body.occurred_at,
            "note": body.note,
            "attachments": body.attachments,
            "version": body.version,
        }
        event = kind.record(pilot, body, common)
        return Answer(RecordedEvent(next(_events([event])), pilot.status, pilot.version))


class OneEvent(OfAPilot):
    @operation("read_event", "Read one event", answers=EventDocument)
    def get(self, request: Request, slug: str, seq: int) -> EventDocument:
        rows = PilotEvent.objects.filter(pilot=self.pilot(slug), seq=seq).select_related("to_model", "corrects")
        for document in _events(list(rows.prefetch_related("attachments"))):
            return document
        raise Http404
