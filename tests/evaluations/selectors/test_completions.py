"""Both arms' answers as they are listed: in the order in which people read them, a page at a time."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.enums import ArmRole, Outcome
from evaluations.models import Completion, ReplayRun, ScoreRow
from evaluations.selectors.completions import pairs
from evaluations.services.scoring import score_run
from tests.replays import answer, concluded, ready_plan, start

pytestmark = pytest.mark.django_db

# By position: what the incumbent and the candidate answered. The plan's scorer wants any character at all.
GOOD, BAD, LATE = (Outcome.OK, "yes"), (Outcome.OK, ""), (Outcome.TIMEOUT, "")
SAID = {
    0: (GOOD, GOOD),
    1: (BAD, GOOD),  # beneficial
    2: (GOOD, BAD),  # harmful
    3: (LATE, GOOD),  # no score, no flip
    4: (GOOD, LATE),
    5: (BAD, BAD),
    6: (GOOD, BAD),  # harmful
    7: (LATE, LATE),
}


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return SAID.get(position, (GOOD, GOOD))[role is ArmRole.CANDIDATE]


def a_run(n: int = 8, repeats: int = 1) -> ReplayRun:
    return start(ready_plan("http://127.0.0.1:9", n=n), repeats=repeats)


def listed(run: ReplayRun, **asked: object) -> list[tuple[int, str]]:
    rows, _ = pairs(run, **asked)  # type: ignore[arg-type]
    return [(row.position, row.flip) for row in rows]


def test_harmful_changes_come_first_then_beneficial_ones_then_the_sets_order() -> None:
    run = concluded(a_run(), said)
    assert listed(run) == [
        *((2, "harmful"), (6, "harmful"), (1, "beneficial")),
        *((0, ""), (3, ""), (4, ""), (5, ""), (7, "")),
    ]
    rows, page = pairs(run, page=2, per_page=3)
    assert ([row.position for row in rows], page.paginator.count) == ([0, 3, 4], 8)


def test_a_row_holds_both_answers_with_their_scores() -> None:
    [row] = pairs(concluded(a_run(), said), flip="beneficial")[0]
    assert row.incumbent is not None
    assert row.candidate is not None
    assert (row.incumbent.scores, row.candidate.scores) == ({"answered": 0.0}, {"answered": 1.0})
    answers = Completion.objects.filter(position=1).order_by("arm").values_list("id", flat=True)
    assert [row.incumbent.completion_id, row.candidate.completion_id] == list(answers)


@pytest.mark.parametrize(
    ("asked", "positions"),
    [
        ({"flip": "harmful"}, [2, 6]),
        ({"flip": "beneficial"}, [1]),
        ({"flip": "no such word"}, [2, 6, 1, 0, 3, 4, 5, 7]),
        ({"outcome": "timeout"}, [3, 4, 7]),
        ({"outcome": "ok"}, [2, 6, 1, 0, 3, 4, 5]),
        ({"outcome": "ok", "flip": "harmful"}, [2, 6]),
        ({"outcome": "timeout", "flip": "harmful"}, []),
    ],
)
def test_filters_are_by_the_change_and_by_the_outcome_of_either(asked: dict[str, str], positions: list[int]) -> None:
    assert [position for position, _ in listed(concluded(a_run(), said), **asked)] == positions


def test_each_repeat_is_a_row_of_its_own() -> None:
    run = concluded(a_run(n=3, repeats=2), said)
    rows, _ = pairs(run)
    assert [(row.position, row.repeat) for row in rows] == [(2, 0), (2, 1), (1, 0), (1, 1), (0, 0), (0, 1)]


def test_while_the_run_goes_on_answers_come_in_the_sets_order() -> None:
    assert listed(answer(a_run(), said)) == [(position, "") for position in range(8)]


def test_scoring_again_adds_nothing_and_notes_what_was_lost_with_its_process() -> None:
    run = concluded(a_run(), said)
    before, scores = listed(run), ScoreRow.objects.count()
    Completion.objects.update(flip=2)
    assert score_run(run)
    assert (listed(run), ScoreRow.objects.count()) == (before, scores)


def test_runs_from_before_are_listed_alike_after_the_migration() -> None:
    run = concluded(a_run(), said)
    before = listed(run)
    Completion.objects.update(flip=2)
    import_module("evaluations.migrations.0009_answers_in_order").note_flips(
        apps, SimpleNamespace(connection=connection)
    )
    assert listed(run) == before


def test_a_page_costs_the_same_and_sorts_nothing_whatever_the_size() -> None:
    runs = [concluded(a_run(n=8), said)]
    plan = runs[0].plan_version.plan
    captured = []
    for page in (1, 3):
        with CaptureQueriesContext(connection) as queries:
            pairs(runs[0], page=page, per_page=2)
        captured.append([query["sql"] for query in queries.captured_queries])
    assert len(captured[0]) == len(captured[1]) <= 6
    assert plan.workload.samples.count() == 8
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for sql in captured[1]:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                steps = " ".join(row[3] for row in cursor.fetchall())
                assert "SCAN" not in steps
                assert "TEMP B-TREE" not in steps
