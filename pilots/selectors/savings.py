"""What switching has saved, by pilot and summed by currency. Public surface: ``savings``, ``Savings``, ``SavedPilot``,
``SavingsSum``, ``saved_so_far``, ``SavedSoFar``, ``savings_due``, ``READ_ANEW_AT_MOST``.

Figures are kept with each pilot (``services.savings_readings``), so that a portfolio's sum looks at no day. What is not
kept yet, or no longer holds, is read from the days for so many pilots a request, as is every past state; the others
are counted as waiting, and are in no sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import msgspec
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from pilots.enums import NotComputed
from pilots.models import Pilot, SavingsReading, Spell
from pilots.savings import Gap, Spent
from pilots.selectors.filters import ReportFilters
from pilots.selectors.saved_days import MonthSavings, PilotSavings, saved_days

READ_ANEW_AT_MOST = 200
_TOGETHER = 50  # pilots whose days are held in memory


@dataclass(frozen=True, slots=True)
class SavedPilot:
    """One pilot that has ever been on its candidate."""

    pilot: str  # slug, as all names here
    workload: str
    team: str
    incumbent: str
    candidate: str
    evaluated: Decimal  # in the currency of the savings
    net: Decimal | None  # saved, less the cost of evaluating; None: no day was computed
    savings: PilotSavings


@dataclass(frozen=True, slots=True)
class SavingsSum:
    """All pilots of one currency of which a day was computed. The cost of evaluating is that of the same pilots."""

    currency: str
    pilots: int
    days: int  # on the candidate
    computed_days: int
    requests: int
    would_have_cost: Decimal
    cost: Decimal
    saved: Decimal
    evaluated: Decimal
    unknown_calls: int  # of evaluating: may have been billed, and are not in it
    net: Decimal
    both_days: int  # whose cost is known by invoice and by computation
    both_computed: Decimal
    both_invoiced: Decimal


@dataclass(frozen=True, slots=True)
class Savings:
    sums: tuple[SavingsSum, ...]  # by currency
    pilots: tuple[SavedPilot, ...]
    not_computed: int  # pilots of which no day was computed: in no sum
    waiting: int  # pilots that have not been read yet: in no sum


def savings(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> Savings:
    """What ``pilots`` (default: all) that the filters leave have saved, by slug."""
    chosen = filters.apply(Pilot.objects.all() if pilots is None else pilots).filter(_switched())
    columns = ("slug", "workload__slug", "workload__team__slug", "incumbent__slug", "candidate__slug")
    names = {pk: names for pk, *names in chosen.order_by("slug").values_list("pk", *columns)}
    found = {} if filters.known_before else _kept(chosen, filters.as_of)
    missing = [pk for pk in names if pk not in found]
    rest = missing[:READ_ANEW_AT_MOST]
    for start in range(0, len(rest), _TOGETHER):
        part = rest[start : start + _TOGETHER]
        found |= {pk: read.savings for pk, read in saved_days(Pilot.objects.filter(pk__in=part), filters)}
    rows = tuple(_row(names[pk], found[pk]) for pk in names if pk in found)
    return Savings(
        sums=_sums(rows),
        pilots=rows,
        not_computed=sum(row.net is None for row in rows),
        waiting=len(missing) - len(rest),
    )


def _row(names: Sequence[str], found: PilotSavings) -> SavedPilot:
    pilot, workload, team, incumbent, candidate = names
    return SavedPilot(pilot, workload, team, incumbent, candidate, found.evaluated, found.net, found)


def savings_due(pilots: QuerySet[Pilot]) -> QuerySet[Pilot]:
    """Those that have been on their candidate and whose kept figure is missing or no longer holds."""
    reading = SavingsReading.objects.filter(pilot=OuterRef("pk"), due=False, pilot_version=OuterRef("version")).filter(
        Q(retires_on=OuterRef("incumbent__retires_on")) | Q(retires_on=None, pilot__incumbent__retires_on=None)
    )
    return pilots.filter(_switched()).exclude(Exists(reading))


@dataclass(frozen=True, slots=True)
class SavedSoFar:
    """One currency's sum over a portfolio, as last read."""

    currency: str
    pilots: int
    net: Decimal  # saved, less the cost of evaluating
    days: int
    computed_days: int


