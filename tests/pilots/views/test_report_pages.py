"""The pages of the Reports area: they say what the selectors say, every number opens its pilots."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.models import ModelVersion, Team
from pilots.enums import ClaimKind, Reason
from pilots.services import lifecycle
from pilots.services.claims import save_claim
from tests import factories as make
from tests.pilots.views.people import REPORT_PAGES, evaluated_pilot, session

pytestmark = pytest.mark.django_db


def text(client: Client, name: str, query: str = "", status: int = 200) -> str:
    response = client.get(reverse(f"pilots:{name}") + query)
    assert response.status_code == status
    return response.content.decode()


@pytest.mark.parametrize("name", REPORT_PAGES)
def test_an_empty_report_says_what_to_do(name: str) -> None:
    assert 'class="empty"' in text(session(make.member(make.team("support"))), name)


@pytest.mark.parametrize("name", REPORT_PAGES)
def test_filters_that_cannot_be_read_are_said_and_the_report_is_there(name: str) -> None:
    make.rolled_back_pilot("triage", workload=make.workload("w", "support"))
    client = session(make.member(make.team("support")))
    page = text(client, name, "?as_of=soon", status=400)
    assert "is not a date (YYYY-MM-DD)" in page
    assert "The report below is without filters." in page


def test_reasons_open_their_pilots() -> None:
    make.rolled_back_pilot("triage", reason=Reason.LATENCY, workload=make.workload("w", "support"))
    client = session(make.member(make.team("support")))
    page = text(client, "rollback-reasons", "?by=team")
    assert "1 of 1 periods on a candidate ended with a rollback" in page
    assert f'href="{reverse("pilots:timeline", args=["triage"])}"' in page
    assert f'href="{reverse("pilots:periods", args=["triage"])}"' in page
    assert "triage" not in text(client, "rollback-reasons", "?candidate=gpt-4")


@pytest.mark.django_db(transaction=True)
def test_what_the_replays_missed_and_what_is_claimed() -> None:
    pilot, run = evaluated_pilot(n=4)
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=timezone.now())
    lifecycle.record_rollback(
        pilot=pilot, by=make.actor(), at=timezone.now(), reason=Reason.QUALITY, attachments=["incident:I-1"]
    )
    save_claim(
        model=ModelVersion.objects.get(slug="new"),
        words="as good as any",
        kind=ClaimKind.QUALITY,
        stated_on=date(2026, 1, 2),
        by=make.actor(),
        at=timezone.now(),
    )
    client = session(make.member(Team.objects.get()))
    page = text(client, "predictiveness")
    assert "What the replays missed" in page
    assert f'href="{reverse("pilots:run", args=[run.pk])}"' in page
    page = text(client, "claims")
    assert "as good as any" in page
    assert f'href="{reverse("pilots:evidence", args=[pilot.slug])}"' in page
