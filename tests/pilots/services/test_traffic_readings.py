"""Silent rollbacks: found once, told once, counted in retention, settled by a reason or disputed with an attachment."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from evaluations.models import AuditEvent
from evaluations.signals import conflict_found
from pilots.enums import KnownBy, Reason, SpellStatus
from pilots.models import Pilot, SavingsReading, TrafficConflict, TrafficReading
from pilots.selectors import measured
from pilots.selectors.attention import attention, scope_of
from pilots.selectors.filters import ReportFilters
from pilots.selectors.observation import ObservedSpell
from pilots.selectors.pilots import portfolio
from pilots.selectors.retention import RetentionReport, retention
from pilots.selectors.spells import spells_of
from pilots.services import savings_readings, traffic_readings
from pilots.services.lifecycle import (
    record_abandoned,
    record_alongside,
    record_follow_up,
    record_ramp,
    record_rollback,
)
from pilots.services.savings_readings import read_due_savings, savings_of_workloads_due
from pilots.services.traffic_readings import mark_due, read_due_traffic
from tests import factories as make

pytestmark = pytest.mark.django_db

# The cutover of a pilot that is switched is on 2 March 2026.


def observe(pilot: Pilot, numbers: Iterable[int], share: int, **given: Any) -> None:
    """``share`` percent of the traffic on the candidate, on these days after the cutover."""
    for number in numbers:
        requests = {pilot.candidate.slug: share, pilot.incumbent.slug: 100 - share}
        make.traffic(pilot.workload, make.day(number).date(), requests, **given)


def report(**asked: str) -> RetentionReport:
    return retention(ReportFilters.parse(asked, now=make.NOW))


def spell(**asked: str) -> ObservedSpell:
    [row] = report(**asked).answer.spells
    return row  # type: ignore[return-value]


@pytest.fixture
def went_back() -> Pilot:
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    observe(pilot, range(100), 90)
    observe(pilot, range(100, 120), 17)
    return pilot


@pytest.mark.parametrize("kept", [False, True])
def test_a_silent_rollback_ends_the_period_unexplained(went_back: Pilot, kept: bool) -> None:
    if kept:
        assert read_due_traffic(now=make.NOW) == 1
    found = spell()
    assert (found.status, found.end, found.days) == (SpellStatus.IN_CONFLICT, date(2026, 6, 10), 100)
    assert (found.reason, found.known_by, found.returned_to_vendor) == (Reason.UNEXPLAINED, KnownBy.MEASURED, True)
    funnel = report().answer.funnel
    assert (funnel.switched, funnel.in_conflict, funnel.rolled_back, funnel.still_switched) == (1, 1, 0, 0)
    assert funnel.of_which.measured == 1
    curve = report(min_at_risk="1").answer.not_rolled_back
    assert [(point.day, point.still_switched) for point in curve[:3]] == [(30, 1.0), (90, 1.0), (180, None)]
    # As the world was before the seventh day of it, and on it.
    assert spell(as_of="2026-06-15").status is SpellStatus.STILL_SWITCHED
    assert spell(as_of="2026-06-16").status is SpellStatus.IN_CONFLICT
    # And as it was known before the traffic was imported.
    assert spell(known_at="2026-10-31").known_by is KnownBy.DECLARED


def test_it_is_told_once_and_needs_attention(went_back: Pilot) -> None:
    told: list[dict[str, Any]] = []

    def hear(**sent: Any) -> None:
        told.append(sent)

    conflict_found.connect(hear, weak=False)
    try:
        for _ in range(2):
            read_due_traffic(now=make.NOW)
            TrafficReading.objects.update(due=True)
    finally:
        conflict_found.disconnect(hear)
    [sent] = told
    assert sent["pilot"] == went_back
    assert sent["words"] == "triage-to-mai: traffic says 83 % on gpt-4 since 10 Jun 2026"
    assert sent["data"] == {"kind": "went_back", "since": "2026-06-10", "share": 0.83, "model": "gpt-4"}
    assert AuditEvent.objects.filter(action="traffic_conflict.found", team="support").count() == 1
    matter = attention(scope_of(Pilot.objects.all(), at=make.NOW))[0]
    assert (matter.tone, matter.pilot) == ("bad", "triage-to-mai")
    assert matter.words == "traffic says 83 % on gpt-4 since 10 Jun 2026"


def test_a_reason_settles_it(went_back: Pilot) -> None:
    read_due_traffic(now=make.NOW)
    record_rollback(
        pilot=went_back, by=make.actor(), at=make.NOW, reason=Reason.QUALITY, attachments=["incident:1"],
        occurred_at=make.day(100),
    )  # fmt: skip
    for _ in range(2):
        found = spell()
        assert (found.status, found.reason, found.known_by) == (
            SpellStatus.ROLLED_BACK,
            Reason.QUALITY,
            KnownBy.DECLARED,
        )
        assert not [m for m in attention(scope_of(Pilot.objects.all(), at=make.NOW)) if "traffic says" in m.words]
        assert read_due_traffic(now=make.NOW) in (0, 1)


def test_a_dispute_with_an_attachment_settles_it_and_one_without_does_not(went_back: Pilot) -> None:
    read_due_traffic(now=make.NOW)
    record_follow_up(pilot=went_back, by=make.actor(), at=make.NOW, note="no")
    assert spell().status is SpellStatus.IN_CONFLICT
    later = make.NOW + timedelta(seconds=1)
    record_follow_up(pilot=went_back, by=make.actor(), at=later, note="load test", attachments=["url:https://x"])
    assert TrafficConflict.objects.get().disputed_by == "ana"
    assert spell().status is SpellStatus.STILL_SWITCHED
    read_due_traffic(now=later)
    assert TrafficConflict.objects.count() == 1
    assert not [m for m in attention(scope_of(Pilot.objects.all(), at=later)) if "traffic says" in m.words]
    assert AuditEvent.objects.filter(action="traffic_conflict.disputed").count() == 1


def test_traffic_confirms_by_itself() -> None:
    pilot = make.switched_pilot(workload=make.workload("triage", "support"))
    assert spell().status is SpellStatus.LOST_TO_FOLLOW_UP
    observe(pilot, range(60, 240), 90)
    read_due_traffic(now=make.NOW)
    found = spell()
    assert (found.status, found.known_by, found.days) == (SpellStatus.STILL_SWITCHED, KnownBy.MEASURED, 239)
    assert not [m for m in attention(scope_of(Pilot.objects.all(), at=make.NOW)) if "follow-up at 180" in m.words]
    assert spell(as_of="2026-06-01").days == 91


def test_a_reading_is_made_again_when_traffic_or_events_come(went_back: Pilot) -> None:
    assert [read_due_traffic(now=make.NOW) for _ in range(2)] == [1, 0]
    observe(went_back, [120], 15)
    assert spell().status is SpellStatus.IN_CONFLICT  # read from the days meanwhile
    assert [read_due_traffic(now=make.NOW) for _ in range(2)] == [1, 0]
    assert TrafficReading.objects.get().last_on == make.day(120).date()
    record_follow_up(pilot=went_back, by=make.actor(), at=make.NOW)
    assert [read_due_traffic(now=make.NOW) for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("kept", [False, True])
def test_a_cutover_that_nobody_recorded_is_a_measured_period(kept: bool) -> None:
    pilot = make.pilot("triage-to-mai", workload=make.workload("triage", "support"))
    observe(pilot, range(10), 20)
    observe(pilot, range(10, 60), 85)
    if kept:
        read_due_traffic(now=make.NOW)
    found = spell()
    assert (found.start, found.end, found.status) == (date(2026, 3, 12), None, SpellStatus.LOST_TO_FOLLOW_UP)
    assert (found.days, found.last_confirmed, found.known_by) == (49, date(2026, 4, 30), KnownBy.MEASURED)
    funnel = report().answer.funnel
    assert (funnel.opened, funnel.in_progress, funnel.switched, funnel.of_which.measured) == (1, 0, 1, 1)
    # The fourteenth day makes it one, and what is not known yet makes none.
    assert report(as_of="2026-03-24").answer.funnel.in_progress == 1
    assert report(as_of="2026-03-25").answer.funnel.still_switched == 1
    assert report(known_at="2026-10-31").answer.funnel.in_progress == 1
    [row] = portfolio(ReportFilters.parse({}, now=make.NOW)).pilots
    assert (row.spells, row.switched_on, row.last_confirmed) == (1, date(2026, 3, 12), date(2026, 4, 30))
    # It left again: the end is what traffic says, and nobody has told why.
    observe(pilot, range(60, 70), 10)
    back = spell()
    assert (back.status, back.end, back.reason) == (SpellStatus.IN_CONFLICT, date(2026, 5, 1), Reason.UNEXPLAINED)


def test_an_abandoned_ramp_that_had_reached_it_has_left_it_and_one_alongside_is_never_among_the_switched() -> None:
    pilot = make.pilot("triage-to-mai", workload=make.workload("triage", "support"))
    observe(pilot, range(10, 30), 85)
    observe(pilot, range(30, 40), 5)
    record_ramp(pilot=pilot, by=make.actor(), at=make.day(9), share=Decimal("0.85"))
    record_abandoned(pilot=pilot, by=make.actor(), at=make.day(41))
    assert (spell().days, spell().status) == (20, SpellStatus.IN_CONFLICT)
    funnel = report().answer.funnel
    assert (funnel.failed_switch, funnel.switched) == (0, 1)
    both = make.pilot("both", workload=make.workload())
    observe(both, range(10, 30), 85)
    record_alongside(pilot=both, by=make.actor(), at=make.day(5), share=Decimal("0.85"), review_on=date(2026, 12, 1))
    funnel = report().answer.funnel
    assert (funnel.opened, funnel.alongside, funnel.switched) == (2, 1, 1)


def test_the_periods_of_a_pilot_are_those_of_the_report(went_back: Pilot) -> None:
    [row] = spells_of(went_back, now=make.NOW)
    assert (row.ended_on, row.status, row.known_by) == (date(2026, 6, 10), SpellStatus.IN_CONFLICT, KnownBy.MEASURED)
    stayed = make.switched_pilot("other", workload=make.workload())
    observe(stayed, range(50), 90)
    [row] = spells_of(stayed, now=make.NOW)
    assert (row.number, row.last_confirmed_on, row.known_by, row.days) == (1, date(2026, 4, 20), KnownBy.MEASURED, 49)
    measured_only = make.pilot("third", workload=make.workload())
    observe(measured_only, range(50), 90)
    [row] = spells_of(measured_only, now=make.NOW)
    assert (row.number, row.started_on) == (0, date(2026, 3, 2))
    assert spells_of(make.pilot("fourth", workload=make.workload()), now=make.NOW) == ()


def test_a_row_to_lock_is_no_reading(went_back: Pilot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks between the row and the reading is told what the days say, however many pilots wait."""
    Pilot.objects.update(version=0)  # as of a pilot that nobody has changed yet
    monkeypatch.setattr(measured, "READ_AT_ONCE", 0)
    monkeypatch.setattr(traffic_readings, "_read", lambda keys, now: 0)
    assert read_due_traffic(now=make.NOW) == 0
    assert TrafficReading.objects.get().due is True
    assert (spell().status, report().to_document()["traffic_unread"]) == (SpellStatus.IN_CONFLICT, 0)
    monkeypatch.undo()
    assert [read_due_traffic(now=make.NOW) for _ in range(2)] == [1, 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("again", [False, True])
def test_what_comes_in_while_it_is_read_is_read_next_time(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Of the first reading and of a later one, of traffic and of savings."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one transaction write at a time")
    monkeypatch.setattr(traffic_readings, "hint_to_read_traffic", lambda: None)
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    observe(pilot, range(3), 90)
    if again:
        read_due_traffic(now=make.NOW)
        read_due_savings(now=make.NOW)
        mark_due([pilot.workload_id])
        savings_of_workloads_due([pilot.workload_id])
    markers: list[threading.Thread] = []

    def meanwhile(room: Any, reads: str, mark: Any) -> None:
        def come_in() -> None:
            try:
                with transaction.atomic():
                    mark([pilot.workload_id])
            finally:
                connection.close()

        read = getattr(room, reads)

        def read_then_wait(*args: Any, **given: Any) -> Any:
            found = read(*args, **given)
            markers.append(threading.Thread(target=come_in))
            markers[-1].start()
            markers[-1].join(0.5)  # it waits for the reader; one that does not is done by now
            return found

        monkeypatch.setattr(room, reads, read_then_wait)

    meanwhile(traffic_readings, "measured_anew", mark_due)
    meanwhile(savings_readings, "saved_days", savings_of_workloads_due)
    assert (read_due_traffic(now=make.NOW), read_due_savings(now=make.NOW)) == (1, 1)
    for marker in markers:
        marker.join()
    assert len(markers) == 2
    assert (TrafficReading.objects.get().due, SavingsReading.objects.get().due) == (True, True)