def saved_so_far(pilots: QuerySet[Pilot]) -> tuple[SavedSoFar, ...]:
    """The kept figures of ``pilots`` by currency, largest number of pilots first. One query."""
    rows = (
        SavingsReading.objects.filter(pilot__in=pilots.filter(_switched()), saved_millionths__isnull=False)
        .order_by()
        .values_list("currency")
        .annotate(
            n=Count("pk"),
            saved=Sum("saved_millionths"),
            evaluated=Sum("evaluated_millionths"),
            all_days=Sum("days"),
            told=Sum("computed_days"),
        )
        .order_by("-n", "currency")
    )
    return tuple(
        SavedSoFar(currency, n, Decimal(int(saved) - int(evaluated)) / 1_000_000, days, computed)
        for currency, n, saved, evaluated, days, computed in rows
    )


def _switched() -> Exists:
    return Exists(Spell.objects.filter(pilot=OuterRef("pk")))


def _kept(pilots: QuerySet[Pilot], as_of: date) -> dict[int, PilotSavings]:
    """What is kept and still holds on ``as_of``."""
    rows = SavingsReading.objects.filter(
        Q(retires_on=F("pilot__incumbent__retires_on")) | Q(retires_on=None, pilot__incumbent__retires_on=None),
        pilot__in=pilots.values("pk"),
        due=False,
        pilot_version=F("pilot__version"),
        read_to__lte=as_of,
    )
    return {
        pk: _until(msgspec.convert(document, PilotSavings), read_to, as_of)
        for pk, read_to, document in rows.values_list("pk", "read_to", "document")
    }


def _until(found: PilotSavings, read_to: date, as_of: date) -> PilotSavings:
    """With the days since: no traffic has come in, or it would have been read again."""
    newest = found.periods[-1]
    first = max(read_to + timedelta(days=1), newest.start)
    last = as_of if newest.end is None else min(as_of, newest.end - timedelta(days=1))
    n = (last - first).days + 1
    if n <= 0:
        return found
    rest, gap = found.not_computed, Gap(newest.number, first, last, n, NotComputed.NO_TRAFFIC)
    if rest and (rest[-1].period, rest[-1].reason) == (gap.period, gap.reason):
        gap, rest = replace(gap, first_on=rest[-1].first_on, days=rest[-1].days + n), rest[:-1]
    return replace(
        found,
        periods=(*found.periods[:-1], replace(newest, spent=_later(newest.spent, n))),
        total=_later(found.total, n),
        months=_months(found.months, first, last),
        not_computed=(*rest, gap),
    )


def _later(spent: Spent, days: int) -> Spent:
    return replace(spent, days=spent.days + days)


_NOTHING = Spent(0, 0, 0, None, None, None, 0, None, None)


def _months(months: Sequence[MonthSavings], first: date, last: date) -> tuple[MonthSavings, ...]:
    by_month = {row.month: row.spent for row in months}
    for n in range((last - first).days + 1):
        month = (first + timedelta(days=n)).replace(day=1)
        by_month[month] = _later(by_month.get(month, _NOTHING), 1)
    return tuple(MonthSavings(month, spent) for month, spent in sorted(by_month.items()))


def _sums(rows: Iterable[SavedPilot]) -> tuple[SavingsSum, ...]:
    by_currency: dict[str, list[SavedPilot]] = defaultdict(list)
    for row in rows:
        if row.net is not None:
            by_currency[row.savings.currency].append(row)
    return tuple(_sum(currency, members) for currency, members in sorted(by_currency.items()))


def _sum(currency: str, members: Sequence[SavedPilot]) -> SavingsSum:
    def total(name: str) -> Decimal:
        return sum((getattr(row.savings.total, name) or Decimal(0) for row in members), Decimal(0))

    def count(name: str) -> int:
        return sum(getattr(row.savings.total, name) for row in members)

    saved, evaluated = total("saved"), sum((row.evaluated for row in members), Decimal(0))
    return SavingsSum(
        currency=currency,
        pilots=len(members),
        days=count("days"),
        computed_days=count("computed_days"),
        requests=count("requests"),
        would_have_cost=total("would_have_cost"),
        cost=total("cost"),
        saved=saved,
        evaluated=evaluated,
        unknown_calls=sum(one.unknown_calls for row in members for one in row.savings.evaluation),
        net=saved - evaluated,
        both_days=count("both_days"),
        both_computed=total("both_computed"),
        both_invoiced=total("both_invoiced"),
    )
