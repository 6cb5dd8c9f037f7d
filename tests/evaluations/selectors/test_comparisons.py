"""From evidence to words. GSM8K figures are those of its `reference.json`; the rest is counted by hand."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict
from datetime import date

import numpy as np
import pytest

from evaluations.enums import Decision, Verdict
from evaluations.selectors.comparisons import PlanReading, read_plan
from evaluations.selectors.evidence import ArmEvidence, Evidence, column
from tests.shared_data import shared_data

TODAY = date(2026, 11, 1)


def plan(criteria: list[dict], *, looks: str = "one_look", minimum: int = 1, **horizon) -> dict:
    return {
        "arms": {"incumbent": {"model": "old"}, "candidate": {"model": "new"}},
        "scorers": [{"key": "right", "name": "json_field", "version": "1", "config": {}}],
        "criteria": [{"role": "primary", "margin": None, "max_ratio": None, **entry} for entry in criteria],
        "looks": looks,
        "alpha": "0.05",
        "minimum_samples": minimum,
        "horizon": {"maximum_samples": None, "decide_by": None, **horizon},
    }


QUALITY = {"metric": "right", "margin": "0.03"}


def arm(scores: list[float | None], **columns) -> ArmEvidence:
    n = len(scores)
    answered = columns.pop("answered", scores)
    given = {"failure": [0.0] * n, "cost": [0.01] * n, "latency_ms": [100.0] * n, "ttft_ms": [None] * n, **columns}
    return ArmEvidence(
        scores={"right": column(scores)},
        answered_scores={"right": column(answered)},
        **{name: column(values) for name, values in given.items()},
    )


def evidence(incumbent: ArmEvidence, candidate: ArmEvidence, clusters: list[str] | None = None) -> Evidence:
    n = len(incumbent.failure)
    numbers = np.unique(clusters, return_inverse=True)[1] if clusters else np.arange(n)
    return Evidence(np.arange(n), numbers, incumbent, candidate)


def pairs(both: int, candidate_only: int, incumbent_only: int, neither: int) -> Evidence:
    incumbent = [1.0] * both + [0.0] * candidate_only + [1.0] * incumbent_only + [0.0] * neither
    candidate = [1.0] * both + [1.0] * candidate_only + [0.0] * incumbent_only + [0.0] * neither
    return evidence(arm(incumbent), arm(candidate))


def read(document: dict, given: Evidence, on: date = TODAY) -> PlanReading:
    return read_plan(document, given, on=on)


def first(document: dict, given: Evidence):
    return read(document, given).comparisons[0]


@pytest.mark.parametrize(
    ("incumbent", "candidate", "verdict", "decision"),
    [
        ("gpt-4o-2024-08-06", "claude-3-5-sonnet-20240620", "non_inferior", Decision.SAFE_TO_SWITCH),
        ("gpt-4o-2024-08-06", "gemini-1.5-pro", "worse", Decision.DO_NOT_SWITCH),
        ("gpt-3.5-turbo-0125", "claude-3-haiku-20240307", "better", Decision.SAFE_TO_SWITCH),
    ],
)
def test_gsm8k_reads_as_published(incumbent, candidate, verdict, decision) -> None:
    reference = json.loads(shared_data("gsm8k", "reference.json").read_text())["pairs"][f"{incumbent} -> {candidate}"]
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    with gzip.open(shared_data("gsm8k", "scores.csv.gz"), "rt") as file:
        for row in csv.DictReader(file):
            scores[row["item_id"]][row["model"]] = float(row["score"])
    given = evidence(
        arm([by_model[incumbent] for by_model in scores.values()]),
        arm([by_model[candidate] for by_model in scores.values()]),
    )
    reading = read(plan([QUALITY]), given)
    document = reading.comparisons[0].to_document()
    table = reference["table"]
    assert document["n"] == 1319
    assert document["incumbent_passes"] == reference["incumbent_pass"]
    assert document["candidate_passes"] == reference["candidate_pass"]
    assert document["table"] == {
        "both_pass": table["both_pass"],
        "candidate_only": table["candidate_only"],
        "incumbent_only": table["incumbent_only"],
        "neither": table["both_fail"],
    }
    assert document["harmful_flips"] == table["incumbent_only"]
    assert document["beneficial_flips"] == table["candidate_only"]
    assert document["difference"] == pytest.approx(reference["diff"], abs=1e-9)
    assert document["newcombe"] == pytest.approx(reference["diff_ci95_newcombe"], abs=1e-6)
    assert document["incumbent_wilson"] == pytest.approx(reference["incumbent_wilson95"], abs=1e-6)
    assert document["candidate_wilson"] == pytest.approx(reference["candidate_wilson95"], abs=1e-6)
    assert document["mcnemar_exact_p"] == pytest.approx(reference["mcnemar_exact_p"], rel=1e-5, abs=1e-12)
    assert document["mcnemar_midp"] == pytest.approx(reference["mcnemar_midp"], rel=1e-5, abs=1e-12)
    assert document["verdict"] == verdict
    assert reading.decision is decision


def test_below_the_minimum_nothing_is_decided() -> None:
    reading = read(plan([QUALITY], minimum=2000), pairs(900, 60, 5, 35))
    assert (reading.comparisons[0].reading.verdict, reading.comparisons[0].reading.reason) == (
        Verdict.INCONCLUSIVE,
        "too_few",
    )
    assert reading.decision is Decision.KEEP_TESTING


def test_too_few_is_told_from_too_wide() -> None:
    """STATISTICS, section 3: 125 ties are needed at 3 points; with 3 % discordance 200 samples are not enough."""
    assert first(plan([QUALITY]), pairs(100, 0, 0, 0)).reading.reason == "too_few"
    assert first(plan([QUALITY]), pairs(130, 0, 0, 0)).reading.verdict is Verdict.NON_INFERIOR
    assert first(plan([QUALITY]), pairs(180, 5, 5, 10)).reading.reason == "wide"


def test_every_night_uses_the_sequence_that_holds_at_every_look() -> None:
    """Oracle S04: 12 gained, 5 lost, 183 the same: -0.031999 to 0.106133."""
    reading = first(plan([QUALITY], looks="every_night"), pairs(180, 12, 5, 3)).reading
    assert (reading.lower, reading.upper) == pytest.approx((-0.031999, 0.106133), abs=1e-6)
    assert reading.method == "betting_cs"
    assert reading.verdict is Verdict.INCONCLUSIVE


def test_a_vendor_that_errors_on_hard_prompts_is_never_safe() -> None:
    """Equal where both answer; the candidate failed on 5 % of the prompts. Dropping those would call it safe."""
    n, failing = 1000, 50
    incumbent = arm([1.0] * n)
    scores = [1.0] * (n - failing) + [0.0] * failing
    answered = [1.0] * (n - failing) + [None] * failing
    candidate = arm(scores, answered=answered, failure=[0.0] * (n - failing) + [1.0] * failing)
    reading = read(plan([QUALITY]), evidence(incumbent, candidate))
    assert reading.comparisons[0].reading.verdict is Verdict.WORSE
    assert reading.comparisons[0].reading.per_protocol["verdict"] == "non_inferior"
    assert reading.decision is Decision.DO_NOT_SWITCH


def test_a_verdict_that_only_failures_of_the_incumbent_make_is_sensitive() -> None:
    n, failing = 1000, 60
    incumbent = arm([0.0] * failing + [1.0] * (n - failing), answered=[None] * failing + [1.0] * (n - failing))
    candidate = arm([1.0] * failing + [1.0] * (n - failing - 45) + [0.0] * 45)
    reading = first(plan([QUALITY]), evidence(incumbent, candidate)).reading
    assert (reading.verdict, reading.reason) == (Verdict.INCONCLUSIVE, "sensitive")


def test_missing_pairs_are_left_out_and_counted() -> None:
    given = evidence(arm([1.0] * 300 + [None] * 10), arm([1.0] * 310))
    reading = first(plan([QUALITY]), given).reading
    assert (reading.n, reading.missing, reading.verdict) == (300, 10, Verdict.NON_INFERIOR)


def test_many_missing_pairs_that_could_change_the_word_leave_it_open() -> None:
    given = evidence(arm([1.0] * 300 + [None] * 40), arm([1.0] * 340))
    reading = first(plan([QUALITY]), given).reading
    assert (reading.verdict, reading.reason) == (Verdict.INCONCLUSIVE, "missing")


def test_conversations_are_the_unit_where_samples_share_one() -> None:
    """Five samples a conversation that all agree: 40 conversations, not 200 samples."""
    incumbent, candidate, clusters = [], [], []
    for conversation in range(40):
        incumbent += [1.0] * 5
        candidate += [0.0 if conversation < 4 else 1.0] * 5
        clusters += [f"c{conversation}"] * 5
    reading = first(plan([QUALITY]), evidence(arm(incumbent), arm(candidate), clusters)).reading
    assert (reading.n, reading.n_clusters, reading.method) == (200, 40, "clustered_cr3")


def test_under_five_conversations_nothing_is_decided() -> None:
    given = evidence(arm([1.0] * 400), arm([1.0] * 400), [f"c{i % 4}" for i in range(400)])
    reading = first(plan([QUALITY]), given).reading
    assert (reading.verdict, reading.reason) == (Verdict.INCONCLUSIVE, "too_few_clusters")


COST = {"metric": "cost_per_request", "role": "guardrail", "max_ratio": "0.90"}


def test_cost_is_a_ratio_of_totals_with_fieller_limits() -> None:
    """Every call of the candidate costs between 40 and 60 % of the incumbent's."""
    costs = [0.01 + 0.001 * (i % 7) for i in range(100)]
    cheaper = [cost * (0.4 + 0.05 * (i % 5)) for i, cost in enumerate(costs)]
    given = evidence(arm([1.0] * 100, cost=costs), arm([1.0] * 100, cost=cheaper))
    reading = read(plan([QUALITY, COST]), given).comparisons[1].reading
    assert reading.ratio == pytest.approx(math.fsum(cheaper) / math.fsum(costs))
    assert reading.lower < reading.ratio < reading.upper < 0.9
    assert (reading.method, reading.verdict) == ("fieller", Verdict.BETTER)


