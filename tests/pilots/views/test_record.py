"""The "Record ..." forms: shape, refusals at their field, conflicts, and nothing lost."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, Team
from pilots.enums import AttachmentKind, EventKind, PilotStatus, Reason
from pilots.models import Pilot, PilotEvent
from pilots.services import lifecycle
from tests import factories as make
from tests.pilots.views.people import evaluated_pilot, session

pytestmark = pytest.mark.django_db

ROLLBACK = {"share_moved_back": "100", "to_model": "gpt-4", "note": "German tickets got English answers"}


@pytest.fixture
def pilot() -> Pilot:
    return make.switched_pilot("triage-to-mai", workload=make.workload("triage", "support"))


@pytest.fixture
def ana(pilot: Pilot) -> Client:
    return session(make.member(Team.objects.get(), "ana"))


def _address(kind: str) -> str:
    return reverse("pilots:record", args=["triage-to-mai", kind])


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"kind_0": "incident", "reference_0": "INC-1"}, "reason", "A rollback needs its reason."),
        ({"reason": "quality"}, "attachments", "A rollback needs at least one attachment"),
        (
            {"reason": "quality", "kind_0": "url", "reference_0": "javascript:alert(1)"},
            "attachments",
            "Only http and https links can be attached",
        ),
        (
            {"reason": "other", "note": "", "kind_0": "note", "reference_0": "see mail"},
            "note",
            "The reason 'other' needs a note.",
        ),
        (
            {"reason": "quality", "share_moved_back": "20", "kind_0": "note", "reference_0": "x"},
            "share_moved_back",
            "A rollback moves at least half of the traffic back",
        ),
        (
            {"reason": "quality", "occurred_at": "2999-01-01T00:00", "kind_0": "note", "reference_0": "x"},
            "occurred_at",
            "An event in the future cannot be recorded.",
        ),
    ],
)
def test_an_incomplete_rollback_is_refused_at_its_field(
    pilot: Pilot, ana: Client, given: dict[str, str], field: str, words: str
) -> None:
    before = PilotEvent.objects.count()
    response = ana.post(_address("rollback"), ROLLBACK | {"version": str(pilot.version)} | given)
    form = response.context["form"]
    assert response.status_code == 400
    assert {name: errors[0][: len(words)] for name, errors in form.errors.items()} == {field: words}
    # What was typed is still there.
    for name, value in (ROLLBACK | given).items():
        assert form[name].value() == value, name
    assert PilotEvent.objects.count() == before
    pilot.refresh_from_db()
    assert pilot.status is PilotStatus.SWITCHED


def test_a_complete_rollback_is_recorded(pilot: Pilot, ana: Client) -> None:
    given = {
        "version": str(pilot.version),
        "reason": "quality",
        "occurred_at": "2026-05-04T10:30",
        "kind_0": "incident",
        "reference_0": "INC-20431",
        "kind_1": "url",
        "reference_1": "https://status.example.com/20431",
    }
    response = ana.post(_address("rollback"), ROLLBACK | given)
    assert response["Location"] == reverse("pilots:pilot", args=["triage-to-mai"])
    event = PilotEvent.objects.get(kind=EventKind.ROLLBACK)
    assert (event.reason, event.actor, event.occurred_at.isoformat()) == (
        Reason.QUALITY,
        "ana",
        "2026-05-04T10:30:00+00:00",
    )
    assert list(event.attachments.values_list("kind", "reference")) == [
        (AttachmentKind.INCIDENT, "INC-20431"),
        (AttachmentKind.URL, "https://status.example.com/20431"),
    ]
    assert AuditEvent.objects.filter(actor="ana", source="web", action="pilot.rolled_back").count() == 1
    page = ana.get(response["Location"]).content.decode()
    assert "Rollback recorded." in page
    assert 'href="https://status.example.com/20431" rel="noopener noreferrer nofollow"' in page


def test_somebody_was_faster_keeps_what_was_typed(pilot: Pilot, ana: Client) -> None:
    seen = pilot.version
    lifecycle.record_follow_up(pilot=pilot, by=make.actor("ben"), at=make.day(30))
    given = ROLLBACK | {"version": str(seen), "reason": "cost", "kind_0": "note", "reference_0": "invoice"}
    response = ana.post(_address("rollback"), given)
    assert response.status_code == 409
    assert "Somebody was faster." in response.content.decode()
    form = response.context["form"]
    assert (form["reason"].value(), form["note"].value()) == ("cost", ROLLBACK["note"])
    assert not PilotEvent.objects.filter(kind=EventKind.ROLLBACK).exists()
    # The form now carries what is on record: sent again, it goes through.
    again = ana.post(_address("rollback"), given | {"version": form["version"].value()})
    assert again.status_code == 302


def test_the_menu_offers_what_the_stage_allows(pilot: Pilot, ana: Client) -> None:
    def offered() -> list[str]:
        return [record.kind for record in ana.get(reverse("pilots:pilot", args=[pilot.slug])).context["records"]]

    assert offered() == ["ramp", "follow_up", "rollback", "superseded", "ended", "closed"]
    draft = make.pilot(workload=make.workload("", "support"))
    records = ana.get(reverse("pilots:pilot", args=[draft.slug])).context["records"]
    assert [record.kind for record in records] == ["decided", "ramp", "cutover", "alongside", "abandoned"]


def test_each_kind_can_be_recorded_from_its_form(ana: Client, pilot: Pilot) -> None:
    third = make.model("claude", "anthropic")
    common = {"note": "because", "kind_0": "note", "reference_0": "minutes of 3 May"}
    stories = [
        [
            ("decided", {"go": "go"}),
            ("ramp", {"share": "25"}),
            ("cutover", {"share": "100"}),
            ("follow_up", {}),
            ("superseded", {"to_model": third.slug}),
            ("closed", {}),
        ],
        [("alongside", {"share": "50", "review_on": "2027-01-01"}), ("declined", {})],
        [("decided", {"go": "no-go"})],
        [("cutover", {"share": "90.5"}), ("ended", {})],
        [("abandoned", {})],
    ]
    reached = []
    for story in stories:
        opened = make.pilot(workload=make.workload("", "support"))
        for kind, given in story:
            opened.refresh_from_db()
            response = ana.post(
                reverse("pilots:record", args=[opened.slug, kind]), common | given | {"version": str(opened.version)}
            )
            assert response.status_code == 302, (kind, response.context["form"].errors)
        opened.refresh_from_db()
        reached.append(opened.status.value)
    assert reached == ["superseded", "declined", "declined", "ended", "abandoned"]


@pytest.mark.django_db(transaction=True)
def test_a_decision_keeps_the_verdict_as_it_stood() -> None:
    evaluated, run = evaluated_pilot()
    client = session(make.member(Team.objects.get()))
    given = {"version": str(evaluated.version), "go": "go", "note": "as good, and cheaper"}
    response = client.post(reverse("pilots:record", args=[evaluated.slug, "decided"]), given)
    assert response.status_code == 302
    event = PilotEvent.objects.get(kind=EventKind.DECIDED)
    assert event.data["verdict"] == {
        "decision": run.decision.value,
        "run": run.pk,
        "plan_version": 1,
        "plan_digest": run.plan_version.digest,
        "criteria": {row.metric: row.verdict.value for row in run.comparisons.all()},
    }
    assert len(event.data["verdict"]["criteria"]) == 1


def test_a_viewer_may_look_but_not_record(pilot: Pilot) -> None:
    client = session(make.member(Team.objects.get(), role=TeamRole.VIEWER))
    page = client.get(reverse("pilots:pilot", args=[pilot.slug]))
    assert page.context["records"] == ()
    assert client.post(_address("rollback"), ROLLBACK).status_code == 403
    assert client.get(_address("nonsense")).status_code == 403


def test_an_unknown_kind_does_not_exist(ana: Client) -> None:
    assert ana.get(_address("nonsense")).status_code == 404
