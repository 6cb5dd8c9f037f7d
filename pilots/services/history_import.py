"""Bring your spreadsheet: past switches from a CSV or XLSX file. Public surface: ``import_history``, ``HistoryReport``.

The rules are those of the doors (``drafts.check``, ``pilots.transitions``); only the writing is done in bulk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

from django.db import transaction

from evaluations.models import ModelVersion, Workload
from evaluations.services.audit import Actor, Link, record_all, register_actions
from evaluations.services.bulk import large_transaction
from evaluations.services.errors import Refused
from pilots.conf import setting
from pilots.enums import EventKind, EventSource, PilotStatus
from pilots.facts import Event, Model, Switch, Timeline
from pilots.models import EventAttachment, HistoryImport, Pilot, PilotEvent
from pilots.selectors.timelines import histories, known_models, switch_of
from pilots.services.appending import attachment_rows, contradiction, new_problem, stored_event
from pilots.services.drafts import EventDraft, check, share_kept
from pilots.services.history_names import Names, slug_from
from pilots.services.history_rows import HistoryRow, read_history, refusal
from pilots.services.history_undo import reinstated, undone_events
from pilots.services.projection import Projection, claim, write_projections
from pilots.timeline import read

register_actions({"pilot.imported": "imported the history of"})

# A cell that a draft's field comes from, where the two are called differently.
_COLUMNS = {"attachments": "attachment", "": "event"}


@dataclass(frozen=True, slots=True)
class Skipped:
    line: int
    reason: str


_line = attrgetter("line")


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """What an import did, or would do."""

    events: int  # new ones, and those that count again
    pilots: int  # that got at least one
    skipped: tuple[Skipped, ...]  # rows that say what is on record already
    key: int | None = field(
        default=None, compare=False
    )  # of the import, by which it can be undone; None: nothing was new, or nothing was kept

    def to_document(self) -> dict[str, Any]:
        skipped = [{"line": row.line, "reason": row.reason} for row in self.skipped]
        document = {"events": self.events, "pilots": self.pilots, "skipped": skipped}
        return document if self.key is None else {**document, "import": self.key}


@dataclass(slots=True)
class _Told:
    """One pilot of the file, with the line and draft of each event by digest, in the order of the lines."""

    pilot: Pilot
    drafts: dict[str, tuple[int, EventDraft]] = field(default_factory=dict)
    rows: list[HistoryRow] = field(default_factory=list)


def import_history(
    *,
    path: Path,
    by: Actor,
    at: datetime,
    dry_run: bool = False,
    mapping: Mapping[str, str] | None = None,
    teams: Collection[str] | None = None,
) -> HistoryReport:
    """Store the events of ``path`` that are not on record yet, all or nothing.

    Unknown teams, workloads, models and pilots are created; a history may start anywhere, its opening is implied. The
    same file again adds nothing, unless its import was undone: then its events count again. Raises ``Refused`` naming
    file, line and column of the first row that breaks a rule, ``Conflict`` when a pilot changes meanwhile. With
    ``dry_run`` the same happens and nothing is kept. ``mapping`` names the file's columns where they are not called
    like ours; with ``teams`` (slugs) only rows of these are taken.
    """
    with transaction.atomic():
        large_transaction()
        kept = HistoryImport.objects.create(
            file_name=path.name[:255], imported_at=at, imported_by=by.name[:200], user=by.user, events=0, pilots=0
        )
        rows = list(read_history(path, mapping))
        names = Names()
        if teams is not None:
            _check_teams(path, rows, names, teams)
        names.create(rows, by=by, at=at)
        told, skipped = _drafts(path, rows, names, at, kept.pk)
        written = _write(path, told, by, at, skipped)
        events = sum(len(item.drafts) for item in written)
        if events:
            HistoryImport.objects.filter(pk=kept.pk).update(events=events, pilots=len(written))
        else:
            kept.delete()
        if dry_run:
            transaction.set_rollback(True)
    key = kept.pk if events and not dry_run else None
    return HistoryReport(events, len(written), tuple(sorted(skipped, key=_line)), key)


def _check_teams(path: Path, rows: Sequence[HistoryRow], names: Names, teams: Collection[str]) -> None:
    """Before anything is created. Whether another team or its pilot exists is not told."""
    others = Pilot.objects.exclude(workload__team__slug__in=teams)
    taken = set(others.filter(slug__in={slug_from(row.pilot, (), "") for row in rows}).values_list("slug", flat=True))
    for row in rows:
        if not names.is_team(row.team) or names.team(row.team).slug not in teams:
            raise refusal(path, row.line, "team", f"{row.team[:40]!r} is not a team that you manage")
        if slug_from(row.pilot, (), "") in taken:
            raise refusal(path, row.line, "pilot", f"the name {row.pilot[:40]!r} is taken: choose another")


def _drafts(
    path: Path, rows: Sequence[HistoryRow], names: Names, at: datetime, key: int
) -> tuple[list[_Told], list[Skipped]]:
    """The file by pilot; rows that repeat an earlier row are skipped."""
    known = {pilot.slug: pilot for pilot in Pilot.objects.select_related("workload__team", "incumbent", "candidate")}
    by_slug: dict[str, _Told] = {}
    skipped: list[Skipped] = []
    for row in rows:
        workload = names.workload(names.team(row.team), row.workload)
        incumbent, candidate = names.model(row.incumbent), names.model(row.candidate)
        slug = slug_from(row.pilot, (), "")
        if not slug:
            raise refusal(path, row.line, "pilot", "needs letters a to z or digits: it is part of addresses")
        if slug not in by_slug:
            pilot = known.get(slug) or Pilot(
                slug=slug, workload=workload, incumbent=incumbent, candidate=candidate, status_at=row.occurred_at
            )
            by_slug[slug] = _Told(pilot)
        told = by_slug[slug]
        _check_pilot(path, row, told.pilot, workload, incumbent, candidate)
        draft = _draft(path, row, told.pilot, names.model(row.to_model) if row.to_model else None, at, key)
        earlier, _ = told.drafts.setdefault(draft.digest, (row.line, draft))
        if earlier != row.line:
            skipped.append(Skipped(row.line, f"repeats line {earlier}"))
        told.rows.append(row)
    for told in by_slug.values():
        _check_observed_from(path, told)
    return list(by_slug.values()), skipped


def _check_pilot(
    path: Path, row: HistoryRow, pilot: Pilot, workload: Workload, incumbent: ModelVersion, candidate: ModelVersion
) -> None:
    if incumbent == candidate:
        raise refusal(path, row.line, "candidate", "incumbent and candidate are the same model")
    pairs: dict[str, tuple[Workload | ModelVersion, Workload | ModelVersion]] = {
        "workload": (pilot.workload, workload),
        "incumbent": (pilot.incumbent, incumbent),
        "candidate": (pilot.candidate, candidate),
    }
    for column, (stored, told) in pairs.items():
        if stored != told:
            said = f"the pilot {pilot.slug} has {stored.slug}, not {told.slug}"
            if pilot.status is PilotStatus.VOID:
                said += "; its import was undone and can still be read as it was: give this one another name"
            raise refusal(path, row.line, column, said)


def _check_observed_from(path: Path, told: _Told) -> None:
    """It belongs to the cutover; a file may repeat it on the other rows of the pilot."""
    if told.pilot.pk is not None:
        return
    begun = {row.observed_from for row in told.rows if row.kind is EventKind.CUTOVER}
    for row in told.rows:
        if row.observed_from is not None and row.observed_from not in begun:
            raise refusal(path, row.line, "observed_from", "belongs to a cutover: put it on that row")


def _draft(
    path: Path, row: HistoryRow, pilot: Pilot, to_model: ModelVersion | None, at: datetime, key: int
) -> EventDraft:
    """The row as its door would record it."""
    share = row.traffic_share
    data: dict[str, Any] = {"import": {"id": key, "file": path.name, "line": row.line}}
    if row.kind is EventKind.CUTOVER:
        share = Decimal(1) if share is None else share
        if row.observed_from is not None and row.observed_from > row.occurred_at.date():
            data["observed_from"] = row.observed_from.isoformat()
    elif row.kind is EventKind.ROLLBACK:
        share = Decimal(0) if share is None else share_kept(share)
        to_model = to_model or pilot.incumbent
    draft = EventDraft(
        kind=row.kind,
        occurred_at=row.occurred_at,
        traffic_share=share,
        reason=row.reason,
        to_model=to_model,
        note=row.note,
        attachments=row.attachments,
        data=data,
    )
    try:
        check(draft, at=at)
    except Refused as error:
        raise refusal(path, row.line, _COLUMNS.get(error.field, error.field), error.message) from None
    return draft


def _write(path: Path, told: list[_Told], by: Actor, at: datetime, skipped: list[Skipped]) -> list[_Told]:
    """Judge every pilot's life with the new events in it, then store them. Returns what was new."""
    Pilot.objects.bulk_create([item.pilot for item in told if item.pilot.pk is None], batch_size=500)
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    stored = PilotEvent.objects.filter(pilot__in=[item.pilot for item in told])
    past = dict(histories(stored, models))
    event_ids: dict[int, dict[str, int]] = defaultdict(dict)
    for pilot_id, digest, pk in stored.values_list("pilot_id", "digest", "pk"):
        event_ids[pilot_id][digest] = pk
    undone = undone_events([item.pilot for item in told])
    written: list[tuple[_Told, Timeline]] = []
    rows: list[tuple[PilotEvent, EventDraft]] = []
    for item in told:
        pilot = item.pilot
        for digest in event_ids[pilot.pk].keys() & item.drafts.keys():
            line, draft = item.drafts.pop(digest)
            if digest in undone:
                again = reinstated(undone[digest], draft, at)
                item.drafts[again.digest] = (line, again)
            else:
                skipped.append(Skipped(line, "is on record already"))
        if item.drafts:
            timeline = _judged(path, item, past.get(pilot.pk, []), switch_of(pilot, models), by_slug)
            written.append((item, timeline))
            rows += [
                (stored_event(pilot, by, at, draft, seq=pilot.last_seq + number, source=EventSource.IMPORT), draft)
                for number, (_, draft) in enumerate(item.drafts.values(), 1)
            ]
    PilotEvent.objects.bulk_create([event for event, _ in rows], batch_size=500)
    EventAttachment.objects.bulk_create(
        [attachment for event, draft in rows for attachment in attachment_rows(event, draft)], batch_size=500
    )
    for event, _ in rows:
        event_ids[event.pilot_id][event.digest] = event.pk
    for item, timeline in written:
        claim(item.pilot, timeline, last_seq=item.pilot.last_seq + len(item.drafts), version=item.pilot.version)
    write_projections([Projection(item.pilot, timeline, event_ids[item.pilot.pk]) for item, timeline in written])
    record_all([_link(path, item) for item, _ in written], by=by, at=at)
    return [item for item, _ in written]


def _judged(path: Path, item: _Told, past: list[Event], switch: Switch, models: Mapping[str, Model]) -> Timeline:
    within = setting("FORCED_WITHIN_DAYS")
    before = read(past, switch, models, forced_within_days=within)
    new = [draft.as_event() for _, draft in item.drafts.values()]
    after = read([*past, *new], switch, models, forced_within_days=within)
    problem = new_problem(before, after, item.drafts.keys())
    if problem is not None:
        digest = problem.event.digest
        line, _ = item.drafts.get(digest) or next(iter(item.drafts.values()))
        rule = problem.rule if digest in item.drafts else contradiction(problem)
        raise refusal(path, line, "event", rule)
    return after


def _link(path: Path, item: _Told) -> Link:
    pilot = item.pilot
    return Link(
        action="pilot.imported",
        object_type="pilot",
        object_id=pilot.pk,
        object_label=pilot.slug,
        team=pilot.workload.team,
        data={"file": path.name, "events": len(item.drafts), "to": pilot.status.value},
    )
