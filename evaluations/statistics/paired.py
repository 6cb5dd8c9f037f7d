"""Two arms, the same samples: ``paired_binary``, ``paired_mean``, ``clustered_mean``, ``tango``, ``missing_pairs``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics import noninferiority
from evaluations.statistics.distributions import sign_test, t_quantile, z_quantile
from evaluations.statistics.inputs import Vector, count, defined, labels, listed, same_length, share, vector
from evaluations.statistics.proportions import wilson
from evaluations.statistics.results import ClusteredMean, MissingPairs, PairedBinary, PairedMean, StatisticsError

# Differences this close, relative to the values, differ by rounding only.
_ROUNDING = 1e-12


class PairOutcome(StrEnum):
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    VENDOR_ERROR = "vendor_error"
    HARNESS_ERROR = "harness_error"


def paired_binary(
    *, both_pass: int, candidate_only: int, incumbent_only: int, neither: int, alpha: float = 0.05
) -> PairedBinary:
    """Difference of two pass rates on the same samples, for one look.

    Interval: Tango 1998 (Stat Med 17:891); beside it Newcombe 1998 (Stat Med 17:2635), method 10. P values: McNemar
    exact conditional and mid-p as in Fagerland, Lydersen & Laake 2013 (BMC Med Res Methodol 13:91); both 1 without
    any discordant pair. Raises ``StatisticsError`` without a pair.
    """
    a, b, c, d = (
        count("both_pass", both_pass),
        count("candidate_only", candidate_only),
        count("incumbent_only", incumbent_only),
        count("neither", neither),
    )
    n = a + b + c + d
    lower, upper = tango(wins=b, losses=c, n=n, alpha=alpha)
    newcombe_lower, newcombe_upper = _newcombe(a, b, c, d, alpha)
    exact_p = sign_test(b, c)
    return PairedBinary(
        n=n,
        diff=(b - c) / n,
        lower=lower,
        upper=upper,
        newcombe_lower=newcombe_lower,
        newcombe_upper=newcombe_upper,
        mcnemar_exact_p=exact_p,
        mcnemar_midp=_mid_p(b, c, exact_p),
    )


def tango(*, wins: int, losses: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Score limits for (wins - losses) / n among n pairs; Tango 1998, equations 10 to 12.

    A trial difference x is inside when (wins - losses - n x)^2 <= z^2 n (2 q + x (1 - x)), q being the constrained
    maximum likelihood estimate of the probability of a loss. Without a discordant pair the limits are
    +-z^2 / (n + z^2). Raises ``StatisticsError`` without a pair.
    """
    from scipy.optimize import brentq

    if n == 0:
        raise StatisticsError("there is no pair to compare")
    per_pair = z_quantile(1 - share("alpha", alpha) / 2) ** 2 / n

    def excess(x: float, win: float, loss: float) -> float:
        """Squared distance from x beyond what chance explains, per pair; negative inside the interval."""
        linear = (2 - win + loss) * x - win - loss
        root = math.sqrt(max(linear * linear + 8 * loss * x * (1 - x), 0.0))
        # The larger root of the quadratic, each time in the form that does not cancel.
        q = (root - linear) / 4 if linear <= 0 else 2 * loss * x * (1 - x) / (linear + root)
        return (win - loss - x) ** 2 - per_pair * max(2 * q + x * (1 - x), 0.0)

    def upper_limit(win: float, loss: float) -> float:
        if win == 1:
            return 1.0
        # With no variance at the estimate the estimate itself is a root, and not the one wanted.
        if win == loss == 0:
            return per_pair / (1 + per_pair)
        if loss == 1:
            return (per_pair - 1) / (per_pair + 1)
        return float(brentq(excess, win - loss, 1.0, args=(win, loss), xtol=1e-14))

    # Swapping the arms mirrors the interval.
    win, loss = wins / n, losses / n
    return -upper_limit(loss, win), upper_limit(win, loss)


def paired_mean(*, incumbent: ArrayLike, candidate: ArrayLike, alpha: float = 0.05) -> PairedMean:
    """Paired t on candidate - incumbent, two vectors of one length (Miller 2024, arXiv 2411.00640).

    All differences equal: no interval and no p value. Raises ``StatisticsError`` under 2 pairs.
    """
    from scipy.stats import ttest_rel

    x = vector("incumbent", incumbent, at_least=2)
    y = vector("candidate", candidate, at_least=2)
    same_length(incumbent=x, candidate=y)
    level = 1 - share("alpha", alpha)
    differences = y - x
    n = len(differences)
    diff, se = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(n)
    if _all_equal(differences, scale=max(np.abs(x).max(), np.abs(y).max())):
        return PairedMean(n=n, diff=diff, se=0.0, df=n - 1, lower=None, upper=None, p_value=None)
    test = ttest_rel(y, x)
    interval = test.confidence_interval(level)
    return PairedMean(
        n=n,
        diff=diff,
        se=se,
        df=n - 1,
        lower=float(interval.low),
        upper=float(interval.high),
        p_value=float(test.pvalue),
    )


