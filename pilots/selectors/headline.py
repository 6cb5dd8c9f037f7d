"""The one sentence on top of page and workbook. Public surface: ``headline``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilots.enums import KnownBy
from pilots.selectors.observation import Attempt, ObservedSpell
from pilots.selectors.staying import Point

Spells = Sequence[tuple[str, ObservedSpell]]  # team, spell
PREFERRED_DAY = 90
# Above this difference between worst and best case the sentence gives the range.
WIDE = 0.10


def headline(
    attempts: Sequence[Attempt],
    followed: Sequence[Attempt],
    not_returned: Sequence[Point],
    *,
    min_at_risk: int,
    vendors: Mapping[str, str],
) -> str:
    """How many customers (teams) who chose to switch were not back with the incumbent's vendor, and how sure that is.

    ``followed`` are those with a spell that the curves are read from, ``not_returned`` their points; ``vendors`` maps
    slugs to names. Read at 90 days where that can be read, else at the furthest day that can.
    """
    spells = [(attempt.team, attempt.spell) for attempt in followed if attempt.spell is not None]
    if not spells:
        return _nobody(attempts)
    pair, vendor = _pair(followed), _vendor(followed, vendors)
    readable = [point for point in not_returned if not point.withheld]
    if not readable:
        return _too_early(spells, pair, vendor, not_returned, min_at_risk)
    point = next((point for point in readable if point.day == PREFERRED_DAY), readable[-1])
    known = [(team, spell) for team, spell in spells if _known_on(spell, point.day)]
    back = [(team, spell) for team, spell in known if _returned_by(spell, point.day)]
    if not back:
        return _none_back(known, point, pair, vendor)
    return _some_back(known, back, point, pair, vendor)


def _nobody(attempts: Sequence[Attempt]) -> str:
    forced = sum(attempt.spell is not None for attempt in attempts)
    if forced:
        return (
            f"Nobody chose to switch yet: {_count(forced, 'switch', 'switches')} forced by the incumbent's retirement."
        )
    opened = len({attempt.pilot for attempt in attempts})
    return f"Nobody has switched yet: {_count(opened, 'pilot')} opened." if opened else "No pilot to report on."


def _too_early(spells: Spells, pair: str, vendor: str, points: Sequence[Point], min_at_risk: int) -> str:
    teams = {team for team, _ in spells}
    back = {team for team, spell in spells if spell.returned_to_vendor}
    first = points[0]
    return (
        f"{_count(len(teams), 'customer')} chose to {pair}, {len(back)} of them back with {vendor} so far: too early"
        f" for a percentage ({_count(first.at_risk, 'period')} followed for {first.day} days, {min_at_risk} needed)."
    )


def _none_back(known: Spells, point: Point, pair: str, vendor: str) -> str:
    past = sum(spell.days > point.day for _, spell in known)
    bound = ""
    if point.lower is not None:
        bound = (
            f"; with {past} followed past day {point.day} the true rate of staying away could be as low as"
            f" {_percent(point.lower)} %"
        )
    return (
        f"None of {_customers(known)} who chose to {pair} came back to {vendor} within {point.day} days{bound}"
        f" ({_known_by(known)})."
    )


def _some_back(known: Spells, back: Spells, point: Point, pair: str, vendor: str) -> str:
    teams = {team for team, _ in known}
    stayed = len(teams - {team for team, _ in back})
    switches = f" ({len(known) - len(back)} of {len(known)} switches)" if len(known) > len(teams) else ""
    share = [f"{_percent(point.still_switched)} %"]
    if point.lower is not None and point.upper is not None:
        share.append(f"95 % interval {_percent(point.lower)} to {_percent(point.upper)}")
    if point.worst is not None and point.best is not None and point.best - point.worst > WIDE:
        share.append(f"{_percent(point.worst)} to {_percent(point.best)} whatever became of those lost to follow-up")
    return (
        f"{stayed} of {_count(len(teams), 'customer')}{switches} who chose to {pair} were not back with {vendor}"
        f" after {point.day} days ({', '.join(share)}, {_known_by(known)})."
    )


def _known_on(spell: ObservedSpell, day: int) -> bool:
    """Whether it is known of the spell, from before that day on, if it was back by then."""
    if spell.entry_day and spell.entry_day >= min(day, spell.days):
        return False
    return spell.ended or spell.days >= day


def _returned_by(spell: ObservedSpell, day: int) -> bool:
    return spell.returned_to_vendor and spell.days <= day


def _customers(known: Spells) -> str:
    teams = len({team for team, _ in known})
    switches = f" ({len(known)} switches)" if len(known) > teams else ""
    return f"{_count(teams, 'customer')}{switches}"


def _known_by(known: Spells) -> str:
    measured = sum(spell.known_by is KnownBy.MEASURED for _, spell in known)
    return f"{measured} measured, {len(known) - measured} declared"


def _pair(attempts: Sequence[Attempt]) -> str:
    """``leave gpt-4 for mai-thinking-1``, as far as all have it in common."""
    incumbents = {attempt.incumbent.slug for attempt in attempts}
    candidates = {attempt.candidate.slug for attempt in attempts}
    left = incumbents.pop() if len(incumbents) == 1 else "their model"
    return f"leave {left} for {candidates.pop() if len(candidates) == 1 else 'another'}"


def _vendor(attempts: Sequence[Attempt], vendors: Mapping[str, str]) -> str:
    slugs = {attempt.incumbent.vendor for attempt in attempts}
    return vendors[slugs.pop()] if len(slugs) == 1 else "the vendor they left"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.0f}"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
