"""A traffic share that drifts from the recorded one: found once, told once, acknowledged, over by itself."""

from __future__ import annotations

from datetime import UTC, date
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from evaluations.models import AuditEvent
from evaluations.services.errors import Conflict, Refused
from pilots.models import Notice, Pilot, ShareAlarm, TrafficConflict
from pilots.selectors.attention import attention, scope_of
from pilots.services.lifecycle import record_ramp
from pilots.services.share_alarms import acknowledge_share_alarm
from pilots.services.traffic_readings import read_due_traffic
from tests import factories as make
from tests.pilots.services.test_traffic_readings import observe

pytestmark = pytest.mark.django_db

# The cutover of a pilot that is switched is on 2 March 2026, with all of its traffic; day 20 is 22 March.
WORDS = "traffic says 70 % on the candidate since 22 Mar 2026, 100 % is on record"


@pytest.fixture
def drifting() -> Pilot:
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    observe(pilot, range(1, 20), 98)
    observe(pilot, range(20, 27), 70)
    assert read_due_traffic(now=make.NOW) == 1
    return pilot


def matters() -> list[str]:
    return [matter.words for matter in attention(scope_of(Pilot.objects.all(), at=make.NOW)) if matter.kind == "drift"]


def test_it_is_found_and_told_once(drifting: Pilot) -> None:
    [alarm] = ShareAlarm.objects.all()
    assert (alarm.since_on, alarm.recorded_share, alarm.words) == (date(2026, 3, 22), Decimal(1), WORDS)
    observe(drifting, range(27, 30), 70)
    assert read_due_traffic(now=make.NOW) == 1
    assert ShareAlarm.objects.get() == alarm
    [notice] = Notice.objects.filter(kind="drift.alarmed")
    assert notice.words == f"triage-to-mai: {WORDS}"
    assert notice.data == {
        "pilot": "triage-to-mai",
        "workload": "triage",
        "team": "support",
        "incumbent": "gpt-4",
        "candidate": "mai-thinking-1",
        "status": "switched",
        "since": "2026-03-22",
        "share": 0.7,
        "recorded_share": "1.0000",
        "recorded_on": "2026-03-02",
    }
    assert AuditEvent.objects.filter(action="share_alarm.raised").count() == 1
    assert matters() == [WORDS]
    assert not TrafficConflict.objects.exists()


def test_it_is_over_when_the_share_is_back_and_found_again_when_it_drifts_again(drifting: Pilot) -> None:
    observe(drifting, [27], 97)
    read_due_traffic(now=make.NOW)
    assert [alarm.settled_at for alarm in ShareAlarm.objects.all()] == [make.NOW]
    assert matters() == []
    observe(drifting, range(28, 35), 60)
    read_due_traffic(now=make.NOW)
    assert [alarm.settled_at is None for alarm in ShareAlarm.objects.order_by("id")] == [False, True]
    assert Notice.objects.filter(kind="drift.alarmed").count() == 2


def test_it_is_over_when_the_share_is_recorded(drifting: Pilot) -> None:
    record_ramp(pilot=drifting, by=make.actor(), at=make.day(27), share=Decimal("0.7"))
    read_due_traffic(now=make.NOW)
    assert [alarm.settled_at for alarm in ShareAlarm.objects.all()] == [make.NOW]


def test_it_gives_way_to_the_contradiction(drifting: Pilot) -> None:
    observe(drifting, range(27, 34), 30)
    read_due_traffic(now=make.NOW)
    assert TrafficConflict.objects.count() == 1
    assert [alarm.settled_at for alarm in ShareAlarm.objects.all()] == [make.NOW]
    assert matters() == []


def test_acknowledging_needs_a_note_is_done_once_and_is_not_told_again(drifting: Pilot) -> None:
    alarm = ShareAlarm.objects.get()
    with pytest.raises(Refused, match="say what you found"):
        acknowledge_share_alarm(alarm=alarm, by=make.actor(), at=make.NOW, note="")
    done = acknowledge_share_alarm(alarm=alarm, by=make.actor(), at=make.NOW, note="night jobs stay behind")
    assert (done.acknowledged_by, done.note) == ("ana", "night jobs stay behind")
    with pytest.raises(Conflict, match="already"):
        acknowledge_share_alarm(alarm=alarm, by=make.actor("ben"), at=make.NOW, note="me too")
    [event] = AuditEvent.objects.filter(action="share_alarm.acknowledged")
    assert event.data == {"note": "night jobs stay behind"}
    observe(drifting, range(27, 30), 70)
    read_due_traffic(now=make.NOW)
    assert matters() == []
    assert ShareAlarm.objects.count() == 1


def test_one_stands_at_a_time_says_the_database_too(drifting: Pilot) -> None:
    alarm = ShareAlarm.objects.get()
    alarm.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        alarm.save(force_insert=True)
    alarm.settled_at = make.NOW.astimezone(UTC)
    alarm.save(force_insert=True)
