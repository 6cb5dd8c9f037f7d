"""What a request and a solved task cost on each arm, and the prices at which that would tip.

Public surface: ``CostFigures``, ``CostLine``, ``Tipping``, ``read_costs``, ``stored_costs``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from evaluations.breakeven import BreakEven
from evaluations.enums import ArmRole, CriterionRole, Looks, Verdict
from evaluations.models import ReplayRun
from evaluations.selectors.breakeven import ArmPrices, price_to_meet
from evaluations.selectors.comparisons import DEFAULT_T_STAR, criteria_of
from evaluations.selectors.criteria import MISSING_SHARE, Criterion
from evaluations.selectors.evidence import ArmEvidence, Evidence
from evaluations.selectors.ratio_criteria import read_ratio

PER_REQUEST, PER_SUCCESS = "cost_per_request", "cost_per_success"
AT_EQUAL_COST = 1.0
_PLACES = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class Tipping:
    """A price in money per million tokens, with what it takes of the other tokens for granted."""

    output_per_mtok: Decimal
    lower: Decimal | None  # 95 % limits; None: under 30 samples, or all of them alike
    upper: Decimal | None
    input_per_mtok: Decimal  # what that means for input
    input_share_of_output: float | None  # as assumed; None: the input price is disclosed
    share_taken_from: ArmRole | None  # whose price has this share
    n: int  # samples


@dataclass(frozen=True, slots=True)
class CostLine:
    """One way to count: by request, or by solved task. Money per unit; None: not known."""

    metric: str
    n: int  # samples whose cost is known on both arms
    incumbent: Decimal | None
    candidate: Decimal | None
    ratio: float | None  # candidate / incumbent
    lower: float | None
    upper: float | None
    max_ratio: float  # that the candidate must stay under
    agreed: bool  # the plan has a criterion on it; else it is held against equal cost
    verdict: Verdict
    reason: str | None  # why there is no word, or none yet
    candidate_must_stay_under: Tipping | None  # the candidate's price at which the criterion is just met
    staying_is_cheaper_under: Tipping | None  # the incumbent's price at which both cost the same


@dataclass(frozen=True, slots=True)
class CostFigures:
    currency: str
    undisclosed: tuple[ArmRole, ...]  # arms without a disclosed price in force
    lines: tuple[CostLine, ...]  # per request, per success

    def to_document(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def stored_costs(run: ReplayRun) -> CostFigures | None:
    """As read at the end of ``run``; None: it has not ended with a reading."""
    return None if run.costs is None else msgspec.convert(run.costs, CostFigures)


def read_costs(document: Mapping[str, Any], evidence: Evidence, *, prices: ArmPrices) -> CostFigures:
    """Both ways to count, under a frozen plan's own criteria, looks and alpha."""
    criteria = {criterion.metric: criterion for criterion in criteria_of(document)}
    successes = next((criterion.metric for criterion in criteria.values() if criterion.scorer), None)
    maximum = document["horizon"]["maximum_samples"]
    lines = []
    for metric in (PER_REQUEST, PER_SUCCESS):
        agreed = criteria.get(metric)
        criterion = agreed or Criterion(metric, CriterionRole.ADVISORY, None, AT_EQUAL_COST, None)
        reading = read_ratio(
            evidence,
            criterion,
            looks=Looks(document["looks"]),
            alpha=float(document["alpha"]),
            successes=successes,
            t_star=maximum / 2 if maximum else DEFAULT_T_STAR,
        )
        of_metric = successes if metric == PER_SUCCESS else None
        alone = [_alone(arm, metric, of_metric) for arm in (evidence.incumbent, evidence.candidate)]
        ratio = criterion.max_ratio or AT_EQUAL_COST
        lines.append(
            CostLine(
                metric=metric,
                n=reading.n,
                incumbent=_money(alone[0] if reading.incumbent is None else reading.incumbent),
                candidate=_money(alone[1] if reading.candidate is None else reading.candidate),
                ratio=reading.ratio,
                lower=reading.lower,
                upper=reading.upper,
                max_ratio=ratio,
                agreed=agreed is not None,
                verdict=reading.verdict,
                reason=reading.reason,
                candidate_must_stay_under=_tipping(
                    evidence, document, metric, ArmRole.CANDIDATE, ratio, prices, of_metric
                ),
                staying_is_cheaper_under=_tipping(
                    evidence, document, metric, ArmRole.INCUMBENT, AT_EQUAL_COST, prices, of_metric
                ),
            )
        )
    return CostFigures(
        currency=prices.currency,
        undisclosed=tuple(role for role in (ArmRole.INCUMBENT, ArmRole.CANDIDATE) if not prices.disclosed(role)),
        lines=tuple(lines),
    )


def _tipping(
    evidence: Evidence,
    document: Mapping[str, Any],
    metric: str,
    arm: ArmRole,
    max_ratio: float,
    prices: ArmPrices,
    successes: str | None,
) -> Tipping | None:
    alpha = float(document["alpha"])
    found = price_to_meet(
        evidence, metric, arm=arm, max_ratio=max_ratio, prices=prices, successes=successes, alpha=alpha
    )
    return None if found is None else _told(found)


def _told(found: BreakEven) -> Tipping:
    limits = [None if limit is None else _price(limit) for limit in (found.lower, found.upper)]
    return Tipping(
        output_per_mtok=_price(found.output_per_mtok),
        lower=limits[0],
        upper=limits[1],
        input_per_mtok=_price(found.input_per_mtok),
        input_share_of_output=found.assumption.share_of_output or None,
        share_taken_from=found.assumption.taken_from,
        n=found.n,
    )


def _price(amount: float) -> Decimal:
    """To a ten-thousandth, as everywhere."""
    return Decimal(f"{amount:.4f}")


def _money(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(amount).quantize(_PLACES).normalize() + 0


def _alone(arm: ArmEvidence, metric: str, successes: str | None) -> float | None:
    """The arm's own figure where the other's cost is not known: over the samples whose cost is."""
    counted = int(np.count_nonzero(~np.isnan(arm.failure)))
    places = np.flatnonzero(~np.isnan(arm.cost))
    if not len(places) or counted - len(places) > MISSING_SHARE * counted:
        return None
    spent = math.fsum(arm.cost[places])
    if metric == PER_REQUEST:
        return spent / len(places)
    solved = (
        1.0 - np.nan_to_num(arm.failure[places]) if successes is None else np.nan_to_num(arm.scores[successes][places])
    )
    total = math.fsum(solved)
    return spent / total if total > 0 else None
