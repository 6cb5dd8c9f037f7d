"""Reports say of how many workloads they do not know the newest traffic, from the number of pilots on at which they
leave it to the worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pilots.models import Pilot
from pilots.selectors import measured
from pilots.selectors.filters import ReportFilters
from pilots.selectors.measured import traffic_unread
from pilots.selectors.reports import REPORTS
from pilots.services.traffic_readings import mark_due, read_due_traffic
from tests import factories as make

pytestmark = pytest.mark.django_db

SAYING = ("portfolio", "predictiveness", "retention", "rollback-reasons")
SENTENCE = "is still being read; figures may change."


@pytest.fixture
def pilots() -> list[Pilot]:
    """Three, of which two are of one workload; their traffic has been read."""
    triage, memos = make.workload("triage", "support"), make.workload("memos", "legal")
    found = [
        make.switched_pilot("triage-one", workload=triage),
        make.switched_pilot("triage-two", workload=triage),
        make.switched_pilot("memos-one", workload=memos),
    ]
    read_due_traffic(now=make.NOW)
    return found


def come_in(pilots: list[Pilot]) -> None:
    """Each went silently back after forty days, and nobody has read that yet."""
    for pilot in {pilot.workload_id: pilot for pilot in pilots}.values():
        for number in range(50):
            share = 90 if number < 40 else 10
            requests = {pilot.candidate.slug: share, pilot.incumbent.slug: 100 - share}
            make.traffic(pilot.workload, make.day(number).date(), requests)
    mark_due(pilot.workload_id for pilot in pilots)


def asked(**given: str) -> ReportFilters:
    return ReportFilters.parse(given, now=make.NOW + timedelta(days=1))


def documents(**given: str) -> dict[str, Any]:
    return {name: REPORTS[name](asked(**given)).to_document() for name in SAYING}


def said(**given: str) -> set[int]:
    return {document["traffic_unread"] for document in documents(**given).values()}


@pytest.mark.parametrize(("at_once", "unread", "in_conflict"), [(3, 0, 3), (2, 2, 0)])
def test_the_switch_is_at_one_pilot_more_than_is_read_for_the_asking(
    pilots: list[Pilot], monkeypatch: pytest.MonkeyPatch, at_once: int, unread: int, in_conflict: int
) -> None:
    monkeypatch.setattr(measured, "READ_AT_ONCE", at_once)
    assert said() == {0}
    come_in(pilots)
    assert said() == {unread}
    assert documents()["retention"]["funnel"]["in_conflict"] == in_conflict
    read_due_traffic(now=make.NOW)
    assert said() == {0}
    assert documents()["retention"]["funnel"]["in_conflict"] == 3


def test_only_the_pilots_of_the_report_count_and_only_the_present_record(
    pilots: list[Pilot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "READ_AT_ONCE", 1)
    come_in(pilots)
    assert said(team="support") == {1}
    assert said(team="legal") == {0}  # one pilot is read for the asking
    assert said(known_at=make.NOW.isoformat()) == {0}


def test_a_changed_pilot_is_read_anew_and_does_not_count(pilots: list[Pilot], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "READ_AT_ONCE", 2)
    come_in(pilots)
    Pilot.objects.filter(slug="memos-one").update(version=99)
    assert said() == {1}


def test_it_is_one_question(pilots: list[Pilot], django_assert_num_queries: Any) -> None:
    come_in(pilots)
    with django_assert_num_queries(1):
        traffic_unread(Pilot.objects.all(), asked())


@pytest.mark.parametrize("name", ["home", "list", "retention", "rollback-reasons", "predictiveness"])
def test_pages_say_so_in_one_sentence(pilots: list[Pilot], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(measured, "READ_AT_ONCE", 2)
    client = Client()
    client.force_login(make.user("boss", is_superuser=True))
    url = reverse(f"pilots:{name}")
    assert SENTENCE not in client.get(url).content.decode()
    come_in(pilots)
    page = client.get(url).content.decode()
    assert page.count(f'Traffic of <span class="nowrap">2</span> workloads {SENTENCE}') == 1
