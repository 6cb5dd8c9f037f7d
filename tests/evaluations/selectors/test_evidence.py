"""Evidence from the rows of runs: by hand, and in memory that answers hardly add to."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import ArmRole, Outcome
from evaluations.models import Completion, ReplayRun, Sample
from evaluations.selectors.arms import figures_of
from evaluations.selectors.evidence import Column, Evidence, evidence_for
from evaluations.services.replays import settle_run
from evaluations.services.scoring import score_run
from tests.replays import answer, ready_plan, start

pytestmark = pytest.mark.django_db

NAN = math.nan


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, "" if position % 7 == 0 and role is ArmRole.CANDIDATE else "yes"


def a_run(n: int, repeats: int = 1) -> ReplayRun:
    return answer(start(ready_plan("http://127.0.0.1:9", n=n), repeats=repeats), said)


def read(run: ReplayRun) -> Evidence:
    score_run(run)
    return evidence_for(run.plan_version, at_end_of=run)


def same(column: Column, expected: list[float]) -> bool:
    return np.array_equal(column, expected, equal_nan=True)


def change(run: ReplayRun, role: ArmRole, position: int, repeat: int = 0, **fields: object) -> None:
    found = Completion.objects.filter(arm__run=run, arm__role=role, position=position, repeat=repeat)
    assert found.update(**fields) == 1


def test_one_answer_a_sample_is_the_answer_itself() -> None:
    run = a_run(4)
    change(run, ArmRole.CANDIDATE, 1, outcome=Outcome.TIMEOUT, cost_amount=None)
    change(run, ArmRole.CANDIDATE, 2, outcome=Outcome.NOT_PERMITTED, cost_amount=0, latency_ms=None)
    change(run, ArmRole.CANDIDATE, 3, cache_read_tokens=7, output_total_tokens=None)
    evidence = read(run)
    assert evidence.samples.tolist() == sorted(run.sample_set.members.values_list("sample", flat=True))  # type: ignore[union-attr]
    candidate, incumbent = evidence.candidate, evidence.incumbent
    assert same(candidate.failure, [0, 1, NAN, 0])
    assert same(candidate.scores["answered"], [0, 0, NAN, 1])
    assert same(candidate.answered_scores["answered"], [0, NAN, NAN, 1])
    assert same(candidate.cost, [0.001, NAN, NAN, 0.001])
    assert same(candidate.input_tokens, [10, 10, NAN, 17])
    assert same(candidate.output_tokens, [5, 5, NAN, NAN])
    assert same(candidate.latency_ms, [100, math.inf, NAN, 103])
    assert same(candidate.ttft_ms, [NAN, math.inf, NAN, NAN])
    assert same(incumbent.scores["answered"], [1, 1, 1, 1])


def test_repeats_of_all_runs_count_once_with_their_mean() -> None:
    """Two repeats in one run that has ended, and two in one that is about to: four answers a sample."""
    first = a_run(2, repeats=2)
    change(first, ArmRole.CANDIDATE, 0, repeat=1, outcome=Outcome.SERVER_ERROR)
    settle_run(run=first, at=timezone.now())
    second = answer(start(first.plan_version.plan, repeats=2), said)
    change(second, ArmRole.CANDIDATE, 0, outcome=Outcome.HARNESS_ERROR)
    change(second, ArmRole.CANDIDATE, 1, latency_ms=201)
    change(second, ArmRole.INCUMBENT, 1, repeat=1, cost_amount=None)
    evidence = read(second)
    # Of sample 0 one failed and one is left out; its other two answers are empty.
    assert same(evidence.candidate.failure, [1 / 3, 0])
    assert same(evidence.candidate.scores["answered"], [0, 1])
    assert same(evidence.candidate.latency_ms, [math.inf, (101 + 101 + 201 + 101) / 4])
    assert same(evidence.incumbent.cost, [0.001, NAN])


def test_samples_of_one_cluster_have_one_number_and_others_their_own() -> None:
    run = a_run(5)
    ids = list(Sample.objects.order_by("id").values_list("id", flat=True))
    Sample.objects.filter(pk__in=ids[1:3]).update(cluster="talk")
    Sample.objects.filter(pk=ids[4]).update(cluster="other")
    clusters = read(run).clusters.tolist()
    assert clusters[1] == clusters[2]
    assert len(set(clusters)) == 4


def peak(work: Callable[[], object]) -> int:
    work()  # what is imported or cached once is no part of it
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_hardly_grows_with_the_answers() -> None:
    """A list of objects would add 500 bytes and more for each; the columns are eight bytes a figure."""
    plan = ready_plan("http://127.0.0.1:9", n=4000)
    runs = [answer(start(plan, take=n), said) for n in (1000, 3000)]
    for run in runs:
        assert score_run(run)
    arms = [run.arms.select_related("endpoint", "model", "run").get(role="candidate") for run in runs]
    evidence = [peak(lambda run=run: evidence_for(run.plan_version, at_end_of=run)) for run in runs]  # type: ignore[misc]
    figures = [peak(lambda arm=arm: figures_of(arm)) for arm in arms]  # type: ignore[misc]
    scoring = [peak(lambda run=run: score_run(run)) for run in runs]  # type: ignore[misc]
    more_answers = 2 * 2000
    assert (evidence[1] - evidence[0]) / more_answers < 250
    assert (figures[1] - figures[0]) / more_answers < 30  # of both arms; one is counted at a time
    assert (scoring[1] - scoring[0]) / more_answers < 5


def test_queries_do_not_grow_with_the_samples() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=60)
    for n in (10, 50):
        run = answer(start(plan, take=n), said)
        version = run.plan_version
        with CaptureQueriesContext(connection) as queries:
            evidence_for(version, at_end_of=run)
        assert len(queries) == 2
        assert max(len(query["sql"]) for query in queries.captured_queries) < 2500
