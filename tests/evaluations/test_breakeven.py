"""The price that decides a cost criterion: counted by hand, and held against the criterion's own reading."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.breakeven import BreakEven, PriceOfInput, Sides, break_even_price
from evaluations.enums import ArmRole, CriterionRole, Looks, PriceKind, Verdict
from evaluations.pricing import PriceRow
from evaluations.selectors.breakeven import ArmPrices, read_break_even
from evaluations.selectors.criteria import Criterion
from evaluations.selectors.evidence import ArmEvidence, Evidence, column
from evaluations.selectors.ratio_criteria import read_ratio

CANDIDATE, INCUMBENT = ArmRole.CANDIDATE, ArmRole.INCUMBENT
QUARTER = PriceOfInput(share_of_output=0.25, taken_from=INCUMBENT)
MET = (Verdict.BETTER, Verdict.NON_INFERIOR)


def sides(cost: list[float], read: list[float], written: list[float], **solved: list[float]) -> Sides:
    every = [1.0] * len(cost)
    return Sides(cost, read, written, solved.get("cost_solved", every), solved.get("tokens_solved", every))


def even(given_sides: Sides, *, arm: ArmRole = CANDIDATE, r: float = 1.0, input_price: PriceOfInput = QUARTER, **more):
    return break_even_price(given_sides, arm=arm, max_ratio=r, input_price=input_price, currency="USD", **more)


def row(input_per_mtok: str | None, output_per_mtok: str | None) -> PriceRow:
    amounts = [None if text is None else Decimal(text) for text in (input_per_mtok, output_per_mtok)]
    return PriceRow(1, date(2026, 1, 1), "USD", PriceKind.LIST, *amounts)


def test_the_price_by_hand() -> None:
    """The incumbent's two calls cost $3; the candidate read 2 M and wrote 1 M tokens: 1.5 M output tokens' worth."""
    found = even(sides([1.0, 2.0], [1.5e6, 0.5e6], [0.4e6, 0.6e6]), r=0.9)
    assert found is not None
    assert found.output_per_mtok == pytest.approx(0.9 * 3 / 1.5)
    assert found.input_per_mtok == pytest.approx(0.25 * 0.9 * 3 / 1.5)
    assert (found.lower, found.upper, found.n) == (None, None, 2)


def test_samples_that_are_all_alike_give_a_price_and_no_interval() -> None:
    found = even(sides([1.0] * 40, [1e6] * 40, [1e6] * 40))
    assert found is not None
    assert (found.output_per_mtok, found.lower, found.upper) == (pytest.approx(0.8), None, None)
    mixed = even(sides([1.0, 1.1] * 20, [1e6] * 40, [1e6] * 40))
    assert mixed is not None
    assert mixed.lower < mixed.output_per_mtok < mixed.upper


def test_an_input_price_that_is_disclosed_is_taken_as_it_is() -> None:
    """$3 less 2 M input tokens at $0.50 leaves $2 for 1 M output tokens."""
    found = even(sides([1.0, 2.0], [1.5e6, 0.5e6], [0.4e6, 0.6e6]), input_price=PriceOfInput(per_mtok=0.5))
    assert found is not None
    assert (found.output_per_mtok, found.input_per_mtok) == (pytest.approx(2), 0.5)


def test_an_undisclosed_incumbent_must_cost_at_least_so_much() -> None:
    """The candidate's calls cost $1.80: at a ratio of 0.9 the incumbent's cost $2, over 1 M output tokens' worth."""
    found = even(sides([0.8, 1.0], [2e6, 0], [0.25e6, 0.25e6]), arm=INCUMBENT, r=0.9)
    assert found is not None
    assert found.output_per_mtok == pytest.approx(2)


def test_a_candidate_that_solves_less_must_cost_less() -> None:
    solves = {"cost_solved": [1.0, 1.0], "tokens_solved": [1.0, 0.0]}
    whole = even(sides([1.0, 2.0], [0, 0], [1e6, 1e6]))
    half = even(sides([1.0, 2.0], [0, 0], [1e6, 1e6], **solves))
    assert whole is not None
    assert half is not None
    assert half.output_per_mtok == pytest.approx(whole.output_per_mtok / 2)


@pytest.mark.parametrize(
    "given_sides",
    [
        sides([], [], []),
        sides([1.0], [0], [0]),  # no tokens, no price
        sides([0.0], [10], [10]),  # an incumbent that costs nothing cannot be undercut
        sides([1.0], [10], [10], tokens_solved=[0.0]),
        sides([1.0], [10], [10], cost_solved=[0.0]),
    ],
)
def test_where_no_price_meets_the_criterion_none_is_named(given_sides) -> None:
    assert even(given_sides) is None


def test_input_that_alone_costs_too_much_leaves_no_price() -> None:
    assert even(sides([1.0], [10e6], [1e6]), input_price=PriceOfInput(per_mtok=0.5)) is None


