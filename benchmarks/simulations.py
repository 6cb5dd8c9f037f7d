"""Pilots, clusters, periods and bills made by a seeded generator, read by the project's own code.

Public surface: ``ever``, ``conversations``, ``golden_set``, ``vendor_errors``, ``cost_at_the_limit``, ``clusters``,
``retention``, ``cost_ratio``. Each takes a number of repetitions and a generator and counts hits; ``settings`` in
``benchmarks.statistics`` says what a hit is and how many there may be. Django must be set up before this is imported:
the reading of a plan lies beside its queries, though it makes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluations.enums import Decision, Verdict
from evaluations.selectors.comparisons import PlanReading, read_plan
from evaluations.selectors.evidence import ArmEvidence, Column, Evidence
from evaluations.selectors.planned_looks import LooksTaken
from evaluations.statistics.paired import clustered_mean
from evaluations.statistics.ratios import ratio_of_totals
from evaluations.statistics.survival import kaplan_meier

NIGHTS, PER_NIGHT = 60, 25
ON = date(2026, 1, 1)
PASS, COST = "pass", "cost_per_request"
Hits = NDArray[np.bool_]


class Tally(NamedTuple):
    """How often it happened, in how many, and the samples it took where it did."""

    hits: int
    of: int
    samples: float = 0.0


def tally(found: Hits, samples: NDArray[np.int64] | None = None) -> Tally:
    return Tally(int(found.sum()), len(found), 0.0 if samples is None else float(samples[found].sum()))


def plan(looks: str, *, margin: float | None = None, max_ratio: float | None = None) -> dict[str, Any]:
    """A frozen plan of one gate, a pass rate or the cost of a request."""
    limits = {"margin": None if margin is None else str(margin), "max_ratio": None if max_ratio is None else max_ratio}
    return {
        "arms": {"incumbent": {"model": "incumbent"}, "candidate": {"model": "candidate"}},
        "scorers": [{"key": PASS, "name": "exact", "version": "1", "config": {}}],
        "criteria": [{"metric": PASS if max_ratio is None else COST, "role": "primary", **limits}],
        "looks": looks,
        "alpha": "0.05",
        "minimum_samples": 1,
        "horizon": {"maximum_samples": None, "decide_by": None},
    }


def evidence(
    incumbent: Column,
    candidate: Column,
    *,
    clusters: NDArray[np.int64] | None = None,
    failed: Column | None = None,
    costs: tuple[Column, Column] | None = None,
) -> Evidence:
    """Scores of both arms by sample; ``failed`` are the candidate's, which score 0 and were not answered."""
    n = len(incumbent)
    nothing = np.zeros(n)
    failed = nothing if failed is None else failed

    def arm(scores: Column, failure: Column, cost: Column) -> ArmEvidence:
        answered = {PASS: np.where(failure > 0, np.nan, scores)}
        counted = {PASS: np.where(failure > 0, 0.0, scores)}
        return ArmEvidence(failure, counted, answered, cost, nothing, nothing, nothing, nothing)

    paid = costs or (nothing, nothing)
    own = -1 - np.arange(n)
    return Evidence(
        np.arange(n),
        own if clusters is None else clusters,
        arm(incumbent, nothing, paid[0]),
        arm(candidate, failed, paid[1]),
    )


def of_pairs(n: int, wins: int, losses: int) -> Evidence:
    """``wins`` samples that only the candidate passes, ``losses`` that only the incumbent does; the rest both."""
    incumbent, candidate = np.ones(n), np.ones(n)
    incumbent[:wins], candidate[wins : wins + losses] = 0.0, 0.0
    return evidence(incumbent, candidate)


def is_safe(reading: PlanReading) -> bool:
    return reading.decision is Decision.SAFE_TO_SWITCH


def is_better(reading: PlanReading) -> bool:
    return reading.comparisons[0].reading.verdict is Verdict.BETTER


QUESTIONS = {"safe": is_safe, "better": is_better}


