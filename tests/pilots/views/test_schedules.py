"""The schedule on the pilot's page: set, seen, changed, ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from evaluations.models import AuditEvent, ReplayRun, Team
from pilots.enums import CatchUp, SlotState
from pilots.models import Schedule, ScheduleSlot
from pilots.services.slots import run_due_slots
from tests import factories as make
from tests.pilots.views.people import planned_pilot, session
from tests.replays import BY

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GIVEN = {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "take": "25", "catch_up": "skip"}
FORM = "/pilots/triage-to-new/schedule/"
TAB = "/pilots/triage-to-new/replays/"


@pytest.fixture(autouse=True)
def _at_noon(db: None):
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ana(_at_noon: None) -> Client:
    with time_machine.travel(NOW - timedelta(days=30)):
        planned_pilot()
    return session(make.member(Team.objects.get(), "ana"))


def test_a_schedule_is_set_and_its_next_slot_shown_on_its_own_clock(ana: Client) -> None:
    assert FORM in ana.get(TAB).content.decode()
    response = ana.post(FORM, GIVEN)
    assert response["Location"] == TAB == reverse("pilots:replays", args=["triage-to-new"])
    row = Schedule.objects.get()
    assert (row.cron, row.timezone, row.take, row.catch_up) == ("0 2 * * *", "Europe/Berlin", 25, CatchUp.SKIP)
    assert ScheduleSlot.objects.get().due_at == datetime(2026, 11, 25, 1, tzinfo=UTC)
    page = ana.get(TAB).content.decode()
    for words in ("Wed 25 Nov 2026, 02:00", "in 13 h", "slots that were missed are left out"):
        assert words in page
    assert AuditEvent.objects.filter(action="schedule.saved", actor="ana").count() == 1
    form = ana.get(FORM).context["form"]
    assert [form[name].value() for name in GIVEN] == ["0 2 * * *", "Europe/Berlin", 25, CatchUp.SKIP]


def test_what_came_due_is_shown_with_its_run_or_its_reason(ana: Client) -> None:
    ana.post(FORM, GIVEN | {"cron": "0 * * * *", "catch_up": "once"})
    for hours in (1, 2):
        run_due_slots(now=NOW + timedelta(hours=hours), by=BY)
    run = ReplayRun.objects.get()
    page = ana.get(TAB).content.decode()
    assert f'<a href="/runs/{run.pk}/">Run {run.pk}</a></td>' in page
    assert f'skipped<span class="sub">run {run.pk} is still going</span>' in page


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"timezone": "Berlin"}, "timezone"),
        ({"take": "0"}, "take"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_stored(ana: Client, wrong, field: str) -> None:
    response = ana.post(FORM, GIVEN | wrong)
    assert (response.status_code, list(response.context["form"].errors)) == (400, [field])
    assert not Schedule.objects.exists()


def test_an_ended_schedule_says_so_and_plans_nothing(ana: Client) -> None:
    ana.post(FORM, GIVEN)
    assert ana.post(FORM, {"end": "yes"})["Location"] == TAB
    assert not ScheduleSlot.objects.filter(state=SlotState.DUE).exists()
    page = ana.get(TAB).content.decode()
    assert '<span class="absent">ended</span>' in page
    assert "Set it again" in page


def test_a_long_history_costs_no_further_query_and_shows_its_newest_part(ana: Client) -> None:
    ana.post(FORM, GIVEN | {"cron": "* * * * *"})
    counts = []
    for minutes in (2, 60):
        run_due_slots(now=NOW + timedelta(minutes=minutes), by=BY)
        ReplayRun.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            page = ana.get(TAB)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert len(page.context["schedule"].last) == 5
