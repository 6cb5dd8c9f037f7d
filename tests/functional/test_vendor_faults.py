"""Whatever a vendor does, each call ends in exactly one named outcome, in time, and the run ends or says why it waits.

P16 and P17 of RELIABILITY.md: B1 and B3-B26 over real HTTP and through the whole engine. A connection that hangs (B2)
is tested where it is made (``providers/test_egress.py``), the spellings of a wait (B6) in ``providers/test_waits.py``.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from evaluations.enums import STOPS_ARM, AttemptState, Outcome, RunStatus
from evaluations.models import Attempt, Completion, Endpoint, ReplayRun, ScoreRow
from evaluations.replay import engine
from evaluations.services.work import work_once
from evaluations.simulator.behaviours import FAULTS
from evaluations.simulator.server import SimulatedVendors
from tests.evaluations.simulator.test_providers_meet_vendors import OUTCOMES
from tests.replays import ready_plan, start, vendors

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

NEVER_DONE = {"hang", "drip"}
MOST_CALLS = 4
# How a run ends that a vendor stopped.
STOPPED = {
    Outcome.AUTH: (RunStatus.FAILED, "auth"),
    Outcome.MODEL_GONE: (RunStatus.FAILED, "model_gone"),
    Outcome.QUOTA_EXHAUSTED: (RunStatus.RUNNING, "quota_exhausted"),
}


@pytest.fixture(autouse=True)
def _hurried(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PILOTS_PROBE_SECONDS = 0.05
    settings.PILOTS_RATE_LIMIT_PATIENCE_SECONDS = 0
    monkeypatch.setattr(engine, "backoff_seconds", lambda attempt, *, rng: 0.0)


def work(run: ReplayRun) -> ReplayRun:
    """Until it has ended, or waits for what only a person mends."""
    deadline = time.monotonic() + 60
    while not run.decision and run.status_reason != Outcome.QUOTA_EXHAUSTED:
        assert time.monotonic() < deadline
        if work_once(run=run) is None:
            time.sleep(0.05)
        run.refresh_from_db()
    return run


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_ends_in_one_outcome_within_its_calls_and_its_time(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    with SimulatedVendors(vendors(new={"faults": {fault: 1.0}})) as simulated:
        # One sample: five failures in a row, and the vendor would be left alone for a while.
        plan = ready_plan(simulated.url, n=1)
        deadline_seconds = 1 if fault in NEVER_DONE else 10
        Endpoint.objects.update(deadline_seconds=deadline_seconds)
        run = work(start(plan))
        bill = simulated.bill()
    calls = Attempt.objects.filter(run=run, arm__role="candidate")
    assert set(calls.values_list("state", flat=True)) == {AttemptState.SETTLED}
    (outcome,) = {Outcome(value) for value in calls.values_list("outcome", flat=True)}
    expected = OUTCOMES[fault]
    assert outcome in (expected if isinstance(expected, set) else {expected})
    assert calls.count() <= MOST_CALLS
    assert bill["models"]["new"]["requests"] == calls.count()
    assert max(calls.values_list("latency_ms", flat=True)) <= 1000 * (deadline_seconds + 1)
    answers = Completion.objects.filter(arm__run=run, arm__role="candidate")
    if outcome in STOPS_ARM:
        assert calls.count() == 1
        assert (run.status, run.status_reason) == STOPPED[outcome]
        assert not answers.exists()
    else:
        assert (run.status, run.status_reason, run.done) == (RunStatus.FINISHED, "", run.total)
        assert list(answers.values_list("outcome", flat=True)) == [outcome]
    judged = ScoreRow.objects.filter(completion__arm__run=run)
    assert not judged.exclude(completion__outcome=Outcome.OK).exists()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
