"""Reserve before, settle after, never above the cap.

Public surface: ``reserve``, ``may_fit_later``, ``unreserve``, ``settle``, ``Bill``.

Both run inside the ledger's transaction. A check and its change are one UPDATE, so that no two workers can both take
the last cent. An attempt whose cost is unknown keeps its reservation: it may have been billed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import accumulate

from django.db.models import F, Q, QuerySet, Sum

from evaluations.enums import AttemptState, ChunkState, RunStatus
from evaluations.models import Attempt, BudgetMonth, Chunk, ReplayRun, Team
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
    most = len(amounts)
    while most:
        if _reserve(run=run, team=team, amount=sum(amounts[:most], Decimal(0)), calls=most, at=at):
            return most
        # Others reserve and settle meanwhile, so what is left now only says where to go on trying.
        left = min(_left_of_run(run), _left_of_month(run, team, at))
        most = min(most - 1, sum(total <= left for total in accumulate(amounts)))
    return 0


def may_fit_later(*, run: ReplayRun, team: Team, amount: Decimal, at: datetime) -> bool:
    """Whether ``amount`` would fit under every cap if the calls in flight turned out to cost nothing.

    A reservation is an upper bound: most of it comes back when its call is settled. Calls of workers whose lease ran
    out are not in flight; what they reserved stays.
    """
    if amount >= BEYOND_ANY_BUDGET or not _has_calls_left(run):
        return False
    live = Chunk.objects.filter(state=ChunkState.PENDING, lease_expires_at__gt=at).values("lease_owner")
    sent = Attempt.objects.filter(state=AttemptState.SENT, lease_owner__in=live)
    return amount <= min(
        _left_of_run(run) + _reserved(sent.filter(run=run)),
        _left_of_month(run, team, at)
        + _reserved(sent.filter(run__plan_version__plan__workload__team=team, run__currency=run.currency)),
    )


def _reserved(attempts: QuerySet[Attempt]) -> Decimal:
    return attempts.aggregate(total=Sum("reserved_amount"))["total"] or Decimal(0)


def _has_calls_left(run: ReplayRun) -> bool:
    limits = Q(max_calls__isnull=True) | Q(max_calls__gt=F("calls"))
    return ReplayRun.objects.filter(limits, pk=run.pk).exists()


def _left_of_run(run: ReplayRun) -> Decimal:
    row = ReplayRun.objects.only("budget_amount", "spent_amount", "reserved_amount").get(pk=run.pk)
    return Decimal(row.budget_amount - row.spent_amount - row.reserved_amount)


def _left_of_month(run: ReplayRun, team: Team, at: datetime) -> Decimal:
    cap = _cap(team, run)
    if cap is None:
        return BEYOND_ANY_BUDGET
    month = BudgetMonth.objects.filter(team=team, month=_month(at), currency=run.currency).first()
    return cap if month is None else Decimal(cap - month.spent_amount - month.reserved_amount)


def _cap(team: Team, run: ReplayRun) -> Decimal | None:
    return team.monthly_cap_amount if team.monthly_cap_currency == run.currency else None


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
    if _change_month(team, run.currency, _month(at), reserved=amount, spent=Decimal(0), cap=_cap(team, run)):
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
