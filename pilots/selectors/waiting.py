"""The attention list as one person sees it. Public surface: ``waiting_for``, ``Waiting``, ``Line``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from evaluations.enums import TeamRole
from pilots.enums import MatterKind
from pilots.models import Snooze
from pilots.selectors.access import PilotAccess
from pilots.selectors.matters.base import Matter

# More at stake by half, or in a worse state: worth another look before its day.
MATERIAL = 1.5
_RANK = {"bad": 0, "caution": 1, "unknown": 2}


@dataclass(frozen=True, slots=True)
class Line:
    matter: Matter
    new: bool  # came up after the person's last visit
    may_act: bool
    until_on: date | None  # put off by the person until that day; None: not
    reason: str  # of putting it off


@dataclass(frozen=True, slots=True)
class Waiting:
    lines: tuple[Line, ...]  # most urgent first, as the following
    snoozed: tuple[Line, ...]

    @property
    def new(self) -> int:
        return sum(line.new for line in self.lines)

    @property
    def kinds(self) -> tuple[tuple[MatterKind, int], ...]:
        """Those that occur, with how many lines of them there are."""
        of = [line.matter.kind for line in self.lines]
        return tuple((kind, of.count(kind)) for kind in MatterKind if kind in of)


def waiting_for(
    access: PilotAccess, matters: Sequence[Matter], *, at: datetime, last_visit: datetime | None = None
) -> Waiting:
    """Two queries, however many matters. Nobody who comes for the first time has anything marked as new."""
    put_off = {row.key: row for row in Snooze.objects.filter(user=access.user)}
    roles = {team.slug: team for team in access.teams()}
    manages = {slug for slug, team in roles.items() if access.may_open_for(team)}
    administers = {slug for slug in manages if access.has_role(roles[slug], TeamRole.ADMIN)}
    today = at.astimezone(UTC).date()

    def may_act(matter: Matter) -> bool:
        if matter.kind is MatterKind.WEBHOOK:
            return matter.team in administers
        return matter.team in manages if matter.team else bool(manages)

    def line(matter: Matter) -> Line:
        snooze = put_off.get(matter.key)
        asleep = snooze is not None and _asleep(snooze, matter, today)
        return Line(
            matter=matter,
            new=last_visit is not None and matter.since is not None and matter.since > last_visit,
            may_act=may_act(matter),
            until_on=snooze.until_on if snooze is not None and asleep else None,
            reason=snooze.reason if snooze is not None and asleep else "",
        )

    lines = [line(matter) for matter in matters]
    return Waiting(_those(lines, asleep=False), _those(lines, asleep=True))


def _those(lines: Iterable[Line], *, asleep: bool) -> tuple[Line, ...]:
    return tuple(line for line in lines if (line.until_on is not None) == asleep)


def _asleep(snooze: Snooze, matter: Matter, today: date) -> bool:
    worse = _RANK[matter.tone] < _RANK.get(snooze.tone, 2)
    return snooze.until_on > today and not worse and matter.size < MATERIAL * max(snooze.size, 1)
