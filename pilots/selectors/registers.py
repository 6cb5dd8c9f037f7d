"""Long lists over many pilots at once, as of a day: replay runs, what they say, and events.

Public surface: ``runs_in``, ``RegisteredRun``, ``readings_in``, ``RegisteredReading``, ``events_in``,
``RegisteredEvent``, ``names_in``, ``Names``, ``plans_in``. Each takes a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from evaluations.enums import Decision, RunStatus, RunTrigger
from evaluations.models import ComparisonRow, PlanVersion, ReplayRun, Team, Vendor, Workload
from pilots.enums import EventKind, EventSource, Reason
from pilots.models import Pilot, PilotEvent
from pilots.selectors.evidence import CriterionRow, criterion_rows
from pilots.selectors.filters import ReportFilters


@dataclass(frozen=True, slots=True)
class RegisteredRun:
    pilot: str  # slug
    run: int
    status: RunStatus
    status_reason: str  # '': nothing to add
    trigger: RunTrigger
    created_at: datetime
    finished_at: datetime | None  # None: not over
    plan_version: int
    sample_set: str  # '': no new samples
    total: int  # answers to get: samples x arms x repeats
    done: int
    calls: int
    spent: Decimal  # settled calls of known cost
    budget: Decimal
    currency: str
    decision: Decision | None
    after_the_look: bool


@dataclass(frozen=True, slots=True)
class RegisteredReading:
    """What the newest plan version of a pilot says, as of its newest ended run."""

    run: int
    decision: Decision
    criteria: tuple[CriterionRow, ...]


@dataclass(frozen=True, slots=True)
class RegisteredEvent:
    pilot: str  # slug
    seq: int
    kind: EventKind
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    source: EventSource
    traffic_share: Decimal | None
    reason: Reason | None
    to_model: str  # '': none
    note: str
    attachments: tuple[str, ...]  # kind:reference
    corrects: int | None  # seq


@dataclass(frozen=True, slots=True)
class Names:
    """What slugs are called."""

    teams: Mapping[str, str]
    workloads: Mapping[str, str]
    vendors: Mapping[str, str]


def _runs(pilots: QuerySet[Pilot], filters: ReportFilters) -> QuerySet[ReplayRun]:
    runs = ReplayRun.objects.filter(
        judges=None,
        plan_version__plan__pilot__in=filters.apply(pilots).values("pk"),
        created_at__lte=min(filters.until, filters.known_at),
    )
    if filters.run is not None:
        runs = runs.filter(pk=filters.run)
    return runs if filters.set is None else runs.filter(sample_set=filters.set)


def runs_in(pilots: QuerySet[Pilot], filters: ReportFilters) -> tuple[RegisteredRun, ...]:
    """Every run begun by then, by pilot and in order of time."""
    runs = _runs(pilots, filters).select_related("plan_version__plan__pilot", "sample_set")
    return tuple(
        RegisteredRun(
            pilot=run.plan_version.plan.pilot.slug,
            run=run.pk,
            status=run.status,
            status_reason=run.status_reason,
            trigger=run.trigger,
            created_at=run.created_at,
            finished_at=run.finished_at,
            plan_version=run.plan_version.number,
            sample_set=run.sample_set.name if run.sample_set else "",
            total=run.total,
            done=run.done,
            calls=run.calls,
            spent=run.spent_amount,
            budget=run.budget_amount,
            currency=run.currency,
            decision=run.decision or None,
            after_the_look=run.after_the_look,
        )
        for run in runs.defer("plan_version__document").order_by("plan_version__plan__pilot__slug", "pk")
    )


def readings_in(pilots: QuerySet[Pilot], filters: ReportFilters) -> dict[str, RegisteredReading]:
    """By pilot: the reading that stood then. Pilots without one are left out."""
    ended = (
        _runs(pilots, filters)
        .filter(
            status__in=(RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET),
            finished_at__lte=min(filters.until, filters.known_at),
        )
        .exclude(decision="")
        .order_by("plan_version__number", "finished_at", "pk")
        .values_list("plan_version__plan__pilot__slug", "pk", "decision")
    )
    newest = {slug: (run, Decision(decision)) for slug, run, decision in ended}
    documents: dict[int, list[Mapping[str, object]]] = {run: [] for run, _ in newest.values()}
    rows = ComparisonRow.objects.filter(run__in=documents).order_by("run", "position")
    for run, document in rows.values_list("run_id", "document"):
        documents[run].append(document)
    return {
        slug: RegisteredReading(run, decision, criterion_rows(documents[run]))
        for slug, (run, decision) in newest.items()
    }


def plans_in(pilots: QuerySet[Pilot], filters: ReportFilters) -> dict[str, int]:
    """By pilot: the number of the newest plan version frozen by then."""
    frozen = PlanVersion.objects.filter(
        plan__pilot__in=filters.apply(pilots).values("pk"), frozen_at__lte=min(filters.until, filters.known_at)
    )
    return dict(frozen.order_by("number").values_list("plan__pilot__slug", "number"))


def events_in(pilots: QuerySet[Pilot], filters: ReportFilters) -> Iterator[RegisteredEvent]:
    """Every event as it was recorded, by pilot and in order of recording, one at a time."""
    events = (
        PilotEvent.objects.filter(
            pilot__in=filters.apply(pilots).values("pk"),
            occurred_at__lte=filters.until,
            recorded_at__lte=filters.known_at,
        )
        .select_related("pilot", "to_model", "corrects")
        .prefetch_related("attachments")
        .order_by("pilot__slug", "seq")
    )
    for event in events.iterator(chunk_size=2000):
        yield RegisteredEvent(
            pilot=event.pilot.slug,
            seq=event.seq,
            kind=event.kind,
            occurred_at=event.occurred_at,
            recorded_at=event.recorded_at,
            actor=event.actor,
            source=event.source,
            traffic_share=event.traffic_share,
            reason=event.reason or None,
            to_model=event.to_model.slug if event.to_model else "",
            note=event.note,
            attachments=tuple(f"{row.kind}:{row.reference}" for row in event.attachments.all()),
            corrects=event.corrects.seq if event.corrects else None,
        )


def names_in(pilots: QuerySet[Pilot], filters: ReportFilters) -> Names:
    """The names of the teams and workloads of these pilots, and of every vendor."""
    chosen = filters.apply(pilots)
    teams = Team.objects.filter(pk__in=chosen.values("workload__team"))
    workloads = Workload.objects.filter(pk__in=chosen.values("workload"))
    return Names(
        teams=dict(teams.values_list("slug", "name")),
        workloads=dict(workloads.values_list("slug", "name")),
        vendors=dict(Vendor.objects.values_list("slug", "name")),
    )
