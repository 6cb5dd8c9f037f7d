"""What a plan has not replayed, of a sample set or of the pool. Public surface: ``unreplayed``, ``inbox``."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from evaluations.models import Completion, Plan, RunArm, Sample, SampleSet, SampleSetMember


def unreplayed(plan: Plan, sample_set: SampleSet) -> QuerySet[SampleSetMember]:
    """The members that no arm of any run of ``plan`` has an answer, or a failure, to, and that can be sent: a purged
    sample has no prompt any more."""
    replayed = _replayed(plan, "sample")
    return SampleSetMember.objects.filter(~Exists(replayed), sample_set=sample_set, sample__purged_at__isnull=True)


def inbox(plan: Plan) -> QuerySet[Sample]:
    """The samples of the workload's pool that the plan may still replay for the first time."""
    pool = Sample.objects.filter(workload=plan.workload, replayable=True, purged_at__isnull=True)
    return pool.filter(~Exists(_replayed(plan, "pk")))


def _replayed(plan: Plan, sample: str) -> QuerySet[Completion]:
    # One look-up a member: the list of all that were replayed would be built anew, in memory, for each question.
    arms = RunArm.objects.filter(run__plan_version__plan=plan).values("pk")
    return Completion.objects.filter(sample=OuterRef(sample), arm__in=arms)
