"""Follow-ups that are asked for, reminded of, escalated, and answered by a link without a sign-in."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core import mail, signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent
from evaluations.services.errors import Refused
from pilots.enums import EventKind, NoticeKind
from pilots.models import FollowUp, Notice, Notification, Pilot, PilotEvent, Spell
from pilots.services import lifecycle
from pilots.services.asking import answer_by_link, ask_for_follow_ups
from pilots.services.deliveries import deliver_due
from pilots.services.spreading import spread_notices
from tests import factories as make

pytestmark = pytest.mark.django_db


def person(name: str, role: TeamRole = TeamRole.VIEWER) -> Any:
    found = make.member(make.team("support"), name, role=role)
    get_user_model().objects.filter(pk=found.pk).update(email=f"{name}@example.com")
    found.refresh_from_db()
    return found


def switched(**fields: Any) -> Pilot:
    return make.switched_pilot("triage", workload=make.workload("triage-w", "support"), **fields)


def kinds() -> list[str]:
    rows = Notice.objects.filter(kind__startswith="followup").order_by("id")
    return [str(kind) for kind in rows.values_list("kind", flat=True)]


def ask(day: int) -> list[str]:
    """What is new on that day after the cutover."""
    before = len(kinds())
    for _ in range(2):
        ask_for_follow_ups(now=make.day(day))
    return kinds()[before:]


def test_each_step_comes_on_its_day_and_once() -> None:
    switched()
    steps = {day: ask(day) for day in (29, 30, 31, 36, 37, 43, 44, 50)}
    assert {day: found for day, found in steps.items() if found} == {
        30: ["followup.due"],
        31: ["followup.overdue"],
        37: ["followup.reminder"],
        44: ["followup.escalated"],
    }
    overdue = Notice.objects.get(kind=NoticeKind.FOLLOW_UP_OVERDUE)
    assert overdue.words == "triage: the follow-up at 30 days, due on 2026-04-01, is overdue"
    assert {name: overdue.data[name] for name in ("pilot", "day", "due_on", "spell")} == {
        "pilot": "triage",
        "day": 30,
        "due_on": "2026-04-01",
        "spell": 1,
    }


def test_one_that_was_due_before_anybody_was_asked_is_overdue_a_day_after_the_question() -> None:
    """As after a spreadsheet of the past: nobody is told twice of the same thing in one hour."""
    switched()
    assert {day: ask(day) for day in (40, 41)} == {40: ["followup.due"], 41: ["followup.overdue"]}


def test_the_next_one_takes_the_place_of_one_that_was_never_answered() -> None:
    switched()
    ask(30)
    assert ask(60) == ["followup.due"]
    assert Notice.objects.filter(kind=NoticeKind.FOLLOW_UP_DUE).order_by("id").last().data["day"] == 60  # type: ignore[union-attr]
    assert ask(74) == ["followup.overdue", "followup.reminder", "followup.escalated"]


def test_a_confirmation_ends_the_asking_and_so_does_the_end_of_the_period() -> None:
    pilot = switched()
    ask(30)
    lifecycle.record_follow_up(pilot=pilot, by=make.actor(), at=make.day(32))
    assert ask(50) == []
    lifecycle.record_ended(pilot=pilot, by=make.actor(), at=make.day(55))
    assert ask(61) == []


def test_nobody_is_asked_for_what_counts_as_lost() -> None:
    switched()
    assert ask(365 + 61) == []


def test_unanswered_the_last_confirmed_date_stands() -> None:
    switched()
    ask(30)
    ask(44)
    assert Spell.objects.get().last_confirmed_on == make.CUTOVER_AT.date()
    assert list(PilotEvent.objects.filter(kind=EventKind.FOLLOW_UP)) == []


def test_who_hears_of_which_step() -> None:
    switched(owner=person("ana"), deputy=person("ben"))
    person("mia", TeamRole.MANAGER)
    for day in (30, 31, 37, 44):
        ask(day)
    spread_notices(now=make.day(44))
    asked = Notification.objects.filter(notice__kind__startswith="followup")
    rows = asked.values_list("notice__kind", "user__username", "mode")
    heard = Counter((str(kind).partition(".")[2], name, str(mode)) for kind, name, mode in rows)
    assert set(heard) == {
        ("due", "ana", "email"),
        ("due", "ben", "email"),
        ("overdue", "ana", "in_app"),
        ("overdue", "ben", "in_app"),
        ("overdue", "mia", "in_app"),
        ("reminder", "ana", "email"),
        ("reminder", "ben", "email"),
        ("escalated", "mia", "email"),
    }
    assert set(heard.values()) == {1}


def link(day: int = 30) -> str:
    """The path of the link in the e-mail to the owner; signed at noon of that day."""
    ask(day)
    spread_notices(now=make.day(day))
    with time_machine.travel(make.day(day), tick=False):
        deliver_due(clock=lambda: make.day(day))
    found = re.search(r"http://127\.0\.0\.1:8000(/follow-ups/answer/\S+)", str(mail.outbox[-1].body))
    assert found is not None
    return found[1]


def at(day: int) -> Any:
    return time_machine.travel(make.day(day), tick=False)


def test_a_mail_scanner_changes_nothing_and_the_button_answers_once() -> None:
    pilot = switched(owner=person("ana"))
    path, stranger = link(), Client(enforce_csrf_checks=True)
    before = PilotEvent.objects.count()
    with at(31):
        for _ in range(3):
            shown = stranger.get(path)
            stranger.head(path)
        assert shown.status_code == 200
        assert "Is Triage w</bdi>" in shown.content.decode().replace("<bdi>", "")
        assert stranger.post(path).status_code == 403  # without the form
        assert PilotEvent.objects.count() == before
        token = stranger.cookies["csrftoken"].value
        assert "Thank you" in stranger.post(path, {"csrfmiddlewaretoken": token}).content.decode()
        again = stranger.post(path, {"csrfmiddlewaretoken": token})
        assert (again.status_code, "somebody has answered already" in again.content.decode().lower()) == (409, True)
        assert "Answered" in stranger.get(path).content.decode()
    event = PilotEvent.objects.filter(pilot=pilot, kind=EventKind.FOLLOW_UP).get()
    assert (event.actor, event.occurred_at) == ("ana", make.day(31))
    assert FollowUp.objects.get(day=30).answered_by == event
    assert Spell.objects.get().last_confirmed_on == make.day(31).date()
    assert AuditEvent.objects.filter(action="pilot.followed_up", actor="ana").count() == 1


def test_a_link_expires() -> None:
    switched(owner=person("ana"))
    path, client = link(), Client()
    with at(61):
        answers = [client.get(path), client.post(path)]
    assert [answer.status_code for answer in answers] == [410, 410]
    assert "has expired" in answers[0].content.decode()
    assert not PilotEvent.objects.filter(kind=EventKind.FOLLOW_UP).exists()


def refusals(path: str) -> set[tuple[int, bool]]:
    client = Client()
    with at(31):
        answers = [client.get(path), client.post(path)]
    return {(answer.status_code, "triage" in answer.content.decode()) for answer in answers}


def test_a_link_that_is_forged_or_whose_reader_has_lost_the_right_says_nothing() -> None:
    pilot = switched(owner=person("ana"))
    path = link()
    forged = signing.dumps([pilot.pk, 1, 30, pilot.owner_id], salt="another")
    assert refusals(f"/follow-ups/answer/{forged}/") == {(404, False)}
    assert refusals(f"{path.rstrip('/')}x/") == {(404, False)}
    Pilot.objects.update(owner=None)
    assert refusals(path) == {(404, False)}
    Pilot.objects.update(owner=pilot.owner_id)
    get_user_model().objects.update(is_active=False)
    assert refusals(path) == {(404, False)}
    assert not PilotEvent.objects.filter(kind=EventKind.FOLLOW_UP).exists()


def test_a_period_that_has_ended_asks_nothing_any_more() -> None:
    pilot = switched(owner=person("ana"))
    path = link()
    lifecycle.record_ended(pilot=pilot, by=make.actor(), at=make.day(30) + timedelta(hours=1))
    with pytest.raises(Refused), at(31):
        answer_by_link(token=path.split("/")[-2], at=make.day(31))


def test_asking_costs_the_same_whatever_the_number_of_pilots() -> None:
    def queries(now: datetime) -> int:
        with CaptureQueriesContext(connection) as captured:
            ask_for_follow_ups(now=now)
        return len(captured)

    counts = []
    for n in (1, 3):
        for _ in range(n):
            make.switched_pilot(workload=make.workload("", "support"))
        counts.append(queries(make.day(30)))
    assert counts[0] == counts[1]
    assert date(2026, 4, 1) == make.day(30).date()
