"""How many samples a plan needs. Expected numbers: STATISTICS, "Samples to plan for" (3 points, 8 % discordant, 80 %
power: 698), and twice that for a reading every night."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.selectors.needs import Need, need_of


def plan(margin: str = "0.03", **given: Any) -> dict[str, Any]:
    return {"criteria": [{"metric": "exact", "margin": margin}], "minimum_samples": 350, **given}


@pytest.mark.parametrize(
    ("definition", "need"),
    [
        (plan(), Need(698, 350, 698, None)),
        (plan(looks="every_night"), Need(1396, 350, 1396, None)),
        (plan(looks="every_night", maximum_samples=1200), Need(1200, 350, 1396, 1200)),
        (plan(minimum_samples=900), Need(900, 900, 698, None)),
        # 5 points: 698 x 9 / 25, by the same formula.
        (plan("0.05"), Need(350, 350, 252, None)),
        # Only primary criteria, and of those only margins.
        ({"criteria": [{"metric": "failure_rate", "role": "guardrail", "margin": "0.01"}]}, Need(1, 1, None, None)),
        ({"criteria": [{"metric": "cost_per_request", "max_ratio": "0.9"}]}, Need(1, 1, None, None)),
        ({}, Need(1, 1, None, None)),
    ],
)
def test_the_larger_of_minimum_and_power_up_to_the_horizon(definition: dict[str, Any], need: Need) -> None:
    assert need_of(definition) == need
