"""Survival sets with published answers (shared data, survival/): Kaplan-Meier, medians, restricted mean, log-rank.

Expected numbers are those of reference.json, checked there against lifelines and the publications it quotes.
"""

from __future__ import annotations

import csv
import gzip
import json
from typing import Any

import pytest

from evaluations.statistics.survival import kaplan_meier, logrank, restricted_mean
from tests.shared_data import shared_data

REFERENCE = json.loads(shared_data("survival", "reference.json").read_text(encoding="utf-8"))
# Set, column of days, column of the event, the value meaning that it happened.
COLUMNS = {
    "rossi": ("week", "arrest", "1"),
    "waltons": ("T", "E", "1"),
    "gehan_remission": ("weeks", "relapse", "1"),
    "telco_A": ("tenure", "Churn", "Yes"),
}
CURVES = [
    pytest.param("rossi", None, REFERENCE["rossi"]["km"], id="rossi"),
    pytest.param("waltons", None, REFERENCE["waltons"]["all"], id="waltons"),
    *(
        pytest.param("waltons", ("group", name), curve, id=f"waltons {name}")
        for name, curve in REFERENCE["waltons"]["groups"].items()
    ),
    *(
        pytest.param("gehan_remission", ("group", name), curve, id=f"gehan {name}")
        for name, curve in REFERENCE["gehan_remission"]["groups"].items()
    ),
    pytest.param("telco_A", None, REFERENCE["telco_A"]["km"], id="telco"),
    *(
        pytest.param("telco_A", ("Contract", name), curve, id=f"telco {name}")
        for name, curve in REFERENCE["telco_A"]["by_contract"].items()
    ),
]


def rows(name: str, only: tuple[str, str] | None = None) -> list[dict[str, str]]:
    with gzip.open(shared_data("survival", f"{name}.csv.gz"), "rt", encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    return [row for row in found if only is None or row[only[0]] == only[1]]


def times_and_events(name: str, chosen: list[dict[str, str]]) -> tuple[list[float], list[bool]]:
    days, event, happened = COLUMNS[name]
    return [float(row[days]) for row in chosen], [row[event] == happened for row in chosen]


@pytest.mark.parametrize(("name", "only", "expected"), CURVES)
def test_kaplan_meier(name: str, only: tuple[str, str] | None, expected: dict[str, Any]) -> None:
    curve = kaplan_meier(*times_and_events(name, rows(name, only)))
    assert (curve.n, curve.n_events) == (expected["n"], expected["events"])
    assert curve.median == expected["median"]
    assert list(curve.median_interval) == expected["median_ci95_loglog"]
    for day, figures in expected["survival"].items():
        point = curve.at(float(day))
        assert point.survival == pytest.approx(figures["S"], abs=1e-9)
        assert point.at_risk_before == figures["at_risk"]
        # The reference has no interval of its own before the first event and after the last survivor.
        if 0 < figures["S"] < 1:
            assert [point.lower, point.upper] == pytest.approx(figures["ci95_loglog"], abs=1e-8)


@pytest.mark.parametrize(("name", "only", "expected"), CURVES)
def test_restricted_mean(name: str, only: tuple[str, str] | None, expected: dict[str, Any]) -> None:
    (key,) = [key for key in expected if key.startswith("rmst_to_")]
    time, event = times_and_events(name, rows(name, only))
    assert restricted_mean(time, event, float(key.removeprefix("rmst_to_"))).rmst == pytest.approx(
        expected[key], abs=1e-8
    )


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("rossi", "fin", REFERENCE["rossi"]["logrank_fin"]),
        ("waltons", "group", REFERENCE["waltons"]["logrank_group"]),
        ("gehan_remission", "group", REFERENCE["gehan_remission"]["logrank_group"]),
        ("telco_A", "Contract", REFERENCE["telco_A"]["logrank_contract"]),
    ],
)
def test_logrank(name: str, column: str, expected: dict[str, Any]) -> None:
    chosen = rows(name)
    test = logrank(*times_and_events(name, chosen), [row[column] for row in chosen])
    assert test.chi2 == pytest.approx(expected["chi2"], abs=1e-7)
    assert test.df == expected["df"]
    assert test.p_value == pytest.approx(expected["p"], rel=1e-4)
    assert test.observed == expected["observed"]
    assert test.expected == pytest.approx(expected["expected"], abs=1e-7)
