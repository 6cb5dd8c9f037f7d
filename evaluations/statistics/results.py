"""What the methods return: frozen dataclasses, and ``StatisticsError``, the one refusal of the room.

Everywhere ``None`` means not defined, or unbounded on that side; it is never a zero. ``diff`` is candidate minus
incumbent; ``lower`` and ``upper`` are two-sided limits at 1 - alpha.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from evaluations.enums import Verdict


class StatisticsError(ValueError):
    """The question cannot be answered from what was passed; the message says why."""


@dataclass(frozen=True)
class PairedMean:
    n: int  # pairs
    diff: float
    se: float
    df: int
    lower: float | None  # None, with upper and p_value, when all differences are equal
    upper: float | None
    p_value: float | None


@dataclass(frozen=True)
class ClusteredMean:
    n: int  # rows
    n_clusters: int
    effective_clusters: float  # Kish: N^2 / sum of squared cluster sizes
    df: float
    diff: float  # mean over rows
    se_cr1: float
    se_cr3: float
    lower: float | None  # None when every cluster says the same, or the degrees of freedom are too few
    upper: float | None


@dataclass(frozen=True)
class PairedBinary:
    n: int  # pairs
    diff: float  # pass rate of the candidate minus that of the incumbent
    lower: float  # Tango 1998
    upper: float
    newcombe_lower: float  # Newcombe 1998, method 10
    newcombe_upper: float
    mcnemar_exact_p: float
    mcnemar_midp: float


@dataclass(frozen=True)
class Rate:
    k: int
    n: int
    estimate: float
    wilson_lower: float
    wilson_upper: float
    exact_lower: float  # Clopper-Pearson
    exact_upper: float


@dataclass(frozen=True)
class BettingSequence:
    n: int
    diff: float | None  # None before the first unit
    lower: float
    upper: float
    log_e_noninferior: float | None  # log of the e-value against "worse by the margin or more"; None without a margin


@dataclass(frozen=True)
class FirstNight:
    first_night: int | None  # 1-based; None while no night is beyond the margin
    n: int  # units at that night, or at the last one
    lower: float


@dataclass(frozen=True)
class AsymptoticSequence:
    half_width: float | None  # None when sd is 0
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class GroupSequential:
    z: tuple[float | None, ...]  # one-sided boundary per look; None = this look cannot stop


@dataclass(frozen=True)
class VerdictResult:
    verdict: Verdict
    measurably_lower: bool | None  # non-inferior only: the whole interval is on the losing side, within the margin
    beyond_margin: bool | None  # worse only: the whole interval is past the margin


@dataclass(frozen=True)
class MissingPairs:
    """Counted (``itt``: a vendor's error is a failure) beside per protocol (``pp``: both answered)."""

    n_itt: int
    diff_itt: float | None  # None without a pair
    lower_itt: float | None
    upper_itt: float | None
    verdict: Verdict
    n_pp: int
    diff_pp: float | None
    lower_pp: float | None
    upper_pp: float | None
    verdict_pp: Verdict
    excluded: int  # pairs left out for our own errors
    sensitive: bool  # the two verdicts differ


@dataclass(frozen=True)
class AdjustedPValues:
    adjusted: tuple[float | None, ...]  # None = not tested
    n_tests: int
    n_rejected: int


@dataclass(frozen=True)
class Quantile:
    n: int  # calls, timeouts included
    estimate: float | None  # None = a timeout
    lower: float | None  # None = too few calls for a limit, or a timeout
    upper: float | None


@dataclass(frozen=True)
class QuantileRatio:
    n: int  # pairs
    candidate: float | None  # the candidate's quantile; None = a timeout
    incumbent: float | None
    ratio: float | None
    lower: float | None  # None under 30 pairs, or where the resamples reach the timeouts
    upper: float | None


@dataclass(frozen=True)
class TotalsRatio:
    n: int
    ratio: float
    lower: float | None  # Fieller; None, with upper, when the set is unbounded or the pairs show no spread
    upper: float | None
    logdelta_lower: float | None
    logdelta_upper: float | None


@dataclass(frozen=True)
class CustomerLogRank:
    chi2: float
    p_value: float | None  # None where no exchange of customers changes anything
    customers: int
    permutations: int  # labellings looked at
    exact: bool  # all of them there are


@dataclass(frozen=True)
class LogRank:
    chi2: float | None  # None, with p_value, when nobody left while two groups were at risk
    df: int  # 0 then
    p_value: float | None
    observed: Mapping[Hashable, float]  # events by group
    expected: Mapping[Hashable, float]  # events by group, were the groups alike


@dataclass(frozen=True)
class RestrictedMean:
    tau: float
    rmst: float  # mean time without the event, of the first tau
    se: float
    lower: float | None  # None, with upper, when there is no event to measure spread by
    upper: float | None


@dataclass(frozen=True)
class MeanCount:
    at: float
    mcf: float  # mean number of events per unit up to ``at``


@dataclass(frozen=True)
class PredictionPowered:
    estimate: float
    lower: float | None  # None, with upper, when neither part varies
    upper: float | None
    human_lower: float | None  # from the human labels alone
    human_upper: float | None
    judge_only: float  # mean of every judge score; shown, never used as a result


@dataclass(frozen=True)
class PairwiseJudge:
    n: int
    wins: int
    losses: int
    ties: int
    flips: int  # candidate in one order, incumbent in the other
    flips_to_first: int  # of those, the answer shown first won both times
    net_win_rate: float
    lower: float  # Tango
    upper: float
    sign_p: float


@dataclass(frozen=True)
class Kappa:
    agreement: float
    kappa: float | None  # None when chance agreement is 1


@dataclass(frozen=True)
class BradleyTerry:
    ability: tuple[float, ...]  # natural log scale, the reference at 0


@dataclass(frozen=True)
class Cusum:
    first_signal: int | None  # 1-based
    c_plus: tuple[float, ...]
    c_minus: tuple[float, ...]


@dataclass(frozen=True)
class SampleSize:
    n_pairs: int
    design_effect: float


@dataclass(frozen=True)
class SmallestTie:
    one_look: int  # pairs from which even a perfect tie is inside the margin, read once
    every_night: int  # the same, read at every look


@dataclass(frozen=True)
class StratifiedMean:
    diff: float
    se: float | None  # None when a weighted stratum holds a single row
    unweighted: float


@dataclass(frozen=True)
class PostStratified:
    n: int
    effective_n: float  # Kish: as many equally weighted rows would say as much
    diff: float  # at the target's mix, as far as the cap lets it
    unweighted: float
    se: float | None  # None, with the limits, where a stratum holds a single row or nothing varies within strata
    lower: float | None
    upper: float | None
    weights: tuple[float, ...]  # of a row, by stratum; 1: as frequent as in the target
    capped: bool


@dataclass(frozen=True)
class Cuped:
    diff: float  # adjusted for the covariate
    se: float  # HC2
    raw_diff: float
