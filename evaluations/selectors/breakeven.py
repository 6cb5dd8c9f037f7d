"""What an undisclosed price may be. Public surface: ``ArmPrices``, ``arm_prices``, ``read_break_even``,
``price_to_meet``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from evaluations.breakeven import BreakEven, PriceOfInput, Sides, break_even_price
from evaluations.enums import ArmRole
from evaluations.models import ReplayRun
from evaluations.pricing import PriceRow, price_in_force
from evaluations.selectors.criteria import Criterion, costs_are_known
from evaluations.selectors.evidence import ArmEvidence, Column, Evidence

COSTS = frozenset({"cost_per_request", "cost_per_success"})


@dataclass(frozen=True, slots=True)
class ArmPrices:
    """The price of each arm as frozen with a run; no entry: none was in force."""

    currency: str = ""
    rows: Mapping[ArmRole, PriceRow] = field(default_factory=dict)

    def disclosed(self, role: ArmRole) -> bool:
        return role in self.rows and self.rows[role].disclosed


def arm_prices(run: ReplayRun, *, at: datetime) -> ArmPrices:
    """The prices that ``run`` was created with, as in force at ``at`` for a call of the lowest tier."""
    rows = {}
    for arm in run.arms.all():
        price = price_in_force([PriceRow.from_json(row) for row in arm.prices], at=at)
        if price is not None:
            rows[arm.role] = price
    return ArmPrices(run.currency, rows)


def read_break_even(
    evidence: Evidence, criterion: Criterion, *, prices: ArmPrices, successes: str | None, alpha: float
) -> BreakEven | None:
    """The price at which a cost criterion is exactly met: of the arm whose price is undisclosed, else the candidate's.

    ``None`` for other criteria, and where neither arm has a price, tokens of too many calls are unknown, or nothing
    says what input costs beside output.
    """
    if criterion.metric not in COSTS or criterion.max_ratio is None:
        return None
    arm, other = ArmRole.CANDIDATE, ArmRole.INCUMBENT
    if prices.disclosed(arm) and not prices.disclosed(other):
        arm, other = other, arm
    return price_to_meet(
        evidence,
        criterion.metric,
        arm=arm,
        max_ratio=criterion.max_ratio,
        prices=prices,
        successes=successes,
        alpha=alpha,
    )


def price_to_meet(
    evidence: Evidence,
    metric: str,
    *,
    arm: ArmRole,
    max_ratio: float,
    prices: ArmPrices,
    successes: str | None,
    alpha: float,
) -> BreakEven | None:
    """The price of ``arm`` at which ``metric`` of candidate over incumbent is ``max_ratio``; ``None`` as above."""
    other = ArmRole.INCUMBENT if arm is ArmRole.CANDIDATE else ArmRole.CANDIDATE
    input_price = PriceOfInput.of(prices.rows.get(arm), role=arm, other=prices.rows.get(other))
    if input_price is None:
        return None
    per_success = metric == "cost_per_success"
    sides = _sides(evidence, arm, other, successes=successes if per_success else None, per_success=per_success)
    if not costs_are_known(evidence, len(sides.cost)):
        return None
    return break_even_price(
        sides,
        arm=arm,
        max_ratio=max_ratio,
        input_price=input_price,
        currency=prices.currency,
        alpha=alpha,
    )


def _sides(evidence: Evidence, arm: ArmRole, other: ArmRole, *, successes: str | None, per_success: bool) -> Sides:
    """The samples on which the other arm's cost and this arm's tokens are known."""
    by_role = {ArmRole.INCUMBENT: evidence.incumbent, ArmRole.CANDIDATE: evidence.candidate}
    known, tokens = by_role[other], by_role[arm]
    places = np.flatnonzero(~np.isnan([known.cost, tokens.input_tokens, tokens.output_tokens]).any(axis=0))

    def solved(side: ArmEvidence) -> Column:
        if not per_success:
            return np.ones(len(places))
        if successes is not None:
            return np.nan_to_num(side.scores[successes][places])
        return 1.0 - np.nan_to_num(side.failure[places])

    return Sides(
        cost=known.cost[places],
        input_tokens=tokens.input_tokens[places],
        output_tokens=tokens.output_tokens[places],
        cost_solved=solved(known),
        tokens_solved=solved(tokens),
    )
