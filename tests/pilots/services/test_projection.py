"""Cached values follow the catalogue: a retirement date that moves, a motive that is set right."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from evaluations.enums import AuditSource
from evaluations.models import ModelVersion
from evaluations.services.audit import Actor
from evaluations.services.catalogue import save_model
from evaluations.services.errors import Conflict
from pilots.enums import Motive, PilotStatus
from pilots.models import Pilot, Spell
from pilots.selectors.filters import ReportFilters
from pilots.selectors.retention import retention
from pilots.services.lifecycle import change_pilot, record_cutover, record_follow_up, record_superseded
from tests import factories as make

pytestmark = pytest.mark.django_db

BY = Actor(name="ana", source=AuditSource.WEB)
# Cutovers on 1 Jan, 1 Mar and 20 Mar 2026; each is confirmed 100 days later.
DAYS = (date(2026, 1, 1), date(2026, 3, 1), date(2026, 3, 20))


@pytest.fixture
def gpt4() -> ModelVersion:
    return make.model("gpt-4", family="gpt")


@pytest.fixture
def pilots(gpt4: ModelVersion) -> list[Pilot]:
    found = []
    for day in DAYS:
        at = make.day(0) + (day - make.day(0).date())
        pilot = make.pilot(at=at - timedelta(days=1))
        record_cutover(pilot=pilot, by=BY, at=at)
        record_follow_up(pilot=pilot, by=BY, at=at + timedelta(days=100))
        found.append(pilot)
    return found


def stored() -> list[bool]:
    return list(Spell.objects.order_by("started_on").values_list("forced", flat=True))


def read() -> tuple[int, list[bool], int, int]:
    """Forced of the funnel, by period, and who is at risk at days 30 and 90 of the first answer."""
    answer = retention(ReportFilters.parse({"min_at_risk": ["1"]}, now=make.NOW)).answer
    spells = sorted(answer.spells, key=lambda spell: spell.start)
    at_risk = {point.day: point.at_risk for point in answer.not_rolled_back}
    return answer.funnel.of_which.forced, [spell.forced for spell in spells], at_risk[30], at_risk[90]


@pytest.mark.parametrize(
    ("announced", "retires", "forced", "at_risk"),
    [
        # Nothing known: three chosen, all followed for 100 days.
        (None, None, [False, False, False], (3, 3)),
        # Not announced: forced from 30 days before the end on, that is from 31 Mar 2026 on.
        (None, date(2026, 4, 30), [False, False, False], (3, 1)),
        # Forced from 20 Mar on; the cutover of 1 Mar is followed to the end, 49 days, that of 1 Jan for 100.
        (None, date(2026, 4, 19), [False, False, True], (2, 1)),
        # Forced from 1 Mar on; a rollback of the first was possible for 89 days.
        (None, date(2026, 3, 31), [False, True, True], (1, 0)),
        # Announced: forced from that very day on, however far the end.
        (date(2026, 3, 1), date(2026, 12, 31), [False, True, True], (1, 1)),
        (date(2026, 3, 2), date(2026, 12, 31), [False, False, True], (2, 2)),
    ],
)
def test_a_retirement_date_that_moves_moves_the_result_and_the_stored_marks(
    pilots: list[Pilot],
    gpt4: ModelVersion,
    announced: date | None,
    retires: date | None,
    forced: list[bool],
    at_risk: tuple[int, int],
) -> None:
    save_model(slug="gpt-4", vendor=gpt4.vendor, retires_on=date(2026, 1, 15), by=BY, at=make.NOW)
    assert stored() == [True, True, True]
    save_model(
        slug="gpt-4", vendor=gpt4.vendor, retirement_announced_on=announced, retires_on=retires, by=BY, at=make.NOW
    )
    assert stored() == forced
    assert read() == (sum(forced), forced, *at_risk)


def test_what_is_being_recorded_by_the_old_date_is_refused_as_late(pilots: list[Pilot], gpt4: ModelVersion) -> None:
    seen = Pilot.objects.get(pk=pilots[0].pk)
    save_model(slug="gpt-4", vendor=gpt4.vendor, retires_on=date(2026, 4, 30), by=BY, at=make.NOW)
    with pytest.raises(Conflict):
        record_follow_up(pilot=seen, by=BY, at=make.NOW)


def test_pilots_of_other_models_are_not_touched(pilots: list[Pilot], gpt4: ModelVersion) -> None:
    other = make.pilot(incumbent=make.model("gpt-4o"), candidate=make.model("claude-x", "anthropic"))
    before = Pilot.objects.get(pk=other.pk).version
    save_model(slug="gpt-4", vendor=gpt4.vendor, retires_on=date(2026, 4, 30), by=BY, at=make.NOW)
    assert Pilot.objects.get(pk=other.pk).version == before


def test_a_family_that_is_set_right_makes_a_move_an_upgrade(pilots: list[Pilot]) -> None:
    two = make.model("mai-thinking-2", "microsoft")
    record_superseded(pilot=pilots[0], by=BY, at=make.NOW, to_model=two)
    assert Pilot.objects.get(pk=pilots[0].pk).status is PilotStatus.SUPERSEDED
    save_model(slug="mai-thinking-2", vendor=two.vendor, family="mai-thinking", by=BY, at=make.NOW)
    assert Pilot.objects.get(pk=pilots[0].pk).status is PilotStatus.SWITCHED
    spell = Spell.objects.get(pilot=pilots[0])
    assert (spell.upgraded, spell.ended_on) == (True, None)


def test_a_motive_that_is_set_right_changes_the_stored_mark(pilots: list[Pilot]) -> None:
    pilot = pilots[0]
    for motive, forced in ((Motive.RETIREMENT, True), (Motive.COST, False)):
        change_pilot(pilot=pilot, by=BY, at=make.NOW, owner=None, deputy=None, motive=motive, plan=None)
        assert Spell.objects.get(pilot=pilot).forced is forced
        assert pilot.version == Pilot.objects.get(pk=pilot.pk).version
