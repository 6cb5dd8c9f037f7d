"""The pages of models that end: whose workloads, what is listed, and what one button creates."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import TeamRole
from evaluations.models import ModelVersion, Workload
from pilots.models import Pilot
from tests import factories as make
from tests.pilots.endings import candidate, ending_model, running_on, seen
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db


@pytest.fixture
def model() -> ModelVersion:
    found = ending_model(retires_on=timezone.now().date() + timedelta(days=60))
    candidate()
    running_on(found, "ours")
    running_on(found, "theirs", "others")
    return found


@pytest.fixture
def client() -> Client:
    return session(make.member(make.team("support"), "ana"))


def prepare(*workloads: str, **given: str) -> str:
    asked = {
        "model": "gpt-4", "candidate": "mai-thinking-1-prod", "owner": "ana", "scorer": "exact", "margin": "3",
        "minimum_samples": "350", **given,
    }  # fmt: skip
    return f"{reverse('pilots:prepare')}?{urlencode([*asked.items(), *(('workload', slug) for slug in workloads)])}"


def hidden(text: str) -> dict[str, str]:
    return {
        name: re.search(f'name="{name}" value="([0-9a-f]+)"', text)[1]  # type: ignore[index]
        for name in ("key", "seen")
    }


def test_one_sees_the_workloads_of_ones_teams(model: ModelVersion, client: Client) -> None:
    text = client.get(reverse("pilots:end-of-life")).content.decode()
    assert "gpt-4 ends in 60 days: 1 workload, 1 without recorded answers" in text
    text = client.get(reverse("pilots:end-of-life") + "?model=gpt-4").content.decode()
    assert 'value="ours"' in text
    assert "Theirs" not in text
    assert client.get(reverse("pilots:end-of-life") + "?model=nothing").status_code == 404


def test_the_list_then_one_button(model: ModelVersion, client: Client) -> None:
    seen(Workload.objects.get(slug="ours"), str(timezone.now().date()), at=timezone.now())
    page = client.get(prepare("ours"))
    text = page.content.decode()
    assert page.status_code == 200
    assert "ours-to-mai-thinking-1" in text
    # 698 x (0.036 + 0.0028) for both arms, 698 x 0.036 for the missing answers.
    assert "$27.08" in text
    assert "$25.13" in text
    assert Pilot.objects.count() == 0
    given = hidden(text)
    for _ in range(2):
        assert client.post(prepare("ours"), given).status_code == 302
    assert Pilot.objects.get().slug == "ours-to-mai-thinking-1"
    assert client.post(prepare("ours"), {"key": "k" * 900, "seen": "s" * 900}).status_code == 409
    again = client.post(prepare("ours"), {**given, "key": "0"})
    assert again.status_code == 409
    assert "has changed since you saw it" in again.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        prepare("theirs"),
        prepare(),
        prepare("ours", candidate="gpt-4-prod"),
        prepare("ours", owner="nobody"),
        prepare("ours", margin="0"),
        prepare("ours", scorer="json_field"),
    ],
)
def test_what_is_not_ones_own_or_makes_no_sense_is_refused(model: ModelVersion, client: Client, address: str) -> None:
    for answer in (client.get(address), client.post(address, {"key": "k", "seen": "x"})):
        assert answer.status_code == 400
    assert Pilot.objects.count() == 0


def test_a_viewer_sees_it_and_changes_nothing(model: ModelVersion) -> None:
    viewer = session(make.member(make.team("support"), role=TeamRole.VIEWER))
    text = viewer.get(reverse("pilots:end-of-life") + "?model=gpt-4").content.decode()
    assert "Ours" in text
    assert "See what is created" not in text
    assert viewer.get(prepare("ours")).status_code == 403
    assert viewer.post(prepare("ours"), {"key": "k", "seen": "x"}).status_code == 403


def test_the_catalogue_leads_there(model: ModelVersion, client: Client) -> None:
    assert reverse("pilots:end-of-life") + "?model=gpt-4" in client.get(reverse("pilots:catalogue")).content.decode()
