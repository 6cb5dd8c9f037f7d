"""The only way from a user to a pilot."""

from __future__ import annotations

import pytest

from evaluations.enums import TeamRole
from pilots.selectors.access import PilotAccess
from tests import factories as make

pytestmark = pytest.mark.django_db


def test_a_foreign_teams_pilot_does_not_exist() -> None:
    mine = make.pilot("mine", workload=make.workload("w-mine", "support"))
    other = make.pilot("other", workload=make.workload("w-other", "sales"))
    ana = PilotAccess(make.member(make.team("support")))
    assert list(ana.pilots()) == [mine]
    assert (ana.may_manage(mine), ana.may_manage(other)) == (True, False)
    assert (ana.may_open_for(make.team("support")), ana.may_open_for(make.team("sales"))) == (True, False)
    root = PilotAccess(make.user("root", is_superuser=True))
    assert list(root.pilots()) == [mine, other]
    assert root.may_manage(other) is True


@pytest.mark.parametrize(
    ("role", "may_review", "may_manage"),
    [
        (TeamRole.VIEWER, False, False),
        (TeamRole.REVIEWER, True, False),
        (TeamRole.MANAGER, True, True),
        (TeamRole.ADMIN, True, True),
    ],
)
def test_what_a_role_may_do(role: TeamRole, may_review: bool, may_manage: bool) -> None:
    pilot = make.pilot(workload=make.workload("w", "support"))
    access = PilotAccess(make.member(make.team("support"), role=role, may_read_content=False))
    assert (access.may_review(pilot), access.may_manage(pilot)) == (may_review, may_manage)
    assert access.may_read_content_of(pilot) is False
