"""A command that waits for a run ends with it, or says why it cannot."""

from __future__ import annotations

import pytest

from evaluations.enums import RunStatus
from evaluations.management import waiting
from evaluations.management.waiting import wait_for
from evaluations.simulator.server import SimulatedVendors
from tests.replays import ready_plan, start, vendors

pytestmark = pytest.mark.django_db(transaction=True)


def test_waiting_works_on_the_run_until_it_has_ended() -> None:
    said: list[str] = []
    with SimulatedVendors(vendors()) as simulated:
        run = start(ready_plan(simulated.url, n=20))
        assert wait_for(run, say=said.append) is True
    assert (run.status, run.done) == (RunStatus.FINISHED, 40)
    assert said[-1].startswith(f"run {run.pk}: finished 40 of 40")


def test_waiting_ends_where_only_money_helps_and_says_so() -> None:
    said: list[str] = []
    with SimulatedVendors(vendors(new={"faults": {"quota": 1.0}})) as simulated:
        run = start(ready_plan(simulated.url, n=20))
        assert wait_for(run, say=said.append) is False
    assert (run.status, run.status_reason, run.done) == (RunStatus.RUNNING, "quota_exhausted", 20)
    assert any("quota or credit is used up" in line and f"run {run.pk} --resume" in line for line in said)


def test_waiting_for_workers_that_broke_ends_with_what_broke_them(monkeypatch) -> None:
    def breaks(**options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(waiting, "work_once", breaks)
    run = start(ready_plan("http://127.0.0.1:9", n=2))
    with pytest.raises(ZeroDivisionError):
        wait_for(run, say=lambda message: None)
