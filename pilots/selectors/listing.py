"""The portfolio as a list to look through, and in figures. Public surface: ``listed``, ``SORTS``, ``figures``,
``Figures``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from pilots.enums import PilotStatus, SpellStatus
from pilots.selectors.pilots import PilotRow, Portfolio
from pilots.selectors.retention import Answer
from pilots.selectors.staying import Point

_STAGE_ORDER = {status: position for position, status in enumerate(PilotStatus)}
_NEVER = date.min

# What a reader may sort by. Ties keep the order of the slugs.
SORTS: dict[str, Callable[[PilotRow], Any]] = {
    "pilot": lambda row: row.pilot,
    "team": lambda row: row.team,
    "stage": lambda row: _STAGE_ORDER[row.status],
    "confirmed": lambda row: row.last_confirmed or _NEVER,
    "owner": lambda row: row.owner,
}


def listed(portfolio: Portfolio, *, stage: str = "", search: str = "", sort: str = "") -> tuple[PilotRow, ...]:
    """The rows of one stage that hold ``search`` in a name, sorted by a key of ``SORTS``, reversed with a leading -."""
    rows = [row for row in portfolio.pilots if not stage or row.status == stage]
    if needle := search.casefold():
        rows = [row for row in rows if any(needle in name.casefold() for name in _names(row))]
    key = SORTS.get(sort.removeprefix("-"))
    return tuple(rows if key is None else sorted(rows, key=key, reverse=sort.startswith("-")))


def _names(row: PilotRow) -> tuple[str, ...]:
    return (row.pilot, row.workload, row.incumbent, row.candidate, row.owner, row.deputy)


@dataclass(frozen=True, slots=True)
class Figures:
    """The portfolio in a few numbers."""

    switched_this_month: int  # periods begun since the first of the month
    of_them_still_switched: int
    retention: Point | None  # not back with the incumbent's vendor, at 90 days; None: that day is not read
    pairs: tuple[tuple[str, str, int], ...]  # incumbent's vendor, candidate's vendor, pilots; most first


def figures(portfolio: Portfolio, answer: Answer) -> Figures:
    """From the same rows that list and report show."""
    first = portfolio.as_of.replace(day=1)
    begun = [spell for spell in answer.spells if first <= spell.start <= portfolio.as_of]
    pairs = Counter((row.incumbent_vendor, row.candidate_vendor) for row in portfolio.pilots)
    return Figures(
        switched_this_month=len(begun),
        of_them_still_switched=sum(spell.status is SpellStatus.STILL_SWITCHED for spell in begun),
        retention=next((point for point in answer.not_returned_to_vendor if point.day == 90), None),
        pairs=tuple((old, new, n) for (old, new), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))),
    )
