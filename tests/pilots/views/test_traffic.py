"""The traffic page: shares with their coverage, names that wait, rules, and a file that is looked at first."""

from __future__ import annotations

import html
import re

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from evaluations.conf import data_dir
from evaluations.enums import TeamRole
from pilots.enums import MeasuredState
from pilots.models import Pilot, TrafficDay, TrafficRule
from pilots.services.traffic_readings import read_due_traffic
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db

PAGE, FILE, RULE = "/traffic/", "/traffic/import/", "/traffic/rules/add/"
HEADER = "workload,day,model,requests\n"


@pytest.fixture(autouse=True)
def _now(db: None):
    with time_machine.travel(make.NOW, tick=False):
        yield


@pytest.fixture
def ana(_now: None) -> Client:
    make.model("gpt-4")
    make.model("mai-thinking-1", "microsoft")
    make.workload("triage", "support")
    return session(make.member(make.team("support"), "ana"))


def sent(client: Client, text: str):
    return client.post(FILE, {"file": SimpleUploadedFile("usage.csv", (HEADER + text).encode())})


def test_without_traffic_the_page_says_what_to_do(ana: Client) -> None:
    page = ana.get(PAGE).content.decode()
    assert "No traffic observed yet" in page
    assert FILE in page


def test_a_file_is_looked_at_then_imported(ana: Client) -> None:
    response = sent(ana, "triage,2026-10-30,gpt-4,17\ntriage,2026-10-30,mai-thinking-1,83\nbot,2026-10-30,gpt-4,5\n")
    page = response.content.decode()
    assert response.status_code == 200
    report = response.context["report"]
    assert (report.days, report.unmapped, report.added, report.problems) == (2, 1, 3, ())
    assert "Import it" in page
    assert not TrafficDay.objects.exists()
    kept = response.context["upload"]
    done = ana.post(FILE, {"kept": kept.key}, follow=True)
    assert "usage.csv imported: 3 days new, 0 replaced, 0 unchanged, 1 wait for a rule." in done.content.decode()
    assert TrafficDay.objects.count() == 3
    assert not kept.path.exists()
    [row] = done.context["rows"]
    assert [(share.model, share.share) for share in row.shares] == [("mai-thinking-1", 0.83), ("gpt-4", 0.17)]
    assert (row.covered_days, row.requests) == (1, 100)
    gone = ana.post(FILE, {"kept": kept.key})
    assert gone.status_code == 400
    assert "The file is no longer kept: choose it again." in gone.content.decode()


def test_every_bad_row_is_shown_and_nothing_stored(ana: Client) -> None:
    response = sent(ana, "triage,soon,gpt-4,17\ntriage,2026-10-30,gpt-4,-2\n")
    assert response.status_code == 400
    page = response.content.decode()
    assert "2 rows cannot be read." in page
    assert "&#x27;soon&#x27; is not a date (YYYY-MM-DD)" in page
    assert "kept" not in page
    assert ana.post(FILE, {}).status_code == 400
    other = ana.post(FILE, {"file": SimpleUploadedFile("x.pdf", b"%PDF-1.7")})
    assert other.status_code == 400


def test_a_kept_file_is_its_senders(ana: Client) -> None:
    key = sent(ana, "triage,2026-10-30,gpt-4,17\n").context["upload"].key
    ben = session(make.member(make.team("support"), "ben"))
    assert ben.post(FILE, {"kept": key}).status_code == 400
    assert ben.post(FILE, {"kept": f"../{key}"}).status_code == 400
    assert not TrafficDay.objects.exists()
    assert data_dir() in sorted(data_dir().glob("uploads/*/*/usage.csv"))[0].parents


def test_a_name_that_waits_gets_its_rule(ana: Client) -> None:
    triage = make.workload("triage")
    make.traffic(triage, "2026-10-30", {"gpt-4": 3, "prod-default": 7})
    page = ana.get(PAGE).content.decode()
    link = f"{RULE}?kind=wire_name&amp;name=prod-default"
    assert link in page
    form = ana.get(link.replace("&amp;", "&")).context["form"]
    assert (form["kind"].value(), form["name"].value()) == ("wire_name", "prod-default")
    refused = ana.post(RULE, {"kind": "wire_name", "name": "prod-default"})
    assert refused.status_code == 400
    assert "A rule says which workload or which model is meant." in refused.content.decode()
    given = {"kind": "wire_name", "name": "prod-default", "model": "mai-thinking-1", "from_on": "2026-10-01"}
    done = ana.post(RULE, given, follow=True)
    assert "Rule for prod-default added. 1 day that waited is mapped." in done.content.decode()
    assert [round(share.share, 2) for share in done.context["rows"][0].shares] == [0.7, 0.3]
    rule = TrafficRule.objects.get()
    assert rule.made_by == "ana"
    ana.post(reverse("pilots:remove-traffic-rule", args=[rule.pk]))
    assert not TrafficRule.objects.exists()


