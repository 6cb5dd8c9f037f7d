"""Costs of both arms and the prices at which they tip, counted by hand.

Two samples; the incumbent at $10 in and $20 out per million tokens, the candidate at $5 and $10.
    incumbent  1 M in, 0.5 M out = $20;  2 M in, 1 M out = $40: $60, $30 a request
    candidate  1 M in, 1 M out   = $15;  2 M in, 1 M out = $20: $35, $17.50 a request; ratio 35/60
The candidate solves one of them ($35 a success), the incumbent both ($30).
Per request at 0.9 the candidate may cost $54: half of output's price for input, 3 M in and 2 M out are 3.5 M output
tokens' worth, 54 / 3.5 = 15.4286. Staying is cheaper while the incumbent costs under $35 over 3 M in and 1.5 M out,
3 M tokens' worth: 11.6667. Per success, held against equal cost: 60 / 2 x 1 / 3.5 = 8.5714, and 35 x 2 / 3 = 23.3333.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from evaluations.enums import ArmRole, PriceKind, Verdict
from evaluations.pricing import PriceRow
from evaluations.selectors.breakeven import ArmPrices
from evaluations.selectors.costs import CostFigures, CostLine, Tipping, read_costs
from evaluations.selectors.evidence import ArmEvidence, Evidence, column

DOCUMENT: dict[str, Any] = {
    "scorers": [{"key": "exact", "name": "exact", "version": "1", "config": {}}],
    "criteria": [
        {"metric": "exact", "role": "primary", "margin": "0.03", "max_ratio": None},
        {"metric": "cost_per_request", "role": "guardrail", "margin": None, "max_ratio": "0.9"},
    ],
    "looks": "one_look",
    "alpha": "0.05",
    "horizon": {"maximum_samples": None, "decide_by": None},
}


def price(input_per_mtok: str | None, output_per_mtok: str | None) -> PriceRow:
    amounts = [None if text is None else Decimal(text) for text in (input_per_mtok, output_per_mtok)]
    return PriceRow(1, date(2026, 1, 1), "USD", PriceKind.LIST, *amounts)


def arm(cost: list[float | None], read: list[float], written: list[float], solved: list[float]) -> ArmEvidence:
    return ArmEvidence(
        failure=column([0.0] * len(cost)),
        scores={"exact": column(solved)},
        cost=column(cost),
        input_tokens=column(read),
        output_tokens=column(written),
    )


def figures(*, candidate_cost: list[float | None], candidate: PriceRow | None) -> CostFigures:
    evidence = Evidence(
        np.arange(2),
        np.arange(2),
        arm([20.0, 40.0], [1e6, 2e6], [0.5e6, 1e6], [1.0, 1.0]),
        arm(candidate_cost, [1e6, 2e6], [1e6, 1e6], [1.0, 0.0]),
    )
    rows = {ArmRole.INCUMBENT: price("10", "20")} | ({} if candidate is None else {ArmRole.CANDIDATE: candidate})
    return read_costs(DOCUMENT, evidence, prices=ArmPrices("USD", rows))


def tips(found: Tipping | None) -> tuple[Decimal, Decimal] | None:
    return None if found is None else (found.output_per_mtok, found.input_per_mtok)


def test_both_arms_and_both_prices_by_hand() -> None:
    found = figures(candidate_cost=[15.0, 20.0], candidate=price("5", "10"))
    assert (found.currency, found.undisclosed) == ("USD", ())
    request, success = found.lines
    assert (request.incumbent, request.candidate, request.ratio) == (30, Decimal("17.5"), pytest.approx(35 / 60))
    assert (request.max_ratio, request.agreed, request.verdict, request.reason) == (
        0.9,
        True,
        Verdict.INCONCLUSIVE,
        "too_few",
    )
    assert tips(request.candidate_must_stay_under) == (Decimal("15.4286"), Decimal("7.7143"))
    assert tips(request.staying_is_cheaper_under) == (Decimal("11.6667"), Decimal("5.8333"))
    assert (success.incumbent, success.candidate, success.ratio) == (30, 35, pytest.approx(35 / 30))
    assert (success.max_ratio, success.agreed) == (1.0, False)
    assert tips(success.candidate_must_stay_under) == (Decimal("8.5714"), Decimal("4.2857"))
    assert tips(success.staying_is_cheaper_under) == (Decimal("23.3333"), Decimal("11.6667"))


def test_an_undisclosed_price_leaves_its_cost_unknown_and_its_break_even_known() -> None:
    found = figures(candidate_cost=[None, None], candidate=None)
    request: CostLine = found.lines[0]
    assert found.undisclosed == (ArmRole.CANDIDATE,)
    assert (request.incumbent, request.candidate, request.ratio) == (30, None, None)
    assert (request.verdict, request.reason) == (Verdict.NOT_COMPUTABLE, "cost_unknown")
    assert tips(request.candidate_must_stay_under) == (Decimal("15.4286"), Decimal("7.7143"))
    assert request.candidate_must_stay_under is not None
    assert request.candidate_must_stay_under.share_taken_from is ArmRole.INCUMBENT
    assert request.staying_is_cheaper_under is None  # what the candidate costs is not known


def test_the_document_keeps_money_as_text() -> None:
    document = figures(candidate_cost=[15.0, 20.0], candidate=price("5", "10")).to_document()
    line = document["lines"][0]
    assert (line["incumbent"], line["candidate"]) == ("30", "17.5")
    assert line["candidate_must_stay_under"]["output_per_mtok"] == "15.4286"
