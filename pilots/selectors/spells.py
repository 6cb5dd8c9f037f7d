"""Periods on the candidate, of one pilot. Public surface: ``spells_of``, ``SpellRow``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from evaluations.enums import Decision
from pilots.enums import KnownBy, Reason, SpellStatus
from pilots.models import Pilot
from pilots.selectors.filters import ReportFilters
from pilots.selectors.observation import ObservedSpell, observed_spells, tell


@dataclass(frozen=True, slots=True)
class SpellRow:
    number: int  # 0: nobody recorded its cutover, traffic shows it
    started_on: date
    observed_from_on: date
    ended_on: date | None  # None: not ended
    status: SpellStatus
    end_reason: Reason | None
    end_model: str  # '': not said
    last_confirmed_on: date  # by a person, or by traffic where that is newer
    days: int  # to its end, else to its last confirmation
    unconfirmed_days: int | None  # since the last confirmation; None: ended
    known_by: KnownBy
    forced: bool
    upgraded: bool
    against_verdict: bool
    decision_at_cutover: Decision | None


def spells_of(pilot: Pilot, *, now: datetime) -> tuple[SpellRow, ...]:
    """Newest first, as the retention report counts them. Days are differences of UTC dates."""
    filters = ReportFilters.parse({}, now=now)
    told = next(iter(tell(Pilot.objects.filter(pk=pilot.pk), filters)), None)
    spells = () if told is None else observed_spells(told, filters.as_of)
    return tuple(_row(spell, filters.as_of) for spell in reversed(spells))


def _row(spell: ObservedSpell, on: date) -> SpellRow:
    return SpellRow(
        number=spell.number,
        started_on=spell.start,
        observed_from_on=spell.observed_from,
        ended_on=spell.end,
        status=spell.status,
        end_reason=spell.reason,
        end_model=spell.end_model,
        last_confirmed_on=spell.last_confirmed,
        days=spell.days,
        unconfirmed_days=None if spell.end else (on - spell.last_confirmed).days,
        known_by=spell.known_by,
        forced=spell.forced,
        upgraded=spell.upgraded,
        against_verdict=spell.against_verdict,
        decision_at_cutover=Decision(spell.verdict_at_cutover) if spell.verdict_at_cutover else None,
    )
