"""From the names in a gateway's log to a workload and a model. Public surface: ``GatewayNames``, ``Mapping``,
``Source``, ``source_digest``."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from evaluations.models import Endpoint, ModelVersion, Workload
from pilots.enums import GatewayName
from pilots.models import TrafficRule

ALWAYS = date.min


class Source(NamedTuple):
    """The names as they were written."""

    key_alias: str
    tags: tuple[str, ...]
    wire_name: str


class Mapping(NamedTuple):
    """What names stand for, as primary keys; None: nobody has said."""

    workload: int | None
    model: int | None

    @property
    def whole(self) -> bool:
        return self.workload is not None and self.model is not None


def source_digest(source: Source) -> str:
    return hashlib.sha256(json.dumps(source).encode()).hexdigest()


class GatewayNames:
    """What every name stands for, by the rules and else by the catalogue.

    A workload is named by a rule on the key's alias, on a tag or on the name of the model as called, in this order;
    else the alias is its slug, or its name where one workload alone is called so. A model is named by a rule on its
    name as called, on the alias or on a tag; else that name is its slug, or what one model alone is called by its
    endpoints. Of a name's rules the one with the latest day counts, up to the day asked about.
    """

    def __init__(self) -> None:
        self._rules: dict[tuple[GatewayName, str], list[tuple[date, Mapping]]] = defaultdict(list)
        for kind, name, from_on, workload, model in TrafficRule.objects.values_list(
            "kind", "name", "from_on", "workload_id", "model_id"
        ):
            self._rules[kind, name.casefold()].append((from_on or ALWAYS, Mapping(workload, model)))
        for rules in self._rules.values():
            rules.sort(key=lambda rule: rule[0])
        workloads = list(Workload.objects.values_list("pk", "slug", "name"))
        self._workloads = _unambiguous((name.casefold(), pk) for pk, _, name in workloads)
        self._workloads |= {slug.casefold(): pk for pk, slug, _ in workloads}
        called = Endpoint.objects.values_list("wire_model", "model_id")
        self._models = _unambiguous((name.casefold(), pk) for name, pk in called)
        self._models |= {slug.casefold(): pk for pk, slug in ModelVersion.objects.values_list("pk", "slug")}

    def periods(self, source: Source) -> tuple[list[date], list[Mapping]]:
        """What ``source`` stands for from each of some days on, the first of them before everything."""
        alias = (GatewayName.KEY_ALIAS, source.key_alias.casefold())
        tags = [(GatewayName.TAG, tag.casefold()) for tag in source.tags]
        wire = (GatewayName.WIRE_NAME, source.wire_name.casefold())
        found = [key for key in (alias, *tags, wire) if key in self._rules]
        days = sorted({ALWAYS, *(day for key in found for day, _ in self._rules[key])})
        workload = self._workloads.get(source.key_alias.casefold())
        # Some gateways write the vendor before the model.
        called = source.wire_name.casefold()
        model = self._models.get(called, self._models.get(called.rpartition("/")[2]))
        return days, [
            Mapping(
                next((pk for key in (alias, *tags, wire) if (pk := self._said(key, day).workload)), workload),
                next((pk for key in (wire, alias, *tags) if (pk := self._said(key, day).model)), model),
            )
            for day in days
        ]

    def _said(self, key: tuple[GatewayName, str], day: date) -> Mapping:
        rules = self._rules.get(key, [])
        at = bisect_right(rules, day, key=lambda rule: rule[0])
        return rules[at - 1][1] if at else Mapping(None, None)


def on(periods: tuple[Sequence[date], Sequence[Mapping]], day: date) -> Mapping:
    """What the periods say of ``day``."""
    days, mappings = periods
    return mappings[0] if len(days) == 1 else mappings[bisect_right(days, day) - 1]


def _unambiguous(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Names that stand for one thing alone."""
    found: dict[str, set[int]] = defaultdict(set)
    for name, pk in pairs:
        found[name].add(pk)
    return {name: next(iter(keys)) for name, keys in found.items() if len(keys) == 1}
