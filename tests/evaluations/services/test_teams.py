from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from evaluations.enums import AuditSource, Purpose, TeamRole
from evaluations.models import AuditEvent, DataAgreement, Membership, Team, Workload
from evaluations.services import audit
from evaluations.services.catalogue import save_model, save_vendor
from evaluations.services.errors import Conflict, Refused
from evaluations.services.teams import (
    agree_data,
    end_data_agreement,
    ensure_user,
    save_team,
    save_workload,
    set_member,
)

pytestmark = pytest.mark.django_db

BY = audit.Actor(name="ana", source=AuditSource.WEB)
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def team() -> Team:
    return save_team(slug="support", name="Customer Support", by=BY, at=AT)[0]


@pytest.fixture
def vendors() -> None:
    for slug in ("openai", "microsoft"):
        save_vendor(slug=slug, by=BY, at=AT)


def actions() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("sequence").values_list("action", "object_label"))


def agree(team: Team, at: datetime = AT, **changes: Any) -> tuple[DataAgreement, bool | None]:
    content: dict[str, Any] = {
        "vendors": ["openai", "microsoft"],
        "regions": ["us"],
        "purposes": [Purpose.EVALUATION],
        "expires_on": None,
    }
    return agree_data(team=team, by=BY, at=at, **{**content, **changes})


def test_a_team_is_created_then_unchanged_then_changed_and_the_audit_says_so() -> None:
    cap = (Decimal("500"), "USD")
    team, created = save_team(slug="support", monthly_cap=cap, by=BY, at=AT)
    assert (created, team.name, team.monthly_cap_amount, team.monthly_cap_currency) == (True, "support", 500, "USD")
    assert save_team(slug="support", monthly_cap=cap, by=BY, at=AT)[1] is None
    team, created = save_team(slug="support", name="Customer Support", by=BY, at=AT)
    assert (created, team.name, team.monthly_cap_amount, team.version) == (False, "Customer Support", 500, 2)
    assert actions() == [("team.created", "support"), ("team.changed", "support")]
    changed = AuditEvent.objects.get(action="team.changed")
    assert changed.data == {"name": {"from": "support", "to": "Customer Support"}}


def test_null_clears_the_cap_and_absence_leaves_it() -> None:
    save_team(slug="support", monthly_cap=(Decimal("0.5"), "EUR"), by=BY, at=AT)
    assert save_team(slug="support", by=BY, at=AT)[0].monthly_cap_amount == Decimal("0.5")
    team, created = save_team(slug="support", monthly_cap=None, by=BY, at=AT)
    assert (created, team.monthly_cap_amount, team.monthly_cap_currency) == (False, None, "")


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"monthly_cap": (Decimal("0"), "USD")}, "monthly_cap.amount", "must be above 0"),
        ({"monthly_cap": (Decimal("NaN"), "USD")}, "monthly_cap.amount", "must be above 0"),
        (
            {"monthly_cap": (Decimal("1"), "usd")},
            "monthly_cap.currency",
            "'usd' is not a currency code of three capital letters",
        ),
        ({"name": "  "}, "name", "is empty"),
    ],
)
def test_a_team_that_does_not_fit_is_refused_and_nothing_is_stored(
    values: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(Refused) as refusal:
        save_team(slug="support", by=BY, at=AT, **values)
    assert (refusal.value.field, refusal.value.message) == (field, message)
    assert not Team.objects.exists()
    assert actions() == []


def test_a_slug_with_blanks_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        save_team(slug="our support", by=BY, at=AT)
    assert refusal.value.field == "slug"


def test_a_stale_version_is_a_conflict(team: Team) -> None:
    save_team(slug="support", name="Support", version=1, by=BY, at=AT)
    with pytest.raises(Conflict):
        save_team(slug="support", name="Care", version=1, by=BY, at=AT)
    assert Team.objects.get().name == "Support"


@pytest.mark.parametrize(
    "act",
    [
        lambda team: save_team(slug="other", by=BY, at=AT),
        lambda team: save_team(slug="support", name="Care", by=BY, at=AT),
        lambda team: set_member(team=team, username="ben", by=BY, at=AT),
        lambda team: ensure_user(username="ben", by=BY, at=AT),
        lambda team: agree(team),
        lambda team: save_workload(slug="triage", team=team, by=BY, at=AT),
    ],
)
def test_without_its_audit_row_no_change_is_left(
    team: Team, vendors: None, monkeypatch: pytest.MonkeyPatch, act: Callable[[Team], object]
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("audit is down")

    def counts() -> list[object]:
        models = (Membership, DataAgreement, Workload, get_user_model())
        return [*Team.objects.values_list("slug", "name"), *(model.objects.count() for model in models)]

    before = counts()
    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(RuntimeError, match="audit is down"):
        act(team)
    assert counts() == before


def test_an_unknown_member_is_created_without_a_usable_password(team: Team) -> None:
    membership, created = set_member(team=team, username="ben", role=TeamRole.MANAGER, by=BY, at=AT)
    assert (created, membership.role, membership.may_read_content) == (True, TeamRole.MANAGER, True)
    assert not membership.user.has_usable_password()
    assert actions()[1:] == [("user.created", "ben"), ("membership.changed", "support")]


def test_a_member_changes_role_and_right_one_without_the_other(team: Team) -> None:
    set_member(team=team, username="ben", role=TeamRole.MANAGER, by=BY, at=AT)
    membership, created = set_member(team=team, username="ben", may_read_content=False, by=BY, at=AT)
    assert (created, membership.role, membership.may_read_content) == (False, TeamRole.MANAGER, False)
    membership, created = set_member(team=team, username="ben", role=TeamRole.VIEWER, by=BY, at=AT)
    assert (created, membership.role, membership.may_read_content) == (False, TeamRole.VIEWER, False)
    assert set_member(team=team, username="ben", by=BY, at=AT)[1] is None
    last = AuditEvent.objects.order_by("sequence").last()
    assert last is not None
    assert last.data == {"user": "ben", "role": "viewer", "may_read_content": False}


def test_a_user_name_with_blanks_is_refused(team: Team) -> None:
    with pytest.raises(Refused) as refusal:
        set_member(team=team, username="ben smith", by=BY, at=AT)
    assert refusal.value.field == "username"
    assert not get_user_model().objects.exists()


def test_the_same_agreement_again_in_any_order_changes_nothing(team: Team, vendors: None) -> None:
    first, created = agree(team)
    assert created is True
    assert agree(team, LATER, vendors=["microsoft", "openai"]) == (first, None)
    assert DataAgreement.objects.count() == 1


def test_another_agreement_is_a_new_row_and_ends_the_former(team: Team, vendors: None) -> None:
    first, _ = agree(team)
    second, created = agree(team, LATER, vendors=["openai"], expires_on=date(2027, 12, 31))
    first.refresh_from_db()
    assert (created, first.vendors, first.ended_at) == (False, ["openai", "microsoft"], LATER)
    assert (second.vendors, second.agreed_at, second.expires_on, second.ended_at) == (
        ["openai"],
        LATER,
        date(2027, 12, 31),
        None,
    )
    assert actions()[-2:] == [("data_agreement.agreed", "support")] * 2


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"vendors": ["openai", "acme"]}, "vendors[1]", "unknown vendor acme"),
        ({"regions": [" "]}, "regions[0]", "is empty"),
        ({"purposes": ["training"]}, "purposes[0]", "'training' is not one of evaluation, judging"),
    ],
)
def test_an_agreement_that_names_the_unknown_is_refused(
    team: Team, vendors: None, changes: dict[str, Any], field: str, message: str
) -> None:
    agree(team)
    with pytest.raises(Refused) as refusal:
        agree(team, LATER, **changes)
    assert (refusal.value.field, refusal.value.message) == (field, message)
    assert DataAgreement.objects.get().ended_at is None


