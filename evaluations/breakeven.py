"""The price that decides a cost criterion. No Django. Public surface: ``break_even_price``, ``BreakEven``.

A vendor that does not disclose its price leaves a cost criterion not computable, but not open: tokens are known, and so
is what the other arm costs, so there is one price at which the two meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evaluations.enums import ArmRole
from evaluations.pricing import MTOK, PriceRow
from evaluations.statistics.resampling import resampled_totals

Figures: TypeAlias = Sequence[float] | NDArray[np.float64]

MINIMUM_FOR_INTERVAL = 30  # as for every ratio of costs
_ROUNDING = 1e-12
_DRAWS = 2000
_LEAST_DRAWS = 200
_DRAWN_AT_MOST = 20_000_000  # samples, over all draws: where there are many, the interval is narrow with fewer draws


@dataclass(frozen=True, slots=True)
class PriceOfInput:
    """What is assumed of an unknown input price: known in itself, or a share of the output price."""

    per_mtok: float = 0.0
    share_of_output: float = 0.0
    taken_from: ArmRole | None = None  # whose price has this share; None: the arm's own input price is disclosed

    @classmethod
    def of(cls, price: PriceRow | None, *, role: ArmRole, other: PriceRow | None) -> PriceOfInput | None:
        """The disclosed input price of ``price``, else the share that input has in a price that is disclosed whole."""
        if price is not None and price.disclosed:
            return cls._share(price, role)
        if price is not None and price.input_per_mtok is not None:
            return cls(per_mtok=float(price.input_per_mtok))
        other_role = ArmRole.INCUMBENT if role is ArmRole.CANDIDATE else ArmRole.CANDIDATE
        return None if other is None else cls._share(other, other_role)

    @classmethod
    def _share(cls, price: PriceRow, role: ArmRole) -> PriceOfInput | None:
        if price.input_per_mtok is None or not price.output_per_mtok:
            return None
        return cls(share_of_output=float(price.input_per_mtok / price.output_per_mtok), taken_from=role)


@dataclass(frozen=True, slots=True)
class Sides:
    """Figures of the same samples: what one arm costs, and the tokens of the other. Means over repeats."""

    cost: Figures  # money per sample
    input_tokens: Figures  # of every kind: what a cache would save is not known
    output_tokens: Figures
    cost_solved: Figures  # share of the task solved, by the arm with the cost; 1 where requests are counted
    tokens_solved: Figures  # likewise, by the arm with the tokens


@dataclass(frozen=True, slots=True)
class BreakEven:
    """A criterion is met on one side of ``output_per_mtok``: below it for the candidate, above it for the incumbent."""

    arm: ArmRole  # whose price it is
    output_per_mtok: float  # money per million output tokens
    input_per_mtok: float  # what that means for input
    lower: float | None  # of ``output_per_mtok``; None: under 30 samples, or all of them alike
    upper: float | None
    n: int  # samples
    currency: str
    assumption: PriceOfInput

    def to_document(self) -> dict[str, Any]:
        return {
            "arm": str(self.arm),
            "output_per_mtok": _text(self.output_per_mtok),
            "input_per_mtok": _text(self.input_per_mtok),
            "lower": None if self.lower is None else _text(self.lower),
            "upper": None if self.upper is None else _text(self.upper),
            "n": self.n,
            "currency": self.currency,
            "input_share_of_output": self.assumption.share_of_output or None,
            "share_taken_from": None if self.assumption.taken_from is None else str(self.assumption.taken_from),
        }


def _text(amount: float) -> str:
    """A decimal string, to a ten-thousandth."""
    return f"{Decimal(amount):.4f}"


def break_even_price(
    sides: Sides, *, arm: ArmRole, max_ratio: float, input_price: PriceOfInput, currency: str, alpha: float = 0.05
) -> BreakEven | None:
    """The price of ``arm`` at which candidate / incumbent is exactly ``max_ratio``; ``None`` if there is no such price.

    Money over solved tasks on both sides, so that cost per success and cost per request are one formula. The interval
    is the percentile interval of a paired bootstrap of whole samples, as for cost per success.
    """
    tokens_in, tokens_out = np.asarray(sides.input_tokens, float), np.asarray(sides.output_tokens, float)
    mtok = float(MTOK)
    columns = np.array(
        [
            sides.cost,
            tokens_in * input_price.per_mtok / mtok,
            (tokens_out + input_price.share_of_output * tokens_in) / mtok,
            sides.cost_solved,
            sides.tokens_solved,
        ]
    )
    n = columns.shape[1]
    factor = max_ratio if arm is ArmRole.CANDIDATE else 1 / max_ratio
    point = _price(columns.sum(axis=1), factor) if n else None
    if point is None or point <= 0:
        return None
    lower = upper = None
    if n >= MINIMUM_FOR_INTERVAL:
        draws = max(_LEAST_DRAWS, min(_DRAWS, _DRAWN_AT_MOST // n))
        drawn = (_price(totals, factor) for totals in resampled_totals(columns, draws))
        limits = np.quantile([price for price in drawn if price is not None], [alpha / 2, 1 - alpha / 2])
        lower, upper = (max(float(limit), 0.0) for limit in limits)
        if upper - lower <= _ROUNDING * upper:
            lower = upper = None  # every draw gave the same: no interval has width zero
    return BreakEven(
        arm=arm,
        output_per_mtok=point,
        input_per_mtok=input_price.per_mtok or input_price.share_of_output * point,
        lower=lower,
        upper=upper,
        n=n,
        currency=currency,
        assumption=input_price,
    )


def _price(totals: np.ndarray, factor: float) -> float | None:
    cost, fixed, weight, cost_solved, tokens_solved = (float(total) for total in totals)
    if weight <= 0 or cost_solved <= 0 or tokens_solved <= 0:
        return None
    return (factor * cost / cost_solved * tokens_solved - fixed) / weight
