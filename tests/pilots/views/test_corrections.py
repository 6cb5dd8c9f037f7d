"""Correcting an event on a page: filled in as it stands, a new event that names the old one, both on the timeline."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, Team
from pilots.enums import EventKind, PilotStatus, Reason
from pilots.forms.correction import CORRECTABLE
from pilots.models import Pilot, PilotEvent, Spell
from pilots.selectors.events import Entry, events_of
from pilots.services import lifecycle
from pilots.services.corrections import correct_event
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db


@pytest.fixture
def pilot() -> Pilot:
    return make.rolled_back_pilot("triage-to-mai", workload=make.workload("triage", "support"))


@pytest.fixture
def ana(pilot: Pilot) -> Client:
    return session(make.member(Team.objects.get(), "ana"))


def _address(event: PilotEvent) -> str:
    return reverse("pilots:correct", args=[event.pilot.slug, event.seq])


def _filled(client: Client, event: PilotEvent, **changes: str) -> dict[str, str]:
    """What a browser sends: the form as it is filled, with what somebody changed."""
    form = client.get(_address(event)).context["form"]
    given = {name: form[name].value() for name in form.fields}
    return {name: str(value) for name, value in {**given, **changes}.items() if value not in (None, False)}


def _rollback() -> PilotEvent:
    return PilotEvent.objects.get(kind=EventKind.ROLLBACK)


def test_the_form_is_filled_with_the_event_as_it_stands(pilot: Pilot, ana: Client) -> None:
    event = _rollback()
    correct_event(
        pilot=pilot, by=make.actor("ben"), at=make.day(90), event=event, why="on the invoice", reason=Reason.COST
    )
    form = ana.get(_address(event)).context["form"]
    assert {name: form[name].value() for name in ("occurred_at", "reason", "share_moved_back", "to_model", "void")} == {
        "occurred_at": event.occurred_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M"),
        "reason": "cost",
        "share_moved_back": "100",
        "to_model": pilot.incumbent.slug,
        "void": False,
    }
    assert "share" not in form.fields
    # Sent as it is, it changes nothing, and says so.
    response = ana.post(_address(event), _filled(ana, event, note="no reason"))
    assert response.status_code == 400
    assert "A correction changes something" in response.content.decode()


def test_a_correction_is_a_new_event_and_both_are_on_the_timeline(pilot: Pilot, ana: Client) -> None:
    event = _rollback()
    given = {
        "occurred_at": "2026-04-01T08:00",
        "reason": "latency",
        "share_moved_back": "75",
        "note": "the log says so",
    }
    response = ana.post(_address(event), _filled(ana, event, **given))
    assert response["Location"] == reverse("pilots:timeline", args=[pilot.slug])
    correction = PilotEvent.objects.get(kind=EventKind.CORRECTED)
    assert (correction.corrects, correction.actor, correction.note) == (event, "ana", "the log says so")
    assert correction.data == {
        "occurred_at": "2026-04-01T08:00:00+00:00",
        "reason": "latency",
        "traffic_share": "0.25",
    }
    again = PilotEvent.objects.get(pk=event.pk)
    assert (again.reason, again.occurred_at) == (event.reason, event.occurred_at)
    spell = Spell.objects.get(pilot=pilot)
    assert (spell.ended_on, spell.end_reason) == (date(2026, 4, 1), Reason.LATENCY)
    assert Pilot.objects.get().traffic_share == Decimal("0.25")
    assert AuditEvent.objects.filter(action="pilot.corrected", actor="ana", source="web").count() == 1
    told = {entry.seq: entry for entry in ana.get(response["Location"]).context["entries"]}
    assert (told[event.seq].corrected_by, told[event.seq].voided) == (correction.seq, False)
    assert told[correction.seq].changes == (
        ("Happened", "2026-04-01 08:00 UTC"),
        ("Traffic on the candidate", "25 %"),
        ("Reason", "latency"),
    )
    page = ana.get(response["Location"]).content.decode()
    assert f"Corrects event {event.seq}: happened <b><bdi>2026-04-01 08:00 UTC</bdi></b>" in page
    assert f"Corrected by event {correction.seq}." in page


def test_an_event_can_be_voided_and_brought_back(pilot: Pilot, ana: Client) -> None:
    event = _rollback()
    assert ana.post(_address(event), _filled(ana, event, void="on", note="a mistake")).status_code == 302
    assert Pilot.objects.get().status is PilotStatus.SWITCHED
    assert _entry(pilot, event.seq).voided is True
    again = _filled(ana, event, note="no mistake")
    assert again.pop("void") == "True"
    assert ana.post(_address(event), again).status_code == 302
    assert Pilot.objects.get().status is PilotStatus.ROLLED_BACK
    assert _entry(pilot, event.seq).voided is False


def _entry(pilot: Pilot, seq: int) -> Entry:
    return next(entry for entry in events_of(pilot) if entry.seq == seq)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"occurred_at": "2026-04-01T08:00"}, "note", "A correction says why."),
        ({"occurred_at": "2999-01-01T00:00", "note": "x"}, "occurred_at", "An event in the future cannot be recorded."),
        ({"occurred_at": "", "note": "x"}, "occurred_at", "This field is required."),
        ({"share_moved_back": "20", "note": "x"}, "share_moved_back", "After a rollback at most half"),
        ({"occurred_at": "2020-01-01T00:00", "note": "x"}, "__all__", "Rollback: there is no cutover before"),
    ],
)
def test_what_is_refused_is_said_at_its_field(
    pilot: Pilot, ana: Client, changes: dict[str, str], field: str, words: str
) -> None:
    event = _rollback()
    response = ana.post(_address(event), _filled(ana, event, **changes))
    assert response.status_code == 400
    errors: dict[str, Any] = response.context["form"].errors
    assert {name: found[0][: len(words)] for name, found in errors.items()} == {field: words}
    assert not PilotEvent.objects.filter(kind=EventKind.CORRECTED).exists()


def test_what_later_events_build_on_is_not_voided(pilot: Pilot, ana: Client) -> None:
    cutover = PilotEvent.objects.get(kind=EventKind.CUTOVER)
    response = ana.post(_address(cutover), _filled(ana, cutover, void="on", note="x"))
    assert response.status_code == 400
    assert "contradicts what is on record: rollback on" in response.content.decode()
    assert Pilot.objects.get().status is PilotStatus.ROLLED_BACK


def test_the_one_who_comes_second_keeps_what_was_typed(pilot: Pilot, ana: Client) -> None:
    event = _rollback()
    given = _filled(ana, event, reason="cost", note="the invoice")
    lifecycle.close_pilot(pilot=pilot, by=make.actor("ben"), at=make.day(95))
    response = ana.post(_address(event), given)
    assert response.status_code == 409
    form = response.context["form"]
    assert (form["reason"].value(), form["note"].value()) == ("cost", "the invoice")
    assert ana.post(_address(event), {**given, "version": form["version"].value()}).status_code == 302


def test_alongside_gets_another_share_and_review_day(ana: Client) -> None:
    pilot = make.pilot("both", workload=make.workload("", "support"))
    lifecycle.record_alongside(
        pilot=pilot, by=make.actor("ben"), at=make.day(1), share=Decimal("0.5"), review_on=date(2026, 6, 1)
    )
    event = PilotEvent.objects.get(kind=EventKind.ALONGSIDE)
    given = _filled(ana, event, share="40", review_on="2026-09-01", note="as agreed on the phone")
    assert ana.post(_address(event), given).status_code == 302
    assert PilotEvent.objects.get(kind=EventKind.CORRECTED).data == {"traffic_share": "0.4", "review_on": "2026-09-01"}
    facts = ana.get(reverse("pilots:pilot", args=["both"])).context["facts"]
    assert (facts.traffic_share, facts.review_on) == (Decimal("0.4"), date(2026, 9, 1))
    whole = ana.post(_address(event), _filled(ana, event, share="100", note="x"))
    assert whole.context["form"].errors["share"] == ["Alongside means that both models have a share: between 0 and 1."]


def test_who_may_not_record_may_not_correct_and_what_is_no_event_is_not_found(pilot: Pilot, ana: Client) -> None:
    event = _rollback()
    viewer = session(make.member(Team.objects.get(), "vic", TeamRole.VIEWER))
    stranger = session(make.member(make.team("other"), "eve"))
    assert viewer.get(_address(event)).status_code == 403
    assert stranger.post(_address(event), {"note": "x"}).status_code == 404
    assert "Correct<" not in viewer.get(reverse("pilots:timeline", args=[pilot.slug])).content.decode()
    assert ana.get(reverse("pilots:correct", args=[pilot.slug, 999])).status_code == 404
    correct_event(pilot=pilot, by=make.actor(), at=make.day(90), event=event, why="x", reason=Reason.COST)
    correction = PilotEvent.objects.get(kind=EventKind.CORRECTED)
    assert ana.get(_address(correction)).status_code == 404


def test_what_the_timeline_offers_to_correct_is_what_the_form_knows() -> None:
    def offered(kind: EventKind) -> bool:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        entry = Entry(1, kind, at, at, "ana", None, None, None, "", "", (), None, None, False, (), None, None)  # type: ignore[arg-type]
        return entry.correctable

    assert {kind for kind in EventKind if offered(kind)} == set(CORRECTABLE)
