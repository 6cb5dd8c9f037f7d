"""Keeping what pilots have saved. Public surface: ``read_due_savings``, ``savings_of_model_due``,
``savings_of_vendor_due``, ``savings_of_plan_due``, ``savings_of_workloads_due``.

Marks are set on figures that are due already as well: who reads them now may not know of the change. They are set after
what is audited, everywhere in this order; reading takes nothing else, so that waiting for it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

import msgspec
from django.db import transaction
from django.db.models import Q

from evaluations.models import ModelVersion
from pilots.models import Pilot, SavingsReading
from pilots.selectors.filters import ReportFilters
from pilots.selectors.saved_days import PilotSavings, saved_days
from pilots.selectors.savings import savings_due

AT_ONCE = 50  # pilots whose days are held in memory together
_MILLION = 1_000_000
_KEPT = [field.name for field in SavingsReading._meta.concrete_fields if not field.primary_key]


def read_due_savings(*, now: datetime, stopping: Callable[[], bool] = lambda: False) -> int:
    """Read what every pilot has saved whose traffic, events, prices or replays changed; returns how many were read."""
    keys = list(savings_due(Pilot.objects.all()).order_by("pk").values_list("pk", flat=True))
    filters = ReportFilters.parse({}, now=now)
    done = 0
    for start in range(0, len(keys), AT_ONCE):
        if stopping():
            break
        part = keys[start : start + AT_ONCE]
        SavingsReading.objects.bulk_create([_unread(pk, now) for pk in part], ignore_conflicts=True)
        done += _read(part, filters, now)
    return done


def _unread(pilot: int, now: datetime) -> SavingsReading:
    """A row to lock: what comes in before the first figure is kept must have something to mark."""
    return SavingsReading(
        pilot_id=pilot,
        pilot_version=0,
        due=True,
        read_at=now,
        read_to=now.date(),
        document={},
        days=0,
        computed_days=0,
        evaluated_millionths=0,
    )


@transaction.atomic
def _read(keys: list[int], filters: ReportFilters, now: datetime) -> int:
    # What comes in from here on marks them again, and waits for this to end. What somebody marks now is left for the
    # next time: waiting for each other could be for ever.
    locked = SavingsReading.objects.select_for_update(skip_locked=True).filter(pilot__in=keys)
    mine = list(locked.values_list("pilot_id", flat=True))
    pilots = list(Pilot.objects.filter(pk__in=mine).select_related("incumbent").order_by("pk"))
    found = dict(saved_days(Pilot.objects.filter(pk__in=mine), filters))
    rows = [_row(pilot, found[pilot.pk].savings, filters, now) for pilot in pilots if pilot.pk in found]
    SavingsReading.objects.bulk_update(rows, _KEPT)
    return len(rows)


def _row(pilot: Pilot, found: PilotSavings, filters: ReportFilters, now: datetime) -> SavingsReading:
    return SavingsReading(
        pilot=pilot,
        pilot_version=pilot.version,
        due=False,
        read_at=now,
        read_to=filters.as_of,
        retires_on=pilot.incumbent.retires_on,
        document=msgspec.to_builtins(found),
        currency=found.currency,
        days=found.total.days,
        computed_days=found.total.computed_days,
        saved_millionths=None if found.total.saved is None else _millionths(found.total.saved),
        evaluated_millionths=_millionths(found.evaluated),
    )


def _millionths(amount: Decimal) -> int:
    return round(amount * _MILLION)


def savings_of_model_due(model: ModelVersion) -> None:
    """A price of ``model`` is new or was corrected: figures of pilots from or to it, or its family, no longer count."""
    line = Q(pilot__incumbent=model) | Q(pilot__candidate=model)
    if model.family:
        line |= Q(pilot__candidate__family=model.family, pilot__candidate__vendor=model.vendor_id)
    SavingsReading.objects.filter(line).update(due=True)


def savings_of_vendor_due(vendor_id: int) -> None:
    """A model has changed its dates or its family: which models continue a period on another may have."""
    line = Q(pilot__incumbent__vendor=vendor_id) | Q(pilot__candidate__vendor=vendor_id)
    SavingsReading.objects.filter(line).update(due=True)


def savings_of_plan_due(plan_id: int) -> None:
    """A replay of the plan has ended: it cost money, and may be what the incumbent's requests are known by."""
    SavingsReading.objects.filter(pilot__plan=plan_id).update(due=True)


def savings_of_workloads_due(workloads: Iterable[int]) -> None:
    """Traffic of these workloads came in."""
    keys = sorted(workloads)
    for start in range(0, len(keys), 5000):
        SavingsReading.objects.filter(pilot__workload__in=keys[start : start + 5000]).update(due=True)
