"""The pages of the Reports area: they say what the selectors say, every number opens its pilots."""

from __future__ import annotations

import re
from datetime import date
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.models import ModelVersion, Price, Team
from pilots.enums import ClaimKind, Reason
from pilots.services import lifecycle
from pilots.services.claims import save_claim
from pilots.services.savings_readings import read_due_savings
from tests import factories as make
from tests.pilots.views.people import REPORT_PAGES, evaluated_pilot, session

pytestmark = pytest.mark.django_db


def text(client: Client, name: str, query: str = "", status: int = 200) -> str:
    response = client.get(reverse(f"pilots:{name}") + query)
    assert response.status_code == status
    return response.content.decode()


def plain(page: str) -> str:
    """What a reader sees, one blank between words."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", page)).split())


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


def test_savings_stand_on_their_page_the_pilots_and_home() -> None:
    """100 requests of 1,000 tokens in and 200 out: $4.20 on gpt-4, $0.36 on the candidate; one day without traffic."""
    pilot = make.switched_pilot("triage", workload=make.workload("w", "support"))
    for model, given, taken in ((pilot.incumbent, 30, 60), (pilot.candidate, 2, 8)):
        Price.objects.create(
            model=model, effective_from="2026-01-01", input_per_mtok=given, output_per_mtok=taken, currency="USD"
        )
    for number, model in ((-1, pilot.incumbent), (0, pilot.candidate), (2, pilot.candidate)):
        make.traffic(
            pilot.workload, make.day(number).date(), {model.slug: 100}, input_tokens=100_000, output_tokens=20_000
        )
    client = session(make.member(make.team("support")))
    page = text(client, "savings", "?as_of=2026-03-04")
    assert "200 requests would have cost" in plain(page)
    assert "$7.68 saved by 1 pilot" in plain(page)
    assert "2 of 3 days on a candidate could be computed" in plain(page)
    assert "3 Mar 2026: no traffic was observed" in plain(page)
    assert "$7.68 saved by 1 pilot" in plain(text(client, "costs", "?as_of=2026-03-04"))
    assert "not computed" in plain(text(client, "home")).split("Saved since the cutovers")[1][:30]
    read_due_savings(now=make.NOW)
    assert plain(text(client, "home")).split("Saved since the cutovers")[1].strip().startswith("$7.68")
    overview = plain(client.get(reverse("pilots:pilot", args=["triage"])).content.decode())
    assert "$7.68 on 2 of" in overview
    assert "by 1 observed day, 1 Mar 2026 to 1 Mar 2026" in overview
    document = client.get(reverse("pilots:api:savings", args=["triage"]), {"as_of": "2026-03-04"}).json()
    assert (document["net"], document["savings"]["total"]["computed_days"]) == ("7.680000", 2)
    assert [(day["day"], day["saved"], day["reason"]) for day in document["days"]] == [
        ("2026-03-02", "3.840000", None),
        ("2026-03-03", None, "no_traffic"),
        ("2026-03-04", "3.840000", None),
    ]
    stranger = session(make.member(make.team("legal")))
    assert stranger.get(reverse("pilots:api:savings", args=["triage"])).status_code == 404
    assert "triage" not in text(stranger, "savings")
