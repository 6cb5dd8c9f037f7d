"""What is put into the outbox, and for whom it comes out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, ReplayRun
from evaluations.services.catalogue import save_price
from evaluations.services.conclusions import conclude_run
from evaluations.services.errors import Refused
from evaluations.signals import conflict_found
from pilots.enums import NoticeKind, NoticeMode, Reason
from pilots.models import Delivery, Notice, NoticeSettings, Notification, Pilot
from pilots.services import lifecycle
from pilots.services.notice_settings import save_notice_settings
from pilots.services.notices import News, announce
from pilots.services.spreading import spread_notices, write_digests
from tests import factories as make
from tests.pilots.views.people import evaluated_pilot

pytestmark = pytest.mark.django_db

K = NoticeKind


def told() -> list[tuple[str, str]]:
    return [(str(row.kind), row.words) for row in Notice.objects.order_by("id")]


def ours(**fields: object) -> Pilot:
    return make.pilot("triage", workload=make.workload("triage-w", "support"), **fields)


@pytest.mark.django_db(transaction=True)
def test_news_belong_to_a_transaction() -> None:
    news = News(key="x", kind=K.CUTOVER, team_id=make.team("support").pk, words="x")
    with pytest.raises(RuntimeError, match="transaction"):
        announce([news], at=make.NOW)
    assert not Notice.objects.exists()


def test_a_pilots_life_is_told_once_each() -> None:
    pilot = ours()
    at = make.CUTOVER_AT
    lifecycle.decide(pilot=pilot, by=make.actor(), at=at, go=True, rationale="as agreed", verdict=None)
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=at)
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=at)  # the same event again
    lifecycle.record_follow_up(pilot=pilot, by=make.actor(), at=at + timedelta(days=31))
    lifecycle.record_rollback(
        pilot=pilot,
        by=make.actor(),
        at=at + timedelta(days=40),
        reason=Reason.LATENCY,
        attachments=["incident:INC-1"],
    )
    assert told() == [
        ("pilot.decided", "triage: ana decided to go ahead, gpt-4 to mai-thinking-1"),
        ("pilot.cutover", "triage: ana recorded the cutover, gpt-4 to mai-thinking-1"),
        ("pilot.rolled_back", "triage: ana recorded the rollback to gpt-4, reason latency"),
    ]
    newest = Notice.objects.order_by("id").last()
    assert newest is not None
    assert newest.data == {
        "pilot": "triage",
        "workload": "triage-w",
        "team": "support",
        "incumbent": "gpt-4",
        "candidate": "mai-thinking-1",
        "status": "rolled_back",
        "event": 5,
        "occurred_at": (at + timedelta(days=40)).isoformat(),
        "actor": "ana",
        "traffic_share": "0",
        "reason": "latency",
        "to_model": "gpt-4",
    }


def test_what_is_undone_is_not_told() -> None:
    pilot = ours()
    with transaction.atomic():
        lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=make.CUTOVER_AT)
        assert len(told()) == 1
        transaction.set_rollback(True)
    assert told() == []


def test_a_declined_pilot_is_a_decision() -> None:
    pilot = ours()
    lifecycle.decide(pilot=pilot, by=make.actor(), at=make.CUTOVER_AT, go=False, rationale="too dear", verdict=None)
    row = Notice.objects.get()
    assert (row.kind, row.data["go"]) == (K.DECIDED, False)


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_replay_is_told_with_its_figures() -> None:
    _, run = evaluated_pilot(n=3)
    row = Notice.objects.get()
    assert (row.kind, row.pilot.slug if row.pilot else "") == (K.RUN_FINISHED, "triage-to-new")
    expected = {"run": run.pk, "run_status": "finished", "done": 6, "total": 6, "team": "support"}
    assert {name: row.data[name] for name in expected} == expected
    assert row.data["spent"] == {"amount": str(run.spent_amount), "currency": run.currency}
    # The same run, resumed and stopped by its budget: another end, told by its own name.
    ReplayRun.objects.filter(pk=run.pk).update(status="stopped_by_budget", decision="", version=run.version + 1)
    run.comparisons.all().delete()
    again = ReplayRun.objects.get(pk=run.pk)
    assert conclude_run(run=again, at=timezone.now())
    assert not conclude_run(run=again, at=timezone.now())
    assert [kind for kind, _ in told()] == ["replay_run.finished", "replay_run.stopped_by_budget"]


def test_a_price_is_told_to_the_teams_on_its_model() -> None:
    pilot = ours()
    make.pilot(workload=make.workload("w", "legal"), candidate=make.model("other", "microsoft"))
    candidate = pilot.candidate
    for amount in ("2", "2", "3"):
        save_price(
            model=candidate,
            effective_from=date(2026, 1, 1),
            input_per_mtok=Decimal(amount),
            by=make.actor(),
            at=make.NOW + timedelta(minutes=int(amount)),
        )
    assert told() == [
        ("price.changed", "mai-thinking-1 has a new list price from 2026-01-01"),
        ("price.changed", "mai-thinking-1 has a corrected list price from 2026-01-01"),
    ]
    assert {row.team.slug for row in Notice.objects.all()} == {"support"}


def test_findings_of_the_watchers_are_told_once() -> None:
    pilot = ours()
    finding = {
        "pilot": pilot,
        "at": make.NOW,
        "key": "2026-09-03",
        "words": "triage: 83 % back",
        "data": {"share": "1"},
    }
    for _ in range(2):
        conflict_found.send(sender=Pilot, **finding)
    assert told() == [("pilot.conflict_found", "triage: 83 % back")]


def spread(**fields: object) -> dict[str, NoticeMode]:
    """Who is told of one notice of ``ours``, and how."""
    Notice.objects.all().delete()
    pilot = Pilot.objects.get(slug="triage")
    with transaction.atomic():
        announce(
            [
                News(
                    **{
                        "key": "k",
                        "kind": K.CONFLICT_FOUND,
                        "team_id": pilot.workload.team_id,
                        "words": "w",
                        "pilot": pilot,
                        **fields,
                    }
                )
            ],
            at=make.NOW,
        )
    assert spread_notices(now=make.NOW) == 1
    assert spread_notices(now=make.NOW) == 0
    return {row.user.get_username(): row.mode for row in Notification.objects.select_related("user")}


def people() -> None:
    team = make.team("support")
    for name, role in (("ana", "manager"), ("ben", "viewer"), ("cleo", "admin"), ("vic", "reviewer")):
        person = make.member(team, name, role=TeamRole(role))
        person.email = f"{name}@example.com"
        person.save()
    make.member(make.team("legal"), "foreign")
    ben = get_user_model().objects.get(username="ben")
    ours(owner=get_user_model().objects.get(username="ana"), deputy=ben)


def test_who_is_told_by_default() -> None:
    people()
    email, in_app = NoticeMode.EMAIL, NoticeMode.IN_APP
    assert spread() == {"ana": email, "ben": email, "cleo": in_app}
    assert spread(kind=K.CUTOVER) == {"ana": in_app, "ben": in_app, "cleo": in_app}
    assert spread(kind=K.CUTOVER, actor="ana") == {"ben": in_app, "cleo": in_app}
    assert spread(kind=K.FOLLOW_UP_DUE) == {"ana": email, "ben": email}
    assert spread(kind=K.FOLLOW_UP_ESCALATED) == {"ana": email, "cleo": email}
    Pilot.objects.update(owner=None, deputy=None)
    assert spread(kind=K.FOLLOW_UP_DUE) == {"ana": email, "cleo": email}


def test_a_choice_overrules_the_default_and_an_account_without_address_gets_no_mail() -> None:
    people()
    users = {user.get_username(): user for user in get_user_model().objects.all()}
    chosen = {"ana": NoticeMode.OFF, "vic": NoticeMode.EMAIL, "cleo": NoticeMode.DIGEST}
    for name, mode in chosen.items():
        NoticeSettings.objects.create(user=users[name], modes={K.CONFLICT_FOUND.value: mode.value})
    get_user_model().objects.filter(username="ben").update(email="")
    assert spread() == {"ben": NoticeMode.IN_APP, "cleo": NoticeMode.DIGEST, "vic": NoticeMode.EMAIL}
    assert [row.user_id for row in Delivery.objects.all()] == [users["vic"].pk]


def test_settings_are_checked_kept_and_audited() -> None:
    person = make.user("ana")
    common = {"user": person, "by": make.actor(), "at": make.NOW, "digest_hour": 7}
    modes = {K.CUTOVER: NoticeMode.DIGEST}
    assert save_notice_settings(**common, modes=modes, timezone="Europe/Berlin")
    assert not save_notice_settings(**common, modes=modes, timezone="Europe/Berlin")
    with pytest.raises(Refused, match="time zone"):
        save_notice_settings(**common, modes=modes, timezone="Mars/Olympus")
    assert NoticeSettings.objects.get(user=person).modes == {"pilot.cutover": "digest"}
    assert AuditEvent.objects.filter(action="notice_settings.changed").count() == 1


def test_the_digest_comes_once_a_day_after_its_hour_on_the_readers_clock() -> None:
    people()
    cleo = get_user_model().objects.get(username="cleo")
    row = NoticeSettings.objects.create(
        user=cleo, modes={K.CONFLICT_FOUND.value: "digest"}, timezone="America/New_York", digest_hour=8
    )
    spread()
    before = datetime(2026, 11, 1, 12, 59, tzinfo=UTC)  # 07:59 there: clocks were set back that night
    assert write_digests(now=before) == 0
    assert write_digests(now=before + timedelta(minutes=1)) == 1
    assert write_digests(now=before + timedelta(minutes=2)) == 0
    assert Delivery.objects.get(user=cleo).digest_on == date(2026, 11, 1)
    assert Notification.objects.get(user=cleo).digest == Delivery.objects.get(user=cleo)
    with transaction.atomic():
        pilot = Pilot.objects.get(slug="triage")
        team_id = pilot.workload.team_id
        announce([News(key="2", kind=K.CONFLICT_FOUND, team_id=team_id, words="w", pilot=pilot)], at=before)
    spread_notices(now=before)
    assert write_digests(now=before + timedelta(hours=8)) == 0
    assert write_digests(now=before + timedelta(hours=24, minutes=1)) == 1
    assert row.user_id == cleo.pk
