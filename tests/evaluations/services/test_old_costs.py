"""Runs that ended before their costs were kept get them from the sweep: what would have been kept at their end."""

from __future__ import annotations

from decimal import Decimal

import pytest

from evaluations.enums import Outcome
from evaluations.models import Completion, ReplayRun
from evaluations.services.old_costs import AT_ONCE, read_missing_costs
from evaluations.services.plan_document import CriterionEntry
from evaluations.tasks import sweep
from tests.replays import add_samples, concluded, ready_plan, start, with_criteria

pytestmark = pytest.mark.django_db


def said(role: str, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, str(position)


@pytest.mark.parametrize("looks", ["one_look", "every_night"])
def test_what_is_read_later_is_what_was_kept_at_each_end(looks: str) -> None:
    """The second run's answers cost another amount: what the first run had read knows nothing of them."""
    plan = with_criteria(
        ready_plan("http://127.0.0.1:9", n=40, looks=looks),
        CriterionEntry(metric="answered", margin=Decimal("0.03")),
        CriterionEntry(metric="cost_per_request", max_ratio=Decimal("1.2")),
    )
    first = concluded(start(plan), said)
    add_samples(plan.workload, 30, stem="t")
    second = concluded(start(plan), said)
    Completion.objects.filter(arm__run=second).update(cost_amount=Decimal("0.002"))
    kept = {first.pk: first.costs, second.pk: second.costs}
    assert None not in kept.values()
    ReplayRun.objects.update(costs=None)
    before = ReplayRun.objects.order_by("pk").values("decision", "version", "finished_at")
    before = list(before)
    sweep.apply().get()
    assert read_missing_costs() == 0
    assert list(ReplayRun.objects.order_by("pk").values("decision", "version", "finished_at")) == before
    now = dict(ReplayRun.objects.values_list("pk", "costs"))
    assert now[first.pk] == kept[first.pk]
    if looks == "one_look":
        assert (second.after_the_look, now[second.pk]) == (True, kept[first.pk])
    else:
        assert now[second.pk]["lines"][0]["n"] == kept[second.pk]["lines"][0]["n"]


def test_a_sweep_reads_a_few_and_one_that_goes_on_is_left_alone() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=2)
    for _ in range(AT_ONCE + 2):
        concluded(start(plan), said)
    going = start(plan)
    ReplayRun.objects.update(costs=None)
    # Of seven the first is the look: it gets its own along with those after it.
    assert [read_missing_costs() for _ in range(3)] == [AT_ONCE, 1, 0]
    assert ReplayRun.objects.filter(costs__isnull=True).count() == 1
    assert ReplayRun.objects.get(pk=going.pk).costs is None
