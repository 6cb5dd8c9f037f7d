"""Log-rank by exchanges of customers: against counts by hand, every labelling one by one, and a published test."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest

from evaluations.statistics.permutation import logrank_by_customer
from evaluations.statistics.results import StatisticsError
from evaluations.statistics.survival import logrank


def test_three_against_three_by_hand() -> None:
    """All of A leave before any of B: the most extreme of 6!/(3! 3!) = 20 labellings, and its mirror image: 2 / 20."""
    found = logrank_by_customer([1, 2, 3, 11, 12, 13], [1] * 6, list("AAABBB"), list("uvwxyz"))
    assert (found.p_value, found.permutations, found.exact, found.customers) == (0.1, 20, True, 6)
    assert found.chi2 == pytest.approx(logrank([1, 2, 3, 11, 12, 13], [1] * 6, list("AAABBB")).chi2)


def test_a_customer_with_many_workloads_is_one_customer() -> None:
    """Two customers have ten spells each: two labellings, both as extreme, however clear the spells look."""
    time = [*range(1, 11), *range(101, 111)]
    found = logrank_by_customer(time, [1] * 20, ["A"] * 10 + ["B"] * 10, ["u"] * 10 + ["v"] * 10)
    assert (found.p_value, found.permutations, found.customers) == (1.0, 2, 2)
    assert (logrank(time, [1] * 20, ["A"] * 10 + ["B"] * 10).p_value or 1) < 0.001


@pytest.mark.parametrize("groups", ["AABBB", "AABBC"])
def test_every_labelling_one_by_one_with_late_entry_and_censoring(groups: str) -> None:
    """Five customers with one to three spells, labels exchanged in the open and judged by ``logrank``, which is held
    against R elsewhere."""
    time = [5, 9, 9, 14, 20, 20, 3, 30, 8]
    event = [1, 1, 0, 1, 1, 0, 1, 1, 1]
    entry = [0, 2, 0, 0, 10, 0, 0, 4, 0]
    customer = [0, 0, 1, 1, 1, 2, 3, 4, 4]
    given = [groups[owner] for owner in customer]
    found = logrank_by_customer(time, event, given, customer, entry)
    orders = sorted(set(permutations(groups)))
    each = [logrank(time, event, [order[owner] for owner in customer], entry).chi2 or 0.0 for order in orders]
    actual = logrank(time, event, given, entry).chi2
    assert actual is not None
    assert found.chi2 == pytest.approx(actual)
    assert (found.permutations, found.exact) == (len(orders), True)
    assert found.p_value == pytest.approx(sum(chi2 >= actual - 1e-9 for chi2 in each) / len(orders))


def test_within_a_customer_of_both_groups_its_spells_exchange_labels() -> None:
    """One customer with a spell in each group: two labellings; three such with the same order: 2 of 2**3."""
    time, groups = [1, 10, 2, 11, 3, 12], ["A", "B"] * 3
    found = logrank_by_customer(time, [1] * 6, groups, [0, 0, 1, 1, 2, 2])
    assert (found.permutations, found.exact, found.p_value) == (8, True, 0.25)


def test_many_customers_of_one_spell_agree_with_the_chi_square_distribution() -> None:
    """The asymptotic log-rank holds there; 10,000 random labellings are within four standard errors of its p."""
    generator = np.random.default_rng(3)
    group = np.repeat(["A", "B"], 150)
    time = np.ceil(generator.exponential(np.where(group == "A", 100, 125)))
    event = generator.random(300) < 0.8
    expected = logrank(time, event, group.tolist()).p_value
    assert expected is not None
    found = logrank_by_customer(time, event, group.tolist(), list(range(300)), seed=1)
    assert (found.permutations, found.exact, found.customers) == (10_000, False, 300)
    assert found.p_value == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 10_000) ** 0.5 + 0.004)
    again = logrank_by_customer(time, event, group.tolist(), list(range(300)), seed=1)
    assert json.dumps(again.p_value) == json.dumps(found.p_value)


def test_nothing_to_exchange_is_no_p_and_one_group_is_refused() -> None:
    nobody_left = logrank_by_customer([5, 6], [0, 0], ["A", "B"], ["u", "v"])
    assert (nobody_left.p_value, nobody_left.chi2) == (None, 0.0)
    with pytest.raises(StatisticsError, match="at least two groups"):
        logrank_by_customer([1, 2], [1, 1], ["A", "A"], ["u", "v"])