_TOKENS = st.integers(1, 10**6)


@given(st.lists(st.tuples(st.floats(1e-6, 1), _TOKENS, _TOKENS), min_size=1, max_size=25), st.floats(0.1, 3))
def test_at_the_price_the_ratio_is_the_agreed_one(calls, r) -> None:
    cost, read, written = (list(column) for column in zip(*calls, strict=True))
    found = even(sides(cost, read, written), r=r)
    assert found is not None
    at_price = sum(i * found.input_per_mtok + o * found.output_per_mtok for i, o in zip(read, written, strict=True))
    assert at_price / 1e6 / sum(cost) == pytest.approx(r)


@pytest.mark.parametrize(
    ("arm_price", "other", "assumed"),
    [
        (None, row("30", "60"), PriceOfInput(share_of_output=0.5, taken_from=INCUMBENT)),
        (row("2", None), row("30", "60"), PriceOfInput(per_mtok=2.0)),
        (row("2", "8"), row("30", "60"), PriceOfInput(share_of_output=0.25, taken_from=CANDIDATE)),
        (None, row("30", None), None),
        (None, row("0", "0"), None),
        (None, None, None),
    ],
)
def test_what_is_assumed_of_the_input_price(arm_price, other, assumed) -> None:
    assert PriceOfInput.of(arm_price, role=CANDIDATE, other=other) == assumed


def evidence(n: int) -> Evidence:
    """An incumbent at $30 / $60; the candidate writes more. Lengths vary together, as those of real requests do."""
    rng = random.Random(7)
    read = [rng.lognormvariate(6, 0.6) for _ in range(n)]
    written = [rng.lognormvariate(5, 0.5) for _ in range(n)]
    more = [tokens * rng.uniform(1.2, 1.8) for tokens in written]
    costs = [(i * 30 + o * 60) / 1e6 for i, o in zip(read, written, strict=True)]
    figures = {"input_tokens": column(read), "failure": column([0.0] * n)}
    incumbent = ArmEvidence(cost=column(costs), output_tokens=column(written), **figures)
    candidate = ArmEvidence(cost=column([None] * n), output_tokens=column(more), **figures)
    return Evidence(np.arange(n), np.arange(n), incumbent, candidate)


def criterion(metric: str = "cost_per_request", r: float = 0.9) -> Criterion:
    return Criterion(metric, CriterionRole.GUARDRAIL, None, r, None)


def found_for(given_evidence: Evidence, metric: str = "cost_per_request", r: float = 0.9, **rows) -> BreakEven | None:
    prices = ArmPrices("USD", rows or {INCUMBENT: row("30", "60")})
    return read_break_even(given_evidence, criterion(metric, r), prices=prices, successes=None, alpha=0.05)


@pytest.mark.parametrize("metric", ["cost_per_request", "cost_per_success"])
@pytest.mark.parametrize("r", [0.6, 0.9, 1.25])
def test_the_interval_is_where_the_criterions_own_verdict_changes(metric, r) -> None:
    """Below its lower limit the criterion is met; above the upper, the candidate is not shown to stay under r."""
    given_evidence = evidence(400)
    found = found_for(given_evidence, metric, r)
    assert found is not None
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < found.output_per_mtok < found.upper

    def verdict_at(price: float) -> Verdict:
        share = found.input_per_mtok / found.output_per_mtok
        read, written = given_evidence.candidate.input_tokens, given_evidence.candidate.output_tokens
        given_evidence.candidate.cost = price * (share * read + written) / 1e6
        reading = read_ratio(
            given_evidence, criterion(metric, r), looks=Looks.ONE_LOOK, alpha=0.05, successes=None, t_star=750
        )
        return reading.verdict

    # The bootstrap and Fieller's interval differ by less than a hundredth of the price here.
    assert verdict_at(0.99 * found.lower) in MET
    assert verdict_at(found.output_per_mtok) not in MET
    assert verdict_at(1.01 * found.upper) is Verdict.WORSE


def test_tokens_or_prices_that_are_unknown_leave_no_break_even() -> None:
    few = evidence(100)
    few.candidate.output_tokens[:6] = np.nan
    assert found_for(few) is None
    few.candidate.output_tokens[:2] = 1
    assert found_for(few) is not None
    neither = ArmPrices("USD", {})
    assert read_break_even(evidence(40), criterion(), prices=neither, successes=None, alpha=0.05) is None
    latency = criterion("latency_p95_ms")
    prices = ArmPrices("USD", {INCUMBENT: row("30", "60")})
    assert read_break_even(evidence(40), latency, prices=prices, successes=None, alpha=0.05) is None
    assert found_for(Evidence(np.arange(0), np.arange(0), ArmEvidence(), ArmEvidence())) is None
