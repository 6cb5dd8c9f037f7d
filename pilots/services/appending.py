"""The one way an event gets into a pilot's history. Public surface: ``append_event``; its doors are ``lifecycle``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from evaluations.enums import AuditSource
from evaluations.services.audit import Actor, register_actions
from evaluations.services.audit import record as record_audit
from evaluations.services.errors import Conflict, Refused
from pilots.conf import setting
from pilots.enums import EventKind, EventSource, PilotStatus
from pilots.facts import Event, Problem, Timeline
from pilots.models import EventAttachment, Pilot, PilotEvent
from pilots.selectors.timelines import histories, known_models, switch_of
from pilots.services.drafts import EventDraft, check
from pilots.services.notices import tell_of_event
from pilots.services.projection import Projection, claim, faster, write_projections
from pilots.timeline import read

# kind -> name in the audit chain, words for the page
AUDITED: dict[EventKind, tuple[str, str]] = {
    EventKind.OPENED: ("pilot.opened", "opened pilot"),
    EventKind.PLANNED: ("pilot.planned", "recorded the frozen plan of"),
    EventKind.EVALUATING: ("pilot.evaluating", "recorded the first replay of"),
    EventKind.DECIDED: ("pilot.decided", "decided to go ahead with"),
    EventKind.APPROVED: ("pilot.approved", "approved the decision on"),
    EventKind.RAMP: ("pilot.ramped", "recorded a traffic share of"),
    EventKind.CUTOVER: ("pilot.cutover", "recorded the cutover of"),
    EventKind.FOLLOW_UP: ("pilot.followed_up", "confirmed"),
    EventKind.ROLLBACK: ("pilot.rolled_back", "recorded the rollback of"),
    EventKind.SUPERSEDED: ("pilot.superseded", "recorded a move to another model of"),
    EventKind.ENDED: ("pilot.ended", "recorded the end of the workload of"),
    EventKind.DECLINED: ("pilot.declined", "declined"),
    EventKind.ABANDONED: ("pilot.abandoned", "abandoned"),
    EventKind.ALONGSIDE: ("pilot.alongside", "recorded running alongside of"),
    EventKind.CLOSED: ("pilot.closed", "closed"),
    EventKind.CORRECTED: ("pilot.corrected", "corrected an event of"),
}
register_actions(dict(AUDITED.values()))

SOURCES = {
    AuditSource.WEB: EventSource.WEB,
    AuditSource.API: EventSource.API,
    AuditSource.COMMAND: EventSource.COMMAND,
    AuditSource.TASK: EventSource.SYSTEM,
}


# What a change may alter on the caller's instance, so that doors can be called one after the other.
CACHED = ("status", "status_at", "traffic_share", "closed_at", "last_seq", "version")


def append_event(*, pilot: Pilot, by: Actor, at: datetime, draft: EventDraft, version: int | None = None) -> PilotEvent:
    """Store one event with everything that follows from it, or nothing.

    ``at`` is the instant of recording. ``version`` is the pilot's version as the person saw it; None: as on ``pilot``.
    The same event again from the same actor returns the stored one. Raises ``Refused`` naming the rule, and
    ``Conflict`` when somebody else was faster.
    """
    check(draft, at=at)
    with transaction.atomic():
        stored = PilotEvent.objects.filter(pilot=pilot, digest=draft.digest).first()
        if stored is not None:
            return _again(stored, by)
        # A fresh copy: after a refusal the caller's instance is still what it was.
        current = Pilot.objects.select_related("workload__team", "incumbent", "candidate").get(pk=pilot.pk)
        seen = pilot.version if version is None else version
        if current.version != seen:
            raise Conflict(faster(current))
        try:
            timeline, event_ids = _extended(current, draft)
        except Refused:
            # The history was read after the version, perhaps with what somebody has committed in between.
            if Pilot.objects.filter(pk=current.pk).exclude(version=seen).exists():
                raise Conflict(faster(current)) from None
            raise
        event = stored_event(current, by, at, draft, seq=current.last_seq + 1)
        status_before = current.status
        claim(current, timeline, last_seq=event.seq, version=seen)
        event.save(force_insert=True)
        EventAttachment.objects.bulk_create(attachment_rows(event, draft))
        write_projections([Projection(current, timeline, {**event_ids, event.digest: event.pk})])
        record_audit(
            by=by,
            at=at,
            action=AUDITED[draft.kind][0],
            object_type="pilot",
            object_id=current.pk,
            object_label=current.slug,
            team=current.workload.team,
            data=_audited(event, status_before, current.status),
        )
        tell_of_event(event, current, at=at)
    for name in CACHED:
        setattr(pilot, name, getattr(current, name))
    return event


def stored_event(
    pilot: Pilot, by: Actor, at: datetime, draft: EventDraft, *, seq: int, source: EventSource | None = None
) -> PilotEvent:
    """The unsaved row of a draft."""
    return PilotEvent(
        pilot=pilot,
        seq=seq,
        kind=draft.kind,
        occurred_at=draft.occurred_at,
        recorded_at=at,
        actor=by.name[:200],
        source=source or SOURCES[by.source],
        traffic_share=draft.traffic_share,
        reason=draft.reason or "",
        to_model=draft.to_model,
        note=draft.note,
        corrects=draft.corrects,
        data=dict(draft.data),
        digest=draft.digest,
    )


def attachment_rows(event: PilotEvent, draft: EventDraft) -> list[EventAttachment]:
    return [EventAttachment(event=event, kind=item.kind, reference=item.reference) for item in draft.attachments]


def new_problem(before: Timeline, after: Timeline, own: Collection[str]) -> Problem | None:
    """The first rule that is broken now and was not before; one broken by the ``own`` events (digests) if there is."""
    known = {(problem.event.digest, problem.rule) for problem in before.problems}
    fresh = [problem for problem in after.problems if (problem.event.digest, problem.rule) not in known]
    return min(fresh, key=lambda problem: problem.event.digest not in own, default=None)


def contradiction(problem: Problem) -> str:
    """The sentence for a new event that rules out one already on record."""
    told = f"{problem.event.kind.label} on {problem.event.day}"
    return f"this contradicts what is on record: {told} ({problem.rule}); correct that first"


def _again(stored: PilotEvent, by: Actor) -> PilotEvent:
    """The event is on record already: a repeat of the same actor's is answered with it, another's is refused."""
    if stored.actor != by.name[:200]:
        raise Conflict(f"somebody was faster: {stored.actor} has recorded exactly this already")
    if stored.corrections.filter(data__void=True).exists():
        raise Refused("exactly this event was recorded and then voided: correct it with void: false to reinstate it")
    return stored


def _extended(pilot: Pilot, draft: EventDraft) -> tuple[Timeline, dict[str, int]]:
    """The timeline with ``draft`` in it, if that is legal, and the primary keys of the events so far by digest."""
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    events = PilotEvent.objects.filter(pilot=pilot)
    history: list[Event] = dict(histories(events, models)).get(pilot.pk, [])
    switch, within = switch_of(pilot, models), setting("FORCED_WITHIN_DAYS")
    before = read(history, switch, by_slug, forced_within_days=within)
    after = read([*history, draft.as_event()], switch, by_slug, forced_within_days=within)
    own = {draft.digest, draft.corrects.digest if draft.corrects else ""}
    problem = new_problem(before, after, own)
    if problem is not None:
        raise Refused(problem.rule if problem.event.digest in own else contradiction(problem))
    return after, dict(events.values_list("digest", "pk"))


def _audited(event: PilotEvent, before: PilotStatus, after: PilotStatus) -> dict[str, object]:
    """What the audit row says of the event; empty facts are left out."""
    facts = {
        "event": event.seq,
        "occurred_at": event.occurred_at.isoformat(),
        "from": before.value,
        "to": after.value,
        "traffic_share": None if event.traffic_share is None else str(event.traffic_share),
        "reason": event.reason and str(event.reason),
        "to_model": event.to_model.slug if event.to_model else None,
        "corrects": event.corrects.seq if event.corrects else None,
        "against_verdict": event.data.get("against_verdict"),
    }
    return {name: fact for name, fact in facts.items() if fact}
