"""The cached last values that follow from events: a pilot's status, its spells, its follow-ups.

Public surface: ``Projection``, ``claim``, ``write_projections``, ``reproject``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet

from evaluations.models import ModelVersion
from evaluations.services.errors import Conflict
from pilots.conf import setting
from pilots.enums import PilotStatus
from pilots.facts import Spell as SpellFacts
from pilots.facts import Timeline
from pilots.models import Pilot, PilotEvent, Spell
from pilots.selectors.timelines import histories, known_models, switch_of
from pilots.services.followups import sync_follow_ups
from pilots.timeline import read

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Projection:
    """One pilot with the timeline that its row, spells and follow-ups are to show."""

    pilot: Pilot
    timeline: Timeline
    event_ids: Mapping[str, int]  # digest -> primary key, of every stored event


def claim(pilot: Pilot, timeline: Timeline, *, last_seq: int, version: int) -> None:
    """Move the pilot's row from ``version`` to the next, with its new values; ``Conflict`` if it has moved on."""
    values = {**_cached(timeline, pilot), "last_seq": last_seq, "version": version + 1}
    if Pilot.objects.filter(pk=pilot.pk, version=version).update(**values) == 0:
        raise Conflict(faster(pilot))
    for name, value in values.items():
        setattr(pilot, name, value)


def _cached(timeline: Timeline, pilot: Pilot) -> dict[str, Any]:
    return {
        "status": PilotStatus.VOID if timeline.opened_at is None else timeline.status,
        "status_at": timeline.status_at or pilot.status_at,
        "traffic_share": timeline.traffic_share,
        "closed_at": timeline.closed_at,
    }


def faster(pilot: Pilot) -> str:
    """The sentence for whoever came second."""
    newest = PilotEvent.objects.filter(pilot=pilot).order_by("-seq").first()
    if newest is None:
        return "somebody was faster: the pilot has changed since you saw it"
    return f"somebody was faster: {newest.actor} recorded '{newest.kind.label}' meanwhile; reload and decide again"


def write_projections(projections: Sequence[Projection]) -> None:
    """Make the spells and follow-ups of these pilots what their timelines say; unchanged rows are not touched."""
    stored: defaultdict[int, list[Spell]] = defaultdict(list)
    for spell in Spell.objects.filter(pilot__in=[projection.pilot for projection in projections]):
        stored[spell.pilot_id].append(spell)
    models = _end_models(projections)
    outdated: list[int] = []
    fresh: list[Spell] = []
    for projection in projections:
        before = stored[projection.pilot.pk]
        wanted = [_row(projection.pilot, facts, models) for facts in projection.timeline.spells]
        if [_values(row) for row in before] != [_values(row) for row in wanted]:
            outdated += [row.pk for row in before]
            fresh += wanted
    if outdated:
        Spell.objects.filter(pk__in=outdated).delete()
    Spell.objects.bulk_create(fresh)
    sync_follow_ups([(projection.pilot, projection.timeline, projection.event_ids) for projection in projections])


def reproject(pilots: QuerySet[Pilot]) -> None:
    """Read the events of ``pilots`` again, with motives and catalogue as they are now, inside the caller's transaction.

    An event that is being recorded at the same time, and was read by what held before, is refused as late.
    """
    chosen = list(pilots.order_by("pk").values_list("pk", flat=True))
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    within = setting("FORCED_WITHIN_DAYS")
    for start in range(0, len(chosen), _AT_ONCE):
        keys = chosen[start : start + _AT_ONCE]
        # Locks the rows until the end of the transaction, before the events are read.
        Pilot.objects.filter(pk__in=keys).update(version=F("version") + 1)
        events = PilotEvent.objects.filter(pilot__in=keys)
        ids: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for pilot_id, digest, pk in events.values_list("pilot_id", "digest", "pk"):
            ids[pilot_id][digest] = pk
        told = dict(histories(events, models))
        projections = []
        for pilot in Pilot.objects.filter(pk__in=keys).order_by("pk"):
            timeline = read(told.get(pilot.pk, []), switch_of(pilot, models), by_slug, forced_within_days=within)
            projections.append(Projection(pilot, timeline, ids[pilot.pk]))
            values = _cached(timeline, pilot)
            if any(getattr(pilot, name) != value for name, value in values.items()):
                Pilot.objects.filter(pk=pilot.pk).update(**values)
        write_projections(projections)


def _end_models(projections: Sequence[Projection]) -> dict[str, int]:
    slugs = {spell.end_model for projection in projections for spell in projection.timeline.spells} - {""}
    return dict(ModelVersion.objects.filter(slug__in=slugs).values_list("slug", "pk")) if slugs else {}


def _row(pilot: Pilot, facts: SpellFacts, models: Mapping[str, int]) -> Spell:
    return Spell(
        pilot=pilot,
        number=facts.number,
        started_on=facts.started_on,
        observed_from_on=facts.observed_from_on,
        ended_on=facts.ended_on,
        end_kind=facts.end_kind or "",
        end_reason=facts.end_reason or "",
        end_model_id=models[facts.end_model] if facts.end_model else None,
        last_confirmed_on=facts.last_confirmed_on,
        forced=facts.forced,
        upgraded=facts.upgraded,
        against_verdict=facts.against_verdict,
        decision_at_cutover=facts.decision_at_cutover,
    )


def _values(row: Spell) -> tuple[Any, ...]:
    return tuple(getattr(row, field.attname) or None for field in Spell._meta.concrete_fields if not field.primary_key)
