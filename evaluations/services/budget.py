"""Reserve before, settle after, never above the cap.

Public surface: ``book``, ``expect_booked``, ``mostly_fits``, ``may_fit_later``, ``cap_reached``, ``unreserve``,
``Bill``.

All run inside the ledger's transaction. A check and its change are one UPDATE, so that no two workers can both take
the last cent. An attempt whose cost is unknown keeps its reservation: it may have been billed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from django.db import connection
from django.db.models import F, Q, QuerySet, Sum

from evaluations.enums import AttemptState, ChunkState, RunStatus, StopReason
from evaluations.models import Attempt, BudgetMonth, Chunk, ReplayRun, Team
from evaluations.models.fields import trillionths
from evaluations.pricing import BEYOND_ANY_BUDGET
from evaluations.services.bulk import expect_row, run_sql, table


@dataclass(frozen=True, slots=True)
class Bill:
    """What the end of one call changes: of its reservation, and of what was spent in the month in which it was sent."""

    sent_at: datetime
    released: Decimal  # negative where more is kept than was reserved
    spent: Decimal


def book(
    *,
    run: ReplayRun,
    team: Team,
    at: datetime,
    bills: Sequence[Bill] = (),
    done: int = 0,
    needs: Sequence[Decimal] = (),
) -> int:
    """Turn the reservations of ``bills`` into what was spent, move the run's progress, and reserve for new calls.

    Returns how many of ``needs``, from the first on, fit under every cap; that many calls are counted. Mostly that is
    all of them, and one UPDATE of the run and one of the team's month do everything.
    """
    this_month = all(_month(bill.sent_at) == _month(at) for bill in bills)
    if needs and this_month and _reserve(run, team, at, needs, bills=bills, done=done):
        return len(needs)
    if bills or done:
        released, spent = _totals(bills)
        _change_run(run, reserved=-released, spent=spent, done=done, progressed_at=at)
        _settle_months(run, team, bills)
        if needs and _reserve(run, team, at, needs):
            return len(needs)
    most = len(needs)
    while most:
        # Others reserve and settle meanwhile, so what is left now only says where to go on trying.
        left = min(_left_of_run(run), _left_of_month(run, team, at))
        most = min(most - 1, sum(total <= left for total in accumulate(needs)))
        if most and _reserve(run, team, at, needs[:most]):
            return most
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


def cap_reached(*, run: ReplayRun, team: Team, at: datetime) -> StopReason:
    """Which cap leaves least to a run that is stopped for its budget."""
    if not _has_calls_left(run):
        return StopReason.MAX_CALLS
    return StopReason.MONTHLY_CAP if _left_of_month(run, team, at) < _left_of_run(run) else StopReason.BUDGET


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


def _reserve(
    run: ReplayRun, team: Team, at: datetime, needs: Sequence[Decimal], *, bills: Sequence[Bill] = (), done: int = 0
) -> bool:
    """All of ``needs``, and with them the bills of this month; or nothing where a cap would be passed."""
    if sum(needs, Decimal(0)) >= BEYOND_ANY_BUDGET:
        return False
    change, month = _booking(run, team, at, bills=bills, done=done, needs=needs)
    if not _change_run(run, **change, progressed_at=at if bills or done else None, within_caps=True):
        return False
    if _change_month(team, run.currency, _month(at), **month):
        return True
    _change_run(run, **{name: -value for name, value in change.items()})
    return False


def expect_booked(
    *, run: ReplayRun, team: Team, at: datetime, bills: Sequence[Bill], done: int, needs: Sequence[Decimal]
) -> None:
    """Among the changes that go out at once: all that ``book`` does where everything fits, or none of the changes.

    Only for what ``mostly_fits``.
    """
    change, month = _booking(run, team, at, bills=bills, done=done, needs=needs)
    moved = at if bills or done else None
    for sql, params in (
        _run_change(run, **change, progressed_at=moved, within_caps=bool(needs)),
        _month_change(team, run.currency, _month(at), **month),
    ):
        expect_row(f"{sql} RETURNING 1", params)


def mostly_fits(*, at: datetime, bills: Sequence[Bill], needs: Sequence[Decimal]) -> bool:
    """Whether one change of the run and one of the month may do: all bills of this month, no need beyond any budget."""
    return sum(needs, Decimal(0)) < BEYOND_ANY_BUDGET and all(_month(bill.sent_at) == _month(at) for bill in bills)


def _booking(
    run: ReplayRun, team: Team, at: datetime, *, bills: Sequence[Bill], done: int, needs: Sequence[Decimal]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What changes in the run's row, and in that of the team's month."""
    released, spent = _totals(bills)
    reserved = sum(needs, Decimal(0)) - released
    return (
        {"reserved": reserved, "spent": spent, "done": done, "calls": len(needs)},
        {"reserved": reserved, "spent": spent, "cap": _cap(team, run) if needs else None},
    )


