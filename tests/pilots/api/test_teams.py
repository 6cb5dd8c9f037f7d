"""Teams over the API: who belongs to one reads it, its administrators say who belongs and what may be shared."""

from __future__ import annotations

import pytest

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, DataAgreement, Membership, Team
from tests import factories as make
from tests.pilots.api.programs import Program, administrator, manager

pytestmark = pytest.mark.django_db
AGREEMENT = {"vendors": ["openai"], "regions": ["eu"], "purposes": ["evaluation"], "expires_on": "2027-12-31"}


def test_a_team_with_its_cap() -> None:
    program = administrator()
    made = program.post("teams", {"slug": "support", "name": "Support", "monthly_cap": {"amount": "500.50"}})
    assert made == {
        "slug": "support",
        "name": "Support",
        "monthly_cap": {"amount": "500.5", "currency": "USD"},
        "second_person": False,
        "data_agreement": None,
        "version": 1,
    }
    changed = program.patch("teams/support", {"monthly_cap": None, "version": 1})
    assert (changed["monthly_cap"], changed["name"], changed["version"]) == (None, "Support", 2)
    assert program.patch("teams/support", {"second_person": True})["second_person"] is True
    stale = program.send("PATCH", "teams/support", {"name": "X", "version": 1})
    assert (stale.status_code, stale.json()["current_version"]) == (409, 3)
    assert program.refused("POST", "teams", {"slug": "support"}) == (409, "support is taken")


def test_members_and_their_rights() -> None:
    team = make.team("support")
    make.user("ben")
    admin = Program(make.member(team, "ana", TeamRole.ADMIN))
    given = {"role": "reviewer", "may_read_content": False}
    assert admin.put("teams/support/members/ben", given) == {"user": "ben", **given}
    assert admin.put("teams/support/members/ben", {"role": "manager"})["may_read_content"] is False
    assert [row["user"] for row in admin.get("teams/support/members")["results"]] == ["ana", "ben"]
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.actor, event.data["role"]) == ("membership.changed", "ana", "manager")


def test_a_name_that_nobody_has_makes_no_account() -> None:
    admin = Program(make.member(make.team("support"), role=TeamRole.ADMIN))
    assert admin.refused("PUT", "teams/support/members/typo", {}) == (400, "there is no user typo")
    assert Membership.objects.count() == 1


def test_a_data_agreement_is_put_in_force_and_revoked() -> None:
    make.vendor("openai")
    admin = Program(make.member(make.team("support"), role=TeamRole.ADMIN))
    assert admin.refused("GET", "teams/support/data-agreement")[0] == 404
    made = admin.put("teams/support/data-agreement", AGREEMENT)
    assert {name: made[name] for name in AGREEMENT} == AGREEMENT
    assert admin.get("teams/support/data-agreement") == made == admin.get("teams/support")["data_agreement"]
    assert admin.send("DELETE", "teams/support/data-agreement").status_code == 204
    assert DataAgreement.objects.get().ended_at is not None
    assert admin.get("teams/support")["data_agreement"] is None
    assert admin.refused("PUT", "teams/support/data-agreement", {**AGREEMENT, "vendors": ["x"]})[0] == 400


def test_a_manager_reads_the_team_and_changes_nothing_of_it() -> None:
    make.vendor("openai")
    make.user("ben")
    program = manager()
    assert [row["slug"] for row in program.get("teams")["results"]] == ["support"]
    said = "Only an administrator of the team does this."
    assert program.refused("PUT", "teams/support/members/ben", {"role": "admin"}) == (403, said)
    assert program.refused("PUT", "teams/support/data-agreement", AGREEMENT) == (403, said)
    assert program.refused("DELETE", "teams/support/data-agreement") == (403, said)
    assert program.refused("PATCH", "teams/support", {"monthly_cap": None})[0] == 403
    assert program.refused("POST", "teams", {"slug": "mine"})[0] == 403
    assert (Team.objects.count(), Membership.objects.count()) == (1, 1)
