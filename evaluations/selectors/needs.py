"""How many samples a plan needs before its answer can be yes. Public surface: ``Need``, ``need_of``, ``DISCORDANT``,
``POWER``, ``NIGHTLY_FACTOR``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evaluations.enums import CriterionRole, Looks
from evaluations.statistics.power import sample_size_noninferiority

# Planned for: so many pairs on which only one of two equal models passes, half of them each way.
DISCORDANT = 0.08
POWER = 0.8
# A reading every night costs 1.7 to 2.2 times the samples of one look at the same power.
NIGHTLY_FACTOR = 2


@dataclass(frozen=True, slots=True)
class Need:
    """Samples, of a plan as it stands."""

    samples: int  # to count on: the larger of the next two, and no more than the horizon
    minimum: int  # below it no verdict is read
    power: int | None  # to find equal models non-inferior with 80 % power; None: no margin that this can be said of
    maximum: int | None  # horizon; None: none


def need_of(definition: Mapping[str, Any]) -> Need:
    """``definition`` as a plan keeps it; the smallest margin of a primary criterion decides."""
    margins = [
        float(criterion["margin"])
        for criterion in definition.get("criteria", [])
        if criterion.get("role", CriterionRole.PRIMARY) == CriterionRole.PRIMARY and criterion.get("margin")
    ]
    minimum, maximum = definition.get("minimum_samples", 1), definition.get("maximum_samples")
    power = None
    if margins:
        nightly = definition.get("looks", Looks.ONE_LOOK) == Looks.EVERY_NIGHT
        power = _pairs(min(margins), float(definition.get("alpha", "0.05"))) * (NIGHTLY_FACTOR if nightly else 1)
    samples = max(minimum, power or 0)
    return Need(samples if maximum is None else min(samples, maximum), minimum, power, maximum)


@lru_cache(maxsize=1000)
def _pairs(margin: float, alpha: float) -> int:
    each = DISCORDANT / 2
    found = sample_size_noninferiority(
        p_candidate_only=each, p_incumbent_only=each, margin=margin, alpha=alpha / 2, power=POWER
    )
    return math.ceil(found.n_pairs)
