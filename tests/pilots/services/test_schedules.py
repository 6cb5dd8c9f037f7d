"""Setting a schedule, through the service and through the portfolio file."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from evaluations.models import AuditEvent
from evaluations.services.errors import Refused
from pilots.enums import CatchUp
from pilots.models import Pilot, Schedule, ScheduleSlot
from pilots.services import schedules
from pilots.services.schedules import end_schedule, save_schedule
from tests import factories as make
from tests.pilots.services.test_portfolio_file import apply, changed, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def pilot(db: None) -> Pilot:
    return make.pilot()


def test_what_may_be_left_out_has_its_default(pilot: Pilot) -> None:
    row, created = save_schedule(pilot=pilot, cron=" 0  2 * * * ", by=make.actor(), at=timezone.now())
    assert (row.cron, row.timezone, row.take, row.catch_up, created) == ("0 2 * * *", "UTC", 100, CatchUp.ONCE, True)


def test_a_refused_schedule_changes_nothing(pilot: Pilot) -> None:
    now = timezone.now()
    save_schedule(pilot=pilot, cron="0 2 * * *", by=make.actor(), at=now)
    before = (Schedule.objects.values().get(), ScheduleSlot.objects.values().get(), AuditEvent.objects.count())
    for wrong, field in (({"timezone": "Berlin"}, "timezone"), ({"cron": "61 * * * *"}, "cron"), ({"take": 0}, "take")):
        with pytest.raises(Refused) as refusal:
            save_schedule(**{"pilot": pilot, "cron": "0 3 * * *", "by": make.actor(), "at": now, **wrong})
        assert refusal.value.field == field
    assert (Schedule.objects.values().get(), ScheduleSlot.objects.values().get(), AuditEvent.objects.count()) == before


def test_without_its_audit_nothing_is_stored(pilot: Pilot, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    save_schedule(pilot=pilot, cron="0 2 * * *", by=make.actor(), at=now)
    monkeypatch.setattr(schedules, "record", lambda **given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_schedule(pilot=pilot, cron="0 3 * * *", by=make.actor(), at=now)
    with pytest.raises(ZeroDivisionError):
        end_schedule(pilot=pilot, by=make.actor(), at=now)
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.enabled, schedule.slots.get().due_at.hour) == ("0 2 * * *", True, 2)


def test_ending_is_audited_once(pilot: Pilot) -> None:
    now = timezone.now()
    assert end_schedule(pilot=pilot, by=make.actor(), at=now) is None
    save_schedule(pilot=pilot, cron="0 2 * * *", by=make.actor(), at=now)
    assert [end_schedule(pilot=pilot, by=make.actor(), at=now) for _ in range(2)] == [False, None]
    assert AuditEvent.objects.filter(action="schedule.ended").count() == 1


def test_the_portfolio_file_names_the_catch_up(tmp_path: Path) -> None:
    given = {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "take": 100}
    apply(tmp_path, changed(pilots={"schedule": given | {"catch_up": "skip"}}))
    assert Schedule.objects.get().catch_up is CatchUp.SKIP
    assert apply(tmp_path, changed(pilots={"schedule": given})).unchanged > 0  # not named: as it is
    assert Schedule.objects.get().catch_up is CatchUp.SKIP
    assert "catch_up" in refusal(tmp_path, changed(pilots={"schedule": given | {"catch_up": "twice"}}))
