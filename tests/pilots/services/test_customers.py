"""Groups compared by customers: asked for once, computed by a worker, kept by what they are of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from pilots.enums import Reason
from pilots.models import CustomerComparison
from pilots.selectors.customers import ATTEMPTS, ComparisonState
from pilots.selectors.filters import ReportFilters
from pilots.selectors.retention import RetentionReport, retention
from pilots.services import customers
from pilots.services.customers import ask_for_comparison, compute_due_comparisons, forget_old_comparisons
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _spells() -> None:
    """Three customers that left claude after 1, 2, 3 days and three that left mai after 11, 12, 13; one workload each,
    but for the last customer's two."""
    claude, mai = make.model("claude-4", "anthropic"), make.model("mai-thinking-1", "microsoft")
    for number, (candidate, days) in enumerate(
        [(claude, 1), (claude, 2), (claude, 3), (mai, 11), (mai, 12), (mai, 13), (mai, 13)]
    ):
        team = f"team-{min(number, 5)}"
        make.rolled_back_pilot(days=days, reason=Reason.COST, candidate=candidate, workload=make.workload("", team))


def report(**asked: str) -> RetentionReport:
    return retention(ReportFilters.parse({"by": "candidate", **asked}, now=make.NOW))


def work() -> int:
    return compute_due_comparisons(clock=lambda: make.NOW)


def test_it_is_asked_for_once_computed_and_kept() -> None:
    first = report().logrank_by_customer
    assert first is not None
    assert (first.state, first.p, first.customers, first.permutations) == (ComparisonState.COMPUTING, None, 6, 0)
    for _ in range(2):
        assert ask_for_comparison(report(), at=make.NOW) is True
    assert CustomerComparison.objects.count() == 1
    assert work() == 1
    found = report().logrank_by_customer
    assert found is not None
    # By hand: of 20 ways to take three customers of six, only this one and its mirror image are as extreme.
    assert (found.state, found.p, found.customers, found.permutations, found.exact) == (
        ComparisonState.COMPUTED,
        0.1,
        6,
        20,
        True,
    )
    row = CustomerComparison.objects.get()
    assert (row.rows, row.computed_at) == ({}, make.NOW)
    assert ask_for_comparison(report(), at=make.NOW) is False
    assert work() == 0


def test_other_spells_are_another_comparison_and_the_document_keeps_the_log_rank() -> None:
    ask_for_comparison(report(), at=make.NOW)
    make.rolled_back_pilot(days=5, candidate=make.model("claude-4", "anthropic"), workload=make.workload())
    ask_for_comparison(report(), at=make.NOW)
    assert CustomerComparison.objects.count() == 2
    document = report().to_document()
    assert set(document["logrank"]) == {"chi2", "df", "p"}
    assert document["logrank_by_customer"]["state"] == "computing"
    assert "compared" not in document
    nothing = retention(ReportFilters.parse({}, now=make.NOW))
    assert (nothing.logrank_by_customer, ask_for_comparison(nothing, at=make.NOW)) == (None, False)
    assert ask_for_comparison(object(), at=make.NOW) is False


def test_one_that_takes_its_worker_with_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for_comparison(report(), at=make.NOW)

    def fails(*args: Any, **given: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(customers, "logrank_by_customer", fails)
    assert [work() for _ in range(ATTEMPTS + 1)] == [0] * (ATTEMPTS + 1)
    found = report().logrank_by_customer
    assert found is not None
    assert found.state is ComparisonState.FAILED
    assert CustomerComparison.objects.get().attempts == ATTEMPTS
    forget_old_comparisons(now=make.NOW + timedelta(days=29))
    assert CustomerComparison.objects.exists()
    forget_old_comparisons(now=make.NOW + timedelta(days=31))
    assert not CustomerComparison.objects.exists()


def test_a_worker_that_is_told_to_stop_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for_comparison(report(), at=make.NOW)
    told = iter([False, True])

    def long(*args: Any, between: Any, **given: Any) -> None:
        between()

    monkeypatch.setattr(customers, "logrank_by_customer", long)
    assert compute_due_comparisons(clock=lambda: make.NOW, stopping=lambda: next(told)) == 0
    row = CustomerComparison.objects.get()
    assert (row.attempts, row.computed_at) == (0, None)


def test_the_page_waits_for_it_and_shows_it() -> None:
    root = session(make.user("root", is_superuser=True))
    address = reverse("pilots:retention") + "?by=candidate"
    page = root.get(address).content.decode()
    row = CustomerComparison.objects.get()
    waits = reverse("pilots:comparison", args=[row.fingerprint])
    assert [f'hx-get="{waits}"' in page, "is being computed" in page] == [True, True]
    assert 'hx-trigger="every 2s"' in root.get(waits).content.decode()
    compute_due_comparisons(clock=timezone.now)
    part = root.get(waits).content.decode()
    assert ["hx-get" in part, "p = 0.100" in part] == [False, True]
    assert "p = 0.100" in root.get(address).content.decode()
    assert root.get(reverse("pilots:comparison", args=["0" * 64])).status_code == 404
