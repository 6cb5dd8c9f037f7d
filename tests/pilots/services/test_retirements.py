"""Warnings before a model goes away."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evaluations.models import ModelVersion, Workload
from pilots.enums import NoticeKind
from pilots.models import Notice
from pilots.services import lifecycle
from pilots.services.retirements import warn_of_retirements
from tests import factories as make

pytestmark = pytest.mark.django_db

ENDS = make.day(400).date()


def warn(left: int) -> list[str]:
    """The words that are new when so many days are left of the date as first known; asked for twice."""
    before = Notice.objects.count()
    for _ in range(2):
        warn_of_retirements(now=make.day(400 - left))
    return list(Notice.objects.order_by("id").values_list("words", flat=True))[before:]


@pytest.fixture(autouse=True)
def _retiring() -> None:
    make.model("gpt-4", family="gpt", retires_on=ENDS)


def ours(slug: str = "triage", team: str = "support") -> None:
    make.pilot(slug, workload=make.workload(f"{slug}-w", team))
    Notice.objects.all().delete()


def test_six_warnings_once_each() -> None:
    ours()
    said = {left: warn(left) for left in range(190, -3, -1)}
    assert {left: len(words) for left, words in said.items() if words} == dict.fromkeys((180, 120, 90, 60, 30, 7), 1)
    assert said[60] == [f"gpt-4 retires in 60 days, on {ENDS}: 1 workload is on it, triage-w (incumbent)"]
    newest = Notice.objects.order_by("id").last()
    assert newest is not None
    assert (newest.kind, newest.data) == (
        NoticeKind.RETIREMENT_NEAR,
        {
            "team": "support",
            "model": "gpt-4",
            "vendor": "openai",
            "retires_on": ENDS.isoformat(),
            "days_left": 7,
            "warning": 7,
            "workloads": [{"workload": "triage-w", "as": ["incumbent"], "pilots": ["triage"]}],
        },
    )


def test_a_date_that_is_known_late_is_told_once_by_the_nearest_warning() -> None:
    ours()
    assert len(warn(45)) == 1
    assert warn(31) == []
    assert len(warn(30)) == 1


def test_a_date_that_moves_is_told_anew() -> None:
    ours()
    assert len(warn(60)) == 1
    moved = ENDS + timedelta(days=100)
    ModelVersion.objects.filter(slug="gpt-4").update(retires_on=moved)
    assert warn(59) == [f"gpt-4 retires in 159 days, on {moved}: 1 workload is on it, triage-w (incumbent)"]
    assert warn(58) == []
    ModelVersion.objects.filter(slug="gpt-4").update(retires_on=None)
    assert warn(57) == []


def test_each_team_hears_of_its_own_workloads_and_of_one_that_comes_later() -> None:
    ours()
    ours("legal-check", "legal")
    assert sorted(warn(90)) == [
        f"gpt-4 retires in 90 days, on {ENDS}: 1 workload is on it, {name}-w (incumbent)"
        for name in ("legal-check", "triage")
    ]
    ours_later = make.workload("later-w", "support")
    Workload.objects.filter(pk=ours_later.pk).update(runs_on=ModelVersion.objects.get(slug="gpt-4"))
    assert warn(89) == [f"gpt-4 retires in 89 days, on {ENDS}: 1 workload is on it, later-w (in production)"]


def test_a_workload_that_has_moved_off_is_warned_of_its_new_model_alone() -> None:
    pilot = make.switched_pilot("moved", workload=make.workload("moved-w", "support"))
    Notice.objects.all().delete()
    assert warn(90) == []
    ModelVersion.objects.filter(pk=pilot.candidate_id).update(retires_on=ENDS)
    assert warn(89) == [f"mai-thinking-1 retires in 89 days, on {ENDS}: 1 workload is on it, moved-w (candidate)"]
    lifecycle.record_ended(pilot=pilot, by=make.actor(), at=make.day(330))
    assert warn(30) == []
