"""Paired comparisons. Tango against numeric constrained maximum likelihood, the rest against scipy and publications."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats

from evaluations.enums import Verdict
from evaluations.statistics import StatisticsError
from evaluations.statistics.paired import clustered_mean, missing_pairs, paired_binary, paired_mean, tango

Z_SQUARED = stats.norm.ppf(0.975) ** 2


def numeric_score(x: float, wins: int, losses: int, n: int) -> float:
    """Tango's statistic with the constrained maximum found by search, not by the closed form."""

    def minus_log_likelihood(loss: float) -> float:
        return -(
            (wins * math.log(loss + x) if wins else 0.0)
            + (losses * math.log(loss) if losses else 0.0)
            + ((n - wins - losses) * math.log(1 - 2 * loss - x) if n > wins + losses else 0.0)
        )

    low, high = max(0.0, -x), (1 - x) / 2
    loss = optimize.minimize_scalar(
        minus_log_likelihood,
        bounds=(low + 1e-13, high - 1e-13),
        method="bounded",
        options={"xatol": 1e-13, "maxiter": 2000},
    ).x
    return float((wins - losses - n * x) / math.sqrt(n * (2 * loss + x - x * x)))


@pytest.mark.parametrize(("wins", "losses", "n"), [(12, 5, 200), (7, 1, 21), (3, 40, 402), (40, 20, 160), (0, 6, 50)])
def test_tango_limits_are_where_the_score_statistic_meets_z(wins: int, losses: int, n: int) -> None:
    z = math.sqrt(Z_SQUARED)
    lower, upper = tango(wins=wins, losses=losses, n=n)
    assert lower < (wins - losses) / n < upper
    assert numeric_score(lower, wins, losses, n) == pytest.approx(z, abs=2e-5)
    assert numeric_score(upper, wins, losses, n) == pytest.approx(-z, abs=2e-5)


@pytest.mark.parametrize("n", [1, 20, 73, 1_000_000])
def test_tango_without_a_discordant_pair(n: int) -> None:
    bound = Z_SQUARED / (n + Z_SQUARED)
    assert tango(wins=0, losses=0, n=n) == pytest.approx((-bound, bound), rel=1e-12)


@pytest.mark.parametrize("n", [1, 7, 400])
def test_tango_when_every_pair_is_won_or_lost(n: int) -> None:
    # At n wins the variance is 1 - x^2, so that (1 - x)^2 = z^2 (1 - x^2) / n.
    bound = (n - Z_SQUARED) / (n + Z_SQUARED)
    assert tango(wins=n, losses=0, n=n) == pytest.approx((bound, 1.0), rel=1e-12)
    assert tango(wins=0, losses=n, n=n) == pytest.approx((-1.0, -bound), rel=1e-12)


def test_tango_mirrors_when_the_arms_swap() -> None:
    for wins, losses in itertools.product(range(6), repeat=2):
        lower, upper = tango(wins=wins, losses=losses, n=10)
        assert tango(wins=losses, losses=wins, n=10) == pytest.approx((-upper, -lower), abs=1e-12)
        assert -1 <= lower < upper <= 1


def test_tango_approaches_the_normal_interval_for_huge_counts() -> None:
    n = 4_000_000
    lower, upper = tango(wins=1_000_000, losses=999_000, n=n)
    diff = 1_000 / n
    half_width = math.sqrt(Z_SQUARED * (1_999_000 / n - diff**2) / n)
    assert (lower, upper) == pytest.approx((diff - half_width, diff + half_width), abs=1e-8)


def test_newcombe_method_10_as_printed_in_the_paper() -> None:
    # Newcombe 1998, Stat Med 17:2635: 36, 12, 2, 0 gives 0.0569 to 0.3404.
    result = paired_binary(both_pass=36, candidate_only=12, incumbent_only=2, neither=0)
    assert (round(result.newcombe_lower, 4), round(result.newcombe_upper, 4)) == (0.0569, 0.3404)


@pytest.mark.parametrize(
    ("table", "lower", "upper"),
    # With phi forced to 0 by an empty margin, square-and-add of the two Wilson intervals (scipy).
    [((30, 0, 0, 0), -0.113513, 0.113513), ((0, 0, 0, 30), -0.113513, 0.113513)],
)
def test_newcombe_with_an_empty_margin(table: tuple[int, int, int, int], lower: float, upper: float) -> None:
    both, candidate, incumbent, neither = table
    result = paired_binary(both_pass=both, candidate_only=candidate, incumbent_only=incumbent, neither=neither)
    assert (result.newcombe_lower, result.newcombe_upper) == pytest.approx((lower, upper), abs=1e-6)


@pytest.mark.parametrize(
    ("wins", "losses", "exact", "mid"),
    [
        (6, 16, 0.0525, 0.0347),  # Cavo et al. in Fagerland, Lydersen & Laake 2013, table 6
        (7, 1, 0.0703, 0.0391),  # Bentur et al., same table
        (2, 2, 1.0, 1 - 0.375 / 2),  # equal counts: half the probability of the one table as likely
        (0, 0, 1.0, 1.0),
    ],
)
def test_mcnemar(wins: int, losses: int, exact: float, mid: float) -> None:
    result = paired_binary(both_pass=10, candidate_only=wins, incumbent_only=losses, neither=10)
    assert (result.mcnemar_exact_p, result.mcnemar_midp) == pytest.approx((exact, mid), abs=5e-5)


