"""What a pilot has saved, with the days behind it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from msgspec import UNSET
from rest_framework.request import Request

from evaluations.services.saving import Maybe
from pilots.api.base import Nothing, operation
from pilots.api.pilots import OfAPilot
from pilots.models import Pilot
from pilots.savings import DaySaving, Spent, sum_up
from pilots.selectors.filters import ReportFilters
from pilots.selectors.saved_days import PilotSavings, saved_days


class SavingsQuery(Nothing):
    as_of: Maybe[str] = UNSET  # YYYY-MM-DD: up to that day
    known_at: Maybe[str] = UNSET  # using only what was recorded by then


@dataclass(frozen=True, slots=True)
class PilotSavingsDocument:
    """``savings`` is what the costs report says of the pilot; ``days`` are what it was summed from."""

    pilot: str
    evaluated: Decimal  # in the currency of the savings
    net: Decimal | None  # saved, less the cost of evaluating; None: no day was computed
    savings: PilotSavings
    days: tuple[DaySaving, ...]  # every day on the candidate, with the reason where it has no figure


class OfPilot(OfAPilot):
    @operation(
        "read_savings", "Read what a pilot has saved, day by day", answers=PilotSavingsDocument, query=SavingsQuery
    )
    def get(self, request: Request, slug: str, query: SavingsQuery) -> PilotSavingsDocument:
        pilot = self.pilot(slug)
        given = {name: value for name in ("as_of", "known_at") if (value := getattr(query, name)) is not UNSET}
        filters = ReportFilters.parse(given, now=self.now)
        found = dict(saved_days(Pilot.objects.filter(pk=pilot.pk), filters)).get(pilot.pk)
        if found is None:
            return PilotSavingsDocument(pilot.slug, Decimal(0), None, _NOTHING, ())
        return PilotSavingsDocument(pilot.slug, found.savings.evaluated, found.savings.net, found.savings, found.days)


_NONE: Spent = sum_up([])
_NOTHING = PilotSavings(currency="", periods=(), total=_NONE, months=(), not_computed=(), evaluation=())
