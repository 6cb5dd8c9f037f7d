"""A run over many samples with a real worker: its memory stays flat, and so does the time that the run's pages take.

At full size (``make soak``) 100,000 samples by both models.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import RunStatus
from evaluations.models import Completion, ReplayRun, Sample, SampleContent, SampleSet, ScoreRow, Workload
from evaluations.selectors.progress import run_document
from evaluations.services.bulk import insert_rows
from evaluations.services.sample_sets import freeze_set
from evaluations.simulator.server import SimulatedVendors
from evaluations.tasks import hint
from pilots.services.lifecycle import open_pilot
from tests import factories as make
from tests.replays import BY, ready_plan, small_body, start, vendors
from tests.workers import SOAK, Worker, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

SAMPLES = 100_000 if SOAK else 2_000
FEW = 200
GROWTH_MB = 64
CONCURRENCY = 64


@pytest.fixture
def simulated() -> Iterator[SimulatedVendors]:
    with SimulatedVendors(vendors()) as running:
        yield running


def many(workload: Workload, n: int) -> SampleSet:
    at = timezone.now()
    columns = ("workload", "external_id", "digest", "cluster", "segments", "replayable", "captured_at")
    insert_rows(Sample, columns, [(workload.pk, f"m{i:07}", f"m{i:063}", "", {}, True, at) for i in range(n)])
    ids = list(Sample.objects.filter(external_id__startswith="m").order_by("id").values_list("id", flat=True))
    insert_rows(
        SampleContent, ("sample", "request", "reference"), [(pk, small_body(i), str(2 * i)) for i, pk in enumerate(ids)]
    )
    return freeze_set(workload=workload, sample_ids=ids, name="many", method={}, parent=None, by=BY, at=at)


def processes(leader: int) -> dict[int, float]:
    """Resident memory in MB of every process of the worker."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[2]) == leader:
                lines = (entry / "status").read_text().splitlines()
                found[int(entry.name)] = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
        except (OSError, StopIteration):  # it has ended since
            continue
    return found


def milliseconds(client: Client, address: str) -> float:
    """Of the processor: other processes of the machine do not count."""
    taken = []
    for _ in range(7):
        started = time.process_time()
        assert client.get(address).status_code == 200
        taken.append(1000 * (time.process_time() - started))
    return statistics.median(taken)


def pages(run: ReplayRun) -> dict[str, str]:
    answers = reverse("pilots:answers", args=[run.pk])
    last = (run.total // 2 + 49) // 50
    return {
        "run": reverse("pilots:run", args=[run.pk]),
        "poll": reverse("pilots:progress", args=[run.pk]),
        "answers": answers,
        "last answers": f"{answers}?page={last}",
        "harmful": f"{answers}?flip=harmful",
    }


def test_memory_and_pages_stay_as_they_are_however_many_samples_there_are(
    simulated: SimulatedVendors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ready_plan(simulated.url, n=FEW, budget="5000", concurrency=CONCURRENCY)
    open_pilot(
        by=make.actor(),
        at=timezone.now(),
        slug="large",
        workload=plan.workload,
        incumbent=plan.incumbent_model,
        candidate=plan.candidate_model,
        plan=plan,
    )
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    worker = Worker(tmp_path / "worker.log")
    try:
        few = start(plan)
        hint(few.pk, chunks=2)
        until(lambda: bool(ReplayRun.objects.get(pk=few.pk).decision), seconds=120)
        baseline = {name: milliseconds(client, address) for name, address in pages(few).items()}
        warm = processes(worker.process.pid)
        run = start(plan, sample_set=many(plan.workload, SAMPLES))
        hint(run.pk, chunks=2)
        grown, going_on, started = 0.0, {}, time.monotonic()
        while not run.decision:
            assert time.monotonic() - started < SAMPLES / 20 + 120
            time.sleep(0.5)
            now = processes(worker.process.pid)
            grown = max([grown, *(now[pid] - warm[pid] for pid in now.keys() & warm.keys())])
            run.refresh_from_db()
            if not going_on and run.done >= 0.9 * run.total and not run.decision:
                going_on = {name: milliseconds(client, pages(run)[name]) for name in ("run", "poll")}
        seconds = time.monotonic() - started
    finally:
        worker.stop()

    assert (run.status, run.done) == (RunStatus.FINISHED, 2 * SAMPLES)
    assert Completion.objects.filter(arm__run=run).count() == 2 * SAMPLES
    assert ScoreRow.objects.filter(completion__arm__run=run).count() == 2 * SAMPLES
    arms = run_document(run)["arms"]
    assert [(arm["succeeded"], arm["calls"]) for arm in arms.values()] == [(SAMPLES, SAMPLES)] * 2

    large = {name: milliseconds(client, address) for name, address in pages(run).items()}
    with capsys.disabled():
        shown = ", ".join(f"{name} {large[name]:.0f} ms (few: {baseline[name]:.0f})" for name in large)
        said = ", ".join(f"{name} {taken:.0f} ms" for name, taken in going_on.items())
        print(f"\n{SAMPLES:,} samples x 2 in {seconds:.0f} s; a worker process grew by {grown:.0f} MB; {shown}; {said}")
    assert grown < GROWTH_MB
    for name, taken in large.items():
        assert taken < 2 * baseline[name] + 40, name
    for name, taken in going_on.items():
        assert taken < 2 * baseline[name] + 40, name
    counts = []
    for each in (few, run):
        with CaptureQueriesContext(connection) as queries:
            client.get(pages(each)["run"])
        counts.append(len(queries))
    assert counts[0] == counts[1]
