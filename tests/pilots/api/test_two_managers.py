"""P12: two managers record the cutover of one pilot in the same instant, over HTTP: one wins, one is told so.

Two hundred trials on PostgreSQL, a thousand in ``make soak``; SQLite, which has one writer at a time, proves little.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import timezone

from pilots.models import Pilot, PilotEvent
from pilots.services import appending
from pilots.services.drafts import EventDraft
from pilots.services.lifecycle import record_cutover
from tests import factories as make
from tests.pilots.api.programs import Program, token_of
from tests.workers import SOAK

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]
TRIALS = 1_000 if SOAK else 200 if connection.vendor == "postgresql" else 20


class Manager(threading.Thread):
    """Sends one cutover a pilot over a connection of its own, when the other one does."""

    def __init__(self, name: str, address: str, pilots: list[tuple[str, int]], gate: threading.Barrier) -> None:
        super().__init__()
        token = token_of(make.member(make.team("support"), name))
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
        self.pilots, self.gate = pilots, gate
        self.answers: list[tuple[int, dict[str, Any]]] = []

    def run(self) -> None:
        for slug, version in self.pilots:
            body = json.dumps({"kind": "cutover", "version": version})
            self.gate.wait(timeout=60)
            self.connection.request("POST", f"/api/v1/pilots/{slug}/events", body, self.headers)
            response = self.connection.getresponse()
            self.answers.append((response.status, json.loads(response.read())))
        self.connection.close()


def test_of_two_managers_one_wins_and_the_other_is_told(live_server: Any) -> None:
    workload = make.workload("triage", "support")
    pilots = [make.pilot(f"pilot-{number}", workload=workload) for number in range(TRIALS)]
    wanted = [(pilot.slug, pilot.version) for pilot in pilots]
    gate = threading.Barrier(2)
    managers = [Manager(name, live_server.url, wanted, gate) for name in ("ana", "ben")]
    for manager in managers:
        manager.start()
    for manager in managers:
        manager.join()
    pairs = list(zip(*(manager.answers for manager in managers), strict=True))
    assert len(pairs) == TRIALS
    assert Counter(tuple(sorted(status for status, _ in pair)) for pair in pairs) == {(201, 409): TRIALS}
    refusals = [document for pair in pairs for status, document in pair if status == 409]
    assert all("somebody was faster" in document["detail"] for document in refusals)
    assert PilotEvent.objects.filter(kind="cutover").count() == TRIALS
    assert set(Pilot.objects.values_list("status", "version")) == {("switched", 2)}


def test_a_history_read_after_somebody_elses_commit_is_a_conflict_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six of four hundred trials on PostgreSQL were told that a switched pilot can not be cut over, not that it was."""
    pilot = make.pilot(workload=make.workload("triage", "support"))
    slow = Program(make.member(make.team("support"), "ana"))
    read = appending._extended

    def later(current: Pilot, draft: EventDraft) -> Any:
        monkeypatch.setattr(appending, "_extended", read)
        record_cutover(pilot=Pilot.objects.get(), by=make.actor("ben"), at=timezone.now())
        return read(current, draft)

    monkeypatch.setattr(appending, "_extended", later)
    response = slow.send("POST", f"pilots/{pilot.slug}/events", {"kind": "cutover"})
    assert response.status_code == 409
    assert response.json()["detail"].startswith("somebody was faster: ben recorded 'cutover'")
