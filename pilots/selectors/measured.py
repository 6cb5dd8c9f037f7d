"""What observed traffic says of pilots, as of a day and as known at an instant.

Public surface: ``measured``, ``measured_anew``, ``traffic_unread``, ``Subject``, ``days_of``, ``standing``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, F, Q, QuerySet, Sum

from pilots.enums import ConflictKind
from pilots.facts import Model, Switch, Timeline
from pilots.measured import Found, Measured, Origin, measure, of_switch
from pilots.models import Pilot, TrafficConflict, TrafficDay, TrafficReading
from pilots.selectors.filters import ReportFilters

_FEW = 5000  # keys in one question
# Pilots whose new traffic is read for the asking.
READ_AT_ONCE = 300


@dataclass(frozen=True, slots=True)
class Subject:
    """A pilot with its life as it is read."""

    pilot: int
    version: int
    workload: int
    switch: Switch
    timeline: Timeline


def measured(
    subjects: Sequence[Subject],
    known: Mapping[str, Model],
    *,
    as_of: date,
    known_at: datetime | None = None,
) -> dict[int, Measured]:
    """What traffic up to ``as_of`` says of each, by pilot; disputed contradictions are left out.

    From the kept readings where they are in force, else from the days; with a great import just in (more than
    ``READ_AT_ONCE`` pilots), from the readings before it until the worker has read it. ``known_at``: with the days
    that were on record then; None: now.
    """
    found = {} if known_at is not None else _kept(subjects)
    rest = [subject for subject in subjects if subject.pilot not in found]
    if known_at is None and len(rest) > READ_AT_ONCE:
        found |= _kept(rest, due=True)
        rest = [subject for subject in rest if subject.pilot not in found]
    found |= measured_anew(rest, known, as_of=as_of, known_at=known_at)
    disputed = _disputed([subject.pilot for subject in subjects], known_at)
    return {pilot: _as_of(reading, as_of, disputed.get(pilot, set())) for pilot, reading in found.items()}


def traffic_unread(pilots: QuerySet[Pilot], filters: ReportFilters) -> int:
    """Of how many workloads a report over ``pilots`` tells what traffic said before the newest came in. One query.

    0 where ``measured`` reads new traffic for the asking. Pilots opened after ``as_of`` count as well: this may warn of
    a figure that stays, and never keeps silent about one that changes.
    """
    if filters.known_before:
        return 0
    due = Q(traffic_reading__due=True)
    same = Q(traffic_reading__pilot_version=F("version"))
    found = filters.apply(pilots).aggregate(
        rest=Count("pk", filter=due | ~same, distinct=True),
        workloads=Count("workload", filter=due & same, distinct=True),
    )
    return int(found["workloads"]) if found["rest"] > READ_AT_ONCE else 0


def measured_anew(
    subjects: Sequence[Subject],
    known: Mapping[str, Model],
    *,
    as_of: date,
    known_at: datetime | None = None,
) -> dict[int, Measured]:
    """The same from the days alone, with the contradictions that were disputed."""
    days = days_of({subject.workload for subject in subjects}, until=as_of, known_at=known_at)
    found = {}
    for subject in subjects:
        seen = [of_switch(day, models, subject.switch, known) for day, models in days.get(subject.workload, [])]
        told = [day for day in seen if day is not None]
        found[subject.pilot] = measure(told, subject.timeline, subject.switch, known)
    return found


def days_of(
    workloads: Iterable[int], *, until: date, since: date | None = None, known_at: datetime | None = None
) -> dict[int, list[tuple[date, dict[str, int]]]]:
    """Requests by model's slug of each day with data, in order, by workload."""
    rows = TrafficDay.objects.filter(model__isnull=False, day__lte=until).order_by("workload_id", "day")
    if since is not None:
        rows = rows.filter(day__gte=since)
    if known_at is None:
        rows = rows.filter(replaced_at=None)
    else:
        rows = rows.filter(Q(replaced_at=None) | Q(replaced_at__gt=known_at), recorded_at__lte=known_at)
    told: dict[int, list[tuple[date, dict[str, int]]]] = defaultdict(list)
    wanted = sorted(workloads)
    for start in range(0, len(wanted), _FEW):
        part = rows.filter(workload__in=wanted[start : start + _FEW])
        for workload, day, slug, n in (
            part.values_list("workload_id", "day", "model__slug").annotate(n=Sum("requests")).iterator(chunk_size=5000)
        ):
            of_workload = told[workload]
            if not of_workload or of_workload[-1][0] != day:
                of_workload.append((day, {}))
            of_workload[-1][1][slug] = n
    return told


