"""Taking an import of past switches back. Public surface: ``undo_import``, ``Undone``,
``undone_events``, ``reinstated``.

Nothing is deleted: each event of the import is voided by a correction that names it, so that what was known before can
still be read. A pilot of which nothing stands any more is ``void`` and is left out everywhere else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from evaluations.services.audit import Actor, Link, record, record_all, register_actions
from evaluations.services.errors import Conflict, Refused
from pilots.conf import setting
from pilots.enums import EventKind, EventSource, UploadKind, UploadState
from pilots.facts import Event, Timeline, changes_of
from pilots.models import HistoryImport, Pilot, PilotEvent, Upload
from pilots.selectors.timelines import histories, known_models, switch_of
from pilots.services.appending import SOURCES, new_problem, stored_event
from pilots.services.drafts import EventDraft
from pilots.services.projection import Projection, claim, write_projections
from pilots.timeline import read

register_actions({"history.undone": "undid the import of", "pilot.import_undone": "voided the imported history of"})


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking an import back did."""

    key: int
    events: int  # voided now; some may have been voided before
    pilots: int

    def to_document(self) -> dict[str, Any]:
        return {"import": self.key, "events": self.events, "pilots": self.pilots}


def undo_import(*, key: int, by: Actor, at: datetime, teams: Collection[str] | None = None) -> Undone:
    """Void every event of the import, all or none; with ``teams`` (slugs) only where all its pilots are theirs.

    Raises ``Refused`` for an unknown import, and where something that was recorded later builds on it; ``Conflict``
    where it is undone already or a pilot changes meanwhile.
    """
    with transaction.atomic():
        row = HistoryImport.objects.filter(pk=key).first()
        if row is None:
            raise Refused(f"there is no import {key}", field="undo")
        if not HistoryImport.objects.filter(pk=key, undone_at=None).update(undone_at=at, undone_by=by.name[:200]):
            raise Conflict(f"import {key} is undone already")
        theirs = PilotEvent.objects.filter(
            source=EventSource.IMPORT, recorded_at=row.imported_at, data__import__id=row.pk
        ).select_related("corrects", "to_model")
        told: defaultdict[int, list[PilotEvent]] = defaultdict(list)
        for event in theirs.order_by("seq"):
            told[event.pilot_id].append(event)
        pilots = list(
            # Locked before anything of them is read, in the order in which their traffic is read: whoever records
            # something meanwhile is told so, and nobody waits for each other.
            Pilot.objects.select_for_update(of=("self",))
            .filter(pk__in=list(told))
            .select_related("workload__team", "incumbent", "candidate")
            .order_by("pk")
        )
        if teams is not None and any(pilot.workload.team.slug not in teams for pilot in pilots):
            raise Refused("it holds pilots of a team that you do not manage")
        voided = _void(row, pilots, told, by, at)
        Upload.objects.filter(history_import=row, kind=UploadKind.HISTORY).update(state=UploadState.UNDONE)
        record(
            by=by,
            at=at,
            action="history.undone",
            object_type="history_import",
            object_id=row.pk,
            object_label=row.file_name,
            data={"events": voided, "pilots": len(pilots)},
        )
    return Undone(row.pk, voided, len(pilots))