def test_paired_binary_in_millions() -> None:
    result = paired_binary(both_pass=10**6, candidate_only=10**6, incumbent_only=10**6, neither=10**6)
    assert result.diff == 0
    assert result.upper == -result.lower == pytest.approx(math.sqrt(Z_SQUARED * 0.5 / 4e6), rel=1e-5)
    assert result.mcnemar_exact_p == 1


def test_paired_binary_without_a_pair_is_refused() -> None:
    with pytest.raises(StatisticsError, match="no pair"):
        paired_binary(both_pass=0, candidate_only=0, incumbent_only=0, neither=0)


@pytest.mark.parametrize("shift", [0.1, 1e6])
def test_paired_mean_differences_equal_up_to_rounding_have_no_interval(shift: float) -> None:
    incumbent = [0.1, 0.2, 0.3]
    result = paired_mean(incumbent=incumbent, candidate=[value + shift for value in incumbent])
    assert (result.lower, result.upper, result.p_value, result.se) == (None, None, None, 0.0)
    assert result.diff == pytest.approx(shift)


def test_paired_mean_two_pairs() -> None:
    # Student's t with one degree of freedom: 12.7062 in every table.
    result = paired_mean(incumbent=[0, 0], candidate=[0, 1])
    assert (result.lower, result.upper) == pytest.approx((0.5 - 6.35310, 0.5 + 6.35310), abs=1e-5)


def test_clustered_mean_of_single_rows_is_the_jackknife_of_the_mean() -> None:
    # Clusters of one: CR1 and CR3 are both the plain standard error, and the degrees of freedom n - 1.
    rows = [0.3, -0.1, 0.2, 0.5, 0.0, -0.4]
    result = clustered_mean(diff=rows, cluster=list(range(6)))
    assert (result.se_cr1, result.se_cr3) == pytest.approx((stats.sem(rows), stats.sem(rows)))
    assert (result.lower, result.upper) == pytest.approx(stats.ttest_1samp(rows, 0).confidence_interval(0.95))


def test_clustered_mean_agrees_with_leaving_clusters_out_one_by_one() -> None:
    generator = np.random.default_rng(3)
    cluster = generator.integers(0, 9, 60)
    rows = generator.normal(size=60)
    without = np.array([rows[cluster != code].mean() for code in range(9)])
    result = clustered_mean(diff=rows, cluster=[f"customer {code}" for code in cluster])
    assert result.se_cr3 == pytest.approx(math.sqrt(8 / 9 * ((without - rows.mean()) ** 2).sum()))


@pytest.mark.parametrize("rows", [[0.0, 0.0, 0.0], [0.1, 0.1, 0.1]])
def test_clustered_mean_without_spread_has_no_interval(rows: list[float]) -> None:
    result = clustered_mean(diff=rows, cluster=["a", "b", "b"])
    assert (result.lower, result.upper) == (None, None)


def test_clustered_mean_one_giant_cluster_has_no_usable_interval() -> None:
    result = clustered_mean(diff=[0.1] * 9_999_99 + [0.3], cluster=["a"] * 9_999_99 + ["b"])
    assert result.df == pytest.approx(2e-6, rel=1e-3)
    assert (result.lower, result.upper) == (None, None)


@pytest.mark.parametrize("cluster", [["a", "a"], [1, 1], ["a", None], [1.5, 2.5], [True, False], ["a"]])
def test_clustered_mean_refuses(cluster: list[object]) -> None:
    with pytest.raises(StatisticsError):
        clustered_mean(diff=[0.1, 0.2], cluster=cluster)


def test_missing_pairs_with_only_our_own_errors_is_inconclusive() -> None:
    result = missing_pairs([["harness_error", "pass"], ["vendor_error", "harness_error"]], margin=0.03)
    assert (result.n_itt, result.n_pp, result.excluded) == (0, 0, 2)
    assert (result.lower_itt, result.upper_itt, result.diff_pp) == (None, None, None)
    assert (result.verdict, result.sensitive) == (Verdict.INCONCLUSIVE, False)


def test_missing_pairs_counts_a_vendors_error_as_a_failure_of_its_arm() -> None:
    pairs = [["vendor_error", "pass"]] * 3 + [["pass", "vendor_error"]] * 5 + [["vendor_error"] * 2] * 2
    result = missing_pairs(pairs, margin=0.03)
    assert (result.n_itt, result.diff_itt, result.n_pp, result.excluded) == (10, -0.2, 0, 0)
    assert (result.lower_itt, result.upper_itt) == tango(wins=3, losses=5, n=10)


@pytest.mark.parametrize("pairs", [[], [["pass"]], [["pass", "passed"]], [["pass", None]], "pass", [["pass", 1]]])
def test_missing_pairs_refuses(pairs: object) -> None:
    with pytest.raises(StatisticsError):
        missing_pairs(pairs, margin=0.03)  # type: ignore[arg-type]
