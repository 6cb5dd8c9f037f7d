"""What filters can be set to, of what a person may see. Public surface: ``filter_choices``, ``FilterChoices``."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from evaluations.models import ModelVersion, Vendor
from pilots.models import Pilot


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """Values with their words, each list in the order of the words."""

    vendors: tuple[tuple[str, str], ...]
    incumbents: tuple[str, ...]
    candidates: tuple[str, ...]
    task_types: tuple[str, ...]


def filter_choices(pilots: QuerySet[Pilot]) -> FilterChoices:
    """Only what at least one of ``pilots`` has. Four queries."""
    pairs = set(pilots.order_by().values_list("incumbent_id", "candidate_id").distinct())
    incumbents, candidates = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    models = ModelVersion.objects.filter(pk__in=incumbents | candidates).values_list("pk", "slug", "vendor_id")
    rows = list(models.order_by("slug"))
    vendors = Vendor.objects.filter(pk__in={vendor for _, _, vendor in rows}).order_by("name")
    task_types = pilots.exclude(workload__task_type="").order_by("workload__task_type")
    return FilterChoices(
        vendors=tuple(vendors.values_list("slug", "name")),
        incumbents=tuple(slug for pk, slug, _ in rows if pk in incumbents),
        candidates=tuple(slug for pk, slug, _ in rows if pk in candidates),
        task_types=tuple(task_types.values_list("workload__task_type", flat=True).distinct()),
    )