def test_viewers_look_and_foreigners_see_nothing(ana: Client) -> None:
    triage = make.workload("triage")
    make.traffic(triage, "2026-10-30", {"gpt-4": 3, "prod-default": 7})
    ana.post(RULE, {"kind": "key_alias", "name": "secret-bot", "workload": "triage"})
    rule = TrafficRule.objects.get()
    viewer = session(make.member(make.team("support"), role=TeamRole.VIEWER))
    assert "prod-default" in viewer.get(PAGE).content.decode()
    assert [viewer.get(address).status_code for address in (FILE, RULE)] == [403, 403]
    foreign = session(make.member(make.team("legal")))
    page = foreign.get(PAGE).content.decode()
    assert "triage" not in page
    assert "prod-default" not in page
    assert "secret-bot" not in page
    removal = reverse("pilots:remove-traffic-rule", args=[rule.pk])
    assert [client.post(removal).status_code for client in (viewer, foreign)] == [403, 404]
    assert foreign.post(RULE, {"kind": "tag", "name": "x", "workload": "triage"}).status_code == 400


def test_the_page_costs_the_same_for_one_row_as_for_many(ana: Client) -> None:
    counts = []
    for number in range(3):
        workload = make.workload(f"w-{number}", "support")
        make.traffic(workload, "2026-10-30", {"gpt-4": 3, f"unknown-{number}": 7})
        ana.post(RULE, {"kind": "tag", "name": f"tag-{number}", "workload": workload.slug})
        ana.get(PAGE)  # the message of the rule is read
        with CaptureQueriesContext(connection) as queries:
            ana.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1] == counts[2]


@pytest.fixture
def went_back(ana: Client) -> Pilot:
    pilot = make.switched_pilot("triage-to-mai", workload=make.workload("triage"))
    for number in range(200, 240):
        share = 90 if number < 220 else 17
        if number not in (210, 211):
            requests = {"mai-thinking-1": share, "gpt-4": 100 - share}
            make.traffic(pilot.workload, make.day(number).date(), requests)
    return pilot


def test_the_pilots_page_shows_what_traffic_says_and_how_to_settle_it(ana: Client, went_back: Pilot) -> None:
    response = ana.get("/pilots/triage-to-mai/")
    page = response.content.decode()
    assert "Traffic says 83 % on gpt-4 since 8 Oct 2026." in page
    found = response.context["traffic"]
    assert (found.state, found.covered_days, found.observed_days) == (MeasuredState.BACK, 25, 38)
    assert len(found.days) == response.context["chart"].candidate.count("M") == 38  # no bar where there is no data
    link = re.search(r'href="(/pilots/triage-to-mai/record/rollback/[^"]+)"', page)
    assert link is not None
    form = ana.get(html.unescape(link[1])).context["form"]
    assert form["occurred_at"].value() == "2026-10-08T00:00"
    assert (form["share_moved_back"].value(), form["to_model"].value()) == ("83", "gpt-4")
    assert form["reference_0"].value() == "traffic says 83 % on gpt-4 since 8 Oct 2026"
    given = {bound.html_name: bound.value() for bound in form if bound.value() is not None}
    refused = ana.post("/pilots/triage-to-mai/record/rollback/", given)
    assert refused.status_code == 400  # the reason is for a person to say
    ana.post("/pilots/triage-to-mai/record/rollback/", given | {"reason": "quality"})
    assert "Traffic says" not in ana.get("/pilots/triage-to-mai/").content.decode()


def test_home_lists_the_conflict_and_viewers_get_no_links(ana: Client, went_back: Pilot) -> None:
    read_due_traffic(now=make.NOW)
    assert "traffic says 83 % on gpt-4 since 8 Oct 2026" in ana.get("/").content.decode()
    viewer = session(make.member(make.team("support"), role=TeamRole.VIEWER))
    page = viewer.get("/pilots/triage-to-mai/").content.decode()
    assert "Traffic says 83 % on gpt-4 since 8 Oct 2026." in page
    assert "record/rollback" not in page
