"""Planned looks up to a fixed horizon: ``boundaries``, and ``level_at_look``, what they leave for one interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics.distributions import z_quantile
from evaluations.statistics.inputs import Vector, count, same_length, share, vector
from evaluations.statistics.results import GroupSequential, StatisticsError

# Quadrature: Gauss-Legendre points per panel, panel width in standard deviations of the narrower increment, and how
# many standard deviations below 0 a score can fall before double precision loses sight of it.
_POINTS = 8
_PANEL = 3.0
_DEEPEST = 8.5
# The largest z whose tail probability double precision can hold.
_HIGHEST = 37.5
SMALLEST_INCREMENT = 0.001
# Past this z no sample can tell: less than one in ten thousand million is spent, and 1 - alpha leaves double precision.
_READABLE = 6.5


def boundaries(fractions: ArrayLike, alpha: float = 0.025, *, spent_at: ArrayLike | None = None) -> GroupSequential:
    """One-sided z boundaries at the given information fractions, O'Brien-Fleming-like.

    Lan & DeMets 1983 (Biometrika 70:659) spending 2 - 2 Phi(z_{1 - alpha/2} / sqrt t) with one-sided alpha, each
    boundary solved by the recursive integration of Armitage, McPherson & Rowe 1969 (JRSS-A 132:235). ``fractions``
    ascend in (0, 1] by at least 0.001. A look too early to spend anything has no boundary. ``spent_at``: the fractions
    by which alpha is spent, where more information came than was planned and those of the information are of another
    total.
    """
    from scipy.special import ndtr

    t = vector("fractions", fractions)
    increments = np.diff(t, prepend=0.0)
    # A thousandth read from a file is rarely exactly one.
    if increments.min() < SMALLEST_INCREMENT * (1 - 1e-9) or t[-1] > 1:
        raise StatisticsError(f"fractions must ascend within (0, 1] by at least {SMALLEST_INCREMENT}")
    by = t if spent_at is None else vector("spent_at", spent_at)
    same_length(fractions=t, spent_at=by)
    if np.diff(by, prepend=0.0).min() <= 0 or by[-1] > 1:
        raise StatisticsError("spent_at must ascend within (0, 1]")
    spent = 2 * ndtr(-z_quantile(1 - share("alpha", alpha) / 2) / np.sqrt(by))
    to_spend, deviations, spread = np.diff(spent, prepend=0.0), np.sqrt(increments), np.sqrt(t)
    # Where the score stands among the runs that went on: before the first look, at 0 with certainty.
    scores, weights = np.zeros(1), np.ones(1)
    bounds: list[float | None] = []
    for look in range(len(t)):
        if look:
            scores, weights = _carry_on(
                scores, weights, deviations[look - 1 : look + 1], bounds[-1], float(spread[look - 1])
            )
        bounds.append(_bound(scores, weights, float(deviations[look]), float(to_spend[look]), float(spread[look])))
    return GroupSequential(
        z=tuple(
            None if bound is None else bound / spread for bound, spread in zip(bounds, spread.tolist(), strict=True)
        )
    )


def level_at_look(units: Sequence[int], maximum: int, alpha: float = 0.05) -> float | None:
    """The two-sided level of the interval at the last of some looks, so that all of them together keep to ``alpha``.

    ``units`` are those read at each look so far, ascending; ``maximum`` is what the plan fixed. A fixed-n interval at
    this level is the repeated confidence interval of Jennison & Turnbull 1989 (JRSS-B 51:305), with a t interval at
    the nominal level where there is one (their 2000 book, section 4.4). None: too early to tell anything, or too few
    units since the look before (under a thousandth of the maximum).
    """
    return _level(
        tuple(count("units", each, smallest=1) for each in units), count("maximum", maximum, smallest=1), alpha
    )


@lru_cache(maxsize=4096)
def _level(units: tuple[int, ...], maximum: int, alpha: float) -> float | None:
    from scipy.special import ndtr

    most = max(maximum, units[-1])
    if any(b - a < SMALLEST_INCREMENT * most for a, b in zip((0, *units), units, strict=False)):
        return None
    spent_at = [min(each / maximum, 1.0) for each in units]
    information = [each / most for each in units]
    z = boundaries(information, share("alpha", alpha) / 2, spent_at=spent_at).z[-1]
    return None if z is None or z > _READABLE else float(2 * ndtr(-z))


def _bound(scores: Vector, weights: Vector, deviation: float, to_spend: float, spread: float) -> float | None:
    """The score above which, one increment later, probability ``to_spend`` lies; None when that is nothing."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    smallest = float(np.finfo(np.float64).tiny)
    if to_spend < smallest:
        return None

    def excess(bound: float) -> float:
        above = float(ndtr((scores - bound) / deviation) @ weights)
        return math.log(max(above, smallest) / to_spend)

    return float(brentq(excess, -_DEEPEST * spread, _HIGHEST * spread, xtol=1e-10))


def _carry_on(
    scores: Vector, weights: Vector, deviations: Vector, bound: float | None, spread: float
) -> tuple[Vector, Vector]:
    """Scores after an increment among the runs below the bound: quadrature points and weights times density."""
    deviation = float(deviations[0])
    low, high = -_DEEPEST * spread, _DEEPEST * spread if bound is None else bound
    panels = math.ceil((high - low) / (_PANEL * float(deviations.min())))
    nodes, node_weights = np.polynomial.legendre.leggauss(_POINTS)
    edges = np.linspace(low, high, panels + 1)
    half = (edges[1] - edges[0]) / 2
    grid = ((edges[:-1] + half)[:, None] + half * nodes).ravel()
    steps = (grid[:, None] - scores[None, :]) / deviation
    density = np.exp(-0.5 * steps * steps) @ weights / (deviation * math.sqrt(2 * math.pi))
    return grid, density * np.tile(half * node_weights, panels)
