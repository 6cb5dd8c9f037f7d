"""Several tests at once: ``adjust_pvalues``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from evaluations.statistics.inputs import listed, share, vector
from evaluations.statistics.results import AdjustedPValues, StatisticsError

Method = Literal["holm", "bh"]


def adjust_pvalues(p_values: Sequence[float | None], *, method: Method, alpha: float = 0.05) -> AdjustedPValues:
    """Holm 1979 (Scand J Stat 6:65) or Benjamini & Hochberg 1995 (JRSS-B 57:289); None = not tested, stays None.

    Raises ``StatisticsError`` on a value outside [0, 1] or another method.
    """
    if method not in get_args(Method):
        raise StatisticsError("method must be holm or bh")
    tested = vector("p_values", [p for p in listed("p_values", p_values) if p is not None], at_least=0)
    alpha = share("alpha", alpha)
    if len(tested) and not (tested.min() >= 0 and tested.max() <= 1):
        raise StatisticsError("p_values must lie between 0 and 1")
    if len(tested) == 0:
        return AdjustedPValues(adjusted=tuple(None for _ in p_values), n_tests=0, n_rejected=0)

    from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]

    corrected = [float(p) for p in multipletests(tested, method="holm" if method == "holm" else "fdr_bh")[1]]
    remaining = iter(corrected)
    return AdjustedPValues(
        adjusted=tuple(None if p is None else next(remaining) for p in p_values),
        n_tests=len(corrected),
        n_rejected=sum(p <= alpha for p in corrected),
    )
