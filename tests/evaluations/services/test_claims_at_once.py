"""Workers that wake at the same moment share the arms, as those do that come one after the other."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from evaluations.models import Chunk, ReplayRun
from evaluations.selectors.queue import open_arms
from evaluations.services import leases
from evaluations.services.leases import claim_chunk
from tests.replays import ready_plan, start

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def run(settings) -> ReplayRun:
    settings.PILOTS_CHUNK_DEFAULT_CALLS = 10
    return start(ready_plan("http://127.0.0.1:9", n=100))


def leased() -> Counter[str]:
    """Workers by arm."""
    return Counter(str(role) for role in Chunk.objects.exclude(lease_owner="").values_list("arm__role", flat=True))


def test_who_looked_before_another_was_served_looks_again(run: ReplayRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = open_arms(NOW)
    assert claim_chunk(owner="first", now=NOW) is not None
    looks = [seen]
    monkeypatch.setattr(leases, "open_arms", lambda now: looks.pop() if looks else open_arms(now))
    assert claim_chunk(owner="second", now=NOW + timedelta(milliseconds=1)) is not None
    assert leased() == {"incumbent": 1, "candidate": 1}
    assert not Chunk.objects.filter(lease_owner="second", lease_expires_at=None).exists()


@pytest.mark.parametrize("workers", [4, 8])
def test_workers_that_wake_together_are_at_both_arms(run: ReplayRun, workers: int) -> None:
    barrier = threading.Barrier(workers)

    def wake(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            claim_chunk(owner=f"worker {number}", now=NOW + timedelta(microseconds=number))
        finally:
            connection.close()

    threads = [threading.Thread(target=wake, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leased() == {"incumbent": workers // 2, "candidate": workers // 2}
