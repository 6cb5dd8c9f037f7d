"""Whose prompts and answers are kept for how long, and which are due to go.

Public surface: ``Period``, ``periods``, ``due``, ``held``, ``purged_of``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from evaluations.conf import setting
from evaluations.models import DataAgreement, Sample, SampleSet, SampleSetMember, Team, Workload


@dataclass(frozen=True, slots=True)
class Period:
    team: Team
    days: int  # after the capture of a sample


def periods(*, team: Team | None = None, older_than: int | None = None) -> Iterator[Period]:
    """By team: ``older_than`` if given, else what its newest agreement says, else the site's period (``CONTENT_DAYS``).

    An agreement that has ended or run out still says how long contents are kept. A team without a period is left out.
    """
    agreed = DataAgreement.objects.order_by("agreed_at", "pk").values_list("team", "keep_content_days")
    newest = dict(agreed)
    for owner in Team.objects.order_by("slug") if team is None else [team]:
        days = older_than if older_than is not None else newest.get(owner.pk) or setting("CONTENT_DAYS")
        if days or older_than is not None:
            yield Period(owner, days)


def due(workload: Workload, *, days: int, at: datetime) -> QuerySet[Sample]:
    """Samples whose contents have been kept their time and are in nobody's way."""
    return _old(workload, days, at).filter(~_in_use())


def held(workload: Workload, *, days: int, at: datetime) -> QuerySet[Sample]:
    """Samples whose contents would be due, but for a run that still needs them."""
    return _old(workload, days, at).filter(_in_use())


def _old(workload: Workload, days: int, at: datetime) -> QuerySet[Sample]:
    return Sample.objects.filter(workload=workload, captured_at__lte=at - timedelta(days=days), purged_at__isnull=True)


def _in_use() -> Exists:
    """By a run whose evidence, or a judging whose answers have not been read yet: it still sends or scores."""
    unread = Q(sample_set__runs__judges=None, sample_set__runs__decision="")
    unread |= Q(sample_set__runs__judges__isnull=False, sample_set__runs__judged__isnull=True)
    return Exists(SampleSetMember.objects.filter(unread, sample=OuterRef("pk")))


def purged_of(sample_set: SampleSet) -> int:
    """How many of its samples have no contents any more."""
    return SampleSetMember.objects.filter(sample_set=sample_set, sample__purged_at__isnull=False).count()
