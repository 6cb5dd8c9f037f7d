"""One step before a model ends: drafts and requests, all or nothing, once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from evaluations.models import AuditEvent, Endpoint, ModelVersion, Plan, Workload
from evaluations.services.errors import Conflict, Refused
from pilots.enums import Motive, NoticeKind, PilotStatus
from pilots.links import path_of
from pilots.models import IdempotentRequest, Notice, Pilot
from pilots.selectors.end_of_life_report import ends_of_life
from pilots.selectors.preparation import Preparation, preparation
from pilots.services import end_of_life
from pilots.services.end_of_life import Prepared, Proposal, prepare_for_end
from tests import factories as make
from tests.pilots.endings import AT, DEFINITION, answered, candidate, ending_model, planned, running_on, seen

pytestmark = pytest.mark.django_db

PROPOSAL = Proposal(scorer="exact", margin=Decimal("0.03"), minimum_samples=350)


@pytest.fixture
def model() -> ModelVersion:
    return ending_model()


@pytest.fixture
def to() -> Endpoint:
    return candidate()


@pytest.fixture
def ana() -> User:
    return make.member(make.team("support"), "ana")


def listed(workloads: Sequence[Workload], to: Endpoint) -> Preparation:
    [found] = ends_of_life(Workload.objects.filter(pk__in=[row.pk for row in workloads]), at=AT)
    return preparation(found, [row.slug for row in workloads], candidate=to, at=AT)


def prepare(workloads: Sequence[Workload], to: Endpoint, user: User, key: str = "k", **given: Any) -> Prepared:
    asked: dict[str, Any] = {"seen": listed(workloads, to).digest, "owner": user, **given}
    return prepare_for_end(
        model=ModelVersion.objects.get(slug="gpt-4"), workloads=workloads, candidate=to, proposal=PROPOSAL, key=key,
        user=user, by=make.actor(user.username), at=AT, **asked,
    )  # fmt: skip


def test_it_opens_drafts_asks_for_answers_and_says_so(model: ModelVersion, to: Endpoint, ana: User) -> None:
    bare, full, begun = (running_on(model, slug) for slug in ("bare", "full", "begun"))
    seen(bare)
    answered(full, 698)
    planned(begun, "begun-to-mai")
    done = prepare([bare, full, begun], to, ana)
    assert done == Prepared(("bare-to-mai-thinking-1", "full-to-mai-thinking-1"), ("bare", "begun"))
    drafts = {pilot.slug: pilot for pilot in Pilot.objects.filter(slug__in=done.pilots)}
    for pilot in drafts.values():
        assert (pilot.status, pilot.motive, pilot.owner) == (PilotStatus.DRAFT, Motive.RETIREMENT, ana)
        assert (pilot.incumbent, pilot.candidate) == (model, to.model)
        assert pilot.plan is not None
        assert pilot.plan.definition["decide_by"] == "2026-12-17"
        assert pilot.plan.versions.count() == 0
    # Where answers are short they can still be asked for; where they are there, they are the arm.
    arms = {slug: pilot.plan.incumbent_endpoint for slug, pilot in drafts.items()}  # type: ignore[union-attr]
    assert arms == {"bare-to-mai-thinking-1": model.endpoints.get(), "full-to-mai-thinking-1": None}
    notices = {notice.data["workload"]: notice for notice in Notice.objects.filter(kind=NoticeKind.CAPTURE_REQUESTED)}
    assert set(notices) == {"bare", "begun"}
    assert notices["bare"].words == (
        "bare: 698 recorded answers of gpt-4 are missing and it ends on 2026-12-31: import a log, or post samples to"
        " the API"
    )
    assert path_of(notices["bare"]).endswith("/workloads/bare/")
    [audited] = AuditEvent.objects.filter(action="end_of_life.prepared")
    assert audited.data["pilots"] == list(done.pilots)
    assert AuditEvent.objects.filter(action="capture.requested").count() == 2


def test_criteria_are_those_of_an_earlier_plan(model: ModelVersion, to: Endpoint, ana: User) -> None:
    workload = running_on(model, "bare")
    earlier = planned(workload, "first-try", {**DEFINITION, "minimum_samples": 77})
    Pilot.objects.filter(pk=earlier.pk).update(status=PilotStatus.ABANDONED)
    prepare([workload], to, ana)
    plan = Plan.objects.get(slug="bare-to-mai-thinking-1")
    assert (plan.definition["minimum_samples"], plan.definition["decide_by"]) == (77, "2026-12-17")


def test_a_double_click_does_it_once(model: ModelVersion, to: Endpoint, ana: User) -> None:
    workload = running_on(model, "bare")
    digest = listed([workload], to).digest
    first = prepare([workload], to, ana, seen=digest)
    assert prepare([workload], to, ana, seen=digest) == first
    assert (Pilot.objects.count(), Notice.objects.count()) == (1, 1)
    # The same list agreed to once more, on another page: there is nothing of it left to do.
    with pytest.raises(Conflict):
        prepare([workload], to, ana, key="another", seen=digest)
    assert Pilot.objects.count() == 1


def test_a_list_that_has_changed_is_refused_and_may_be_agreed_to_anew(
    model: ModelVersion, to: Endpoint, ana: User
) -> None:
    one, two = running_on(model, "one"), running_on(model, "two")
    digest = listed([one, two], to).digest
    planned(two, "somebody-else")
    with pytest.raises(Conflict):
        prepare([one, two], to, ana, seen=digest)
    assert Pilot.objects.count() == 1
    assert IdempotentRequest.objects.count() == 0
    assert prepare([one, two], to, ana).pilots == ("one-to-mai-thinking-1",)


def test_all_or_nothing(model: ModelVersion, to: Endpoint, ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [running_on(model, slug) for slug in ("one", "two")]

    def fail(*given: object, **named: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(end_of_life, "announce", fail)
    with pytest.raises(RuntimeError):
        prepare(rows, to, ana)
    assert (Pilot.objects.count(), Plan.objects.count(), IdempotentRequest.objects.count()) == (0, 0, 0)
    assert AuditEvent.objects.filter(action__in=["pilot.opened", "capture.requested"]).count() == 0


def test_refusals(model: ModelVersion, to: Endpoint, ana: User) -> None:
    ready = running_on(model, "ready")
    answered(ready, 698)
    planned(ready, "ready-to-mai")
    with pytest.raises(Refused) as refusal:
        prepare([ready], to, ana)
    assert refusal.value.field == "workloads"
    with pytest.raises(Refused) as refusal:
        prepare([running_on(model, "bare")], model.endpoints.get(), ana, seen="")
    assert refusal.value.field == "candidate"
    assert IdempotentRequest.objects.count() == 0


def test_names_that_are_taken_get_a_number(model: ModelVersion, to: Endpoint, ana: User) -> None:
    make.pilot("bare-to-mai-thinking-1")
    Plan.objects.create(
        slug="bare-to-mai-thinking-1-2", workload=make.workload(), incumbent_model=model, candidate_model=to.model
    )
    assert prepare([running_on(model, "bare")], to, ana).pilots == ("bare-to-mai-thinking-1-3",)


def test_a_team_is_asked_once_a_day(model: ModelVersion, to: Endpoint, ana: User) -> None:
    workload = running_on(model, "bare")
    planned(workload, "bare-to-mai")
    prepare([workload], to, ana)
    prepare([workload], to, ana, key="later")
    assert Notice.objects.filter(kind=NoticeKind.CAPTURE_REQUESTED).count() == 1
    [found] = ends_of_life(Workload.objects.all(), at=AT)
    assert [line.asked_at for line in found.lines] == [AT]
