"""The evidence at production's mix, by hand.

32 samples are English and 8 German; the pool holds 60 more German ones, so production is 32 % and 68 %. The candidate
passes 6 English samples that the incumbent fails, and fails 4 German ones that it passes:
unweighted (6 - 4) / 40 = +0.05, weighted 0.32 x 6 / 32 - 0.68 x 4 / 8 = -0.28. Variances within strata 4.875 / 31 and
2 / 7: se = sqrt(0.32^2 x 0.157258 / 32 + 0.68^2 x 0.285714 / 8) = 0.130451, t with 38 degrees of freedom 2.024394.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.enums import ArmRole, Outcome
from evaluations.models import Plan, ReplayRun, Sample, SampleSet
from evaluations.selectors.evidence import evidence_for
from evaluations.selectors.weighted import read_weighted
from tests.replays import add_samples, concluded, ready_plan, start

pytestmark = pytest.mark.django_db


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    if role is ArmRole.INCUMBENT:
        return Outcome.OK, "" if position < 6 else "yes"
    return Outcome.OK, "" if position >= 36 else "yes"


def plan_with_segments(**segments: str) -> Plan:
    plan = ready_plan("http://127.0.0.1:9", n=40)
    names = list(plan.workload.samples.order_by("external_id").values_list("pk", flat=True))
    Sample.objects.filter(pk__in=names[:32]).update(segments={"language": "en"})
    Sample.objects.filter(pk__in=names[32:]).update(segments={"language": "de", **segments})
    return plan


def run_of(plan: Plan) -> ReplayRun:
    """Replays the first set, while the pool has 60 more German samples."""
    first = SampleSet.objects.earliest("pk")
    add_samples(plan.workload, 60, stem="l")
    Sample.objects.filter(external_id__startswith="l").update(segments={"language": "de"})
    return concluded(start(plan, sample_set=first), said)


def test_by_hand() -> None:
    run = run_of(plan_with_segments())
    [row] = run.weighted
    assert (row["metric"], row["segment"], row["n"]) == ("answered", "language", 40)
    assert (row["unweighted"], row["difference"]) == (pytest.approx(0.05), pytest.approx(-0.28))
    assert (row["lower"], row["upper"]) == (pytest.approx(-0.544084, abs=1e-5), pytest.approx(-0.015916, abs=1e-5))
    assert row["strata"] == [
        {"value": "de", "share": pytest.approx(0.68), "samples": 8, "weight": pytest.approx(3.4)},
        {"value": "en", "share": pytest.approx(0.32), "samples": 32, "weight": pytest.approx(0.4)},
    ]
    assert row["effective_n"] == pytest.approx(40**2 / (32 * 0.4**2 + 8 * 3.4**2))
    assert (row["largest_weight"], row["capped"], row["covered"]) == (pytest.approx(3.4), False, pytest.approx(1))
    assert row["disagrees"]
    assert row["sentence"] == (
        "The samples say +5.0 points in answered, production's mix would say \N{MINUS SIGN}28.0:"
        " the set does not stand for production there."
    )


def test_the_verdict_stays_that_of_the_samples_as_they_are() -> None:
    weighted = run_of(plan_with_segments())
    comparison = weighted.comparisons.get().document
    assert comparison["difference"] == pytest.approx(0.05)


def test_values_with_one_sample_stand_together_and_what_was_not_sampled_is_not_covered() -> None:
    """French and Spanish have one sample each: 2 of the pool's 100 together; 20 Italian ones were not sampled."""
    plan = plan_with_segments()
    ones = list(plan.workload.samples.order_by("external_id").values_list("pk", flat=True))[:2]
    for pk, language in zip(ones, ("fr", "es"), strict=True):
        Sample.objects.filter(pk=pk).update(segments={"language": language})
    first = SampleSet.objects.earliest("pk")
    add_samples(plan.workload, 60, stem="l")
    later = list(Sample.objects.filter(external_id__startswith="l").values_list("pk", flat=True))
    Sample.objects.filter(pk__in=later[:40]).update(segments={"language": "de"})
    Sample.objects.filter(pk__in=later[40:]).update(segments={"language": "it"})
    run = concluded(start(plan, sample_set=first), said)
    [row] = run.weighted
    assert [(one["value"], one["share"], one["samples"]) for one in row["strata"]] == [
        ("de", pytest.approx(0.48), 8),
        ("en", pytest.approx(0.30), 30),
        ("", pytest.approx(0.02), 2),
    ]
    assert row["covered"] == pytest.approx(0.8)


def test_a_sample_that_does_not_say_is_a_stratum_and_one_value_alone_is_no_mix() -> None:
    """Only the German ones have a tier: they against those that do not say; a segment of one value says nothing."""
    run = run_of(plan_with_segments(tier="gold"))
    by = {row["segment"]: [one["value"] for one in row["strata"]] for row in run.weighted}
    assert by == {"language": ["de", "en"], "tier": [None, "gold"]}
    Sample.objects.update(segments={"language": "en"})
    evidence = evidence_for(run.plan_version, at_end_of=run)
    assert read_weighted(run, evidence) == []


def test_without_segments_nothing_is_read_and_the_pool_is_not_looked_at() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=4)
    run = concluded(start(plan), said)
    assert run.weighted == []
    evidence = evidence_for(run.plan_version, at_end_of=run)
    with CaptureQueriesContext(connection) as queries:
        assert read_weighted(run, evidence) == []
    assert len(queries) == 1


def test_in_conversations_the_limits_are_wider() -> None:
    """All eight German samples are of two conversations, and each fails in one of them."""
    plan = plan_with_segments()
    german = list(plan.workload.samples.order_by("external_id").values_list("pk", flat=True))[32:]
    Sample.objects.filter(pk__in=german[:4]).update(cluster="one")
    Sample.objects.filter(pk__in=german[4:]).update(cluster="two")
    [row] = run_of(plan).weighted
    assert row["difference"] == pytest.approx(-0.28)
    assert row["lower"] < -0.7
    assert row["upper"] > 0.1
