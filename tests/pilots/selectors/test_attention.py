"""The attention list: what is on it, why, what is at stake, until when and in which order."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.enums import RunStatus
from evaluations.models import ReplayRun
from pilots.enums import DeliveryState, MatterKind, Reason
from pilots.models import Delivery, Notice, Pilot, TrafficConflict, TrafficDay, Webhook
from pilots.selectors.attention import attention, scope_of
from pilots.selectors.matters.base import Matter, working_days_after
from pilots.services import lifecycle
from tests import factories as make
from tests.pilots.views.people import planned_pilot
from tests.replays import start

pytestmark = pytest.mark.django_db

K = MatterKind


def waiting(at: object = make.NOW, **given: object) -> list[Matter]:
    return list(attention(scope_of(Pilot.objects.all(), at=at, **given)))  # type: ignore[arg-type]


def of(kind: MatterKind, **given: object) -> list[Matter]:
    return [matter for matter in waiting(**given) if matter.kind is kind]


@pytest.mark.parametrize(
    ("start", "n", "end"),
    [
        # By the calendar of October 2026: the 5th is a Monday.
        ("2026-10-05", 5, "2026-10-12"),
        ("2026-10-07", 5, "2026-10-14"),
        ("2026-10-09", 1, "2026-10-12"),
        ("2026-10-09", 5, "2026-10-16"),
        ("2026-10-10", 1, "2026-10-12"),
        ("2026-10-11", 5, "2026-10-16"),
        ("2026-10-07", 2, "2026-10-09"),
        ("2026-10-07", 3, "2026-10-12"),
        ("2026-10-07", 8, "2026-10-19"),
    ],
)
def test_working_days(start: str, n: int, end: str) -> None:
    assert working_days_after(date.fromisoformat(start), n) == date.fromisoformat(end)


def test_the_reason_of_a_rollback_is_overdue_after_five_working_days() -> None:
    pilot = make.switched_pilot("triage")
    friday = make.NOW.replace(month=10, day=9)
    lifecycle.record_rollback(
        pilot=pilot, by=make.actor(), at=friday, reason=Reason.UNDER_INVESTIGATION, attachments=["note:asked"]
    )
    # Rolled back on Friday the 9th: five working days later is Friday the 16th.
    assert of(K.REASON, at=friday.replace(day=16)) == []
    [matter] = of(K.REASON, at=friday.replace(day=17))
    assert (matter.words, matter.due_on) == ("reason of the rollback is overdue by 1 day", date(2026, 10, 16))
    assert (matter.stake, matter.days, matter.action.page) == ("8 days without a reason", 8, "timeline")


def test_an_overdue_follow_up_says_when_the_period_is_lost() -> None:
    make.switched_pilot("triage")
    # Due 30 days after 2 March, on 1 April; lost 60 days past that.
    [matter] = of(K.FOLLOW_UP, at=make.day(36))
    assert (matter.words, matter.due_on) == ("follow-up at 30 days is overdue by 6 days", date(2026, 4, 1))
    assert (matter.stake, matter.days, matter.action.of) == ("lost to follow-up in 54 days", 54, "triage/follow_up")


def test_a_stopped_run_says_what_the_rest_costs_and_a_stuck_one_that_it_stands() -> None:
    pilot = planned_pilot(n=40)
    start(pilot.plan)  # type: ignore[arg-type]
    moved = make.NOW - timedelta(hours=5)
    runs = ReplayRun.objects.all()
    runs.update(status=RunStatus.STOPPED_BY_BUDGET, done=62, total=80, spent_amount=Decimal("3.10"), finished_at=moved)
    [matter] = of(K.STOPPED_RUN)
    # 18 answers are left, at 3.10 / 62 = 0.05 each.
    assert (matter.words, matter.amount) == ("replay stopped by budget at 78 %", Decimal("0.90"))
    assert (matter.stake, matter.since) == ("about 0.90 USD to finish it", moved)
    runs.update(status=RunStatus.RUNNING, finished_at=None, progressed_at=moved, status_reason="vendor_paused")
    [matter] = of(K.STUCK_RUN)
    assert matter.words == "replay has not moved for 5 hours, at 78 % (vendor paused)"
    runs.update(progressed_at=make.NOW - timedelta(minutes=59))
    assert of(K.STUCK_RUN) == []


def test_traffic_that_no_rule_explains_shows_with_its_volume() -> None:
    workload = make.workload("triage", "support")
    make.pilot(workload=workload)
    make.traffic(workload, "2026-10-01", {"strange-model": 700, "stranger": 50})
    make.traffic(workload, "2026-10-02", {"strange-model": 250})
    [matter] = of(K.UNMAPPED)
    assert (matter.subject, matter.stake, matter.size) == ("support", "1,000 requests on 2 days", 1000)
    assert matter.words == "2 names wait for a mapping rule: what they stand for counts nowhere"


def test_traffic_of_no_workload_is_for_those_who_manage() -> None:
    make.pilot(workload=make.workload("triage", "support"))
    unknown = make.workload("unknown", "support")
    make.traffic(unknown, "2026-10-01", {"strange-model": 700})

    TrafficDay.objects.update(workload=None)
    assert of(K.UNMAPPED) == []
    [matter] = of(K.UNMAPPED, unassigned=True)
    assert (matter.subject, matter.team) == ("gateway logs", "")


def test_webhooks_with_messages_that_were_given_up() -> None:
    pilot = make.pilot(workload=make.workload("triage", "support"))
    hook = Webhook.objects.create(
        team=pilot.workload.team, url="https://user:pass@hooks.example/x", kinds=[], salt="s", secret_digest="d",
        created_by="ana", created_at=make.NOW,
    )  # fmt: skip
    for number, state in enumerate([DeliveryState.FAILED, DeliveryState.FAILED, DeliveryState.DELIVERED]):
        notice = Notice.objects.create(
            key=f"k{number}", kind="pilot.cutover", team=pilot.workload.team, words="w", happened_at=make.NOW
        )
        Delivery.objects.create(
            channel="webhook", notice=notice, webhook=hook, state=state, give_up_after=1, due_at=make.NOW,
            created_at=make.NOW, ended_at=make.NOW - timedelta(days=number + 1),
        )  # fmt: skip
    [matter] = of(K.WEBHOOK)
    assert (matter.subject, matter.size, matter.stake) == ("hooks.example", 2, "the oldest 2 days ago")
    Webhook.objects.update(ended_at=make.NOW)
    assert of(K.WEBHOOK) == []


def test_the_order_is_by_what_is_wrong_then_by_the_day() -> None:
    conflicted = make.switched_pilot("c", cutover_at=make.day(200))
    TrafficConflict.objects.create(
        pilot=conflicted, kind="went_back", since_on=make.day(205).date(), found_at=make.NOW, words="traffic says so"
    )
    make.switched_pilot("late", cutover_at=make.day(100))
    make.switched_pilot("later", cutover_at=make.day(120))
    # Follow-ups at 90 days are due on days 190 and 210.
    found = waiting(at=make.day(240))
    assert [(matter.kind, matter.subject) for matter in found] == [
        (K.CONFLICT, "c"),
        (K.FOLLOW_UP, "late"),
        (K.FOLLOW_UP, "later"),
        (K.FOLLOW_UP, "c"),
    ]


def test_the_number_of_queries_does_not_grow() -> None:
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            workload = make.workload("", "support")
            make.switched_pilot(workload=workload)
            make.pilot(workload=workload, incumbent=make.model(retires_on=date(2026, 12, 1)))
            make.traffic(workload, "2026-10-01", {"strange-model": 700})
        with CaptureQueriesContext(connection) as queries:
            assert len(waiting()) >= 2
        counts.append(len(queries))
    assert counts[0] == counts[1]