def test_an_unknown_cost_is_not_computable_and_never_zero() -> None:
    given = evidence(arm([1.0] * 100), arm([1.0] * 100, cost=[None] * 100))
    reading = read(plan([QUALITY, COST]), given)
    assert reading.comparisons[1].reading.verdict is Verdict.NOT_COMPUTABLE
    assert reading.comparisons[1].reading.reason == "cost_unknown"
    assert reading.decision is Decision.KEEP_TESTING


def test_only_samples_that_both_arms_answered_have_a_cost_to_be_known() -> None:
    """30 of 100 samples have no recorded answer. Of the 70 others, 3 of unknown cost are under 5 %, 4 are not."""

    def read_cost(unknown: int):
        recorded = [0.01 + 0.001 * (i % 7) for i in range(70 - unknown)] + [None] * (30 + unknown)
        incumbent = arm([1.0] * 70 + [None] * 30, cost=recorded, failure=[0.0] * 70 + [None] * 30)
        cheaper = [0.004 + 0.0005 * (i % 5) for i in range(100)]
        return read(plan([QUALITY, COST]), evidence(incumbent, arm([1.0] * 100, cost=cheaper))).comparisons[1].reading

    assert (read_cost(0).n, read_cost(0).missing, read_cost(0).verdict) == (70, 30, Verdict.BETTER)
    assert read_cost(3).verdict is Verdict.BETTER
    assert (read_cost(4).verdict, read_cost(4).reason) == (Verdict.NOT_COMPUTABLE, "cost_unknown")
    none = evidence(arm([None] * 5, failure=[None] * 5, cost=[None] * 5), arm([1.0] * 5))
    assert read(plan([QUALITY, COST]), none).comparisons[1].reading.reason == "no_pairs"