def _void(
    row: HistoryImport, pilots: Sequence[Pilot], told: Mapping[int, list[PilotEvent]], by: Actor, at: datetime
) -> int:
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    stored = PilotEvent.objects.filter(pilot__in=pilots)
    past = dict(histories(stored, models))
    ids: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for pilot_id, digest, pk in stored.values_list("pilot_id", "digest", "pk"):
        ids[pilot_id][digest] = pk
    later = _later(pilots, told)
    within = setting("FORCED_WITHIN_DAYS")
    fresh: list[PilotEvent] = []
    lives: list[tuple[Pilot, Timeline, int]] = []
    for pilot in pilots:
        history = past[pilot.pk]
        changes = changes_of(history)
        for event in later.get(pilot.pk, []):
            if not changes.get(event.digest, {}).get("void"):
                raise Refused(_in_the_way(pilot, event))
        drafts = [
            _voiding(row, target, at)
            for target in (event.corrects or event for event in told[pilot.pk])
            if not changes.get(target.digest, {}).get("void")
        ]
        switch = switch_of(pilot, models)
        before = read(history, switch, by_slug, forced_within_days=within)
        new: list[Event] = [draft.as_event() for draft in drafts]
        after = read([*history, *new], switch, by_slug, forced_within_days=within)
        problem = new_problem(before, after, ())
        if problem is not None:
            raise Refused(
                f"{pilot.slug}: {problem.event.kind.label} on {problem.event.day} builds on it ({problem.rule});"
                " correct that first"
            )
        fresh += [
            stored_event(pilot, by, at, draft, seq=pilot.last_seq + number, source=SOURCES[by.source])
            for number, draft in enumerate(drafts, 1)
        ]
        lives.append((pilot, after, len(drafts)))
    PilotEvent.objects.bulk_create(fresh, batch_size=500)
    for event in fresh:
        ids[event.pilot_id][event.digest] = event.pk
    for pilot, timeline, n in lives:
        claim(pilot, timeline, last_seq=pilot.last_seq + n, version=pilot.version)
    write_projections([Projection(pilot, timeline, ids[pilot.pk]) for pilot, timeline, _ in lives])
    record_all([_link(row, pilot, n) for pilot, _, n in lives], by=by, at=at)
    return len(fresh)


def _later(pilots: Sequence[Pilot], told: Mapping[int, list[PilotEvent]]) -> Mapping[int, list[PilotEvent]]:
    """What was recorded of the pilots after the import; corrections are judged by what they make of the life."""
    newest = {pilot_id: max(event.seq for event in events) for pilot_id, events in told.items()}
    found: defaultdict[int, list[PilotEvent]] = defaultdict(list)
    for event in PilotEvent.objects.filter(pilot__in=pilots).exclude(kind=EventKind.CORRECTED).order_by("seq"):
        if event.seq > newest[event.pilot_id]:
            found[event.pilot_id].append(event)
    return found


def _in_the_way(pilot: Pilot, event: PilotEvent) -> str:
    told = f"{event.kind.label} of {event.occurred_at:%Y-%m-%d}, recorded {event.recorded_at:%Y-%m-%d} by {event.actor}"
    return f"{pilot.slug}: something came after the import ({told}): void that first, or undo its import"


def _voiding(row: HistoryImport, target: PilotEvent, at: datetime) -> EventDraft:
    return EventDraft(
        kind=EventKind.CORRECTED,
        occurred_at=at,
        note=f"The import of {row.file_name} was undone.",
        corrects=target,
        data={"void": True, "undo": row.pk},
    )


def undone_events(pilots: Sequence[Pilot]) -> dict[str, PilotEvent]:
    """Of these pilots, the events that do not count because their import was undone, by digest."""
    saved = [pilot for pilot in pilots if pilot.pk is not None]
    rows = (
        PilotEvent.objects.filter(pilot__in=saved, kind=EventKind.CORRECTED, data__has_key="void")
        .select_related("corrects__to_model")
        .order_by("occurred_at", "digest")
    )
    newest = {row.corrects_id: row for row in rows}
    return {
        row.corrects.digest: row.corrects
        for row in newest.values()
        if row.corrects is not None and row.data["void"] and "undo" in row.data
    }


def reinstated(event: PilotEvent, told: EventDraft, at: datetime) -> EventDraft:
    """The event counts again: the file that tells it was brought anew."""
    return EventDraft(
        kind=EventKind.CORRECTED,
        occurred_at=at,
        note="Imported again.",
        corrects=event,
        data={"void": False, "import": told.data["import"]},
    )


def _link(row: HistoryImport, pilot: Pilot, events: int) -> Link:
    return Link(
        action="pilot.import_undone",
        object_type="pilot",
        object_id=pilot.pk,
        object_label=pilot.slug,
        team=pilot.workload.team,
        data={"file": row.file_name, "import": row.pk, "events": events, "to": pilot.status.value},
    )
