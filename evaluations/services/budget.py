"""Reserve before, settle after, never above the cap. Public surface: ``reserve``, ``settle``, ``hold_month``.

Both run inside the ledger's transaction. A check and its change are one UPDATE, so that no two workers can both take
the last cent. An attempt whose cost is unknown keeps its reservation: it may have been billed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q

from evaluations.enums import RunStatus
from evaluations.models import BudgetMonth, ReplayRun, Team
from evaluations.models.fields import exact


def reserve(*, run: ReplayRun, team: Team, amounts: Sequence[Decimal], at: datetime) -> int:
    """Reserve the first n of ``amounts`` that fit under every cap and count n calls; returns n."""
    for n in _fewer(len(amounts)):
        if _reserve(run=run, team=team, amount=sum(amounts[:n], Decimal(0)), calls=n, at=at):
            return n
    return 0


def _fewer(n: int) -> Sequence[int]:
    """All of them, else as many as still fit: the end of a budget is rare, so try down one by one."""
    return range(n, 0, -1)


def _reserve(*, run: ReplayRun, team: Team, amount: Decimal, calls: int, at: datetime) -> bool:
    fits = Q(budget_amount__gte=F("spent_amount") + F("reserved_amount") + exact(amount)) & (
        Q(max_calls__isnull=True) | Q(max_calls__gte=F("calls") + calls)
    )
    taken = ReplayRun.objects.filter(fits, pk=run.pk, status=RunStatus.RUNNING).update(
        reserved_amount=F("reserved_amount") + exact(amount), calls=F("calls") + calls
    )
    if not taken:
        return False
    if team.monthly_cap_amount is None or team.monthly_cap_currency != run.currency:
        return True
    month = hold_month(team=team, currency=run.currency, at=at)
    if BudgetMonth.objects.filter(
        pk=month.pk,
        spent_amount__lte=exact(team.monthly_cap_amount) - F("reserved_amount") - exact(amount),
    ).update(reserved_amount=F("reserved_amount") + exact(amount)):
        return True
    ReplayRun.objects.filter(pk=run.pk).update(
        reserved_amount=F("reserved_amount") - exact(amount), calls=F("calls") - calls
    )
    return False


def hold_month(*, team: Team, currency: str, at: datetime) -> BudgetMonth:
    month, _ = BudgetMonth.objects.get_or_create(team=team, month=at.date().replace(day=1), currency=currency)
    return month


def settle(*, run: ReplayRun, team: Team, released: Decimal, spent: Decimal, done: int, at: datetime) -> None:
    """Turn reservations into what was really spent, and move the run's progress."""
    ReplayRun.objects.filter(pk=run.pk).update(
        reserved_amount=F("reserved_amount") - exact(released),
        spent_amount=F("spent_amount") + exact(spent),
        done=F("done") + done,
        progressed_at=at,
    )
    if team.monthly_cap_amount is not None and (released or spent):
        month = hold_month(team=team, currency=run.currency, at=at)
        BudgetMonth.objects.filter(pk=month.pk).update(
            reserved_amount=F("reserved_amount") - exact(released), spent_amount=F("spent_amount") + exact(spent)
        )
