"""A replay that the data agreement keeps from starting is audited, through whichever door somebody asked for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from evaluations.models import AuditEvent, DataAgreement, ReplayRun, Sample
from evaluations.services.audit import Actor
from evaluations.services.errors import NotPermitted
from pilots.enums import SlotState
from pilots.models import Pilot, ScheduleSlot
from pilots.services.replays import start_replay
from pilots.services.schedules import save_schedule
from pilots.services.slots import run_due_slots
from tests import factories as make
from tests.pilots.api.programs import Program
from tests.pilots.views.people import planned_pilot

pytestmark = pytest.mark.django_db

WHY = "team support has no data agreement in force"


def by_a_person(pilot: Pilot) -> None:
    with pytest.raises(NotPermitted):
        start_replay(pilot=pilot, by=make.actor(), at=timezone.now())


def over_rest(pilot: Pilot) -> None:
    asked = Program(make.member(pilot.workload.team)).refused("POST", f"pilots/{pilot.slug}/replays", {})
    assert asked == (400, f"no sample may be sent: {WHY}")


def over_rest_with_a_key(pilot: Pilot) -> None:
    program = Program(make.member(pilot.workload.team))
    asked = program.refused("POST", f"pilots/{pilot.slug}/replays", {}, Idempotency_Key="tonight")
    assert asked == (400, f"no sample may be sent: {WHY}")


def by_schedule(pilot: Pilot) -> None:
    began = timezone.now() - timedelta(hours=2)
    Sample.objects.update(captured_at=began)
    save_schedule(pilot=pilot, cron="0 * * * *", take=1, by=make.actor(), at=began)
    assert run_due_slots(now=timezone.now(), by=Actor.task("schedule")) == []
    newest = ScheduleSlot.objects.exclude(state=SlotState.DUE).latest("due_at")
    assert (newest.state, newest.reason) == (SlotState.SKIPPED, f"no sample may be sent: {WHY}")


@pytest.mark.parametrize("ask", [by_a_person, over_rest, over_rest_with_a_key, by_schedule])
def test_a_refused_start_is_audited_once_and_leaves_nothing_else(ask: Callable[[Pilot], None]) -> None:
    pilot = planned_pilot(n=3)
    DataAgreement.objects.all().delete()
    ask(pilot)
    event = AuditEvent.objects.get(action="sample.not_permitted")
    assert (event.object_type, event.object_label, event.team) == ("plan", pilot.plan.slug, "support")
    assert event.data == {"samples": 1 if ask is by_schedule else 3, "reason": WHY}
    assert not ReplayRun.objects.exists()