class Boundary:
    """From how many wins on a plan's reading says yes: more wins never turn it back, so a few readings find it.

    The reading of unclustered pass/fail depends on its counts alone; ten thousand pilots ask for the same few.
    """

    def __init__(self, document: Mapping[str, Any], question: str) -> None:
        self._document, self._holds = document, QUESTIONS[question]
        self._known: dict[tuple[int, int], int] = {}

    def says(self, n: int, wins: int, losses: int) -> bool:
        return self._holds(read_plan(self._document, of_pairs(n, wins, losses), on=ON, taken=self._before(n)))

    def _before(self, n: int) -> LooksTaken | None:
        """Of a planned horizon: the checks of the nights before, which left the question open."""
        earlier = [each for each in self._document["horizon"].get("planned_looks", ()) if each < n]
        if not earlier:
            return None
        names = ("n", "incumbent", "candidate", "difference", "ratio", "lower", "upper", "missing", "reason")
        look = {"number": len(earlier), "of": NIGHTS, "samples": earlier[-1], "pairs": earlier, "alpha": None}
        open_one = {**dict.fromkeys(names), "method": "", "verdict": "inconclusive", "look": look}
        return LooksTaken(len(earlier), {PASS: open_one})

    def least_wins(self, n: int, losses: int) -> int:
        """n - losses + 1 where not even a win on every other pair is enough."""
        found = self._known.get((n, losses))
        if found is None:
            found = self._known[n, losses] = self._search(n, losses)
        return found

    def _search(self, n: int, losses: int) -> int:
        too_few, enough = -1, n - losses + 1
        guess, step = self._known.get((n, losses - 1), 0), 1
        while too_few < guess < enough:
            if self.says(n, guess, losses):
                enough = guess
            else:
                too_few = guess
                guess, step = min(guess + step, n - losses), 2 * step
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            too_few, enough = (too_few, middle) if self.says(n, middle, losses) else (middle, enough)
        return enough


@cache
def boundary(looks: str, margin: float, question: str) -> Boundary:
    """One for each process: settings that differ in the truth alone share it."""
    document = plan(looks, margin=margin)
    if looks == "planned_horizon":
        nights = [PER_NIGHT * night for night in range(1, NIGHTS + 1)]
        document["horizon"] |= {"maximum_samples": nights[-1], "planned_looks": nights}
    return Boundary(document, question)


def ever(
    reps: int,
    rng: np.random.Generator,
    *,
    looks: str,
    margin: float,
    wins: float,
    losses: float,
    question: str = "safe",
) -> Tally:
    """Pilots of 60 nights of 25 pairs that on some night answered yes; ``wins`` and ``losses`` are true shares."""
    ask = boundary(looks, margin, question)
    nightly = rng.multinomial(PER_NIGHT, [wins, losses, 1 - wins - losses], size=(reps, NIGHTS))
    so_far = nightly.cumsum(axis=1)
    samples = np.zeros(reps, np.int64)
    for night in range(NIGHTS):
        open_ones = np.flatnonzero(samples == 0)
        n = (night + 1) * PER_NIGHT
        lost = so_far[open_ones, night, 1]
        distinct, places = np.unique(lost, return_inverse=True)
        least = np.array([ask.least_wins(n, each) for each in distinct.tolist()], np.int64)
        samples[open_ones[so_far[open_ones, night, 0] >= least[places]]] = n
    return tally(samples > 0, samples)


def conversations(reps: int, rng: np.random.Generator, *, margin: float, wins: float, turns: int, icc: float) -> Tally:
    """Five conversations a night, whose turns agree with their conversation with probability sqrt(icc)."""
    document = plan("every_night", margin=margin)
    shares = [wins, wins + margin, 1 - 2 * wins - margin]
    many = NIGHTS * PER_NIGHT // turns
    names = np.repeat(np.arange(many), turns)

    def once() -> bool:
        own, theirs = (rng.choice([1, -1, 0], p=shares, size=size) for size in ((many, turns), (many, 1)))
        difference = np.where(rng.random((many, turns)) < icc**0.5, theirs, own).ravel()
        incumbent, candidate = (difference <= 0).astype(float), (difference >= 0).astype(float)
        return any(
            is_safe(read_plan(document, evidence(incumbent[:n], candidate[:n], clusters=names[:n]), on=ON))
            for n in range(PER_NIGHT, len(difference) + 1, PER_NIGHT)
        )

    return tally(np.array([once() for _ in range(reps)]))


def golden_set(reps: int, rng: np.random.Generator, *, margin: float, prompts: int) -> Tally:
    """The same prompts every night: each counts once, with its mean. One prompt in five is 30 points easier or harder
    for the candidate; drawn anew for each pilot, since the set is the sample."""
    document = plan("every_night", margin=margin)

    def once() -> bool:
        easy = rng.uniform(0.35, 0.65, prompts)
        shift = rng.choice([0.3, -0.3, 0.0], p=[0.1, 0.1, 0.8], size=prompts) - margin
        passes = np.zeros((2, prompts))
        for night in range(1, NIGHTS + 1):
            passes += rng.random((2, prompts)) < np.array([easy, easy + shift])
            if is_safe(read_plan(document, evidence(*(passes / night)), on=ON)):
                return True
        return False

    return tally(np.array([once() for _ in range(reps)]))


