"""What of a sample set a plan has not replayed. Public surface: ``unreplayed``."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from evaluations.models import Completion, Plan, RunArm, SampleSet, SampleSetMember


def unreplayed(plan: Plan, sample_set: SampleSet) -> QuerySet[SampleSetMember]:
    """The members that no arm of any run of ``plan`` has an answer, or a failure, to, and that can be sent: a purged
    sample has no prompt any more."""
    # One look-up a member: the list of all that were replayed would be built anew, in memory, for each question.
    arms = RunArm.objects.filter(run__plan_version__plan=plan).values("pk")
    replayed = Completion.objects.filter(sample=OuterRef("sample"), arm__in=arms)
    return SampleSetMember.objects.filter(~Exists(replayed), sample_set=sample_set, sample__purged_at__isnull=True)
