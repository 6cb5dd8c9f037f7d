"""Alarms of what drifts: models under a pilot's replays, and its traffic share.

Public surface: ``Alarm``, ``AlarmKind``, ``alarms_of``, ``alarm_of``, ``read_alarm``, ``alarms_by_version``,
``waiting_alarms`` with ``Waiting``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from evaluations.enums import ArmRole, Choice
from evaluations.models import DriftAlarm
from evaluations.selectors.drift import Move
from pilots.models import Pilot, ShareAlarm


class AlarmKind(Choice):
    """What drifts."""

    MODEL = "model", "a model moved"
    SHARE = "share", "the traffic share drifts"


@dataclass(frozen=True, slots=True)
class Served:
    """How one arm's model names itself."""

    arm: ArmRole
    pinned: str  # '': its recorded answers are the arm
    before: tuple[str, ...]
    since: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.since) and set(self.since) != set(self.before)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm with what was said about it."""

    kind: AlarmKind
    pk: int
    words: str  # one sentence without its full stop
    raised_at: datetime
    settled_at: datetime | None  # of a share that is back, or recorded anew; None: it stands
    acknowledged_at: datetime | None  # None: nobody has looked
    acknowledged_by: str
    note: str
    share: float | None = None  # measured; of a share
    run: int | None = None  # of a model, here and below: the night that told
    plan_version: int | None = None
    period: int | None = None  # that it ended
    currency: str = ""  # of its costs
    moves: tuple[Move, ...] = ()
    served: tuple[Served, ...] = ()
    model_version: str = ""  # as the vendor says, '': not said

    @property
    def waits(self) -> bool:
        return self.acknowledged_at is None and self.settled_at is None

    @property
    def percent(self) -> int | None:
        """The measured share, as the form that records it takes it."""
        return None if self.share is None else round(100 * self.share)


class Waiting(NamedTuple):
    """An alarm at which nobody has looked."""

    kind: AlarmKind
    pilot: str  # slug, as the next
    team: str
    pk: int
    words: str
    raised_at: datetime
    run: int | None = None  # of a model


def alarms_of(pilot: Pilot) -> tuple[Alarm, ...]:
    """All of a pilot, the newest first. Two queries."""
    found = [_of_share(row) for row in ShareAlarm.objects.filter(pilot=pilot)]
    if pilot.plan_id is not None:
        found += [_of_model(row) for row in _of_plans(DriftAlarm.objects.filter(plan_version__plan=pilot.plan_id))]
    return tuple(sorted(found, key=lambda alarm: alarm.raised_at, reverse=True))


def alarm_of(pilot: Pilot, kind: AlarmKind, pk: int) -> DriftAlarm | ShareAlarm | None:
    """The row behind one of the pilot's alarms; None: there is none."""
    if kind is AlarmKind.SHARE:
        return ShareAlarm.objects.select_related("pilot__workload__team").filter(pilot=pilot, pk=pk).first()
    if pilot.plan_id is None:
        return None
    return _of_plans(DriftAlarm.objects.filter(plan_version__plan=pilot.plan_id, pk=pk)).first()


def alarms_by_version(versions: Iterable[int], *, until: datetime) -> dict[int, tuple[Alarm, ...]]:
    """The alarms of models by plan version, as known at an instant, oldest first. One query."""
    found: dict[int, list[Alarm]] = defaultdict(list)
    for row in _of_plans(DriftAlarm.objects.filter(plan_version__in=list(versions), raised_at__lte=until)):
        found[row.plan_version_id].append(_of_model(row, until=until))
    return {version: tuple(alarms) for version, alarms in found.items()}


def waiting_alarms(pilots: QuerySet[Pilot]) -> Iterator[Waiting]:
    """Every alarm among ``pilots`` at which nobody has looked. Two queries."""
    models = DriftAlarm.objects.filter(plan_version__plan__pilot__in=pilots, acknowledged_at=None)
    of_plan = ("plan_version__plan__pilot__slug", "plan_version__plan__workload__team__slug")
    for row in models.values_list(*of_plan, "pk", "words", "raised_at", "run"):
        yield Waiting(AlarmKind.MODEL, *row)
    shares = ShareAlarm.objects.filter(pilot__in=pilots, acknowledged_at=None, settled_at=None)
    for row in shares.values_list("pilot__slug", "pilot__workload__team__slug", "pk", "words", "raised_at"):
        yield Waiting(AlarmKind.SHARE, *row)


def _of_plans(rows: QuerySet[DriftAlarm]) -> QuerySet[DriftAlarm]:
    return rows.select_related("plan_version", "run__plan_version__plan__workload__team").order_by("period")


def read_alarm(row: DriftAlarm | ShareAlarm) -> Alarm:
    return _of_model(row) if isinstance(row, DriftAlarm) else _of_share(row)


def _of_share(row: ShareAlarm) -> Alarm:
    return Alarm(
        kind=AlarmKind.SHARE,
        pk=row.pk,
        words=row.words,
        raised_at=row.raised_at,
        settled_at=row.settled_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        share=row.share,
    )


def _of_model(row: DriftAlarm, *, until: datetime | None = None) -> Alarm:
    """``until``: what was said later is left out."""
    said = row.acknowledged_at is not None and (until is None or row.acknowledged_at <= until)
    return Alarm(
        kind=AlarmKind.MODEL,
        pk=row.pk,
        words=row.words,
        raised_at=row.raised_at,
        settled_at=None,
        acknowledged_at=row.acknowledged_at if said else None,
        acknowledged_by=row.acknowledged_by if said else "",
        note=row.note if said else "",
        run=row.run_id,
        plan_version=row.plan_version.number,
        period=row.period,
        currency=row.run.currency,
        moves=tuple(Move(**move) for move in row.moved),
        served=tuple(
            Served(ArmRole(arm), names["pinned"], tuple(names["before"]), tuple(names["since"]))
            for arm, names in sorted(row.served.items(), reverse=True)
        ),
        model_version=row.model_version if said else "",
    )
