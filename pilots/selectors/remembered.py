"""Figures over many pilots, kept as long as nothing that they are read from has changed. Public surface:
``remembered``, ``forget``.

Kept by the process, beside a print of what they were read from: every pilot in question with its version (no event
without a new one), names and people, what its traffic was last read to say, disputes, models and settings. The print is
taken anew for each request, so nobody has to remember to throw anything away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from evaluations.models import Vendor
from pilots.conf import setting
from pilots.models import Pilot, TrafficConflict, TrafficReading
from pilots.selectors.filters import ReportFilters
from pilots.selectors.measured import READ_AT_ONCE
from pilots.selectors.timelines import known_models

_MOST_KEPT = 8  # of the largest portfolios a few megabytes each
_SETTINGS = ("FORCED_WITHIN_DAYS", "FOLLOW_UP_DAYS", "LOST_AFTER_DAYS")
_WHENEVER = datetime(2000, 1, 1, tzinfo=UTC)
_kept: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
_lock = Lock()

T = TypeVar("T")


def remembered(name: str, pilots: QuerySet[Pilot], filters: ReportFilters, read: Callable[[], T]) -> T:
    """What ``read`` returns for ``pilots`` under ``filters``, from memory where it would return the same.

    Not kept: an earlier state of the record, and what is seen from within a transaction, which may never have been.
    """
    if filters.known_before or connection.in_atomic_block:
        return read()
    chosen = filters.apply(pilots)
    try:
        asked = chosen.query.sql_with_params()
        state = _state(chosen)
    except EmptyResultSet:  # somebody in no team: the ORM knows that there is nothing, and has no query for it
        return read()
    key = (name, connection.settings_dict["NAME"], asked, replace(filters, known_at=_WHENEVER))
    if state is None:
        return read()
    with _lock:
        kept = _kept.get(key)
        if kept is not None and kept[0] == state:
            _kept.move_to_end(key)
            value: T = kept[1]
            return value
    value = read()
    # Unless something changed while it was read: then it may be half of one and half of the other.
    if _state(chosen) == state:
        with _lock:
            _kept[key] = (state, value)
            _kept.move_to_end(key)
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
    return value


def forget() -> None:
    with _lock:
        _kept.clear()


def _state(chosen: QuerySet[Pilot]) -> Hashable | None:
    """A print of what the figures are read from; None where some of it is days that are not read yet."""
    name = get_user_model().USERNAME_FIELD
    reading = [f"traffic_reading__{field.attname}" for field in TrafficReading._meta.concrete_fields]
    columns = (
        "version", "traffic_reading__pilot_version", "traffic_reading__due", "pk", "slug", "workload__slug",
        "workload__team__slug", "workload__task_type", "motive", "incumbent_id", "candidate_id", f"owner__{name}",
        f"deputy__{name}",
    )  # fmt: skip
    # Past the fields' own conversions, which take longer than the database.
    rows = _raw(chosen.order_by("pk").values_list(*columns, *reading))
    outdated = sum(read_version != version for version, read_version, *_ in rows)
    due = sum(bool(row[2]) for row in rows)
    if outdated or 0 < due <= READ_AT_ONCE:
        return None
    disputed = TrafficConflict.objects.filter(disputed_at__isnull=False).order_by("pk")
    return (
        hash(tuple(rows)),
        len(rows),
        hash(tuple(_raw(disputed.values_list("pilot_id", "kind", "since_on")))),
        frozenset(known_models().items()),
        tuple(Vendor.objects.order_by("slug").values_list("slug", "name")),
        tuple(str(setting(one)) for one in _SETTINGS),
    )


def _raw(rows: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(*rows.query.sql_with_params())
        return list(cursor.fetchall())
