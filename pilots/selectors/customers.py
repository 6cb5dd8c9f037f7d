"""Groups compared by customers, as far as a worker has computed it. Public surface: ``customer_test``,
``kept_test``, ``fingerprint_of``, ``CustomerTest``, ``ComparisonState``, ``ATTEMPTS``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluations.enums import Choice
from evaluations.statistics.permutation import PERMUTATIONS
from pilots.models import CustomerComparison

ATTEMPTS = 3  # begun so often and never ended: it takes its worker with it
_METHOD = f"log-rank, customers exchanged, {PERMUTATIONS}, 1"  # another number where another result may come out


class ComparisonState(Choice):
    COMPUTING = "computing", "computing"
    COMPUTED = "computed", "computed"
    FAILED = "failed", "could not be computed"


@dataclass(frozen=True, slots=True)
class CustomerTest:
    """The log-rank test of the groups with customers exchanged as wholes."""

    fingerprint: str  # of the spells and groups that it is of
    state: ComparisonState
    p: float | None  # None: not computed, or no exchange of customers changes anything
    customers: int
    permutations: int  # labellings looked at; 0: not yet
    exact: bool  # all of them there are


def fingerprint_of(rows: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([_METHOD, rows], sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def customer_test(rows: Mapping[str, Any]) -> CustomerTest:
    """What is known of the comparison of these rows; *computing* also where nobody has asked for it yet. One query."""
    key = fingerprint_of(rows)
    found = CustomerComparison.objects.filter(fingerprint=key).first()
    customers = len(set(rows["customer"]))
    return _test(found) if found else CustomerTest(key, ComparisonState.COMPUTING, None, customers, 0, False)


def kept_test(fingerprint: str) -> CustomerTest | None:
    """The comparison of that fingerprint; None: nobody has asked for it."""
    found = CustomerComparison.objects.filter(fingerprint=fingerprint).first()
    return _test(found) if found else None


def _test(row: CustomerComparison) -> CustomerTest:
    if row.computed_at is not None:
        state = ComparisonState.COMPUTED
    else:
        state = ComparisonState.FAILED if row.attempts >= ATTEMPTS else ComparisonState.COMPUTING
    return CustomerTest(row.fingerprint, state, row.p, row.customers, row.permutations, row.exact)
