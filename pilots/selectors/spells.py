"""Periods on the candidate, of one pilot. Public surface: ``spells_of``, ``SpellRow``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from evaluations.enums import Decision
from pilots.enums import KnownBy, Reason, SpellEnd
from pilots.models import Pilot, Spell


@dataclass(frozen=True, slots=True)
class SpellRow:
    number: int
    started_on: date
    observed_from_on: date
    ended_on: date | None  # None: not ended
    end_kind: SpellEnd | None
    end_reason: Reason | None
    end_model: str  # '': not said
    last_confirmed_on: date
    days: int  # to its end, else to its last confirmation
    unconfirmed_days: int | None  # since the last confirmation; None: ended
    known_by: KnownBy
    forced: bool
    upgraded: bool
    against_verdict: bool
    decision_at_cutover: Decision | None


def spells_of(pilot: Pilot, *, on: date) -> tuple[SpellRow, ...]:
    """Newest first. Days are differences of UTC dates."""
    rows = Spell.objects.filter(pilot=pilot).select_related("end_model").order_by("-number")
    return tuple(
        SpellRow(
            number=row.number,
            started_on=row.started_on,
            observed_from_on=row.observed_from_on,
            ended_on=row.ended_on,
            end_kind=row.end_kind or None,
            end_reason=row.end_reason or None,
            end_model=row.end_model.slug if row.end_model else "",
            last_confirmed_on=row.last_confirmed_on,
            days=((row.ended_on or row.last_confirmed_on) - row.started_on).days,
            unconfirmed_days=None if row.ended_on else (on - row.last_confirmed_on).days,
            known_by=row.known_by,
            forced=row.forced,
            upgraded=row.upgraded,
            against_verdict=row.against_verdict,
            decision_at_cutover=row.decision_at_cutover or None,
        )
        for row in rows
    )
