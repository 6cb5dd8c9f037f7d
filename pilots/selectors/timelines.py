"""Events out of the database, ready for ``pilots.timeline``.

Public surface: ``known_models``, ``switch_of``, ``histories``, ``timeline_of``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from django.db.models import Case, CharField, ExpressionWrapper, F, QuerySet, When

from evaluations.models import ModelVersion
from pilots.conf import setting
from pilots.enums import EventKind
from pilots.facts import Event, Model, Switch, Timeline
from pilots.models import Pilot, PilotEvent
from pilots.timeline import read

_KINDS = {kind.value: kind for kind in EventKind}
# Plain text: with tens of thousands of rows the field's own conversion is a good part of the time.
_KIND = ExpressionWrapper(F("kind"), output_field=CharField())
_DATA = Case(
    When(
        kind__in=(
            EventKind.CUTOVER,
            EventKind.DECIDED,
            EventKind.DECLINED,
            EventKind.ALONGSIDE,
            EventKind.CORRECTED,
        ),
        then=F("data"),
    ),
    default=None,
)


def known_models() -> dict[int, Model]:
    """Every model of the catalogue by primary key."""
    columns = ("pk", "slug", "vendor__slug", "family", "retirement_announced_on", "retires_on")
    return {pk: Model(*facts) for pk, *facts in ModelVersion.objects.values_list(*columns)}


def switch_of(pilot: Pilot, models: Mapping[int, Model]) -> Switch:
    return Switch(models[pilot.incumbent_id], models[pilot.candidate_id], pilot.motive or None)


def histories(
    events: QuerySet[PilotEvent], models: Mapping[int, Model], *, known_at: datetime | None = None
) -> Iterator[tuple[int, list[Event]]]:
    """Each pilot's key with its events, by key, in one query. With ``known_at``, only those that were recorded by then.

    ``data`` is read only of the kinds whose data a timeline depends on.
    """
    if known_at is not None:
        events = events.filter(recorded_at__lte=known_at)
    rows = (
        events.annotate(word=_KIND, telling=_DATA)
        .order_by("pilot_id", "seq")
        .values_list(
            "pilot_id",
            "word",
            "occurred_at",
            "digest",
            "traffic_share",
            "reason",
            "to_model_id",
            "corrects__digest",
            "telling",
        )
    )
    for pilot_id, told in groupby(rows.iterator(chunk_size=5000), itemgetter(0)):
        yield (
            pilot_id,
            [
                Event(
                    _KINDS[word], at, digest, share, reason, models[to].slug if to else "", corrects or "", data or {}
                )
                for _, word, at, digest, share, reason, to, corrects, data in told
            ],
        )


def timeline_of(pilot: Pilot, *, until: datetime | None = None, known_at: datetime | None = None) -> Timeline:
    """The pilot as its events tell it; ``until`` = the state of the world then, ``known_at`` = as recorded by then."""
    models = known_models()
    events = dict(histories(PilotEvent.objects.filter(pilot=pilot), models, known_at=known_at))
    return read(
        events.get(pilot.pk, []),
        switch_of(pilot, models),
        {model.slug: model for model in models.values()},
        until=until,
        forced_within_days=setting("FORCED_WITHIN_DAYS"),
    )
