"""Drift over nights, by hand: with a baseline of three nights of four answers each.

The candidate passes 4, 3 and 4 of 4, then 1 of 4 on each night: mean 11/12 = 0.916667, sd 0.144338. Each later night
is (0.25 - 0.916667) / 0.144338 = -4.618802 standard deviations, of which 4.118802 beyond the slack of a half: the sum
is 4.118802, 8.237604, 12.356406, and past 10 on the third. The incumbent passes all, always: a baseline without spread.
"""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import ArmRole, Outcome
from evaluations.models import PlanVersion, ReplayRun
from evaluations.selectors import drift as room
from evaluations.selectors.drift import Series, Side, State, night_series
from pilots.services.lifecycle import open_pilot
from tests import factories as make
from tests.pilots.views.people import session
from tests.replays import concluded, ready_plan, start

pytestmark = pytest.mark.django_db
PASSED = (4, 3, 4, 1, 1, 1)


@pytest.fixture
def short_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BASELINE_NIGHTS", 3)


def nights(*passed: int, failing: int = 0) -> list[ReplayRun]:
    """A night for each: the candidate passes so many of four, and is answered with an error ``failing`` times."""
    versions = PlanVersion.objects.all()
    plan = versions.get().plan if versions else ready_plan("http://127.0.0.1:9", n=4)

    def night(right: int) -> ReplayRun:
        def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
            if role is ArmRole.CANDIDATE and position >= 4 - failing:
                return Outcome.REFUSED, ""
            return Outcome.OK, "yes" if role is ArmRole.INCUMBENT or position < right else ""

        return concluded(start(plan), said)

    return [night(right) for right in passed]


def read() -> dict[tuple[str, Side], Series]:
    [found] = night_series(PlanVersion.objects.all(), until=timezone.now()).values()
    return {(one.metric, one.side): one for one in found.series}


@pytest.mark.usefixtures("short_baseline")
def test_the_night_on_which_the_candidate_moved() -> None:
    runs = nights(*PASSED)
    found = read()
    moved = found["answered", Side.CANDIDATE]
    assert [night.value for night in moved.nights] == [1.0, 0.75, 1.0, 0.25, 0.25, 0.25]
    assert (moved.target, moved.sd) == (pytest.approx(11 / 12), pytest.approx(0.144338, abs=1e-6))
    assert [night.down for night in moved.nights] == [
        None,
        None,
        None,
        pytest.approx(4.118802, abs=1e-6),
        pytest.approx(8.237604, abs=1e-6),
        pytest.approx(12.356406, abs=1e-6),
    ]
    assert [night.up for night in moved.nights[3:]] == [0, 0, 0]
    assert (moved.state, moved.signal_run, moved.signal_at) == (State.DRIFTED, runs[5].pk, runs[5].finished_at)
    assert found["answered", Side.INCUMBENT].state is State.NO_SPREAD
    difference = found["answered", Side.DIFFERENCE]
    assert [night.value for night in difference.nights] == [0.0, -0.25, 0.0, -0.75, -0.75, -0.75]
    assert (difference.state, difference.signal_run) == (State.DRIFTED, runs[5].pk)


@pytest.mark.usefixtures("short_baseline")
def test_until_it_is_past_the_threshold_nothing_has_moved() -> None:
    nights(*PASSED[:5])
    assert read()["answered", Side.CANDIDATE].state is State.STEADY


def test_the_first_thirty_nights_are_the_baseline() -> None:
    nights(*PASSED)
    moved = read()["answered", Side.CANDIDATE]
    assert (room.BASELINE_NIGHTS, room.SIGNAL_AT) == (30, 10)
    assert (moved.state, moved.target, moved.sd, moved.signal_run) == (State.BASELINE, None, None, None)
    assert len(moved.nights) == 6


def test_a_failed_answer_scores_nothing_and_is_counted_as_a_failure() -> None:
    """Two of four refused, one of the others right: 1/4, and a failure rate of 2/4."""
    nights(1, failing=2)
    found = read()
    assert found["answered", Side.CANDIDATE].nights[0].value == pytest.approx(0.25)
    assert found["failure_rate", Side.CANDIDATE].nights[0].value == 0.5
    assert found["failure_rate", Side.INCUMBENT].nights[0].value == 0
    assert found["cost_per_request", Side.CANDIDATE].nights[0].value == pytest.approx(0.001)


@pytest.mark.usefixtures("short_baseline")
def test_the_report_and_its_page_in_a_constant_number_of_queries() -> None:
    plan = nights(4, 3)[0].plan_version.plan
    open_pilot(
        by=make.actor(),
        at=timezone.now(),
        slug="triage-to-new",
        workload=plan.workload,
        incumbent=plan.incumbent_model,
        candidate=plan.candidate_model,
        plan=plan,
    )
    client: Client = session(make.member(plan.workload.team))

    def counted() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("pilots:drift")).status_code == 200
        return len(queries)

    two = counted()
    runs = nights(*PASSED[2:])
    assert counted() == two
    out = StringIO()
    call_command("report", "drift", "--json", stdout=out)
    document: dict[str, Any] = json.loads(out.getvalue())
    assert document["headline"] == "1 of 1 pilots with a baseline have moved: triage-to-new."
    [pilot] = document["pilots"]
    assert (pilot["pilot"], pilot["nights"], pilot["state"]) == ("triage-to-new", 6, "drifted")
    page = client.get(reverse("pilots:drift")).content.decode()
    assert f'href="{reverse("pilots:run", args=[runs[-1].pk])}"' in page
    assert "moved since the baseline" in page.lower()
    out = StringIO()
    call_command("report", "drift", stdout=out)
    assert "moved since the baseline" in out.getvalue()
