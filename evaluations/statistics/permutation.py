"""Do groups of spells leave at the same rate, when customers and not spells are what was sampled?
``logrank_by_customer``.

A customer with eight workloads is one customer: the groups' labels are exchanged between customers as wholes, and
between the spells of one customer only where that customer has spells in several groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluations.statistics.inputs import Vector, Whole, flags, labels, same_length
from evaluations.statistics.results import CustomerLogRank, StatisticsError
from evaluations.statistics.risksets import Spells, spells

# Labellings that are tried where there are more than can be listed.
PERMUTATIONS = 10_000
_AT_ONCE = 2_000_000  # numbers held in one step, per array
_TIE = 1e-9  # two statistics this close, relatively, are equal but for rounding
_SINGULAR = 1e-10


def logrank_by_customer(
    time: ArrayLike,
    event: ArrayLike,
    group: Sequence[Hashable],
    customer: Sequence[Hashable],
    entry: ArrayLike | None = None,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    between: Callable[[], None] = lambda: None,
) -> CustomerLogRank:
    """The log-rank statistic (Peto & Peto 1972) against its distribution over exchanges of customers.

    Exact over all labellings where there are at most ``permutations`` of them, else over that many random ones with
    p = (1 + as extreme) / (1 + permutations) (Phipson & Smyth 2010, Stat Appl Genet Mol Biol 9:39). Each statistic has
    its own variance (studentised). p is None where no exchange changes anything. ``between`` is called now and then and
    may raise to break it off: 10,000 spells of 1,000 customers take half a minute. Raises ``StatisticsError`` under two
    groups.
    """
    observed = spells(time, entry)
    happened = flags("event", event)
    codes, names = labels("group", group)
    owners, _ = labels("customer", customer)
    same_length(time=observed.time, event=happened, group=codes, customer=owners)
    if len(names) < 2:
        raise StatisticsError("group must name at least two groups")
    unit_of, label, pools = _units(codes, owners)
    table = _Table(observed, happened, unit_of, len(label), len(names))
    actual = float(table.statistics(label[None, :])[0])
    customers = len(np.unique(owners))
    arrangements = math.prod(_arrangements(label[pool]) for pool in pools)
    if arrangements == 1 or not actual > 0:
        return CustomerLogRank(actual, None, customers, 0, exact=arrangements == 1)
    least = actual * (1 - _TIE)
    if arrangements <= permutations:
        extreme = sum(int((table.statistics(rows) >= least).sum()) for rows in _all(label, pools, table.at_once))
        return CustomerLogRank(actual, extreme / arrangements, customers, arrangements, exact=True)
    generator = np.random.default_rng(seed)
    extreme, done = 0, 0
    while done < permutations:
        between()
        n = min(table.at_once, permutations - done)
        extreme += int((table.statistics(_random(label, pools, n, generator)) >= least).sum())
        done += n
    return CustomerLogRank(actual, (1 + extreme) / (1 + permutations), customers, permutations, exact=False)


def _units(codes: NDArray[np.intp], owners: NDArray[np.intp]) -> tuple[Whole, Whole, list[Whole]]:
    """What carries a label: a customer of one group as a whole, else each of its spells. Returns the unit of each
    spell, the label of each unit, and the pools of units between which labels are exchanged."""
    unit_of = np.empty(len(codes), dtype=np.int64)
    label: list[int] = []
    whole: list[int] = []
    pools: list[Whole] = []
    for owner in range(int(owners.max()) + 1):
        rows = np.flatnonzero(owners == owner)
        if len(np.unique(codes[rows])) == 1:
            unit_of[rows] = len(label)
            whole.append(len(label))
            label.append(int(codes[rows[0]]))
        else:
            own = np.arange(len(label), len(label) + len(rows))
            unit_of[rows] = own
            pools.append(own)
            label += codes[rows].tolist()
    if whole:
        pools.append(np.array(whole))
    return unit_of, np.array(label), pools


def _arrangements(labels_of_pool: Whole) -> int:
    """Distinct orders of the labels: a multinomial coefficient."""
    counts = Counter(labels_of_pool.tolist())
    return math.factorial(len(labels_of_pool)) // math.prod(map(math.factorial, counts.values()))


def _all(label: Whole, pools: Sequence[Whole], at_once: int) -> Iterator[Whole]:
    """Every labelling once, in blocks."""
    block: list[Whole] = []
    for choice in product(*(list(_distinct(tuple(sorted(label[pool].tolist())))) for pool in pools)):
        row = label.copy()
        for pool, arranged in zip(pools, choice, strict=True):
            row[pool] = arranged
        block.append(row)
        if len(block) == at_once:
            yield np.array(block)
            block = []
    if block:
        yield np.array(block)


def _distinct(items: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The distinct orders of a sorted sequence."""
    if not items:
        yield ()
        return
    for position, item in enumerate(items):
        if position and item == items[position - 1]:
            continue
        for rest in _distinct(items[:position] + items[position + 1 :]):
            yield (item, *rest)


