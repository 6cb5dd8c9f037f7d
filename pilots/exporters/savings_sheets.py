"""What switches have saved, month by month and summed. Public surface: ``savings_sheet``, ``savings_lines``."""

from __future__ import annotations

from collections.abc import Iterator

from pilots.exporters.base import Column, Formula, Kind, Sheet, SummaryLine
from pilots.selectors.savings import Savings

_SAVED = 'IF(ISNUMBER({incumbent_cost}),{incumbent_cost}-{paid},"unknown")'


def savings_sheet(found: Savings) -> Sheet:
    """One row for each pilot and month on its candidate; amounts are those of the computed days."""
    columns = [
        Column("pilot", "Pilot"),
        Column("month", "Month", Kind.DATE, "Its first day"),
        Column("days", "Days on the candidate", Kind.INTEGER),
        Column("computed", "Days computed", Kind.INTEGER, "Of the others a price, tokens or the traffic is unknown"),
        Column("requests", "Requests", Kind.INTEGER, "That the candidate took on the computed days"),
        Column("incumbent_cost", "On the incumbent", Kind.MONEY, "At its price of each day", currency_from="currency"),
        Column("paid", "Paid", Kind.MONEY, "By invoice, else by tokens and price", currency_from="currency"),
        Column("saved", "Saved", Kind.MONEY, "Before the cost of evaluating", currency_from="currency"),
        Column("both_days", "Days known both ways", Kind.INTEGER, "By invoice and by tokens and price"),
        Column("invoiced", "Invoiced", Kind.MONEY, "On those days", currency_from="currency", unknown=""),
        Column("by_tokens", "By tokens", Kind.MONEY, "On those days", currency_from="currency", unknown=""),
        Column("currency", "Currency", unknown=""),
    ]
    rows = [
        [
            row.pilot,
            one.month,
            one.spent.days,
            one.spent.computed_days,
            one.spent.requests,
            one.spent.would_have_cost,
            one.spent.cost,
            Formula(_SAVED, one.spent.saved),
            one.spent.both_days,
            one.spent.both_invoiced,
            one.spent.both_computed,
            row.savings.currency or None,
        ]
        for row in found.pilots
        for one in row.savings.months
    ]
    description = "What each switch has saved since its cutover"
    return Sheet("savings", "Savings", columns, rows, description, formulas=True, frozen_columns=2)


def savings_lines(found: Savings) -> Iterator[SummaryLine]:
    """By currency; the cost of evaluating is that of the same pilots."""
    section = "Saved since the cutovers"
    for total in found.sums:
        currency, code = total.currency, total.currency.lower()
        where = f'{{savings.currency}},"{currency}"'
        for key, label, column, value, kind in (
            ("days", "Days on a candidate", "days", total.days, Kind.INTEGER),
            ("computed", "Days computed", "computed", total.computed_days, Kind.INTEGER),
            ("incumbent_cost", "On the incumbents", "incumbent_cost", total.would_have_cost, Kind.MONEY),
            ("paid", "Paid", "paid", total.cost, Kind.MONEY),
            ("saved", "Saved, before evaluating", "saved", total.saved, Kind.MONEY),
        ):
            yield SummaryLine(
                f"savings_{key}_{code}",
                f"{label} ({currency})",
                f"SUMIFS({{savings.{column}}},{where})",
                value if kind is Kind.MONEY else _days(found, currency, key),
                kind,
                section,
                currency=currency if kind is Kind.MONEY else None,
            )
        yield SummaryLine(
            f"savings_net_{code}",
            f"Saved, less {total.evaluated:,.2f} for evaluating ({currency})",
            f"{{summary.savings_saved_{code}}}-{total.evaluated:f}",
            total.net,
            Kind.MONEY,
            section,
            currency=currency,
            note=f"{total.unknown_calls:,} calls of unknown cost are not in it" if total.unknown_calls else "",
        )


def _days(found: Savings, currency: str, key: str) -> int:
    totals = [row.savings.total for row in found.pilots if row.savings.currency == currency]
    return sum(total.days if key == "days" else total.computed_days for total in totals)
