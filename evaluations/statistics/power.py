"""How many samples before the answer can be yes: ``sample_size_noninferiority``, ``smallest_n_for_a_tie``."""

from __future__ import annotations

import math

from evaluations.statistics.distributions import z_quantile
from evaluations.statistics.inputs import count, number, share
from evaluations.statistics.results import SampleSize, SmallestTie, StatisticsError
from evaluations.statistics.sequential import Counts, betting_cs

# A result this close to a whole number, or to the margin, differs from it by rounding only.
_ROUNDING = 1e-12


def sample_size_noninferiority(
    *,
    p_candidate_only: float,
    p_incumbent_only: float,
    margin: float,
    alpha: float = 0.025,
    power: float = 0.9,
    cluster_size: float = 1,
    icc: float = 0,
) -> SampleSize:
    """Pairs needed to show non-inferiority of two pass rates at one look.

    n = (z_a + z_b)^2 (psi - d^2) / (d + margin)^2, with psi the share of discordant pairs and d the true difference
    (Nam 1997, Biometrics 53:1422, normal form), times the design effect 1 + (cluster_size - 1) icc (Kish 1965).
    ``alpha`` is one-sided. Raises ``StatisticsError`` where the truth is at or past the margin, which no number of
    samples can show, or where no discordant pair is planned for.
    """
    wins, losses = number("p_candidate_only", p_candidate_only), number("p_incumbent_only", p_incumbent_only)
    if min(wins, losses) < 0 or wins + losses > 1:
        raise StatisticsError("p_candidate_only and p_incumbent_only must be shares of the pairs, together at most 1")
    margin, alpha, power = share("margin", margin), share("alpha", alpha), share("power", power)
    cluster_size, icc = number("cluster_size", cluster_size), number("icc", icc)
    if cluster_size < 1 or not 0 <= icc <= 1:
        raise StatisticsError("cluster_size must be at least 1 and icc between 0 and 1")
    if power <= alpha:
        raise StatisticsError("power must be above alpha")
    diff = wins - losses
    if diff + margin <= _ROUNDING:
        raise StatisticsError("a candidate at or past the margin can never be shown to be inside it")
    variance = wins + losses - diff**2
    if variance <= 0:
        raise StatisticsError("without discordant pairs the formula does not apply; see smallest_n_for_a_tie")
    z = z_quantile(1 - alpha) + z_quantile(power)
    design_effect = 1 + (cluster_size - 1) * icc
    pairs = z**2 * variance / (diff + margin) ** 2 * design_effect
    return SampleSize(n_pairs=math.ceil(pairs * (1 - _ROUNDING)), design_effect=design_effect)


def smallest_n_for_a_tie(margin: float, alpha: float = 0.05) -> SmallestTie:
    """The n below which even pairs without any difference cannot be shown to lie inside the margin.

    One look: Tango's limit without discordant pairs, z^2 / (n + z^2) < margin. Every night: the betting sequence on
    n zeros. ``alpha`` is two-sided.
    """
    margin, alpha = share("margin", margin), share("alpha", alpha)
    z_squared = z_quantile(1 - alpha / 2) ** 2
    one_look = math.floor(z_squared * (1 - margin) / margin) + 1

    def shown(n: int) -> bool:
        return betting_cs(counts=Counts(0, 0, n), alpha=alpha).lower > -margin

    enough = 1
    while not shown(enough):
        enough = count("n", 2 * enough)
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if shown(middle) else (middle, enough)
    return SmallestTie(one_look=one_look, every_night=enough)