@pytest.mark.parametrize("looks", ["one_look", "every_night"])
@pytest.mark.parametrize("metric", ["cost_per_request", "cost_per_success"])
def test_figures_without_spread_have_no_interval_and_say_so(looks, metric) -> None:
    """Every call of the candidate costs exactly half: that is no proof, and the interval is not wide either."""
    given = evidence(arm([1.0] * 200, cost=[0.02] * 200), arm([1.0] * 200, cost=[0.01] * 200))
    found = read(plan([{**COST, "metric": metric}], looks=looks), given).comparisons[0]
    reading = found.reading
    assert (reading.verdict, reading.reason) == (Verdict.INCONCLUSIVE, "no_spread")
    assert (reading.lower, reading.upper, reading.ratio) == (None, None, 0.5)
    assert found.sentence.endswith(
        "is 50 % lower than that of old, agreed was −10 % at most (200 samples; every sample gave the same figure, so"
        " nothing says how far it may be off)."
    )


def test_a_graded_score_without_spread_says_so() -> None:
    given = evidence(arm([0.5] * 200), arm([0.6] * 200))
    found = first(plan([QUALITY]), given)
    assert (found.reading.verdict, found.reading.reason) == (Verdict.INCONCLUSIVE, "no_spread")
    assert found.sentence.startswith("Not yet known: +10.0 points, without an interval (200 samples; every sample gave")


LATENCY = {"metric": "latency_p95_ms", "role": "guardrail", "max_ratio": "1.25"}


