"""Two worker processes at one vendor that takes half of what they could send."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluations.enums import RunStatus
from evaluations.models import Attempt
from evaluations.simulator.server import SimulatedVendors
from evaluations.tasks import hint
from tests.replays import ready_plan, start, vendors
from tests.workers import Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

PLACES = 8


@pytest.mark.parametrize("told", ["auto", "none"])
def test_two_workers_together_ask_at_most_a_fifth_too_often_and_stay_below_the_ceiling(
    tmp_path: Path, settings, told: str
) -> None:
    settings.PILOTS_CHUNK_DEFAULT_CALLS = 50
    limited = {"latency_ms": 50, "requests_per_minute": 2400, "burst": 5, "states_limit": False, "retry_after": told}
    with SimulatedVendors(vendors(new=limited)) as simulated:
        run = start(ready_plan(simulated.url, n=200, recorded=True, concurrency=PLACES))
        worker = Worker(tmp_path / "worker.log")
        try:
            hint(run.pk, chunks=4)

            def ended() -> bool:
                run.refresh_from_db()
                return bool(run.decision)

            until(ended, seconds=300)
        finally:
            worker.kill()
        bill = simulated.bill()
    assert run.status is RunStatus.FINISHED
    assert bill["distinct"] == 200
    assert bill["requests"] <= 240
    assert bill["in_flight_peak"] <= PLACES
    owners = Attempt.objects.filter(run=run).values_list("lease_owner", flat=True).distinct()
    assert len({owner.split(":")[1] for owner in owners}) == 2
