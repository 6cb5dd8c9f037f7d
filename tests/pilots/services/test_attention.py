"""Putting a matter off, and what is new since the last visit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.models import AuditEvent
from evaluations.services.errors import Refused
from pilots.enums import MatterKind
from pilots.models import HomeVisit, Snooze
from pilots.selectors.access import PilotAccess
from pilots.selectors.matters.base import Action, Matter
from pilots.selectors.waiting import waiting_for
from pilots.services.attention import note_visit, snooze_matter, wake_matter
from tests import factories as make

pytestmark = pytest.mark.django_db

MATTER = Matter(
    kind=MatterKind.UNMAPPED, key="unmapped:support", tone="caution", subject="support", words="2 names wait",
    team="support", pilot="", run=None, urgency=0, stake="1,000 requests", days=2, amount=None, currency="",
    due_on=None, since=make.NOW, size=1000, action=Action("Say", "traffic"),
)  # fmt: skip
UNTIL = make.NOW.date() + timedelta(days=7)


@pytest.fixture
def ana() -> User:
    return make.member(make.team("support"), "ana")


def put_off(user: User, matter: Matter = MATTER, **given: Any) -> Snooze:
    asked: dict[str, Any] = {"until_on": UNTIL, "reason": "a rule is on its way", **given}
    return snooze_matter(user=user, matter=matter, by=make.actor(user.username), at=make.NOW, **asked)


def shown(user: User, matter: Matter = MATTER, at: datetime = make.NOW) -> tuple[int, int]:
    found = waiting_for(PilotAccess(user), [matter], at=at)
    return len(found.lines), len(found.snoozed)


def test_it_leaves_ones_own_list_until_its_day_and_says_so_in_the_audit(ana: User) -> None:
    put_off(ana)
    assert shown(ana) == (0, 1)
    assert shown(make.member(make.team("support"), "ben")) == (1, 0)
    assert shown(ana, at=make.NOW + timedelta(days=6)) == (0, 1)
    assert shown(ana, at=make.NOW + timedelta(days=7)) == (1, 0)
    [audited] = AuditEvent.objects.filter(action="attention.snoozed")
    assert (audited.actor, audited.team, audited.object_label) == ("ana", "support", "support")
    assert audited.data["reason"] == "a rule is on its way"
    assert audited.data["until"] == UNTIL.isoformat()


@pytest.mark.parametrize(
    ("change", "back"),
    [({"size": 1499}, False), ({"size": 1500}, True), ({"tone": "bad"}, True), ({"tone": "unknown"}, False)],
)
def test_it_is_back_when_more_is_at_stake(ana: User, change: dict[str, Any], back: bool) -> None:
    put_off(ana)
    assert shown(ana, replace(MATTER, **change)) == ((1, 0) if back else (0, 1))


def test_taken_up_again(ana: User) -> None:
    put_off(ana)
    for expected in (True, False):
        assert (
            wake_matter(user=ana, key=MATTER.key, subject="support", team="support", by=make.actor("ana"), at=make.NOW)
            is expected
        )
    assert shown(ana) == (1, 0)
    assert AuditEvent.objects.filter(action="attention.woken").count() == 1


def test_put_off_twice_the_same_is_one_and_the_later_word_counts(ana: User) -> None:
    put_off(ana)
    put_off(ana)
    assert AuditEvent.objects.filter(action="attention.snoozed").count() == 1
    put_off(ana, reason="another")
    assert Snooze.objects.get().reason == "another"
    assert AuditEvent.objects.filter(action="attention.snoozed").count() == 2


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"until_on": make.NOW.date()}, "until_on"),
        ({"until_on": make.NOW.date() + timedelta(days=181)}, "until_on"),
        ({"until_on": date.max}, "until_on"),
    ],
)
def test_refusals(ana: User, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refusal:
        put_off(ana, **given)
    assert refusal.value.field == field
    assert Snooze.objects.count() == 0


def test_nothing_is_left_when_the_audit_fails(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**given: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("pilots.services.attention.record", fail)
    with pytest.raises(RuntimeError):
        put_off(ana)
    assert Snooze.objects.count() == 0


def test_a_visit_lasts_an_hour_and_is_written_once(ana: User) -> None:
    first = make.NOW
    assert note_visit(user=ana, at=first) is None
    with CaptureQueriesContext(connection) as queries:
        assert note_visit(user=ana, at=first + timedelta(minutes=59)) is None
    assert len(queries) == 1
    second = first + timedelta(days=1)
    assert note_visit(user=ana, at=second) == first
    assert note_visit(user=ana, at=second + timedelta(minutes=30)) == first
    assert HomeVisit.objects.count() == 1


def test_new_is_what_came_up_after_the_last_visit(ana: User) -> None:
    def new(last_visit: datetime | None, matter: Matter = MATTER) -> int:
        return waiting_for(PilotAccess(ana), [matter], at=make.NOW, last_visit=last_visit).new

    assert new(make.NOW - timedelta(seconds=1)) == 1
    assert new(make.NOW) == 0
    assert new(None) == 0
    assert new(make.NOW - timedelta(days=1), replace(MATTER, since=None)) == 0
