"""Reading observed traffic against what is on record. Public surface: ``read_due_traffic``, ``mark_due``,
``dispute_conflicts``.

A reading is kept for each pilot, so that reports need not look at its days again; what it contradicts is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from evaluations.services.audit import Actor, Link, record_all, register_actions
from evaluations.signals import conflict_found
from pilots.conf import setting
from pilots.enums import ConflictKind
from pilots.facts import Timeline
from pilots.measured import Found, Measured
from pilots.models import Pilot, PilotEvent, TrafficConflict, TrafficReading
from pilots.selectors.measured import Subject, measured_anew, standing
from pilots.selectors.pilot_traffic import conflict_words
from pilots.selectors.timelines import histories, known_models, switch_of
from pilots.services.share_alarms import keep_share_alarms
from pilots.tasks import hint_to_read_traffic
from pilots.timeline import read

register_actions(
    {
        "traffic_conflict.found": "found that traffic contradicts the record of",
        "traffic_conflict.disputed": "disputed what traffic says of",
    }
)

AT_ONCE = 50  # pilots whose days are held in memory together
_NEVER = 2**31 - 1  # no pilot's version


def mark_due(workloads: Iterable[int]) -> None:
    """Traffic came in: what was read of these workloads' pilots no longer counts, and a worker is told once this is
    stored.

    Waits for whoever reads it, who may wait for the audit's head: to be called before anything is audited.
    """
    keys = sorted(workloads)
    if keys:
        transaction.on_commit(hint_to_read_traffic)
    for start in range(0, len(keys), 5000):
        part = keys[start : start + 5000]
        # Those that are due already as well: who reads them now may not know of this traffic, and waits to say so.
        TrafficReading.objects.filter(pilot__workload__in=part).update(due=True)


def read_due_traffic(*, now: datetime, stopping: Callable[[], bool] = lambda: False) -> int:
    """Read the traffic of every pilot that changed, or whose workload's traffic did; returns how many were read."""
    changed = Q(traffic_reading=None) | Q(traffic_reading__due=True) | ~Q(traffic_reading__pilot_version=F("version"))
    keys = list(Pilot.objects.filter(changed).order_by("pk").values_list("pk", flat=True))
    done = 0
    for start in range(0, len(keys), AT_ONCE):
        if stopping():
            break
        part = keys[start : start + AT_ONCE]
        TrafficReading.objects.bulk_create([_unread(pk, now) for pk in part], ignore_conflicts=True)
        done += _read(part, now)
    return done


def _unread(pilot: int, now: datetime) -> TrafficReading:
    """A row to lock: what comes in before the first reading is kept must have something to mark."""
    return TrafficReading(pilot_id=pilot, pilot_version=_NEVER, due=True, read_at=now, observed_days=0)


@transaction.atomic
def _read(keys: Sequence[int], now: datetime) -> int:
    """Read the traffic of these pilots, keep what it says and tell of the contradictions that are new."""
    # Pilots first: nobody is waited for with a reading held, but for the audit's head. What comes in from here on marks
    # them again, and waits for this to end; what somebody marks now is left for the next time.
    held = list(
        Pilot.objects.select_for_update(of=("self",))
        .filter(pk__in=keys)
        .select_related("workload__team")
        .order_by("pk")
    )
    locked = TrafficReading.objects.select_for_update(skip_locked=True).filter(pilot__in=keys)
    mine = set(locked.values_list("pilot_id", flat=True))
    pilots = [pilot for pilot in held if pilot.pk in mine]
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    events = dict(histories(PilotEvent.objects.filter(pilot__in=pilots), models))
    within = setting("FORCED_WITHIN_DAYS")
    subjects: dict[int, Subject] = {}
    for pilot in pilots:
        switch = switch_of(pilot, models)
        timeline = read(events.get(pilot.pk, []), switch, by_slug, forced_within_days=within)
        subjects[pilot.pk] = Subject(pilot.pk, pilot.version, pilot.workload_id, switch, timeline)
    readings = measured_anew(list(subjects.values()), by_slug, as_of=now.date())
    rows = [_row(pilot, readings[pilot.pk], subjects[pilot.pk].timeline, now) for pilot in pilots]
    TrafficReading.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["pilot"],
        update_fields=[field.name for field in TrafficReading._meta.concrete_fields if not field.primary_key],
    )
    _tell([(pilot, subjects[pilot.pk].timeline, readings[pilot.pk]) for pilot in pilots], now)
    return len(rows)


