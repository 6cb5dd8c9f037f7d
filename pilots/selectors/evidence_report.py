"""What the replays of many pilots say. Public surface: ``evidence``, ``newest_runs``, ``EvidenceReport``,
``PilotEvidence``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from evaluations.models import ReplayRun
from evaluations.selectors.comparisons import stored_comparisons
from evaluations.selectors.judge_figures import judges_by
from evaluations.selectors.review_figures import preferences_by
from pilots.models import Pilot
from pilots.selectors.filters import ReportFilters


@dataclass(frozen=True, slots=True)
class PilotEvidence:
    """One pilot's newest reading; ``run`` is None where nothing was read by then."""

    pilot: str
    workload: str
    team: str
    incumbent: str
    candidate: str
    run: int | None
    read_at: datetime | None
    plan_version: int | None
    plan_digest: str | None
    after_the_fact: bool
    after_the_look: bool
    decision: str | None
    decision_reason: str | None
    comparisons: tuple[Mapping[str, Any], ...]
    weighted: tuple[Mapping[str, Any], ...] | None  # at production's mix, beside the verdict; None: not read
    human_preference: Mapping[str, Any] | None  # of samples chosen at random; None: no batch of reviews was closed
    judge: Mapping[str, Any] | None  # what a model judge prefers; None: none was asked, or it has not ended

    def to_document(self) -> dict[str, Any]:
        return {
            "pilot": self.pilot,
            "workload": self.workload,
            "team": self.team,
            "incumbent": self.incumbent,
            "candidate": self.candidate,
            "run": self.run,
            "read_at": None if self.read_at is None else self.read_at.isoformat(),
            "plan_version": self.plan_version,
            "plan_digest": self.plan_digest,
            "after_the_fact": self.after_the_fact,
            "after_the_look": self.after_the_look,
            "decision": self.decision,
            "decision_reason": self.decision_reason,
            "comparisons": [dict(comparison) for comparison in self.comparisons],
            "weighted": None if self.weighted is None else [dict(row) for row in self.weighted],
            "human_preference": None if self.human_preference is None else dict(self.human_preference),
            "judge": None if self.judge is None else dict(self.judge),
        }


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    filters: ReportFilters
    pilots: tuple[PilotEvidence, ...]

    def to_document(self) -> dict[str, Any]:
        return {
            "as_of": self.filters.as_of.isoformat(),
            "known_at": self.filters.known_at.isoformat(),
            "filters": self.filters.to_document(),
            "pilots": [pilot.to_document() for pilot in self.pilots],
        }


def newest_runs(filters: ReportFilters) -> dict[int, ReplayRun]:
    """By plan, the run with the newest reading by the report's day, or ``filters.run``. Two queries."""
    read = ReplayRun.objects.filter(finished_at__lte=min(filters.until, filters.known_at)).exclude(decision="")
    if filters.run is not None:
        read = read.filter(pk=filters.run)
    if filters.set is not None:
        read = read.filter(sample_set=filters.set)
    latest = read.filter(plan_version__plan=OuterRef("plan_version__plan")).order_by("-finished_at", "-id")
    return {
        run.plan_version.plan_id: run
        for run in read.filter(pk=Subquery(latest.values("pk")[:1]))
        .select_related("plan_version")
        .prefetch_related("comparisons")
    }


def evidence(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> EvidenceReport:
    """The newest reading of each pilot with a plan by the report's day, or that of ``filters.run``."""
    newest = newest_runs(filters)
    shown = (
        filters.apply(Pilot.objects.all() if pilots is None else pilots)
        .filter(plan__isnull=False)
        .select_related("workload__team", "incumbent", "candidate")
    )
    until = min(filters.until, filters.known_at)
    versions = [run.plan_version_id for run in newest.values()]
    said = preferences_by(versions, until=until), judges_by(versions, until=until)
    return EvidenceReport(filters, tuple(_row(pilot, newest.get(pilot.plan_id or 0), *said) for pilot in shown))


def _row(
    pilot: Pilot,
    run: ReplayRun | None,
    preferences: Mapping[int, Mapping[str, Any]],
    judges: Mapping[int, Mapping[str, Any]],
) -> PilotEvidence:
    return PilotEvidence(
        pilot=pilot.slug,
        workload=pilot.workload.slug,
        team=pilot.workload.team.slug,
        incumbent=pilot.incumbent.slug,
        candidate=pilot.candidate.slug,
        run=None if run is None else run.pk,
        read_at=None if run is None else run.finished_at,
        plan_version=None if run is None else run.plan_version.number,
        plan_digest=None if run is None else run.plan_version.digest,
        after_the_fact=run is not None and run.plan_version.after_the_fact,
        after_the_look=run is not None and run.after_the_look,
        decision=None if run is None else str(run.decision),
        decision_reason=None if run is None else run.decision_reason or None,
        comparisons=() if run is None else tuple(stored_comparisons(run)),
        weighted=None if run is None or run.weighted is None else tuple(run.weighted),
        human_preference=None if run is None else preferences.get(run.plan_version_id),
        judge=None if run is None else judges.get(run.plan_version_id),
    )
