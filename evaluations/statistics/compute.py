"""The methods by name, JSON in and JSON out: ``compute`` and ``METHODS``.

The one place that speaks the spelling of the published oracles ("non-inferior"). Everything else calls the typed
functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from evaluations.enums import Verdict
from evaluations.statistics.competing import cumulative_incidence
from evaluations.statistics.drift import cusum
from evaluations.statistics.group_sequential import boundaries
from evaluations.statistics.inputs import flag, listed, number
from evaluations.statistics.judges import bradley_terry, cohens_kappa, pairwise_judge, prediction_powered_mean
from evaluations.statistics.multiplicity import adjust_pvalues
from evaluations.statistics.noninferiority import overall_decision, verdict
from evaluations.statistics.paired import clustered_mean, missing_pairs, paired_binary, paired_mean
from evaluations.statistics.power import sample_size_noninferiority
from evaluations.statistics.proportions import rate
from evaluations.statistics.quantiles import quantile
from evaluations.statistics.ratios import ratio_of_totals
from evaluations.statistics.results import StatisticsError
from evaluations.statistics.sequential import as_counts, asymptotic_cs, betting_cs, betting_first_night
from evaluations.statistics.survival import kaplan_meier, logrank, mean_counts, restricted_mean
from evaluations.statistics.weighting import cuped, stratified_mean

_WORDS = {word.replace("_", "-"): word for word in Verdict}


def compute(method: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Run one method on a JSON payload; limits at ``alpha`` or ``confidence`` where the payload has one, else 95%.

    ``None`` in the result means not defined, or unbounded on that side. Raises ``StatisticsError`` on an unknown
    method and on a payload that the method cannot answer.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise StatisticsError(f"unknown method; known are {', '.join(METHODS)}")
    if not isinstance(payload, Mapping):
        raise StatisticsError("the payload must be an object")
    result: dict[str, Any] = _plain(METHODS[method](Payload(payload)))
    return result


class Payload(dict[str, Any]):
    """A JSON object: a missing key is a refusal, an optional key that is null counts as left out."""

    def __missing__(self, key: str) -> Any:
        raise StatisticsError(f"{key} is missing")

    def given(self, *keys: str) -> dict[str, Any]:
        """The named keys that carry a value, to be passed on as keyword arguments."""
        return {key: self[key] for key in keys if self.get(key) is not None}

    def alpha(self) -> dict[str, Any]:
        if self.get("alpha") is None and self.get("confidence") is not None:
            return {"alpha": 1 - number("confidence", self["confidence"])}
        return self.given("alpha")

    def objects(self, key: str) -> list[Payload]:
        rows = listed(key, self[key])
        if not rows or not all(isinstance(row, Mapping) for row in rows):
            raise StatisticsError(f"{key} must be a list of objects, and not empty")
        return [Payload(row) for row in rows]


def _betting_cs(p: Payload) -> Any:
    counts = p.get("counts")
    if counts is not None:
        if not isinstance(counts, Mapping):
            raise StatisticsError("counts must be an object with plus, minus and zero")
        counts = as_counts([Payload(counts)[key] for key in ("plus", "minus", "zero")])
    return betting_cs(counts=counts, diffs=p.get("diff"), **p.given("margin"), **p.alpha())


def _quantile_ci(p: Payload) -> Any:
    return quantile(p["values"], q=p["q"], **{"n_timeouts": 0, **p.given("n_timeouts")}, **p.alpha())


def _overall_decision(p: Payload) -> Any:
    metrics = p.objects("metrics")
    if unknown := [row["verdict"] for row in metrics if row["verdict"] not in list(_WORDS)]:
        raise StatisticsError(f"unknown verdict {unknown[0]!r}; known are {', '.join(_WORDS)}")
    gates = [_WORDS[row["verdict"]] for row in metrics if flag("gate", row["gate"])]
    return {"decision": overall_decision(gates).value}


def _km(p: Payload) -> Any:
    curve = kaplan_meier(p["time"], p["event"], **p.given("entry"), **p.alpha())
    points = [curve.at(day) for day in listed("at", p["at"])]
    return {
        "n": curve.n,
        "n_events": curve.n_events,
        "median": curve.median,
        "rows": [
            {
                "at": point.day,
                "survival": point.survival,
                "lower": point.lower,
                "upper": point.upper,
                "at_risk": point.at_risk,
                "events": point.events,
            }
            for point in points
        ],
    }


def _competing_risks(p: Payload) -> Any:
    risks = cumulative_incidence(p["time"], p["cause"], **p.given("entry"))
    return {
        "rows": [
            {
                "at": day,
                "still_switched": risks.any_cause.at(day).survival,
                "cif": {str(cause): curve.at(day).incidence for cause, curve in risks.by_cause.items()},
            }
            for day in listed("at", p["at"])
        ]
    }


METHODS: Mapping[str, Callable[[Payload], Any]] = {
    "paired_mean_ci": lambda p: paired_mean(incumbent=p["incumbent"], candidate=p["candidate"], **p.alpha()),
    "clustered_mean_ci": lambda p: clustered_mean(diff=p["diff"], cluster=p["cluster"], **p.alpha()),
    "paired_binary_ci": lambda p: paired_binary(
        both_pass=p["both_pass"],
        candidate_only=p["candidate_only"],
        incumbent_only=p["incumbent_only"],
        neither=p["neither"],
        **p.alpha(),
    ),
    "betting_cs": _betting_cs,
    "betting_first_night": lambda p: betting_first_night(p["nights"], margin=p["margin"], **p.alpha()),
    "asymptotic_cs": lambda p: asymptotic_cs(p["n"], p["mean"], p["sd"], t_star=p["t_star"], **p.alpha()),
    "noninferiority_verdict": lambda p: verdict(p["lower"], p["upper"], p["margin"], **p.given("lower_is_better")),
    "overall_decision": _overall_decision,
    "missing_pairs": lambda p: missing_pairs(p["pairs"], margin=p["margin"], **p.alpha()),
    "adjust_pvalues": lambda p: adjust_pvalues(p["p_values"], method=p["method"], **p.alpha()),
    "quantile_ci": _quantile_ci,
    "ratio_of_totals_ci": lambda p: ratio_of_totals(p["candidate"], p["incumbent"], **p.alpha()),
    "rate_ci": lambda p: rate(p["k"], p["n"], **p.alpha()),
    "km": _km,
    "logrank": lambda p: logrank(p["time"], p["event"], p["group"], **p.given("entry", "stratum")),
    "competing_risks": _competing_risks,
    "rmst": lambda p: restricted_mean(p["time"], p["event"], p["tau"], **p.given("entry"), **p.alpha()),
    "mcf": lambda p: {"rows": mean_counts(p["units"], p["at"])},
    "ppi_mean": lambda p: prediction_powered_mean(
        human=p["human"], judge_on_human=p["judge_on_human"], judge_rest=p["judge_rest"], **p.alpha()
    ),
    "pairwise_judge": lambda p: pairwise_judge(p["verdicts"], **p.alpha()),
    "cohens_kappa": lambda p: cohens_kappa(p["table"]),
    "bradley_terry": lambda p: bradley_terry(p["wins"], **p.given("reference")),
    "cusum": lambda p: cusum(p["values"], target=p["target"], sd=p["sd"], **p.given("k", "h")),
    "sample_size_noninferiority": lambda p: sample_size_noninferiority(
        p_candidate_only=p["p_candidate_only"],
        p_incumbent_only=p["p_incumbent_only"],
        margin=p["margin"],
        **p.given("alpha", "power", "cluster_size", "icc"),
    ),
    "group_sequential": lambda p: boundaries(p["fractions"], **p.given("alpha")),
    "stratified_mean": lambda p: stratified_mean([(row["weight"], row["diff"]) for row in p.objects("strata")]),
    "cuped": lambda p: cuped(outcome=p["outcome"], covariate=p["covariate"], candidate=p["candidate"]),
}


def _plain(value: Any) -> Any:
    """JSON values only: dataclasses and tuples opened, verdicts in the oracles' spelling, labels as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Verdict):
        return value.replace("_", "-")
    return value