def _random(label: Whole, pools: Sequence[Whole], n: int, generator: np.random.Generator) -> Whole:
    rows = np.repeat(label[None, :], n, axis=0)
    for pool in pools:
        rows[:, pool] = generator.permuted(rows[:, pool], axis=1)
    return rows


class _Table:
    """Who is at risk on each day on which somebody left, by unit: what every labelling is judged by."""

    def __init__(self, observed: Spells, happened: NDArray[np.bool_], unit_of: Whole, units: int, groups: int) -> None:
        ends = observed.ends(happened)
        days, left = observed.days[ends > 0], ends[ends > 0]
        self.groups = groups
        self.at_risk = np.zeros((len(days), units))
        first = np.searchsorted(days, observed.entry, "right")  # entry < day <= time
        last = np.searchsorted(days, observed.time, "right")
        for unit, begin, end in zip(unit_of.tolist(), first.tolist(), last.tolist(), strict=True):
            self.at_risk[begin:end, unit] += 1
        total = self.at_risk.sum(axis=1)
        self.seen = np.bincount(unit_of[happened], minlength=units).astype(np.float64)
        self.expected = (left / total) @ self.at_risk if len(days) else np.zeros(units)
        # Hypergeometric variance of the day; a risk set of one has none.
        self.weight = left * (total - left) / np.maximum(total - 1, 1)
        self.total = total
        self.at_once = max(1, _AT_ONCE // (max(len(days), units) * groups))

    def statistics(self, rows: Whole) -> Vector:
        """Chi-square of each labelling, one a row."""
        member = (rows[:, :, None] == np.arange(self.groups)).astype(np.float64)  # labelling, unit, group
        difference = np.einsum("bug,u->bg", member, self.seen - self.expected)
        if not len(self.total):
            return np.zeros(len(rows))
        n = len(rows)
        # day x unit times unit x (labelling, group): the numbers at risk.
        flat = member.transpose(1, 0, 2).reshape(member.shape[1], n * self.groups)
        shares = (self.at_risk @ flat / self.total[:, None]).reshape(-1, n, self.groups)
        covariance = -np.einsum("dbg,dbh,d->bgh", shares, shares, self.weight, optimize=True)
        diagonal = np.einsum("dbg,d->bg", shares, self.weight)
        covariance[:, np.arange(self.groups), np.arange(self.groups)] += diagonal
        if self.groups == 2:
            variance = covariance[:, 0, 0]
            chi2: Vector = np.divide(difference[:, 0] ** 2, variance, out=np.zeros(n), where=variance > _SINGULAR)
            return chi2
        inverse = np.linalg.pinv(covariance, rcond=_SINGULAR, hermitian=True)
        return np.asarray(np.einsum("bg,bgh,bh->b", difference, inverse, difference), dtype=np.float64)
