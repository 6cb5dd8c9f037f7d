"""Judges, human and model: ``pairwise_judge``, ``prediction_powered_mean``, ``cohens_kappa``, ``bradley_terry``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from evaluations.enums import Preference
from evaluations.statistics.distributions import sign_test, z_quantile
from evaluations.statistics.inputs import Vector, count, listed, same_length, share, square, vector
from evaluations.statistics.paired import tango
from evaluations.statistics.results import BradleyTerry, Kappa, PairwiseJudge, PredictionPowered, StatisticsError


def pairwise_judge(verdicts: Sequence[Sequence[str]], *, alpha: float = 0.05) -> PairwiseJudge:
    """Preferences asked in both orders; a win has to hold in both, any disagreement is a tie.

    ``verdicts`` are [with the candidate shown first, with the candidate shown second], each a ``Preference``. Interval
    of (wins - losses) / n as ``tango``; exact sign test. Raises ``StatisticsError`` without a verdict.
    """
    both = [_preferences(pair) for pair in listed("verdicts", verdicts)]
    n = len(both)
    wins, losses = both.count((Preference.CANDIDATE,) * 2), both.count((Preference.INCUMBENT,) * 2)
    to_first = both.count((Preference.CANDIDATE, Preference.INCUMBENT))
    to_second = both.count((Preference.INCUMBENT, Preference.CANDIDATE))
    lower, upper = tango(wins=wins, losses=losses, n=n, alpha=alpha)
    return PairwiseJudge(
        n=n,
        wins=wins,
        losses=losses,
        ties=n - wins - losses,
        flips=to_first + to_second,
        flips_to_first=to_first,
        net_win_rate=(wins - losses) / n,
        lower=lower,
        upper=upper,
        sign_p=sign_test(wins, losses),
    )


def prediction_powered_mean(
    *, human: ArrayLike, judge_on_human: ArrayLike, judge_rest: ArrayLike, alpha: float = 0.05
) -> PredictionPowered:
    """Mean of the human score over all answers, from a few human labels and a judge on all of them.

    Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023 (Science 382:669), lambda 1: mean(judge_rest) plus the mean
    error of the judge where humans looked; normal interval, population variances. ``human`` and ``judge_on_human`` go
    together and must be a random part of the answers. Raises ``StatisticsError`` when either part is empty.
    """
    truth, judged = vector("human", human), vector("judge_on_human", judge_on_human)
    same_length(human=truth, judge_on_human=judged)
    rest = vector("judge_rest", judge_rest)
    z = z_quantile(1 - share("alpha", alpha) / 2)
    error = truth - judged
    estimate = float(rest.mean() + error.mean())
    lower, upper = _normal_limits(estimate, z * math.sqrt(_variance_of_mean(rest) + _variance_of_mean(error)))
    human_lower, human_upper = _normal_limits(float(truth.mean()), z * math.sqrt(_variance_of_mean(truth)))
    return PredictionPowered(
        estimate=estimate,
        lower=lower,
        upper=upper,
        human_lower=human_lower,
        human_upper=human_upper,
        judge_only=float(np.concatenate([judged, rest]).mean()),
    )


def cohens_kappa(table: Sequence[Sequence[int]]) -> Kappa:
    """Agreement of two raters beyond chance (Cohen 1960), from the square table of their counts."""
    counts = square("table", table, integers=True)
    total = counts.sum()
    if total == 0:
        raise StatisticsError("table is empty")
    agreement = float(np.trace(counts) / total)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    # Chance agrees fully only when both raters always gave the same one answer.
    if (rows * columns).max() == total**2:
        return Kappa(agreement=agreement, kappa=None)
    chance = float(rows @ columns / total**2)
    return Kappa(agreement=agreement, kappa=(agreement - chance) / (1 - chance))


def bradley_terry(wins: Sequence[Sequence[float]], *, reference: int = 0) -> BradleyTerry:
    """Maximum likelihood abilities (Bradley & Terry 1952) from wins[i][j] = times i beat j; ties as halves.

    Natural log scale, the reference (0-based row) at 0. Raises ``StatisticsError`` where no finite estimate exists:
    some group of models never lost to the rest (Ford 1957, Am Math Monthly 64:28).
    """
    table = square("wins", wins, integers=False)
    models = len(table)
    if count("reference", reference) >= models:
        raise StatisticsError("reference must be the number of a row of wins")
    if np.diag(table).any():
        raise StatisticsError("a model cannot beat itself: the diagonal of wins must be 0")
    if not _strongly_connected(table):
        raise StatisticsError("some models never lost to the rest: there is no finite rating")
    free = np.arange(models) != reference
    played = table + table.T
    ability = np.zeros(models)
    for _ in range(200):
        beats = 1 / (1 + np.exp(ability[None, :] - ability[:, None]))
        # wins - played x beats, in the form that does not cancel between lopsided pairs.
        gradient = (table * beats.T - table.T * beats).sum(axis=1)
        weight = played * beats * beats.T
        information = np.diag(weight.sum(axis=1)) - weight
        step = np.zeros(models)
        step[free] = np.linalg.solve(information[np.ix_(free, free)], gradient[free])
        # A full Newton step can overshoot between lopsided pairs; the likelihood is concave, so short steps suffice.
        ability += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            return BradleyTerry(ability=tuple((ability - ability[reference]).tolist()))
    raise StatisticsError("the ratings did not settle: the results are too lopsided")


def _preferences(pair: Sequence[str]) -> tuple[Preference, Preference]:
    if len(listed("verdicts", pair)) != 2:
        raise StatisticsError("each of verdicts must hold the judgements of both orders")
    try:
        return Preference(pair[0]), Preference(pair[1])
    except ValueError:
        raise StatisticsError(f"unknown preference in verdicts; known are {', '.join(Preference)}") from None


def _strongly_connected(table: Vector) -> bool:
    """Whether every model is reached from every other along wins."""
    reached = (table > 0) | np.eye(len(table), dtype=np.bool_)
    for _ in range(len(table).bit_length()):
        reached = reached @ reached
    return bool(reached.all())


def _variance_of_mean(values: Vector) -> float:
    return float(values.var()) / len(values)


def _normal_limits(centre: float, half_width: float) -> tuple[float | None, float | None]:
    return (centre - half_width, centre + half_width) if half_width > 0 else (None, None)