def test_a_latency_gate_needs_two_hundred_calls_and_ranks_failures_last() -> None:
    slow = [100.0 + i % 50 for i in range(300)]
    few = evidence(arm([1.0] * 100, latency_ms=slow[:100]), arm([1.0] * 100, latency_ms=slow[:100]))
    assert read(plan([LATENCY]), few).comparisons[0].reading.reason == "too_few"
    failing = evidence(arm([1.0] * 300, latency_ms=slow), arm([1.0] * 300, latency_ms=[math.inf] * 30 + [50.0] * 270))
    reading = read(plan([LATENCY]), failing).comparisons[0].reading
    assert reading.candidate is None
    assert reading.verdict is not Verdict.BETTER


def test_a_failure_rate_is_paired_and_lower_is_better() -> None:
    criterion = {"metric": "failure_rate", "role": "guardrail", "margin": "0.02"}
    given = evidence(arm([1.0] * 500, failure=[0.0] * 500), arm([1.0] * 500, failure=[1.0] * 40 + [0.0] * 460))
    document = read(plan([criterion]), given).comparisons[0].to_document()
    assert document["difference"] == pytest.approx(0.08)
    assert (document["harmful_flips"], document["beneficial_flips"]) == (40, 0)
    assert document["table"] == {"both_pass": 460, "candidate_only": 0, "incumbent_only": 40, "neither": 0}
    assert document["lower"] < 0.08 < document["upper"]
    assert document["newcombe"][0] < 0.08 < document["newcombe"][1]
    assert document["candidate_wilson"][0] < 0.08 < document["candidate_wilson"][1]
    assert document["verdict"] == "worse"


def test_percentiles_wait_until_every_other_gate_passes() -> None:
    document = plan([QUALITY, LATENCY], looks="every_night")
    undecided = pairs(380, 10, 10, 0)
    reading = read(document, undecided)
    assert reading.comparisons[1].reading.reason == "not_yet_due"
    decided = pairs(1000, 2, 1, 0)
    assert read(document, decided).comparisons[1].reading.reason != "not_yet_due"


def test_a_percentile_that_was_read_stands_whatever_comes_later() -> None:
    document = plan([QUALITY, LATENCY], looks="every_night")
    places = np.arange(1003)
    spread = 100.0 + places % 50
    even, slower = pairs(1000, 2, 1, 0), pairs(1000, 2, 1, 0)
    even.incumbent.latency_ms = slower.incumbent.latency_ms = spread
    even.candidate.latency_ms = spread + places % 3
    slower.candidate.latency_ms = 5 * spread + places % 3
    at_the_look = read(document, even).comparisons[1]
    assert read(document, slower).decision is Decision.DO_NOT_SWITCH
    later = read_plan(document, slower, on=TODAY, kept={"latency_p95_ms": at_the_look.to_document()})
    assert later.comparisons[1].to_document() == at_the_look.to_document()
    assert later.decision is Decision.SAFE_TO_SWITCH


@pytest.mark.parametrize("horizon", [{"maximum_samples": 300}, {"decide_by": "2026-10-31"}])
def test_past_the_horizon_the_incumbent_stays(horizon) -> None:
    assert read(plan([QUALITY]), pairs(290, 10, 10, 0)).decision is Decision.KEEP_TESTING
    assert read(plan([QUALITY], **horizon), pairs(290, 10, 10, 0)).decision is Decision.KEEP_INCUMBENT


@pytest.mark.parametrize("looks", ["one_look", "every_night"])
def test_a_failure_rate_reads_the_same_way_round_at_every_look(looks) -> None:
    criterion = {"metric": "failure_rate", "role": "guardrail", "margin": "0.05"}
    failing = arm([1.0] * 1000, failure=[1.0] * 200 + [0.0] * 800)
    sound = arm([1.0] * 1000, failure=[0.0] * 1000)
    mended = first(plan([criterion], looks=looks), evidence(failing, sound)).reading
    broken = first(plan([criterion], looks=looks), evidence(sound, failing)).reading
    assert (mended.verdict, broken.verdict) == (Verdict.BETTER, Verdict.WORSE)
    assert (mended.lower, mended.upper) == pytest.approx((-broken.upper, -broken.lower))


def test_sentences_say_what_how_sure_and_from_how_many() -> None:
    sentence = first(plan([QUALITY]), pairs(1242, 19, 27, 31)).sentence
    assert sentence == (
        "new is at least as good as old within the agreed 3 points (95 % interval −1.7 to +0.4 points, 1,319 samples)."
    )
