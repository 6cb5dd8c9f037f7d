"""Comparing groups by customers takes a worker: asked for once, kept by what it is of. Public surface:
``ask_for_comparison``, ``compute_due_comparisons``, ``forget_old_comparisons``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet

from evaluations.services.work import Stop, never
from evaluations.statistics.permutation import logrank_by_customer
from pilots.models import CustomerComparison
from pilots.selectors.customers import ATTEMPTS, ComparisonState
from pilots.selectors.retention import RetentionReport
from pilots.services.held_rows import BrokenOff
from pilots.tasks import hint_to_compare

logger = logging.getLogger(__name__)

KEPT_DAYS = 30


def ask_for_comparison(report: object, *, at: datetime) -> bool:
    """Have the groups of a retention report compared by customers, unless that was asked for already; any other report
    needs nothing. Returns whether there is something to wait for."""
    if not isinstance(report, RetentionReport) or report.logrank_by_customer is None or report.compared is None:
        return False
    test = report.logrank_by_customer
    if test.state is not ComparisonState.COMPUTING:
        return False
    with transaction.atomic():
        CustomerComparison.objects.bulk_create(
            [
                CustomerComparison(
                    fingerprint=test.fingerprint, rows=report.compared, asked_at=at, customers=test.customers
                )
            ],
            ignore_conflicts=True,
        )
        transaction.on_commit(hint_to_compare)
    return True


def due_comparisons() -> QuerySet[CustomerComparison]:
    return CustomerComparison.objects.filter(computed_at=None, attempts__lt=ATTEMPTS)


def compute_due_comparisons(*, clock: Callable[[], datetime], stopping: Stop = never) -> int:
    """Compute what was asked for, oldest first; returns how many.

    Two workers at once do the same work twice and find the same: the labellings are drawn from the fingerprint.
    """

    def go_on() -> None:
        if stopping():
            raise BrokenOff

    done = 0
    for key in list(due_comparisons().order_by("asked_at").values_list("pk", flat=True)):
        if stopping():
            break
        if not due_comparisons().filter(pk=key).update(attempts=F("attempts") + 1):
            continue
        row = CustomerComparison.objects.get(pk=key)
        rows = row.rows
        try:
            found = logrank_by_customer(
                rows["time"],
                rows["event"],
                rows["group"],
                rows["customer"],
                rows["entry"],
                seed=int(row.fingerprint[:15], 16),
                between=go_on,
            )
        except BrokenOff:
            CustomerComparison.objects.filter(pk=key).update(attempts=F("attempts") - 1)
            break
        except Exception:
            logger.exception("comparison %s", row.fingerprint)
            continue
        done += CustomerComparison.objects.filter(pk=key, computed_at=None).update(
            computed_at=clock(),
            rows={},
            p=found.p_value,
            customers=found.customers,
            permutations=found.permutations,
            exact=found.exact,
        )
    return done


def forget_old_comparisons(*, now: datetime) -> None:
    """What was asked for long ago is computed again where somebody asks again."""
    CustomerComparison.objects.filter(asked_at__lt=now - timedelta(days=KEPT_DAYS)).delete()
