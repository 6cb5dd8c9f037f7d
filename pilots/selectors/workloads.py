"""Workloads with their samples. Public surface: ``workload_rows``, ``workload_facts``, ``WorkloadRow``,
``WorkloadFacts``, ``SetRow``, ``set_row``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery

from evaluations.models import Sample, SampleSet, Workload
from pilots.enums import PilotStatus
from pilots.models import Pilot
from pilots.selectors.access import PilotAccess

_SETS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    slug: str
    name: str
    team: str  # slug
    task_type: str  # '': not said
    monthly_requests: int | None  # None: unknown
    runs_on: str  # slug of the model in production now; '': unknown
    pilots: int
    sets: int
    samples: int  # of the pool


@dataclass(frozen=True, slots=True)
class SetRow:
    pk: int
    name: str
    size: int
    digest: str
    frozen_at: datetime
    frozen_by: str  # '': nobody, or gone
    chosen: str  # how, in words
    part_of: str  # name of the set that it was taken from; '': none


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    row: WorkloadRow
    team_name: str
    replayable: int  # samples with a prompt
    answered: int  # of these, with a recorded answer
    newest_at: datetime | None  # when the newest sample happened; None: no log said so
    pilots: tuple[str, ...]  # slugs
    sets: tuple[SetRow, ...]  # newest first


def workload_rows(access: PilotAccess, *, team: str = "", search: str = "") -> tuple[WorkloadRow, ...]:
    """The workloads of the person's teams by name, without those of which only an undone import told. One query."""
    of_it = Pilot.objects.filter(workload=OuterRef("pk"))
    undone = Exists(of_it) & ~Exists(of_it.exclude(status=PilotStatus.VOID))
    workloads = access.workloads().exclude(undone & ~Exists(Sample.objects.filter(workload=OuterRef("pk"))))
    if team:
        workloads = workloads.filter(team__slug=team)
    if search:
        workloads = workloads.filter(Q(name__icontains=search) | Q(slug__icontains=search))
    return tuple(map(_row, _counted(workloads).order_by("name", "slug")))


def _counted(workloads: QuerySet[Workload]) -> QuerySet[Workload, Any]:
    def of(model: str) -> Subquery:
        counted = Workload.objects.filter(pk=OuterRef("pk")).values("pk").annotate(n=Count(model))
        return Subquery(counted.values("n"))

    return workloads.select_related("team", "runs_on").annotate(
        n_pilots=of("pilots"), n_sets=of("sample_sets"), n_samples=of("samples")
    )


def _row(workload: Any) -> WorkloadRow:
    return WorkloadRow(
        slug=workload.slug,
        name=workload.name,
        team=workload.team.slug,
        task_type=workload.task_type,
        monthly_requests=workload.monthly_requests,
        runs_on=workload.runs_on.slug if workload.runs_on else "",
        pilots=workload.n_pilots,
        sets=workload.n_sets,
        samples=workload.n_samples,
    )


def workload_facts(workload: Workload) -> WorkloadFacts:
    """One workload with its newest sets. Four queries."""
    counted = _counted(Workload.objects.filter(pk=workload.pk)).get()
    pool = Sample.objects.filter(workload=workload, replayable=True)
    found = pool.aggregate(n=Count("pk"), answered=Count("recorded"), newest=Max("occurred_at"))
    sets = workload.sample_sets.select_related("frozen_by", "parent")[:_SETS_SHOWN]
    return WorkloadFacts(
        row=_row(counted),
        team_name=counted.team.name,
        replayable=found["n"],
        answered=found["answered"],
        newest_at=found["newest"],
        pilots=tuple(workload.pilots.order_by("slug").values_list("slug", flat=True)),
        sets=tuple(map(set_row, sets)),
    )


def set_row(row: SampleSet) -> SetRow:
    return SetRow(
        pk=row.pk,
        name=row.name,
        size=row.size,
        digest=row.digest,
        frozen_at=row.frozen_at,
        frozen_by=row.frozen_by.get_username() if row.frozen_by else "",
        chosen=_chosen(row.method),
        part_of=row.parent.name if row.parent else "",
    )


def _chosen(method: Mapping[str, Any]) -> str:
    """The method of a set as a person would say it."""
    kind = method.get("kind")
    if kind == "inbox":
        return "taken of the inbox by a schedule"
    if kind == "take":
        return "the first not yet replayed"
    if kind != "import":
        return "by hand"
    parts = []
    if method.get("per_cluster"):
        parts.append(f"at most {method['per_cluster']} of one conversation")
    if method.get("newest"):
        parts.append(f"of the {method['newest']:,} newest")
    if method.get("quotas"):
        edges = ", ".join(f"{row['n']} of {row['segment']} {row['value']}" for row in method["quotas"])
        parts.append(f"at least {edges}")
    if method.get("take"):
        how = f"in proportion to {method['stratify']}" if method.get("stratify") else "at random"
        parts.append(f"{method['take']:,} {how}, seed {method.get('seed', 0)}")
    of = f"of {method['file']}" if method.get("file") else "of a file"
    return f"{'; '.join(parts)}, {of}" if parts else f"all samples {of}"
