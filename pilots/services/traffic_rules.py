"""What gateways' names stand for. Public surface: ``add_rule``, ``remove_rule``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, datetime

from django.db import transaction
from django.db.models import Q

from evaluations.models import ModelVersion, Workload
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.bulk import update_rows
from evaluations.services.errors import Refused
from pilots.enums import GatewayName
from pilots.models import TrafficDay, TrafficRule
from pilots.services.savings_readings import savings_of_workloads_due
from pilots.services.traffic_names import GatewayNames, Source, on
from pilots.services.traffic_readings import mark_due

register_actions(
    {
        "traffic_rule.added": "added the mapping rule for",
        "traffic_rule.removed": "removed the mapping rule for",
    }
)

_AT_ONCE = 50_000


@transaction.atomic
def add_rule(
    *,
    kind: GatewayName,
    name: str,
    by: Actor,
    at: datetime,
    workload: Workload | None = None,
    model: ModelVersion | None = None,
    from_on: date | None = None,
    workloads: Collection[int] | None = None,
) -> tuple[TrafficRule, int]:
    """From ``from_on`` on (None: always) ``name`` stands for the workload, the model or both; the days that waited for
    it are mapped, and their number is returned with the rule.

    Days that were mapped already stay as they are. ``workloads``: primary keys of those that may be written to; None:
    all. Raises ``Refused``.
    """
    name = name.strip()
    if not name:
        raise Refused("a rule needs the name that it is about", field="name")
    if workload is None and model is None:
        raise Refused("a rule says which workload or which model is meant", field="workload")
    if workload is not None and workloads is not None and workload.pk not in workloads:
        raise Refused("only a pilot manager of the team does this", field="workload")
    if kind == GatewayName.KEY_ALIAS and workloads is not None:
        called = Workload.objects.filter(slug__iexact=name).values_list("pk", flat=True)
        if any(pk not in workloads for pk in called):
            raise Refused(f"{name!r} is not one that you may import for", field="name")
    same = TrafficRule.objects.filter(kind=kind, name__iexact=name, from_on=from_on)
    if same.exists():
        since = "from the beginning" if from_on is None else f"from {from_on} on"
        raise Refused(f"there is a rule for {name!r} {since} already", field="name")
    rule = TrafficRule.objects.create(
        kind=kind, name=name, from_on=from_on, workload=workload, model=model, made_by=by.name[:200], made_at=at
    )
    mapped, changed = _map_waiting(at, workloads)
    mark_due(changed)
    record(
        by=by,
        at=at,
        action="traffic_rule.added",
        object_type="traffic_rule",
        object_id=rule.pk,
        object_label=f"{kind.label} {name}",
        team=workload.team if workload else None,
        data=_said(rule) | {"mapped": mapped},
    )
    savings_of_workloads_due(changed)
    return rule, mapped


@transaction.atomic
def remove_rule(*, rule: TrafficRule, by: Actor, at: datetime) -> None:
    """Later imports no longer follow the rule; what was mapped by it stays mapped."""
    data, workload = _said(rule), rule.workload
    key = rule.pk
    rule.delete()
    record(
        by=by,
        at=at,
        action="traffic_rule.removed",
        object_type="traffic_rule",
        object_id=key,
        object_label=f"{rule.kind.label} {rule.name}",
        team=workload.team if workload else None,
        data=data,
    )


def _said(rule: TrafficRule) -> dict[str, object]:
    return {
        "from": None if rule.from_on is None else rule.from_on.isoformat(),
        "workload": rule.workload.slug if rule.workload else None,
        "model": rule.model.slug if rule.model else None,
    }


def _map_waiting(at: datetime, allowed: Collection[int] | None) -> tuple[int, set[int]]:
    """Read the names of every day that waits anew; those that mean something now are known from ``at`` on. Returns
    the number of days that are mapped now and the workloads that got any."""
    changed = list(_readable(None if allowed is None else frozenset(allowed)))
    for start in range(0, len(changed), _AT_ONCE):
        part = [(workload, model, at, pk) for pk, workload, model in changed[start : start + _AT_ONCE]]
        update_rows(TrafficDay, ("workload", "model", "recorded_at"), ("id",), part)
    mapped = sum(workload is not None and model is not None for _, workload, model in changed)
    return mapped, {workload for _, workload, _ in changed if workload is not None}


def _readable(allowed: frozenset[int] | None) -> Iterator[tuple[int, int | None, int | None]]:
    """Primary key, workload and model of waiting rows of which more is known now."""
    names = GatewayNames()
    waiting = TrafficDay.objects.filter(Q(workload=None) | Q(model=None), replaced_at=None).order_by("source_id")
    columns = ("source__key_alias", "source__tags", "source__wire_name", "pk", "day", "workload_id", "model_id")
    last: Source | None = None
    for alias, tags, wire_name, pk, day, workload, model in waiting.values_list(*columns).iterator(chunk_size=5000):
        source = Source(alias, tuple(tags), wire_name)
        if source != last:
            last, periods = source, names.periods(source)
        found = on(periods, day)
        new = (workload or found.workload, model or found.model)
        if new != (workload, model) and (allowed is None or new[0] is None or new[0] in allowed):
            yield (pk, *new)
