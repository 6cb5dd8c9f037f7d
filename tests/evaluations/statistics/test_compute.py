"""The JSON door: every method answers in JSON, refuses by StatisticsError only, and speaks the oracles' words."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from evaluations.statistics import StatisticsError, compute
from evaluations.statistics.compute import METHODS

INCUMBENT, CANDIDATE = [0.7, -1.6, -0.2, 1.2, 0.1], [1.9, 0.8, 1.1, 0.1, -0.1]
TIME, EVENT = [9, 13, 13, 18, 23, 28], [1, 1, 0, 1, 1, 0]
# One payload per method, with every optional key.
PAYLOADS: dict[str, dict[str, Any]] = {
    "paired_mean_ci": {"incumbent": INCUMBENT, "candidate": CANDIDATE, "alpha": 0.1},
    "clustered_mean_ci": {"diff": INCUMBENT, "cluster": ["a", "a", "b", "b", "c"], "alpha": 0.1},
    "paired_binary_ci": {"both_pass": 1, "candidate_only": 7, "incumbent_only": 1, "neither": 12, "confidence": 0.9},
    "betting_cs": {"counts": {"plus": 12, "minus": 5, "zero": 183}, "alpha": 0.05, "margin": 0.05},
    "betting_first_night": {"nights": [[2, 1, 22], [1, 0, 24]], "margin": 0.05, "alpha": 0.05},
    "asymptotic_cs": {"n": 400, "mean": 0.012, "sd": 0.31, "alpha": 0.05, "t_star": 750},
    "noninferiority_verdict": {"lower": -0.02, "upper": 0.03, "margin": 0.03, "lower_is_better": False},
    "overall_decision": {"metrics": [{"gate": True, "verdict": "non-inferior"}]},
    "missing_pairs": {"pairs": [["pass", "fail"], ["vendor_error", "pass"]], "margin": 0.03, "alpha": 0.05},
    "adjust_pvalues": {"p_values": [0.01, None, 0.2], "method": "bh", "alpha": 0.05},
    "quantile_ci": {"values": [3, 1, 2], "n_timeouts": 1, "q": 0.5, "alpha": 0.5},
    "ratio_of_totals_ci": {"candidate": [1.0, 2.0, 2.5], "incumbent": [2.0, 3.0, 4.5], "alpha": 0.05},
    "rate_ci": {"k": 3, "n": 300, "alpha": 0.05},
    "km": {"time": TIME, "event": EVENT, "entry": [0, 2, 0, 0, 3, 0], "at": [12, 20], "alpha": 0.05},
    "logrank": {"time": TIME, "event": EVENT, "group": list("aabbab"), "stratum": [1, 1, 1, 2, 2, 2]},
    "competing_risks": {"time": TIME, "cause": [1, 2, 0, 1, 1, 0], "at": [12, 20]},
    "rmst": {"time": TIME, "event": EVENT, "tau": 20},
    "mcf": {"units": [{"events": [1, 3], "end": 4}, {"events": [], "end": 2}], "at": [2, 4]},
    "ppi_mean": {"human": [0, 1, 1], "judge_on_human": [1, 1, 1], "judge_rest": [1, 0], "alpha": 0.05},
    "pairwise_judge": {"verdicts": [["candidate", "candidate"], ["tie", "incumbent"]], "alpha": 0.05},
    "cohens_kappa": {"table": [[20, 5], [10, 15]]},
    "bradley_terry": {"wins": [[0, 3], [1, 0]], "reference": 1},
    "cusum": {"values": INCUMBENT, "target": 0, "sd": 1, "k": 0.5, "h": 5},
    "sample_size_noninferiority": {
        "p_candidate_only": 0.04,
        "p_incumbent_only": 0.04,
        "margin": 0.03,
        "alpha": 0.025,
        "power": 0.9,
        "cluster_size": 2,
        "icc": 0.1,
    },
    "group_sequential": {"fractions": [0.5, 1.0], "alpha": 0.025},
    "stratified_mean": {"strata": [{"weight": 3, "diff": [1, 2, 3]}, {"weight": 1, "diff": [0, 4]}]},
    "cuped": {"outcome": [1, 2, 4, 3, 5, 7], "covariate": [1, 2, 4, 3, 6, 4], "candidate": [0, 0, 0, 1, 1, 1]},
}
# The result keys of the methods' contract (shared data, statistics/README.md).
KEYS = {
    "paired_mean_ci": "n diff se df lower upper p_value",
    "clustered_mean_ci": "n n_clusters effective_clusters df diff se_cr1 se_cr3 lower upper",
    "paired_binary_ci": "n diff lower upper newcombe_lower newcombe_upper mcnemar_exact_p mcnemar_midp",
    "betting_cs": "n diff lower upper log_e_noninferior",
    "betting_first_night": "first_night n lower",
    "asymptotic_cs": "half_width lower upper",
    "noninferiority_verdict": "verdict measurably_lower beyond_margin",
    "overall_decision": "decision",
    "missing_pairs": "n_itt diff_itt lower_itt upper_itt verdict n_pp diff_pp lower_pp upper_pp verdict_pp excluded "
    "sensitive",
    "adjust_pvalues": "adjusted n_tests n_rejected",
    "quantile_ci": "n estimate lower upper",
    "ratio_of_totals_ci": "n ratio lower upper logdelta_lower logdelta_upper",
    "rate_ci": "wilson_lower wilson_upper exact_lower exact_upper",
    "km": "n n_events median rows",
    "logrank": "chi2 p_value",
    "competing_risks": "rows",
    "rmst": "rmst se",
    "mcf": "rows",
    "ppi_mean": "estimate lower upper human_lower human_upper judge_only",
    "pairwise_judge": "n wins losses ties flips flips_to_first net_win_rate lower upper sign_p",
    "cohens_kappa": "agreement kappa",
    "bradley_terry": "ability",
    "cusum": "first_signal c_plus c_minus",
    "sample_size_noninferiority": "n_pairs design_effect",
    "group_sequential": "z",
    "stratified_mean": "diff se unweighted",
    "cuped": "diff se raw_diff",
}
ODD: list[Any] = [
    None,
    "x",
    True,
    0,
    -1,
    0.5,
    2,
    math.nan,
    math.inf,
    10**400,
    1e308,
    [],
    {},
    [None],
    ["a"],
    [math.nan],
    [True],
    [[]],
    [{}],
    [-1],
    [1],
    [10**30],
    [[1, 2], [3]],
    [["pass"]],
    {"plus": 1},
    {"plus": 1, "minus": -1, "zero": 0},
]
NUMBERS = [[0.0] * 6, [1] * 6, [1e49] * 5, [1e-99] * 5, [-1e49, 1e49, 0, 0, 1]]


def test_every_method_of_the_contract_is_there() -> None:
    assert sorted(METHODS) == sorted(PAYLOADS) == sorted(KEYS)
    assert len(METHODS) == 27


@pytest.mark.parametrize("method", sorted(PAYLOADS))
def test_answers_in_json_with_the_contracts_keys(method: str) -> None:
    before = json.dumps(PAYLOADS[method])
    result = compute(method, PAYLOADS[method])
    assert set(KEYS[method].split()) <= result.keys()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert json.dumps(PAYLOADS[method]) == before


@pytest.mark.parametrize("method", sorted(PAYLOADS))
def test_whatever_stands_in_a_key_it_answers_or_refuses(method: str) -> None:
    for key in PAYLOADS[method]:
        for odd in ODD + NUMBERS:
            try:
                result = compute(method, PAYLOADS[method] | {key: odd})
            except StatisticsError:
                continue
            json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("method", sorted(PAYLOADS))
def test_a_missing_key_is_named(method: str) -> None:
    with pytest.raises(StatisticsError) as refusal:
        compute(method, {})
    assert method == "betting_cs" or str(refusal.value) == f"{next(iter(PAYLOADS[method]))} is missing"


@pytest.mark.parametrize("odd", ODD)
def test_no_list_of_numbers_accepts_anything_else(odd: Any) -> None:
    with pytest.raises(StatisticsError):
        compute("paired_mean_ci", {"incumbent": odd, "candidate": odd})


@pytest.mark.parametrize(("method", "payload"), [("t_test", {}), (None, {}), (["km"], {}), ("km", []), ("km", None)])
def test_unknown_method_or_no_object(method: Any, payload: Any) -> None:
    with pytest.raises(StatisticsError):
        compute(method, payload)


def test_confidence_and_alpha_mean_the_same() -> None:
    counts = {key: value for key, value in PAYLOADS["paired_binary_ci"].items() if key != "confidence"}
    ninety = compute("paired_binary_ci", counts | {"confidence": 0.9})
    assert ninety == pytest.approx(compute("paired_binary_ci", counts | {"alpha": 0.1}))
    assert ninety["lower"] > compute("paired_binary_ci", counts)["lower"]


def test_an_optional_key_that_is_null_counts_as_left_out() -> None:
    payload = {key: value for key, value in PAYLOADS["km"].items() if key not in ("entry", "alpha")}
    assert compute("km", payload | {"entry": None, "alpha": None}) == compute("km", payload)


def test_words_are_the_oracles() -> None:
    assert compute("noninferiority_verdict", PAYLOADS["noninferiority_verdict"]) == {
        "verdict": "non-inferior",
        "measurably_lower": False,
        "beyond_margin": None,
    }
    with pytest.raises(StatisticsError, match="unknown verdict"):
        compute("overall_decision", {"metrics": [{"gate": True, "verdict": "non_inferior"}]})


def test_median_and_rows_of_km() -> None:
    result = compute("km", {"time": [5, 5, 9], "event": [1, 0, 0], "entry": [0, 0, 6], "at": [4, 5, 7]})
    assert result["median"] == 5
    assert [(row["at"], row["survival"], row["at_risk"], row["events"]) for row in result["rows"]] == [
        (4, 1, 2, 0),
        (5, 0.5, 0, 1),
        (7, 0.5, 1, 1),
    ]


def test_numpy_arrays_are_welcome_too() -> None:
    arrays = {"incumbent": np.array(INCUMBENT), "candidate": np.array(CANDIDATE), "alpha": np.float64(0.1)}
    assert compute("paired_mean_ci", arrays) == compute("paired_mean_ci", PAYLOADS["paired_mean_ci"])