def _row(pilot: Pilot, reading: Measured, timeline: Timeline, now: datetime) -> TrafficReading:
    newest = timeline.spells[-1].number if timeline.spells else 0
    return TrafficReading(
        pilot=pilot,
        pilot_version=pilot.version,
        due=False,
        read_at=now,
        observed_days=reading.observed_days,
        first_on=reading.first_on,
        last_on=reading.last_on,
        state=reading.state or "",
        state_since=reading.state_since,
        confirmed=[[number, first.isoformat(), last.isoformat()] for number, first, last in reading.confirmed],
        found=[[_plain(value) for value in found] for found in reading.found],
        origin_on=reading.origin.day if reading.origin else None,
        origin_established_on=reading.origin.established_on if reading.origin else None,
        confirmed_on=max((last for number, _, last in reading.confirmed if number == newest), default=None),
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value.value if isinstance(value, ConflictKind) else value


def _tell(read_now: Sequence[tuple[Pilot, Timeline, Measured]], now: datetime) -> None:
    """Keep and announce the contradictions that stand, and shares on their way to one, once."""
    rows = TrafficConflict.objects.filter(pilot__in=[pilot for pilot, _, _ in read_now])
    known = {(row.pilot_id, row.kind, row.since_on): row for row in rows}
    stands = {
        (pilot.pk, found.kind, found.since_on): (pilot, found)
        for pilot, timeline, reading in read_now
        for found in standing(reading, timeline)
    }
    contradicted = {pilot for pilot, _, _ in stands}
    shares = [(pilot, None if pilot.pk in contradicted else reading.share_drift) for pilot, _, reading in read_now]
    keep_share_alarms(shares, at=now)
    fresh = [stands[key] for key in stands.keys() - known.keys()]
    fresh.sort(key=lambda item: (item[0].slug, item[1].since_on))
    settled = [row.pk for key, row in known.items() if key not in stands and row.settled_at is None]
    TrafficConflict.objects.filter(pk__in=settled).update(settled_at=now)
    again = [row.pk for key, row in known.items() if key in stands and row.settled_at is not None]
    TrafficConflict.objects.filter(pk__in=again).update(settled_at=None)
    TrafficConflict.objects.bulk_create(
        TrafficConflict(
            pilot=pilot, kind=found.kind, since_on=found.since_on, found_at=now, words=conflict_words(found)[:500]
        )
        for pilot, found in fresh
    )
    links = [
        Link("traffic_conflict.found", "pilot", pilot.pk, pilot.slug, pilot.workload.team, _said(found))
        for pilot, found in fresh
    ]
    record_all(links, by=Actor.task("traffic"), at=now)
    for pilot, found in fresh:
        conflict_found.send(
            sender=TrafficConflict,
            pilot=pilot,
            at=now,
            key=f"{found.kind}:{found.since_on}",
            words=f"{pilot.slug}: {conflict_words(found)}",
            data=_said(found),
        )


def _said(found: Found) -> dict[str, Any]:
    return {
        "kind": found.kind.value,
        "since": found.since_on.isoformat(),
        "share": round(found.share, 4),
        "model": found.model,
    }


@transaction.atomic
def dispute_conflicts(*, pilot: Pilot, by: Actor, at: datetime, on: date) -> int:
    """The owner has confirmed, with an attachment, that the workload was on the candidate on ``on``: what traffic said
    until then no longer stands against the record. Returns how many contradictions were disputed.
    """
    rows = TrafficConflict.objects.filter(pilot=pilot, disputed_at=None, since_on__lte=on)
    disputed = list(rows)
    rows.update(disputed_at=at, disputed_by=by.name[:200])
    record_all(
        [
            Link(
                "traffic_conflict.disputed",
                "pilot",
                pilot.pk,
                pilot.slug,
                pilot.workload.team,
                {"kind": row.kind.value, "since": row.since_on.isoformat()},
            )
            for row in disputed
        ],
        by=by,
        at=at,
    )
    return len(disputed)
