"""The cached last values that follow from events: a pilot's status, its spells, its follow-ups.

Public surface: ``Projection``, ``claim``, ``write_projections``, ``rebuild``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from evaluations.models import ModelVersion
from evaluations.services.errors import Conflict
from pilots.facts import Spell as SpellFacts
from pilots.facts import Timeline
from pilots.models import Pilot, PilotEvent, Spell
from pilots.selectors.timelines import timeline_of
from pilots.services.followups import sync_follow_ups


@dataclass(frozen=True, slots=True)
class Projection:
    """One pilot with the timeline that its row, spells and follow-ups are to show."""

    pilot: Pilot
    timeline: Timeline
    event_ids: Mapping[str, int]  # digest -> primary key, of every stored event


def claim(pilot: Pilot, timeline: Timeline, *, last_seq: int, version: int) -> None:
    """Move the pilot's row from ``version`` to the next, with its new values; ``Conflict`` if it has moved on."""
    values: dict[str, Any] = {
        "status": timeline.status,
        "status_at": timeline.status_at or pilot.status_at,
        "traffic_share": timeline.traffic_share,
        "closed_at": timeline.closed_at,
        "last_seq": last_seq,
        "version": version + 1,
    }
    if Pilot.objects.filter(pk=pilot.pk, version=version).update(**values) == 0:
        raise Conflict(faster(pilot))
    for name, value in values.items():
        setattr(pilot, name, value)


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


def rebuild(pilot: Pilot) -> Timeline:
    """Recompute the pilot's cached values from its events; the pilot's retirement dates may have changed since.

    Raises ``Conflict`` if the pilot changes meanwhile.
    """
    with transaction.atomic():
        ids = dict(PilotEvent.objects.filter(pilot=pilot).values_list("digest", "pk"))
        timeline = timeline_of(pilot)
        claim(pilot, timeline, last_seq=pilot.last_seq, version=pilot.version)
        write_projections([Projection(pilot, timeline, ids)])
    return timeline


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
