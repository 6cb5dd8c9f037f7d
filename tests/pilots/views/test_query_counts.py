"""Lists cost the same number of queries whatever their length."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evaluations.models import Price, SampleSet, Team
from pilots.models import Upload
from pilots.services.export_jobs import write_due_export
from pilots.services.lifecycle import record_cutover, record_follow_up
from tests import factories as make
from tests.pilots.views.people import REPORT_PAGES, evaluated_pilot, planned_pilot, session
from tests.replays import start

pytestmark = pytest.mark.django_db


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("name", ["home", "attention", "list", *REPORT_PAGES, "jump", "audit", "exports"])
def test_lists_of_pilots(name: str) -> None:
    person = make.member(make.team("support"))
    client = session(person)
    address = reverse(f"pilots:{name}")
    client.get(address)  # a first visit is written down
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            make.rolled_back_pilot(workload=make.workload("", "support"))
            client.post(reverse("pilots:write-export"), {"key": "portfolio", "candidate": make.name("x")})
            write_due_export(clock=timezone.now)
        counts.append(_queries(client, address))
    assert counts[0] == counts[1]


def test_workloads_and_one_with_its_sets_and_uploads() -> None:
    workload = make.workload("triage", "support")
    client = session(make.member(make.team("support")))
    addresses = [reverse("pilots:workloads"), reverse("pilots:workload", args=["triage"])]
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            make.pilot(workload=workload)
            make.workload("", "support")
            SampleSet.objects.create(workload=workload, name="May", size=1, digest=make.name("d"), frozen_at=make.NOW)
            Upload.objects.create(
                kind="samples", workload=workload, file_name="log", size=1, uploaded_at=make.NOW, state="done"
            )
        counts.append([_queries(client, address) for address in addresses])
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["catalogue", "endpoints", "prices"])
def test_the_catalogue(name: str) -> None:
    client = session(make.member(make.team("support")))
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            model = make.model()
            model.endpoints.create(
                slug=make.name("endpoint"), protocol="openai_chat", base_url="https://x", wire_model="x"
            )
            Price.objects.create(model=model, effective_from="2026-01-01")
        counts.append(_queries(client, reverse(f"pilots:{name}")))
    assert counts[0] == counts[1]


def test_a_pilots_timeline_and_replays() -> None:
    pilot = planned_pilot()
    record_cutover(pilot=pilot, by=make.actor(), at=timezone.now())
    record_follow_up(pilot=pilot, by=make.actor(), at=timezone.now())
    start(pilot.plan)  # type: ignore[arg-type]
    client = session(make.member(Team.objects.get()))
    addresses = [reverse(f"pilots:{name}", args=[pilot.slug]) for name in ("timeline", "replays", "pilot", "periods")]
    before = [_queries(client, address) for address in addresses]
    for hour in (1, 2):
        record_follow_up(pilot=pilot, by=make.actor(), at=timezone.now(), note=str(hour))
        start(pilot.plan)  # type: ignore[arg-type]
    assert [_queries(client, address) for address in addresses] == before


@pytest.mark.django_db(transaction=True)
def test_the_answers_of_a_run() -> None:
    _, run = evaluated_pilot(n=3)
    client = session(make.member(Team.objects.get()))
    answers = reverse("pilots:answers", args=[run.pk])
    three = _queries(client, answers)
    run.arms.get(role="candidate").completions.filter(position__gt=0).delete()
    assert _queries(client, answers) == three
