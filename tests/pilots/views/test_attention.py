"""Home and the attention page: capped, paged, put off and taken up again."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import TeamRole
from pilots.models import FollowUp, HomeVisit, Snooze
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return session(make.member(make.team("support")))


def overdue(slug: str, team: str = "support") -> str:
    """A pilot with an overdue follow-up; the key of that matter."""
    at = timezone.now() - timedelta(days=40)
    pilot = make.switched_pilot(slug, cutover_at=at, workload=make.workload("", team))
    return f"follow-up:{FollowUp.objects.get(pilot=pilot, day=30).pk}"


def address(name: str, key: str) -> str:
    return f"{reverse(f'pilots:{name}')}?key={quote(key)}"


def test_home_shows_eight_and_how_many_more(client: Client) -> None:
    for number in range(11):
        overdue(f"pilot-{number}")
    text = client.get(reverse("pilots:home")).content.decode()
    assert text.count("follow-up at 30 days is overdue by 10 days</p>") == 8
    assert "3</span> more</a>" in text
    listed = client.get(reverse("pilots:attention")).content.decode()
    assert listed.count("follow-up at 30 days is overdue by 10 days</p>") == 11
    assert "Follow-ups overdue (" in listed


def test_put_off_and_taken_up_again(client: Client) -> None:
    key = overdue("triage")
    assert "Put off: <bdi>triage</bdi>" in client.get(address("snooze", key)).content.decode()
    given = {"until_on": (timezone.now() + timedelta(days=3)).date().isoformat(), "reason": "asked on Monday"}
    assert client.post(address("snooze", key), given).status_code == 302
    home = client.get(reverse("pilots:home")).content.decode()
    assert "Nothing waits for you." in home
    assert "1</span> put off</a>" in home
    put_off = client.get(reverse("pilots:attention") + "?show=snoozed").content.decode()
    assert "asked on Monday" in put_off
    assert client.post(address("wake", key)).status_code == 302
    assert Snooze.objects.count() == 0


@pytest.mark.parametrize("given", [{}, {"until_on": "2020-01-01", "reason": "x"}, {"until_on": "x", "reason": "y"}])
def test_a_refusal_keeps_the_form(client: Client, given: dict[str, str]) -> None:
    key = overdue("triage")
    answer = client.post(address("snooze", key), given)
    assert answer.status_code == 400
    assert Snooze.objects.count() == 0


@pytest.mark.parametrize("name", ["snooze", "wake"])
def test_what_waits_for_nobody_or_for_another_team_is_not_found(client: Client, name: str) -> None:
    for key in (overdue("theirs", "others"), "nothing:1", ""):
        assert client.post(address(name, key), {"until_on": "2099-01-01", "reason": "x"}).status_code == 404


def test_a_viewer_sees_it_without_the_button(client: Client) -> None:
    overdue("triage")
    viewer = session(make.member(make.team("support"), role=TeamRole.VIEWER))
    assert "Confirm what it runs on" in client.get(reverse("pilots:home")).content.decode()
    text = viewer.get(reverse("pilots:home")).content.decode()
    assert "overdue by 10 days" in text
    assert "Confirm what it runs on" not in text


def test_what_is_new_is_marked(client: Client) -> None:
    overdue("triage")
    assert "chip accent" not in client.get(reverse("pilots:home")).content.decode()
    long_ago = timezone.now() - timedelta(days=20)
    HomeVisit.objects.update(began_at=long_ago)
    text = client.get(reverse("pilots:home")).content.decode()
    assert "1</span> new since your last visit." in text
    assert text.count("chip accent") == 1
