"""The published oracles of the statistics room (shared data, statistics/oracles.json), each to its own tolerance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evaluations.statistics import StatisticsError, compute
from tests.shared_data import shared_data

ORACLES = json.loads(shared_data("statistics", "oracles.json").read_text(encoding="utf-8"))["oracles"]
STEPS = [
    pytest.param(
        step.get("method", oracle["method"]),
        step["input"],
        step["expected"],
        oracle["tolerance"],
        id=f"{oracle['id']}: {step['name']}",
    )
    for oracle in ORACLES
    for step in oracle["steps"]
]


def test_every_check_is_there() -> None:
    assert (len(ORACLES), len(STEPS)) == (16, 43)


@pytest.mark.parametrize(("method", "payload", "expected", "tolerance"), STEPS)
def test_oracle(method: str, payload: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    if expected == {"error": True}:
        with pytest.raises(StatisticsError):
            compute(method, payload)
        return
    assert_same(compute(method, payload), expected, tolerance)


def assert_same(got: Any, expected: Any, tolerance: float) -> None:
    """Equal up to the tolerance; keys beyond the expected ones are fine."""
    if isinstance(expected, dict):
        assert expected.keys() <= got.keys()
        for key, value in expected.items():
            assert_same(got[key], value, tolerance)
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for item, value in zip(got, expected, strict=True):
            assert_same(item, value, tolerance)
    elif isinstance(expected, float | int) and not isinstance(expected, bool):
        assert got == pytest.approx(expected, abs=tolerance, rel=0)
    else:
        assert got is expected if expected is None or isinstance(expected, bool) else got == expected
