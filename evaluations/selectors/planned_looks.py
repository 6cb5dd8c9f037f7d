"""Planned checks up to a fixed horizon: when one is due, and at which level its interval is read.

Public surface: ``Look``, ``LooksTaken``, ``PlannedLooks``, ``planned_looks``, ``looks_taken``, ``voided_version``,
``checks_in_words``.

A plan of this kind fixes the largest number of samples and the sample numbers at which it is read. Between two checks
what the last one said stands. A criterion that a check has decided stays decided: with several gates each spends its
own error rate, and all must pass. A version that changes the horizon of one that has run voids the planned checks; it
is read by the sequence that holds at every look, over the evidence of both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from evaluations.enums import Looks
from evaluations.models import ComparisonRow, PlanVersion
from evaluations.selectors.evidence import ENDED
from evaluations.statistics.group_sequential import SMALLEST_INCREMENT, level_at_look


@dataclass(frozen=True, slots=True)
class Look:
    """A planned check at which one criterion was read."""

    number: int  # from 1; the last one where the horizon's day came first
    of: int
    samples: int  # of the evidence
    pairs: tuple[int, ...]  # of the criterion, at this check and those before
    alpha: float | None  # two-sided level of the interval; None: too early to tell anything

    def to_document(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(self), "pairs": list(self.pairs)}


@dataclass(frozen=True, slots=True)
class LooksTaken:
    """What has been read of a plan version so far."""

    number: int = 0  # of the last check; 0: none
    standing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # comparisons as last read, by metric

    def look(self, metric: str) -> Look | None:
        document = self.standing.get(metric, {}).get("look")
        return None if document is None else msgspec.convert(document, Look)


@dataclass(frozen=True, slots=True)
class PlannedLooks:
    """The sample numbers a frozen plan is read at, the largest last."""

    samples: tuple[int, ...]

    def due(self, n: int, taken: LooksTaken, *, past_horizon: bool) -> int | None:
        """The number of the check that ``n`` samples bring, or the horizon; None: what was read stands."""
        number = len(self.samples) if past_horizon else bisect_right(self.samples, n)
        return number if number > taken.number else None

    def look(self, number: int, before: Look | None, *, samples: int, pairs: int, alpha: float) -> Look | None:
        """The check of a criterion with ``pairs``; None where hardly any came since the one before."""
        earlier = () if before is None else before.pairs
        maximum = self.samples[-1]
        if pairs - (earlier[-1] if earlier else 0) < SMALLEST_INCREMENT * max(maximum, pairs):
            return None
        read = (*earlier, pairs)
        return Look(number, len(self.samples), samples, read, level_at_look(read, maximum, alpha))


def planned_looks(document: Mapping[str, Any]) -> PlannedLooks | None:
    """None: the plan is of another kind, or its planned checks are void."""
    horizon = document["horizon"]
    planned = horizon.get("planned_looks")
    if document["looks"] != Looks.PLANNED_HORIZON or not planned or voided_version(document) is not None:
        return None
    return PlannedLooks(tuple(planned))


def voided_version(document: Mapping[str, Any]) -> int | None:
    """The number of the plan version whose planned checks this one has voided by another horizon."""
    number: int | None = document["horizon"].get("voids")
    return number


def looks_taken(version: PlanVersion, *, period: int) -> LooksTaken:
    """By the newest ended run of ``version`` in a period; after a drift alarm checks start again, as sequences do.

    One query; none for a plan of another kind.
    """
    if planned_looks(version.document) is None:
        return LooksTaken()
    rows = ComparisonRow.objects.filter(
        plan_version=version, run__judges=None, run__period=period, run__status__in=ENDED
    )
    # Rows are written under the plan version's lock: their order is that of the readings, and not of the runs' ends.
    newest = rows.order_by("-pk").values_list("run", flat=True)[:1]
    standing = {row.metric: row.document for row in rows.filter(run__in=list(newest))}
    numbers = [document["look"]["number"] for document in standing.values() if document.get("look")]
    return LooksTaken(max(numbers, default=0), standing)


def checks_in_words(document: Mapping[str, Any], comparisons: Iterable[Mapping[str, Any]]) -> str:
    """A sentence on the planned checks of a frozen plan as ``comparisons`` were read; '': it has none."""
    voided = voided_version(document)
    if voided is not None:
        since = ", over the evidence from the first night" if document["horizon"]["continues"] else ""
        return (
            f"The planned checks are void, since those of plan version {voided} had begun when the plan was changed:"
            f" it is read by the sequence that holds at every look{since}."
        )
    planned = planned_looks(document)
    if planned is None:
        return ""
    number = max((one["look"]["number"] for one in comparisons if one.get("look")), default=0)
    if number == len(planned.samples):
        return f"The last of {number} planned checks has been read: later evidence does not change it."
    if number == 0:
        return f"No planned check has been read yet: the first is at {planned.samples[0]:,} samples."
    next_at = f"the next is at {planned.samples[number]:,} samples, and until then it stands"
    return f"Read at planned check {number} of {len(planned.samples)}; {next_at}."
