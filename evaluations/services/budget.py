"""Reserve before, settle after, never above the cap. Public surface: ``reserve``, ``unreserve``, ``settle``, ``Bill``.

Both run inside the ledger's transaction. A check and its change are one UPDATE, so that no two workers can both take
the last cent. An attempt whose cost is unknown keeps its reservation: it may have been billed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from django.db.models import F, Q

from evaluations.enums import RunStatus
from evaluations.models import BudgetMonth, ReplayRun, Team
from evaluations.models.fields import exact
from evaluations.pricing import BEYOND_ANY_BUDGET


@dataclass(frozen=True, slots=True)
class Bill:
    """What the end of one call changes: of its reservation, and of what was spent in the month in which it was sent."""

    sent_at: datetime
    released: Decimal  # negative where more is kept than was reserved
    spent: Decimal


def reserve(*, run: ReplayRun, team: Team, amounts: Sequence[Decimal], at: datetime) -> int:
    """Reserve the first n of ``amounts`` that fit under every cap and count n calls; returns n."""
    for n in range(len(amounts), 0, -1):  # the end of a budget is rare, so try down one by one
        if _reserve(run=run, team=team, amount=sum(amounts[:n], Decimal(0)), calls=n, at=at):
            return n
    return 0


def _reserve(*, run: ReplayRun, team: Team, amount: Decimal, calls: int, at: datetime) -> bool:
    if amount >= BEYOND_ANY_BUDGET:
        return False
    # What is left, and not the sum of what is taken: that could leave 64 bits.
    fits = Q(spent_amount__lte=F("budget_amount") - F("reserved_amount") - exact(amount)) & (
        Q(max_calls__isnull=True) | Q(max_calls__gte=F("calls") + calls)
    )
    taken = ReplayRun.objects.filter(fits, pk=run.pk, status=RunStatus.RUNNING).update(
        reserved_amount=F("reserved_amount") + exact(amount), calls=F("calls") + calls
    )
    if not taken:
        return False
    cap = team.monthly_cap_amount if team.monthly_cap_currency == run.currency else None
    if _change_month(team, run.currency, _month(at), reserved=amount, spent=Decimal(0), cap=cap):
        return True
    ReplayRun.objects.filter(pk=run.pk).update(
        reserved_amount=F("reserved_amount") - exact(amount), calls=F("calls") - calls
    )
    return False


def unreserve(*, run: ReplayRun, team: Team, bills: Sequence[Bill]) -> None:
    """Take back the reservations of calls that were never sent, and their count."""
    released, _ = _totals(bills)
    ReplayRun.objects.filter(pk=run.pk).update(
        reserved_amount=F("reserved_amount") - exact(released), calls=F("calls") - len(bills)
    )
    _settle_months(run, team, bills)


def settle(*, run: ReplayRun, team: Team, bills: Sequence[Bill], done: int, at: datetime) -> None:
    """Turn reservations into what was really spent, and move the run's progress."""
    released, spent = _totals(bills)
    ReplayRun.objects.filter(pk=run.pk).update(
        reserved_amount=F("reserved_amount") - exact(released),
        spent_amount=F("spent_amount") + exact(spent),
        done=F("done") + done,
        progressed_at=at,
    )
    _settle_months(run, team, bills)


def _settle_months(run: ReplayRun, team: Team, bills: Sequence[Bill]) -> None:
    # In one order for every worker: two that lock the same rows the other way round would wait for each other.
    for month in sorted({_month(bill.sent_at) for bill in bills}):
        released, spent = _totals([bill for bill in bills if _month(bill.sent_at) == month])
        _change_month(team, run.currency, month, reserved=-released, spent=spent)


def _totals(bills: Sequence[Bill]) -> tuple[Decimal, Decimal]:
    return sum((bill.released for bill in bills), Decimal(0)), sum((bill.spent for bill in bills), Decimal(0))


def _month(at: datetime) -> date:
    return at.astimezone(UTC).date().replace(day=1)


def _change_month(
    team: Team, currency: str, month: date, *, reserved: Decimal, spent: Decimal, cap: Decimal | None = None
) -> bool:
    """Add to the team's month; False where its reservations would then pass ``cap``.

    Months are kept for teams without a cap too: one that is agreed later counts what was spent before.
    """
    rows = BudgetMonth.objects.filter(team=team, month=month, currency=currency)
    fits = rows if cap is None else rows.filter(spent_amount__lte=exact(cap) - F("reserved_amount") - exact(reserved))
    change = {
        "reserved_amount": F("reserved_amount") + exact(reserved),
        "spent_amount": F("spent_amount") + exact(spent),
    }
    if fits.update(**change):
        return True
    BudgetMonth.objects.bulk_create([BudgetMonth(team=team, month=month, currency=currency)], ignore_conflicts=True)
    return bool(fits.update(**change))