def test_an_agreement_is_revoked_once(team: Team, vendors: None) -> None:
    agree(team)
    agreement, created = end_data_agreement(team=team, by=BY, at=LATER)
    assert created is False
    assert DataAgreement.objects.get() == agreement
    assert DataAgreement.objects.get().ended_at == LATER
    assert end_data_agreement(team=team, by=BY, at=LATER) == (None, None)
    assert actions()[-1] == ("data_agreement.ended", "support")


def test_a_workload_is_created_changed_and_cleared(team: Team, vendors: None) -> None:
    vendor = save_vendor(slug="openai", by=BY, at=AT)[0]
    gpt, _ = save_model(slug="gpt-4", vendor=vendor, by=BY, at=AT)
    workload, created = save_workload(slug="triage", team=team, monthly_requests=420000, runs_on=gpt, by=BY, at=AT)
    assert (created, workload.name, workload.monthly_requests, workload.runs_on) == (True, "triage", 420000, gpt)
    workload, created = save_workload(slug="triage", team=team, runs_on=None, task_type="routing", by=BY, at=AT)
    assert (created, workload.runs_on, workload.task_type, workload.monthly_requests) == (
        False,
        None,
        "routing",
        420000,
    )
    changed = AuditEvent.objects.get(action="workload.changed")
    assert (changed.team, changed.data) == (
        "support",
        {"task_type": {"from": "", "to": "routing"}, "runs_on": {"from": gpt.pk, "to": None}},
    )
    assert save_workload(slug="triage", team=team, by=BY, at=AT)[1] is None


def test_a_workload_stays_with_its_team(team: Team) -> None:
    save_workload(slug="triage", team=team, by=BY, at=AT)
    other, _ = save_team(slug="sales", by=BY, at=AT)
    with pytest.raises(Refused, match="workload triage belongs to team support and stays there"):
        save_workload(slug="triage", team=other, by=BY, at=AT)


def test_a_negative_volume_is_refused(team: Team) -> None:
    with pytest.raises(Refused) as refusal:
        save_workload(slug="triage", team=team, monthly_requests=-1, by=BY, at=AT)
    assert refusal.value.field == "monthly_requests"
