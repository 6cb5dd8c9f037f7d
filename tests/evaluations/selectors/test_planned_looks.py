"""Planned checks up to a fixed horizon, over evidence made by hand.

Boundaries of five equal looks: 4.8769, 3.3569, 2.6803, 2.2898, 2.0310 (gsDesign sfLDOF, one-sided 0.025). With n ties
Tango's limit at a boundary z is z^2 / (n + z^2): 0.0735 at 300 pairs, 0.0184 at 600.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluations.enums import Decision
from evaluations.selectors.comparisons import PlanReading, read_plan
from evaluations.selectors.planned_looks import LooksTaken, checks_in_words
from tests.evaluations.selectors.test_comparisons import QUALITY, TODAY, arm, evidence, pairs, plan

PLANNED = [300, 600, 900, 1200, 1500]
FAILURES = {"metric": "failure_rate", "role": "guardrail", "margin": "0.03"}
COST = {"metric": "cost_per_request", "role": "guardrail", "max_ratio": 0.9}


def document(*criteria: dict, **horizon) -> dict:
    return plan(
        list(criteria or [QUALITY]), looks="planned_horizon", maximum_samples=1500, planned_looks=PLANNED, **horizon
    )


class Series:
    """Runs of one plan, each read with what those before it left."""

    def __init__(self, frozen: dict) -> None:
        self.frozen, self.taken = frozen, LooksTaken()

    def read(self, given, on=TODAY) -> PlanReading:
        reading = read_plan(self.frozen, given, on=on, taken=self.taken)
        standing = {one.criterion.metric: one.to_document() for one in reading.comparisons}
        numbers = [entry["look"]["number"] for entry in standing.values() if entry["look"]]
        self.taken = LooksTaken(max(numbers, default=0), standing)
        return reading


def test_read_at_the_planned_checks_and_standing_between_them():
    series = Series(document())
    readings = [series.read(pairs(n, 0, 0, 0)) for n in (200, 300, 400, 620, 700)]
    documents = [reading.comparisons[0].to_document() for reading in readings]
    assert [(each["n"], each["verdict"], each["reason"]) for each in documents] == [
        (200, "inconclusive", "between_checks"),
        (300, "inconclusive", "too_few"),
        (300, "inconclusive", "too_few"),
        (620, "non_inferior", None),
        (620, "non_inferior", None),
    ]
    assert documents[0]["lower"] is documents[0]["upper"] is documents[0]["look"] is None
    assert documents[1]["lower"] == pytest.approx(-(4.8769**2) / (300 + 4.8769**2), abs=1e-5)
    assert documents[1]["look"]["alpha"] == pytest.approx(1.08e-6, rel=0.01)
    assert (documents[3]["look"]["number"], documents[3]["look"]["of"]) == (2, 5)
    assert documents[3]["look"]["pairs"] == [300, 620]
    assert documents[4] == documents[3]
    assert [reading.decision for reading in readings] == 3 * [Decision.KEEP_TESTING] + 2 * [Decision.SAFE_TO_SWITCH]
    assert documents[3]["sentence"].endswith("620 samples, planned check 2 of 5).")


def test_what_a_check_has_decided_stays_decided():
    series = Series(document())
    series.read(pairs(600, 0, 0, 0))
    later = series.read(pairs(700, 0, 200, 0))
    assert later.decision is Decision.SAFE_TO_SWITCH
    worse = Series(document())
    worse.read(pairs(400, 0, 200, 0))
    assert worse.read(pairs(1400, 100, 0, 0)).decision is Decision.DO_NOT_SWITCH


def test_a_check_that_runs_went_past_is_read_once_at_what_there_is():
    series = Series(document())
    (first,) = series.read(pairs(950, 0, 0, 0)).comparisons
    assert (first.reading.look.number, first.reading.look.pairs) == (3, (950,))


def test_the_interval_beside_each_rate_is_still_at_the_plans_alpha():
    at_check = Series(document()).read(pairs(600, 0, 0, 0)).comparisons[0].reading
    one_look = read_plan(plan([QUALITY]), pairs(600, 0, 0, 0), on=TODAY).comparisons[0].reading
    assert at_check.incumbent_wilson == one_look.incumbent_wilson
    assert at_check.newcombe == one_look.newcombe
    assert at_check.lower < one_look.lower


def test_the_last_check_keeps_the_incumbent_where_nothing_is_shown():
    series = Series(document())
    assert series.read(pairs(1318, 75, 97, 0)).decision is Decision.KEEP_TESTING
    last = series.read(pairs(1338, 75, 97, 0))
    assert (last.decision, last.comparisons[0].reading.look.number) == (Decision.KEEP_INCUMBENT, 5)
    after = series.read(pairs(2500, 200, 0, 0))
    assert (after.decision, after.comparisons[0].reading.n) == (Decision.KEEP_INCUMBENT, 1510)


def test_the_day_of_the_horizon_is_the_last_check():
    series = Series(document(decide_by="2026-10-31"))
    reading = series.read(pairs(500, 0, 0, 0))
    look = reading.comparisons[0].reading.look
    assert (look.number, look.pairs, reading.decision) == (5, (500,), Decision.SAFE_TO_SWITCH)


def test_gates_are_read_by_their_own_pairs_and_all_must_pass():
    n = 600
    right = [1.0] * n
    costs = np.random.default_rng(3).uniform(0.9, 1.1, n)
    incumbent, candidate = arm(right, cost=list(costs)), arm(right, cost=list(0.8 * costs + 0.001 * np.arange(n) / n))
    missing = replace(candidate, cost=np.where(np.arange(n) < 10, np.nan, candidate.cost))
    reading = Series(document(QUALITY, FAILURES, COST)).read(evidence(incumbent, missing))
    looks = {one.criterion.metric: one.reading.look.pairs for one in reading.comparisons}
    assert looks == {"right": (600,), "failure_rate": (600,), "cost_per_request": (590,)}
    assert [one.reading.method for one in reading.comparisons] == ["tango", "tango", "fieller"]
    assert reading.decision is Decision.SAFE_TO_SWITCH


def test_hardly_any_new_pair_is_no_new_check():
    series = Series(document())
    series.read(pairs(599, 0, 1, 0))
    look = series.taken.look("right")
    unanswered = arm([1.0] * 900, failure=[None] * 900)
    half = [1.0] * 600 + [None] * 300
    unscored = replace(
        unanswered, scores={"right": np.array(half, float)}, answered_scores={"right": np.array(half, float)}
    )
    again = series.read(evidence(unscored, unscored))
    assert again.comparisons[0].reading.look == look


def test_a_void_horizon_is_read_by_the_sequence_for_every_look():
    void = document(voids=1, continues=True)
    every_night = plan([QUALITY], looks="every_night", maximum_samples=1500)
    for n in (200, 320, 700):
        one, other = (read_plan(each, pairs(n, 0, 0, 0), on=TODAY) for each in (void, every_night))
        assert one == other
        assert one.comparisons[0].reading.method == "betting_cs"


def test_cost_per_solved_task_is_read_once_under_many_looks():
    n = 60
    costs = np.random.default_rng(3).uniform(0.9, 1.1, n).tolist()
    given = evidence(arm([1.0] * n, cost=costs), arm([1.0] * n, cost=[0.5 * each for each in costs[::-1]]))
    criteria = [QUALITY, {"metric": "cost_per_success", "max_ratio": 0.9}]
    reading = read_plan(plan(criteria, looks="every_night"), given, on=TODAY)
    assert [one.reading.reason for one in reading.comparisons] == ["too_few", "not_yet_due"]
    once = read_plan(plan(criteria), given, on=TODAY).comparisons[1].reading
    assert once.reason is None


def test_the_checks_in_words():
    series, said = Series(document()), []
    for n in (200, 620, 1500):
        series.read(pairs(n, 0, n // 9, 0))
        said.append(checks_in_words(series.frozen, series.taken.standing.values()))
    assert said[0] == "No planned check has been read yet: the first is at 300 samples."
    assert said[1] == "Read at planned check 2 of 5; the next is at 900 samples, and until then it stands."
    undecided = Series(document())
    undecided.read(pairs(1338, 75, 97, 0))
    last = checks_in_words(undecided.frozen, undecided.taken.standing.values())
    assert last == "The last of 5 planned checks has been read: later evidence does not change it."
    assert checks_in_words(document(voids=3, continues=True), []) == (
        "The planned checks are void, since those of plan version 3 had begun when the plan was changed: it is read by"
        " the sequence that holds at every look, over the evidence from the first night."
    )
    assert checks_in_words(plan([QUALITY], looks="every_night"), []) == ""
