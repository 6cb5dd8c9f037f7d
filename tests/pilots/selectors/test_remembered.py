"""Figures from memory are those that would be read: after every kind of change, and never out of a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from evaluations.models import ModelVersion, Workload
from pilots.enums import Motive, Reason
from pilots.models import Pilot
from pilots.selectors import remembered as memory
from pilots.selectors.filters import ReportFilters
from pilots.selectors.pilots import portfolio
from pilots.selectors.retention import retention
from pilots.selectors.rollback_reasons import rollback_reasons_report
from pilots.services.lifecycle import record_follow_up, record_rollback
from pilots.services.traffic_readings import read_due_traffic
from tests import factories as make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    memory.forget()
    yield
    memory.forget()


@pytest.fixture
def pilot() -> Pilot:
    found = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    make.switched_pilot("memos-to-mai", workload=make.workload("memos", "legal"))
    read_due_traffic(now=make.NOW)
    return found


def reports(**asked: str) -> list[dict[str, Any]]:
    filters = ReportFilters.parse(asked, now=make.NOW + timedelta(days=1))
    return [read(filters).to_document() for read in (retention, portfolio, rollback_reasons_report)]


def fresh(**asked: str) -> list[dict[str, Any]]:
    memory.forget()
    return reports(**asked)


def observe(pilot: Pilot, first: int, days: int, share: int) -> None:
    for number in range(first, first + days):
        requests = {pilot.candidate.slug: share, pilot.incumbent.slug: 100 - share}
        make.traffic(pilot.workload, make.day(number).date(), requests)


def _roll_back(pilot: Pilot) -> None:
    record_rollback(
        pilot=pilot, by=make.actor(), at=make.NOW, reason=Reason.COST, attachments=["incident:1"],
        occurred_at=make.day(60),
    )  # fmt: skip


def _silently(pilot: Pilot) -> None:
    observe(pilot, 0, 40, 90)
    observe(pilot, 40, 10, 10)


def _silently_and_read(pilot: Pilot) -> None:
    _silently(pilot)
    read_due_traffic(now=make.NOW)


def _twice_in_one_instant(pilot: Pilot) -> None:
    observe(pilot, 0, 40, 90)
    read_due_traffic(now=make.NOW)
    reports()
    observe(pilot, 40, 10, 10)
    read_due_traffic(now=make.NOW)


def _disputed(pilot: Pilot) -> None:
    _silently_and_read(pilot)
    reports()
    record_follow_up(pilot=pilot, by=make.actor(), at=make.NOW, attachments=["url:https://x"])
    read_due_traffic(now=make.NOW)


CHANGES: dict[str, Callable[[Pilot], object]] = {
    "an event": _roll_back,
    "traffic that nobody has read yet": _silently,
    "traffic that was read": _silently_and_read,
    "traffic read twice in one instant": _twice_in_one_instant,
    "a dispute": _disputed,
    "another pilot": lambda pilot: make.switched_pilot("bot-to-mai", workload=make.workload("bot", "support")),
    "a retirement date": lambda pilot: ModelVersion.objects.filter(pk=pilot.incumbent_id).update(
        retires_on=make.day(30).date(), retirement_announced_on=make.day(-90).date()
    ),
    "a motive": lambda pilot: Pilot.objects.filter(pk=pilot.pk).update(motive=Motive.RETIREMENT),
    "a task type": lambda pilot: Workload.objects.filter(pk=pilot.workload_id).update(task_type="chat"),
    "an owner": lambda pilot: Pilot.objects.filter(pk=pilot.pk).update(owner=make.user("zoe")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_no_change_is_overlooked(pilot: Pilot, change: Callable[[Pilot], object]) -> None:
    before = [reports(), reports(by="team"), reports(team="support")]
    change(pilot)
    after = [reports(), reports(by="team"), reports(team="support")]
    assert after == [fresh(), fresh(by="team"), fresh(team="support")]
    assert after[0] != before[0]


def test_what_has_not_changed_is_read_once(pilot: Pilot, django_assert_max_num_queries: Any) -> None:
    expected = reports()
    with django_assert_max_num_queries(40) as asked:
        assert reports() == expected
    assert not [
        query["sql"]
        for query in asked.captured_queries
        if "pilots_pilotevent" in query["sql"].split("WHERE")[0] and "telling" in query["sql"]
    ]


def test_an_earlier_state_of_the_record_and_a_transaction_are_not_kept(pilot: Pilot) -> None:
    reports(known_at="2026-10-31")
    with transaction.atomic():
        _roll_back(pilot)
        changed = reports()
        transaction.set_rollback(True)
    assert not memory._kept
    assert reports() != changed


def test_what_changes_while_it_is_read_is_not_kept(pilot: Pilot) -> None:
    filters = ReportFilters.parse({}, now=make.NOW)

    def read() -> str:
        _roll_back(pilot)
        return "half"

    assert memory.remembered("test", Pilot.objects.all(), filters, read) == "half"
    assert not memory._kept


def test_memory_holds_a_few_and_tells_people_apart(pilot: Pilot) -> None:
    filters = ReportFilters.parse({}, now=make.NOW)
    for number in range(30):
        asked = replace(filters, min_at_risk=number + 1)
        assert memory.remembered("test", Pilot.objects.all(), asked, lambda n=number: n) == number  # type: ignore[misc]
    assert len(memory._kept) == memory._MOST_KEPT
    mine = Pilot.objects.filter(workload__team__slug="support")
    assert [row.pilot for row in portfolio(filters, mine).pilots] == ["triage-to-mai"]
    assert len(portfolio(filters).pilots) == 2


def test_somebody_who_may_see_no_pilot_sees_that_there_is_none(pilot: Pilot) -> None:
    """The ORM has no query for pilots of no team: it says so by an exception of its own."""
    filters = ReportFilters.parse({}, now=make.NOW + timedelta(days=1))
    nobodys = Pilot.objects.filter(workload__team__in=[])
    assert portfolio(filters, nobodys).pilots == ()
    assert retention(filters, nobodys).to_document()["funnel"]["opened"] == 0
