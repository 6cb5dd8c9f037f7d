"""When the sample is not the production mix, or not paired: ``stratified_mean``, ``post_stratified``, ``cuped``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics.inputs import flags, number, positive, same_length, share, vector
from evaluations.statistics.results import Cuped, PostStratified, StatisticsError, StratifiedMean

# HC2 divides by 1 - leverage.
_DECISIVE = 1e-9


def stratified_mean(strata: Sequence[tuple[float, ArrayLike]]) -> StratifiedMean:
    """Mean difference at the production mix (Cochran 1977, section 5.4), strata as (weight, differences).

    Weights are normalised; the se comes from the variances within strata and is None when a weighted stratum has a
    single row (merge it). Raises ``StatisticsError`` on an empty stratum and on weights that are negative or all 0.
    """
    weights = vector("weight", [number("weight", weight) for weight, _ in strata])
    samples = [vector("diff", rows) for _, rows in strata]
    if weights.min() < 0 or weights.sum() == 0:
        raise StatisticsError("weights must not be negative, nor all 0")
    weights = weights / weights.sum()
    variance: float | None = 0.0
    for weight, rows in zip(weights.tolist(), samples, strict=True):
        if weight == 0:
            continue
        if len(rows) < 2:
            variance = None
            break
        variance += weight**2 * float(rows.var(ddof=1)) / len(rows)
    return StratifiedMean(
        diff=float(weights @ np.array([rows.mean() for rows in samples])),
        se=None if variance is None else math.sqrt(variance),
        unweighted=float(np.concatenate(samples).mean()),
    )


def post_stratified(
    *,
    diffs: ArrayLike,
    strata: ArrayLike,
    shares: Sequence[float],
    clusters: ArrayLike | None = None,
    cap: float = 5.0,
    alpha: float = 0.05,
) -> PostStratified:
    """Mean difference at a target's mix, from rows drawn at another one (Holt & Smith 1979; Cochran 1977, 5A.9).

    ``strata`` numbers each row's stratum, from 0, and ``shares`` are the strata's in the target, normalised here. A row
    weighs the share of its stratum in the target over that among the rows, ``cap`` at the most, so that a few rows do
    not decide. Limits: t with n - strata degrees of freedom; with ``clusters``, the sandwich of a regression on the
    strata with the usual small-sample factor, and clusters - 1. They are those of one look. Raises ``StatisticsError``
    on a stratum without a row or a share.
    """
    values, cap = vector("diffs", diffs), positive("cap", cap)
    target = vector("shares", [number("share", one) for one in shares])
    stratum = np.asarray(strata, dtype=np.intp)
    same_length(diffs=values, strata=stratum)
    sizes = np.bincount(stratum, minlength=len(target))
    if len(sizes) != len(target) or sizes.min() == 0 or target.min() <= 0:
        raise StatisticsError("each stratum needs a row and a share")
    n, target = len(values), target / target.sum()
    wanted = target * n / sizes
    weights = np.minimum(wanted, cap)
    shown = weights * sizes / (weights * sizes).sum()
    means = np.bincount(stratum, weights=values) / sizes
    left = (values - means[stratum]) * (shown / sizes)[stratum]  # what each row adds to the error of the mean
    degrees = n - len(sizes)
    variance: float | None = None
    if sizes.min() == 1:
        pass  # a single row does not say how far it may be off
    elif clusters is not None:
        _, of = np.unique(np.asarray(clusters), return_inverse=True)
        sums = np.bincount(of, weights=left)
        degrees = len(sums) - 1
        if degrees > 0:
            variance = len(sums) / degrees * (n - 1) / (n - len(sizes)) * float(sums @ sums)
    else:
        variance = float((left**2 * (sizes / (sizes - 1))[stratum]).sum())
    diff, se = float(shown @ means), None if not variance else math.sqrt(variance)
    reach = None
    if se is not None and se > 1e-12:
        from scipy.stats import t

        reach = float(t.ppf(1 - share("alpha", alpha) / 2, degrees)) * se
    total = weights * sizes
    return PostStratified(
        n=n,
        effective_n=float(total.sum() ** 2 / (weights @ total)),
        diff=diff,
        unweighted=float(values.mean()),
        se=None if reach is None else se,
        lower=None if reach is None else diff - reach,
        upper=None if reach is None else diff + reach,
        weights=tuple(weights.tolist()),
        capped=bool((wanted > cap).any()),
    )


def cuped(*, outcome: ArrayLike, covariate: ArrayLike, candidate: ArrayLike) -> Cuped:
    """Difference between two unpaired arms, adjusted for a covariate from before the split.

    Regression on arm, centred covariate and their product (Lin 2013, Ann Appl Stat 7:295), HC2 standard error. All
    lists have one length; ``candidate`` is 0 or 1. Raises ``StatisticsError`` under 3 units an arm, when one
    arm's covariate does not vary while the other's does, and when a single unit decides an arm's slope.
    """
    y, x = vector("outcome", outcome), vector("covariate", covariate)
    arm = flags("candidate", candidate)
    same_length(outcome=y, covariate=x, candidate=arm)
    if min(arm.sum(), (~arm).sum()) < 3:
        raise StatisticsError("each arm needs at least 3 units")
    centred = x - x.mean()
    design = np.column_stack([np.ones(len(y)), arm, centred, centred * arm])
    if np.ptp(x) == 0:
        design = design[:, :2]
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise StatisticsError("the covariate does not vary in one of the arms")
    basis, _ = np.linalg.qr(design)
    if (basis**2).sum(axis=1).max() > 1 - _DECISIVE:
        raise StatisticsError("a single unit decides the slope in one of the arms")

    import statsmodels.api as sm  # type: ignore[import-untyped]

    fit = sm.OLS(y, design).fit(cov_type="HC2")
    return Cuped(diff=float(fit.params[1]), se=float(fit.bse[1]), raw_diff=float(y[arm].mean() - y[~arm].mean()))