def vendor_errors(reps: int, rng: np.random.Generator, *, n: int, margin: float) -> Tally:
    """The candidate's vendor fails on 4 % of the prompts, which the incumbent mostly solves; else they are equal."""
    document = plan("one_look", margin=margin)

    def once() -> bool:
        kind = rng.choice(4, p=[0.04, 0.04, 0.04, 0.88], size=n)  # error, win, loss, neither
        failed = (kind == 0).astype(float)
        incumbent = np.where(kind == 1, 0.0, np.where(kind == 0, rng.random(n) < 0.925, 1.0))
        candidate = np.where(kind == 2, 0.0, 1.0)
        return is_safe(read_plan(document, evidence(incumbent, candidate, failed=failed), on=ON))

    return tally(np.array([once() for _ in range(reps)]))


def bills(rng: np.random.Generator, n: int, *, sigma: float, rho: float, ratio: float) -> tuple[Column, Column]:
    """Lognormal costs of both arms, correlated on the log scale; ``ratio`` is that of their means."""
    logs = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n) * sigma
    return np.exp(logs[:, 0]), ratio * np.exp(logs[:, 1])


def cost_at_the_limit(reps: int, rng: np.random.Generator, *, max_ratio: float, sigma: float, rho: float) -> Tally:
    """The cost gate read every night, the true ratio exactly at what was agreed."""
    document = plan("every_night", max_ratio=max_ratio)

    def once() -> bool:
        costs = bills(rng, NIGHTS * PER_NIGHT, sigma=sigma, rho=rho, ratio=max_ratio)
        passes = np.ones(NIGHTS * PER_NIGHT)
        return any(
            is_safe(read_plan(document, evidence(passes[:n], passes[:n], costs=(costs[0][:n], costs[1][:n])), on=ON))
            for n in range(4 * PER_NIGHT, len(passes) + 1, PER_NIGHT)
        )

    return tally(np.array([once() for _ in range(reps)]))


def clusters(reps: int, rng: np.random.Generator, *, groups: int, icc: float, kind: str) -> Tally:
    """Coverage of CR3 with Kish's degrees of freedom; sizes lognormal around 8 with sigma 0.8.

    ``kind``: normal, pass/fail, or an effect tied to the size of the cluster. Where every difference is the same there
    is no interval, and the run counts as covered.
    """

    def truth() -> float:
        # The mean over rows of an effect of 0.1 (log size - log 8): 0.1 sigma^2, by the mean of the tilted normal.
        return 0.1 * 0.8**2 if kind == "tied" else 0.0

    def once() -> bool:
        sizes = np.maximum(1, np.rint(8 * np.exp(0.8 * rng.standard_normal(groups)))).astype(int)
        names = np.repeat(np.arange(groups), sizes)
        if kind == "pass/fail":
            own, theirs = (rng.choice([1.0, -1.0, 0.0], p=[0.05, 0.05, 0.9], size=m) for m in (len(names), groups))
            rows = np.where(rng.random(len(names)) < icc**0.5, theirs[names], own)
        else:
            rows = icc**0.5 * rng.standard_normal(groups)[names] + (1 - icc) ** 0.5 * rng.standard_normal(len(names))
        if kind == "tied":
            rows = 0.3 * rows + 0.1 * np.log(sizes / 8)[names]
        read = clustered_mean(diff=rows, cluster=names.tolist())
        return read.lower is None or read.upper is None or read.lower <= truth() <= read.upper

    return tally(np.array([once() for _ in range(reps)]))


def retention(reps: int, rng: np.random.Generator, *, n: int, staying: float) -> Tally:
    """Coverage of the share still switched at day 90; each was followed for between 30 and 270 days."""
    hazard = -np.log(staying) / 90

    def once() -> bool:
        left, followed = rng.exponential(1 / hazard, n), rng.uniform(30, 270, n)
        curve = kaplan_meier(np.minimum(left, followed), (left <= followed).astype(int))
        point = curve.at(90)
        return (point.lower is None or point.lower <= staying) and (point.upper is None or staying <= point.upper)

    return tally(np.array([once() for _ in range(reps)]))


def cost_ratio(reps: int, rng: np.random.Generator, *, n: int, sigma: float, rho: float) -> Tally:
    """Coverage of the ratio of totals; an unbounded set covers everything."""

    def once() -> bool:
        incumbent, candidate = bills(rng, n, sigma=sigma, rho=rho, ratio=0.8)
        read = ratio_of_totals(candidate, incumbent)
        return read.lower is None or read.upper is None or read.lower <= 0.8 <= read.upper

    return tally(np.array([once() for _ in range(reps)]))
