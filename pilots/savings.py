"""What a switch has saved, day by day, as plain values. Public surface: ``Use``, ``PerRequest``, ``Window``,
``DaySaving``, ``Spent``, ``PriceBook``, ``per_request``, ``saved_on``, ``sum_up``, ``gaps``, ``months``.

No Django, no database. Days are UTC dates. Of each day of a period on the candidate: the requests that the candidate
(or its successor) took, times what a request used to take of the incumbent at the incumbent's price of that day, less
what they cost. What they cost is what was invoiced; where nobody says so, their tokens at the candidate's price of that
day. A day of which any of it is unknown has no figure, and a reason. Amounts are rounded to a millionth, a day at a
time, so that any grouping of days sums to the same total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from evaluations.pricing import MTOK, PriceRow, price_of_day
from pilots.enums import NotComputed, SavingsBasis, SavingsStop

OBSERVED_DAYS = 30  # of the incumbent, before the cutover
MILLIONTH = Decimal("0.000001")


class Use(NamedTuple):
    """What one model did for a workload on one day."""

    requests: int
    input_tokens: int | None  # None: not said of every row, as for the others
    output_tokens: int | None
    invoiced: Decimal | None
    currency: str  # of the invoice; '': none, or several


@dataclass(frozen=True, slots=True)
class PerRequest:
    """What a request took of the incumbent: tokens, on average."""

    source: SavingsBasis
    requests: int  # that it is the average of
    days: int  # observed; 0: of a replay
    first_on: date | None  # of the observed days
    last_on: date | None
    run: int | None  # the replay
    input_tokens: Decimal
    cache_read_tokens: Decimal  # 0: a log does not tell them apart
    cache_write_tokens: Decimal
    output_tokens: Decimal
    invoiced: Decimal | None  # a request in those days, in the currency of the savings; None: no invoice of all of them

    def cost(self, price: PriceRow) -> Decimal | None:
        """Money for one request; None: undisclosed."""
        if price.input_per_mtok is None or price.output_per_mtok is None:
            return None
        read = price.input_per_mtok if price.cache_read_per_mtok is None else price.cache_read_per_mtok
        written = price.input_per_mtok if price.cache_write_per_mtok is None else price.cache_write_per_mtok
        return (
            self.input_tokens * price.input_per_mtok
            + self.cache_read_tokens * read
            + self.cache_write_tokens * written
            + self.output_tokens * price.output_per_mtok
        ) / MTOK


@dataclass(frozen=True, slots=True)
class Window:
    """The days of one period on which a rollback was possible."""

    number: int  # of the period
    start: date
    end: date | None  # the first day that does not count; None: goes on
    stopped_by: SavingsStop | None


@dataclass(frozen=True, slots=True)
class DaySaving:
    """One day of a period. Money in the currency of the savings; None: unknown."""

    day: date
    period: int
    requests: int | None  # that the candidate or its successor took; None: no traffic was observed
    would_have_cost: Decimal | None  # on the incumbent, at its price of the day
    computed: Decimal | None  # their tokens at the candidate's price of the day
    invoiced: Decimal | None
    saved: Decimal | None
    reason: NotComputed | None  # why there is no figure

    @property
    def cost(self) -> Decimal | None:
        return self.computed if self.invoiced is None else self.invoiced


@dataclass(frozen=True, slots=True)
class Spent:
    """Several days together. The amounts are those of the computed days; None: there is none."""

    days: int
    computed_days: int
    requests: int  # of the computed days
    would_have_cost: Decimal | None
    cost: Decimal | None
    saved: Decimal | None
    both_days: int  # computed days whose cost is known in both ways
    both_computed: Decimal | None  # of those days
    both_invoiced: Decimal | None

    @property
    def not_computed_days(self) -> int:
        return self.days - self.computed_days


class PriceBook:
    """The prices of models in one currency, by the day."""

    def __init__(self, rows: Mapping[str, Sequence[PriceRow]]) -> None:
        self._rows = rows
        self._known: dict[tuple[str, date, int], PriceRow | None] = {}
        self._tiered = {
            slug for slug, given in rows.items() if any(row.above_input_tokens is not None for row in given)
        }

    def on(self, slug: str, day: date, input_tokens: int) -> PriceRow | None:
        """What holds for requests with so many input tokens on average; None: nothing, or it changes with the hour."""
        key = (slug, day, input_tokens if slug in self._tiered else 0)
        if key not in self._known:
            self._known[key] = price_of_day(self._rows.get(slug, ()), on=day, input_tokens=input_tokens)
        return self._known[key]


def per_request(
    days: Sequence[tuple[date, Mapping[str, Use]]], incumbent: str, *, before: date, currency: str
) -> PerRequest | None:
    """Of the last 30 days before the cutover on which the incumbent was seen and its tokens are known."""
    seen = [
        (day, use)
        for day, models in days
        if day < before
        and (use := models.get(incumbent)) is not None
        and use.requests
        and use.input_tokens is not None
        and use.output_tokens is not None
    ][-OBSERVED_DAYS:]
    if not seen:
        return None
    requests = sum(use.requests for _, use in seen)
    bills = [use.invoiced for _, use in seen if use.invoiced is not None and use.currency == currency]
    return PerRequest(
        source=SavingsBasis.TRAFFIC,
        requests=requests,
        days=len(seen),
        first_on=seen[0][0],
        last_on=seen[-1][0],
        run=None,
        input_tokens=Decimal(sum(use.input_tokens or 0 for _, use in seen)) / requests,
        cache_read_tokens=Decimal(0),
        cache_write_tokens=Decimal(0),
        output_tokens=Decimal(sum(use.output_tokens or 0 for _, use in seen)) / requests,
        invoiced=sum(bills, Decimal(0)) / requests if len(bills) == len(seen) else None,
    )


def saved_on(
    window: Window,
    days: Mapping[date, Mapping[str, Use]],
    *,
    until: date,
    incumbent: str,
    candidates: frozenset[str],
    before: PerRequest | None,
    prices: PriceBook,
    currency: str,
) -> list[DaySaving]:
    """Every day of the period up to ``until``. ``candidates``: the candidate and its successors."""
    end = until + timedelta(days=1) if window.end is None else min(window.end, until + timedelta(days=1))
    found = []
    for n in range((end - window.start).days):
        day = window.start + timedelta(days=n)
        models = days.get(day)
        if models is None or not any(use.requests for use in models.values()):
            found.append(_without(day, window.number, NotComputed.NO_TRAFFIC))
            continue
        uses = {slug: use for slug, use in models.items() if slug in candidates and use.requests}
        found.append(_day(day, window.number, uses, incumbent, before, prices, currency))
    return found


def _without(day: date, period: int, reason: NotComputed) -> DaySaving:
    return DaySaving(day, period, None, None, None, None, None, reason)


def _day(
    day: date,
    period: int,
    uses: Mapping[str, Use],
    incumbent: str,
    before: PerRequest | None,
    prices: PriceBook,
    currency: str,
) -> DaySaving:
    requests = sum(use.requests for use in uses.values())
    each = None
    if before is not None:
        taken = before.input_tokens + before.cache_read_tokens + before.cache_write_tokens
        price = prices.on(incumbent, day, int(taken))
        each = None if price is None else before.cost(price)
    would = None if each is None else _rounded(requests * each)
    computed, invoiced, cost = Decimal(0), Decimal(0), Decimal(0)
    all_computed, all_invoiced, reason = bool(uses), bool(uses), None
    for slug, use in uses.items():
        by_tokens = _by_tokens(use, prices, slug, day)
        bill = use.invoiced if use.currency == currency else None
        if by_tokens is None:
            all_computed = False
        else:
            computed += by_tokens
        if bill is None:
            all_invoiced = False
        else:
            invoiced += bill
        known = by_tokens if bill is None else bill
        if known is None:
            reason = _why_unknown(use, currency)
        else:
            cost += known
    if before is None:
        reason = NotComputed.INCUMBENT_USAGE
    elif each is None:
        reason = NotComputed.INCUMBENT_PRICE
    return DaySaving(
        day=day,
        period=period,
        requests=requests,
        would_have_cost=would,
        computed=_rounded(computed) if all_computed else None,
        invoiced=_rounded(invoiced) if all_invoiced else None,
        saved=None if reason is not None or would is None else would - _rounded(cost),
        reason=reason,
    )


def _by_tokens(use: Use, prices: PriceBook, slug: str, day: date) -> Decimal | None:
    if use.input_tokens is None or use.output_tokens is None:
        return None
    price = prices.on(slug, day, use.input_tokens // use.requests)
    if price is None or price.input_per_mtok is None or price.output_per_mtok is None:
        return None
    return (use.input_tokens * price.input_per_mtok + use.output_tokens * price.output_per_mtok) / MTOK


def _why_unknown(use: Use, currency: str) -> NotComputed:
    if use.currency and use.currency != currency:
        return NotComputed.OTHER_CURRENCY
    return NotComputed.TOKENS if use.input_tokens is None or use.output_tokens is None else NotComputed.CANDIDATE_PRICE


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(MILLIONTH)


def sum_up(days: Iterable[DaySaving]) -> Spent:
    """Together; days without a figure are counted and add nothing."""
    told = list(days)
    computed = [day for day in told if day.saved is not None]
    both = [day for day in computed if day.computed is not None and day.invoiced is not None]

    def total(amounts: Iterable[Decimal | None], of: Sequence[DaySaving]) -> Decimal | None:
        return sum((amount or Decimal(0) for amount in amounts), Decimal(0)) if of else None

    saved = total((day.saved for day in computed), computed)
    would = total((day.would_have_cost for day in computed), computed)
    return Spent(
        days=len(told),
        computed_days=len(computed),
        requests=sum(day.requests or 0 for day in computed),
        would_have_cost=would,
        cost=None if would is None or saved is None else would - saved,
        saved=saved,
        both_days=len(both),
        both_computed=total((day.computed for day in both), both),
        both_invoiced=total((day.invoiced for day in both), both),
    )


@dataclass(frozen=True, slots=True)
class Gap:
    """Days in a row without a figure, for one reason."""

    period: int
    first_on: date
    last_on: date
    days: int
    reason: NotComputed


def gaps(days: Sequence[DaySaving]) -> tuple[Gap, ...]:
    """Every day without a figure, in order of time."""
    found = []
    for (period, reason), run in groupby(days, lambda day: (day.period, day.reason)):
        if reason is not None:
            row = list(run)
            found.append(Gap(period, row[0].day, row[-1].day, len(row), reason))
    return tuple(found)


def months(days: Sequence[DaySaving]) -> tuple[tuple[date, Spent], ...]:
    """By calendar month, named by its first day."""
    ordered = sorted(days, key=lambda day: day.day)
    return tuple((month, sum_up(run)) for month, run in groupby(ordered, lambda day: day.day.replace(day=1)))
