"""Events out of the database, ready for ``pilots.timeline``.

Public surface: ``known_models``, ``switch_of``, ``histories``, ``timeline_of``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from django.db.models import QuerySet

from evaluations.models import ModelVersion
from pilots.conf import setting
from pilots.facts import Event, Model, Switch, Timeline
from pilots.models import Pilot, PilotEvent
from pilots.timeline import read


def known_models() -> dict[int, Model]:
    """Every model of the catalogue by primary key."""
    columns = ("pk", "slug", "vendor__slug", "family", "retirement_announced_on", "retires_on")
    return {pk: Model(*facts) for pk, *facts in ModelVersion.objects.values_list(*columns)}


def switch_of(pilot: Pilot, models: Mapping[int, Model]) -> Switch:
    return Switch(models[pilot.incumbent_id], models[pilot.candidate_id], pilot.motive or None)


def histories(
    events: QuerySet[PilotEvent], models: Mapping[int, Model], *, known_at: datetime | None = None
) -> dict[int, list[Event]]:
    """Events by pilot, in one query. With ``known_at``, only those that were recorded by then."""
    if known_at is not None:
        events = events.filter(recorded_at__lte=known_at)
    found: defaultdict[int, list[Event]] = defaultdict(list)
    columns = (
        "pilot_id",
        "kind",
        "occurred_at",
        "digest",
        "traffic_share",
        "reason",
        "to_model_id",
        "note",
        "corrects__digest",
        "data",
    )
    for pilot_id, kind, at, digest, share, reason, to_model, note, corrects, data in (
        events.order_by("pilot_id", "seq").values_list(*columns).iterator(chunk_size=5000)
    ):
        slug = models[to_model].slug if to_model else ""
        found[pilot_id].append(Event(kind, at, digest, share, reason, slug, note, corrects or "", data))
    return found


def timeline_of(pilot: Pilot, *, until: datetime | None = None, known_at: datetime | None = None) -> Timeline:
    """The pilot as its events tell it; ``until`` = the state of the world then, ``known_at`` = as recorded by then."""
    models = known_models()
    events = histories(PilotEvent.objects.filter(pilot=pilot), models, known_at=known_at)
    return read(
        events.get(pilot.pk, []),
        switch_of(pilot, models),
        {model.slug: model for model in models.values()},
        until=until,
        forced_within_days=setting("FORCED_WITHIN_DAYS"),
    )
