"""The page of an alarm, and where pages lead to it."""

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

from evaluations.enums import ArmRole, Outcome, TeamRole
from evaluations.models import DriftAlarm, Plan
from evaluations.selectors import drift as room
from pilots.models import Notice, Pilot, ShareAlarm
from pilots.selectors.attention import attention, scope_of
from pilots.services.traffic_readings import read_due_traffic
from tests import factories as make
from tests.pilots.services.test_traffic_readings import observe
from tests.pilots.views.people import planned_pilot, session
from tests.replays import concluded, start

pytestmark = pytest.mark.django_db


def drift_of(plan: Plan) -> DriftAlarm:
    """The candidate passes 4, 3, 4 and then 1 of 4, with a baseline of three nights: the sixth night tells."""

    def said(right: int) -> Any:
        def one(role: ArmRole, position: int) -> tuple[Outcome, str]:
            return Outcome.OK, "yes" if role is ArmRole.INCUMBENT or position < right else ""

        return one

    for right in (4, 3, 4, 1, 1, 1):
        concluded(start(plan), said(right))
    return DriftAlarm.objects.get(plan_version__plan=plan)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> DriftAlarm:
    monkeypatch.setattr(room, "BASELINE_NIGHTS", 3)
    pilot = planned_pilot(n=4, looks="every_night")
    assert pilot.plan is not None
    return drift_of(pilot.plan)


def at(alarm: DriftAlarm) -> str:
    return reverse("pilots:alarm", args=["triage-to-new", "model", alarm.pk])


@pytest.fixture
def manager(moved: DriftAlarm) -> Client:
    return session(make.member(moved.plan_version.plan.workload.team))


def test_the_team_is_told_and_led_to_it(moved: DriftAlarm, manager: Client) -> None:
    [notice] = Notice.objects.filter(kind="drift.alarmed")
    assert notice.words == f"triage-to-new: {moved.words}"
    assert {name: notice.data[name] for name in ("pilot", "run", "plan_version", "period")} == {
        "pilot": "triage-to-new",
        "run": moved.run_id,
        "plan_version": 1,
        "period": 1,
    }
    [matter] = [one for one in attention(scope_of(Pilot.objects.all(), at=timezone.now())) if one.kind == "drift"]
    assert (matter.pilot, matter.words, matter.run) == ("triage-to-new", moved.words, moved.run_id)
    assert (matter.action.page, matter.action.of) == ("alarm", f"triage-to-new/model/{moved.pk}")
    for name, args in (
        ("home", []),
        ("pilot", ["triage-to-new"]),
        ("evidence", ["triage-to-new"]),
        ("drift", []),
    ):
        page = manager.get(reverse(f"pilots:{name}", args=args)).content.decode()
        assert f'href="{at(moved)}"' in page, name
    page = manager.get(at(moved)).content.decode()
    assert f'href="{reverse("pilots:run", args=[moved.run_id])}"' in page
    assert "25.0 %" in page


def test_the_report_names_it(moved: DriftAlarm) -> None:
    out = StringIO()
    call_command("report", "drift", "--json", stdout=out)
    [pilot] = json.loads(out.getvalue())["pilots"]
    assert (pilot["state"], pilot["period"]) == ("drifted", 1)
    [alarm] = pilot["alarms"]
    assert (alarm["run"], alarm["period"], alarm["words"]) == (moved.run_id, 1, moved.words)
    assert alarm["served"][0] == {"arm": "incumbent", "pinned": "old", "before": [], "since": []}
    out = StringIO()
    call_command("report", "drift", stdout=out)
    assert f"alarm in run {moved.run_id}, which ended period 1: {moved.words}" in out.getvalue()


def test_acknowledged_on_the_page(moved: DriftAlarm, manager: Client) -> None:
    refused = manager.post(at(moved), {"note": " ", "model_version": "new-0901"})
    assert refused.status_code == 400
    assert "new-0901" in refused.content.decode()
    said = {"note": "the vendor moved to 0901", "model_version": "new-0901"}
    assert manager.post(at(moved), said).status_code == 302
    assert manager.post(at(moved), said).status_code == 409
    page = manager.get(at(moved)).content.decode()
    assert "the vendor moved to 0901" in page
    assert "<form" not in page.split("<main")[1].split("</main")[0]
    assert not [one for one in attention(scope_of(Pilot.objects.all(), at=timezone.now())) if one.kind == "drift"]
    evidence = manager.get(reverse("pilots:evidence", args=["triage-to-new"])).content.decode()
    assert "the vendor moved to 0901" in evidence


def test_others_may_read_it_or_not_even_that(moved: DriftAlarm) -> None:
    viewer = session(make.member(moved.plan_version.plan.workload.team, role=TeamRole.VIEWER))
    page = viewer.get(at(moved))
    assert page.status_code == 200
    assert 'name="note"' not in page.content.decode()
    assert viewer.post(at(moved), {"note": "x"}).status_code == 403
    stranger = session(make.member(make.team("other")))
    assert stranger.get(at(moved)).status_code == 404
    assert stranger.post(at(moved), {"note": "x"}).status_code == 404
    other = make.pilot("another", workload=make.workload("another-w", "support"))
    wrong = [
        reverse("pilots:alarm", args=[other.slug, "model", moved.pk]),
        reverse("pilots:alarm", args=["triage-to-new", "share", moved.pk]),
        reverse("pilots:alarm", args=["triage-to-new", "nothing", moved.pk]),
        reverse("pilots:alarm", args=["triage-to-new", "model", moved.pk + 1]),
    ]
    assert [viewer.get(address).status_code for address in wrong] == [404] * 4


def test_a_share_that_drifts_proposes_to_record_it() -> None:
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))
    observe(pilot, range(1, 20), 98)
    observe(pilot, range(20, 27), 71)
    read_due_traffic(now=make.NOW)
    alarm = ShareAlarm.objects.get()
    client = session(make.member(pilot.workload.team))
    address = reverse("pilots:alarm", args=[pilot.slug, "share", alarm.pk])
    assert f'href="{address}"' in client.get(reverse("pilots:pilot", args=[pilot.slug])).content.decode()
    page = client.get(address).content.decode()
    assert f'href="{reverse("pilots:record", args=[pilot.slug, "ramp"])}?share=71"' in page
    assert 'name="model_version"' not in page
    assert client.post(address, {"note": "night jobs"}).status_code == 302
    assert ShareAlarm.objects.get().note == "night jobs"


def test_home_in_a_constant_number_of_queries() -> None:
    pilots = [make.switched_pilot(workload=make.workload(team_slug="support")) for _ in range(3)]
    client = session(make.member(make.team("support")))
    client.get(reverse("pilots:home"))  # the first visit is noted as such

    def counted(n: int) -> int:
        for pilot in pilots[:n]:
            observe(pilot, range(1, 10), 70)
        read_due_traffic(now=make.NOW)
        assert ShareAlarm.objects.count() == n
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("pilots:home"))
        return len(queries)

    assert counted(1) == counted(3)