def clustered_mean(*, diff: ArrayLike, cluster: Sequence[Hashable], alpha: float = 0.05) -> ClusteredMean:
    """Mean over rows when rows of one cluster (conversation, customer) belong together.

    The interval uses the jackknife CR3 of MacKinnon, Nielsen & Webb 2023 (J Econometrics 232:272) with the factor
    (G - 1) / G, and t on Kish effective clusters minus 1; CR1 is beside it. ``diff`` and ``cluster`` have one length;
    labels are text or integers. Raises ``StatisticsError`` under 2 clusters.
    """
    rows = vector("diff", diff)
    codes, names = labels("cluster", cluster)
    same_length(diff=rows, cluster=codes)
    share("alpha", alpha)
    n, groups = len(rows), len(names)
    if groups < 2:
        raise StatisticsError("one cluster says nothing about the spread between clusters")
    mean = float(rows.mean())
    sizes = np.bincount(codes, minlength=groups)
    residuals = np.bincount(codes, weights=rows - mean, minlength=groups)
    # The mean without cluster g is mean - residual_g / (n - size_g).
    jackknife = residuals / (n - sizes)
    se_cr3 = math.sqrt((groups - 1) / groups * float(jackknife @ jackknife))
    se_cr1 = math.sqrt(groups / (groups - 1) * float(residuals @ residuals)) / n
    effective = n**2 / float(sizes @ sizes)
    half_width = None
    if se_cr3 > _ROUNDING * float(np.abs(rows).max()):
        half_width = defined(t_quantile(1 - alpha / 2, effective - 1) * se_cr3)
    return ClusteredMean(
        n=n,
        n_clusters=groups,
        effective_clusters=effective,
        df=effective - 1,
        diff=mean,
        se_cr1=se_cr1,
        se_cr3=se_cr3,
        lower=None if half_width is None else mean - half_width,
        upper=None if half_width is None else mean + half_width,
    )


def missing_pairs(pairs: Sequence[Sequence[str]], *, margin: float, alpha: float = 0.05) -> MissingPairs:
    """Pass/fail pairs with errors among them: counted and per protocol, each with its verdict.

    ``pairs`` are [incumbent, candidate], each a ``PairOutcome``. A harness error on either side leaves the pair out; a
    vendor's error counts as a failure, and per protocol leaves the pair out. No pair left: no interval, inconclusive.
    Raises ``StatisticsError`` on an empty list or an unknown outcome.
    """
    tally = Counter(_outcomes(pair) for pair in listed("pairs", pairs))
    if not tally:
        raise StatisticsError("pairs is empty")
    usable = {pair: times for pair, times in tally.items() if PairOutcome.HARNESS_ERROR not in pair}
    answered = {pair: times for pair, times in usable.items() if PairOutcome.VENDOR_ERROR not in pair}
    n_itt, diff_itt, lower_itt, upper_itt = _pass_rates(usable, alpha)
    n_pp, diff_pp, lower_pp, upper_pp = _pass_rates(answered, alpha)
    verdict = noninferiority.verdict(lower_itt, upper_itt, margin).verdict
    verdict_pp = noninferiority.verdict(lower_pp, upper_pp, margin).verdict
    return MissingPairs(
        n_itt=n_itt,
        diff_itt=diff_itt,
        lower_itt=lower_itt,
        upper_itt=upper_itt,
        verdict=verdict,
        n_pp=n_pp,
        diff_pp=diff_pp,
        lower_pp=lower_pp,
        upper_pp=upper_pp,
        verdict_pp=verdict_pp,
        excluded=tally.total() - n_itt,
        sensitive=verdict != verdict_pp,
    )


Pair = tuple[PairOutcome, PairOutcome]


def _outcomes(pair: Sequence[str]) -> Pair:
    if len(listed("pairs", pair)) != 2:
        raise StatisticsError("each of pairs must be [incumbent, candidate]")
    try:
        return PairOutcome(pair[0]), PairOutcome(pair[1])
    except ValueError:
        raise StatisticsError(f"unknown outcome in pairs; known are {', '.join(PairOutcome)}") from None


def _pass_rates(tally: dict[Pair, int], alpha: float) -> tuple[int, float | None, float | None, float | None]:
    n = sum(tally.values())
    if n == 0:
        return 0, None, None, None
    passes = {pair: (pair[0] is PairOutcome.PASS, pair[1] is PairOutcome.PASS) for pair in tally}
    wins = sum(times for pair, times in tally.items() if passes[pair] == (False, True))
    losses = sum(times for pair, times in tally.items() if passes[pair] == (True, False))
    return n, (wins - losses) / n, *tango(wins=wins, losses=losses, n=n, alpha=alpha)


def _newcombe(a: int, b: int, c: int, d: int, alpha: float) -> tuple[float, float]:
    """Square-and-add of the two Wilson intervals, with the correlation phi corrected for continuity (method 10)."""
    n = a + b + c + d
    candidate, incumbent = (a + b) / n, (a + c) / n
    candidate_lower, candidate_upper = wilson(a + b, n, alpha)
    incumbent_lower, incumbent_upper = wilson(a + c, n, alpha)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    covariance: float = a * d - b * c
    if covariance > 0:
        covariance = max(covariance - n / 2, 0.0)
    phi = covariance / math.sqrt(margins) if margins else 0.0

    def distance(x: float, y: float) -> float:
        return math.sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0))

    diff = (b - c) / n
    return (
        diff - distance(candidate - candidate_lower, incumbent_upper - incumbent),
        diff + distance(candidate_upper - candidate, incumbent - incumbent_lower),
    )


def _mid_p(b: int, c: int, exact_p: float) -> float:
    """Exact p less half the probability of tables as likely as this one; 1 when there is no discordant pair."""
    from scipy.stats import binom

    if b + c == 0:
        return 1.0
    this_table = float(binom.pmf(b, b + c, 0.5))
    return exact_p - (this_table / 2 if b == c else this_table)


def _all_equal(differences: Vector, *, scale: float) -> bool:
    return float(np.ptp(differences)) <= _ROUNDING * scale