def unreserve(*, run: ReplayRun, team: Team, bills: Sequence[Bill]) -> None:
    """Take back the reservations of calls that were never sent, and their count."""
    released, _ = _totals(bills)
    _change_run(run, reserved=-released, calls=-len(bills))
    _settle_months(run, team, bills)


def _change_run(run: ReplayRun, **change: Any) -> bool:
    """Add to the run's counters; False where it does not run, or its reservations would then pass its cap."""
    return bool(run_sql(*_run_change(run, **change)))


def _run_change(
    run: ReplayRun,
    *,
    reserved: Decimal,
    spent: Decimal = Decimal(0),
    done: int = 0,
    calls: int = 0,
    progressed_at: datetime | None = None,
    within_caps: bool = False,
) -> tuple[str, tuple[Any, ...]]:
    more, paid = trillionths(reserved), trillionths(spent)
    moved = None if progressed_at is None else connection.ops.adapt_datetimefield_value(progressed_at)
    limits = (str(RunStatus.RUNNING), paid, more, calls) if within_caps else ()
    return _CHANGE_RUN + (_WITHIN_CAPS if within_caps else ""), (more, paid, done, calls, moved, run.pk, *limits)


_CHANGE_RUN = f"""
    UPDATE {table(ReplayRun)} SET reserved_amount = reserved_amount + %s, spent_amount = spent_amount + %s,
        done = done + %s, calls = calls + %s, progressed_at = COALESCE(%s, progressed_at)
    WHERE id = %s
"""  # noqa: S608 - the table's name is ours
# What is left, and not the sum of what is taken: that could leave 64 bits.
_WITHIN_CAPS = """
    AND status = %s AND spent_amount + %s <= budget_amount - reserved_amount - %s
    AND (max_calls IS NULL OR max_calls >= calls + %s)
"""


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
    sql, params = _month_change(team, currency, month, reserved=reserved, spent=spent, cap=cap)
    if run_sql(sql, params):
        return True
    BudgetMonth.objects.bulk_create([BudgetMonth(team=team, month=month, currency=currency)], ignore_conflicts=True)
    return bool(run_sql(sql, params))


def _month_change(
    team: Team, currency: str, month: date, *, reserved: Decimal, spent: Decimal, cap: Decimal | None
) -> tuple[str, tuple[Any, ...]]:
    more, paid = trillionths(reserved), trillionths(spent)
    params: tuple[Any, ...] = (more, paid, team.pk, month.isoformat(), currency)
    if cap is None:
        return _CHANGE_MONTH, params
    return _CHANGE_MONTH + _WITHIN_CAP, (*params, paid, trillionths(cap), more)


_CHANGE_MONTH = f"""
    UPDATE {table(BudgetMonth)} SET reserved_amount = reserved_amount + %s, spent_amount = spent_amount + %s
    WHERE team_id = %s AND month = %s AND currency = %s
"""  # noqa: S608 - the table's name is ours
_WITHIN_CAP = " AND spent_amount + %s <= %s - reserved_amount - %s"
