"""What of a sample set a plan has not replayed. Public surface: ``unreplayed``."""

from __future__ import annotations

from django.db.models import QuerySet

from evaluations.models import Completion, Plan, SampleSet, SampleSetMember


def unreplayed(plan: Plan, sample_set: SampleSet) -> QuerySet[SampleSetMember]:
    """The members that no arm of any run of ``plan`` has an answer, or a failure, to."""
    replayed = Completion.objects.filter(arm__run__plan_version__plan=plan).values("sample_id")
    return SampleSetMember.objects.filter(sample_set=sample_set).exclude(sample_id__in=replayed)