def standing(reading: Measured, timeline: Timeline) -> tuple[Found, ...]:
    """The contradictions that nothing on record has settled, in order of time."""
    return tuple(found for found in reading.found if _stands(found, timeline))


def _stands(found: Found, timeline: Timeline) -> bool:
    if found.kind is not ConflictKind.WENT_BACK:
        return True  # what is recorded meanwhile makes the traffic no contradiction
    return any(spell.number == found.spell and spell.ended_on is None for spell in timeline.spells)


def _kept(subjects: Sequence[Subject], *, due: bool = False) -> dict[int, Measured]:
    """The kept readings of these pilots' present versions: those in force, or those that more traffic came in since."""
    versions = {subject.pilot: subject.version for subject in subjects}
    rows = TrafficReading.objects.filter(due=due)
    if len(versions) <= _FEW:
        rows = rows.filter(pilot__in=versions)
    columns = ("pilot_id", "pilot_version", "observed_days", "first_on", "last_on", "state", "state_since")
    origin = ("origin_on", "origin_established_on")
    found = {}
    for pilot, version, *facts, confirmed, told in rows.values_list(*columns, *origin, "confirmed", "found"):
        if versions.get(pilot) == version:
            observed_days, first_on, last_on, state, since, origin_on, origin_established_on = facts
            found[pilot] = Measured(
                observed_days,
                first_on,
                last_on,
                state,
                since,
                tuple((n, date.fromisoformat(a), date.fromisoformat(b)) for n, a, b in confirmed),
                tuple(
                    Found(
                        ConflictKind(kind),
                        spell,
                        date.fromisoformat(since_on),
                        date.fromisoformat(established_on),
                        date.fromisoformat(seen_on),
                        share,
                        model,
                        vendor,
                    )
                    for kind, spell, since_on, established_on, seen_on, share, model, vendor in told
                ),
                origin=Origin(origin_on, origin_established_on) if origin_on and origin_established_on else None,
            )
    return found


def _disputed(pilots: Sequence[int], known_at: datetime | None) -> dict[int, set[tuple[ConflictKind, date]]]:
    rows = TrafficConflict.objects.filter(disputed_at__isnull=False)
    if known_at is not None:
        rows = rows.filter(disputed_at__lte=known_at)
    if len(pilots) <= _FEW:
        rows = rows.filter(pilot__in=pilots)
    found: dict[int, set[tuple[ConflictKind, date]]] = defaultdict(set)
    for pilot, kind, since_on in rows.values_list("pilot_id", "kind", "since_on"):
        found[pilot].add((ConflictKind(kind), since_on))
    return found


def _as_of(reading: Measured, as_of: date, disputed: set[tuple[ConflictKind, date]]) -> Measured:
    """The reading without what came later; what stood on a day that is not the newest is not said."""
    present = reading.last_on is None or reading.last_on <= as_of
    return Measured(
        reading.observed_days,
        reading.first_on,
        reading.last_on,
        reading.state if present else None,
        reading.state_since if present else None,
        tuple((n, first, min(last, as_of)) for n, first, last in reading.confirmed if first <= as_of),
        tuple(
            found
            for found in reading.found
            if found.established_on <= as_of and (found.kind, found.since_on) not in disputed
        ),
        origin=reading.origin if reading.origin and reading.origin.established_on <= as_of else None,
    )
