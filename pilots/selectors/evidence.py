"""What a pilot's replays say, criterion by criterion.

Public surface: ``newest_reading``, ``later_readings``, ``criterion_rows``, ``Reading``, ``LaterReading``,
``CriterionRow``, ``WeightedRow``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from django.db.models import Max, Min

from evaluations.enums import ArmRole, CriterionRole, Decision, JudgeMode, Looks, Outcome, RunStatus, Verdict
from evaluations.models import Completion, ReplayRun
from evaluations.selectors.comparisons import stored_comparisons
from evaluations.selectors.judge_figures import JUDGE_METRICS
from evaluations.selectors.planned_looks import checks_in_words
from evaluations.selectors.review_figures import METRIC
from evaluations.selectors.sentences import REASONS, label_of
from pilots.models import Pilot

Unit = Literal["share", "money", "ms", "score"]


@dataclass(frozen=True, slots=True)
class CriterionRow:
    """One comparison, with what its drawing needs. None = not computable, unbounded or not agreed."""

    metric: str
    label: str
    role: CriterionRole
    unit: Unit  # of incumbent and candidate
    incumbent: float | None
    candidate: float | None
    is_ratio: bool  # estimate and limits are candidate / incumbent, else candidate - incumbent
    estimate: float | None
    lower: float | None
    upper: float | None
    reference: float  # where both models are equal
    bound: float | None  # the agreed limit, on the same axis
    higher_is_worse: bool
    n: int
    n_clusters: int | None
    missing: int
    table: Mapping[str, int] | None
    harmful_flips: int | None
    beneficial_flips: int | None
    verdict: Verdict
    reason: str  # why it is not decided; ''
    method: str
    sentence: str
    per_protocol: Mapping[str, Any] | None  # both answered


@dataclass(frozen=True, slots=True)
class WeightedRow:
    """One criterion by one segment at production's mix, beside the samples as they are. Differences."""

    label: str
    segment: str
    n: int
    effective_n: float
    unweighted: float
    estimate: float
    lower: float | None
    upper: float | None
    largest_weight: float
    capped: bool
    covered: float  # share of production whose values were sampled
    disagrees: bool
    sentence: str
    is_ratio: bool = False


def _weighted(row: Mapping[str, Any]) -> WeightedRow:
    same = ("segment", "n", "effective_n", "unweighted", "lower", "upper", "largest_weight", "capped", "covered")
    return WeightedRow(
        label=label_of(row["metric"]),
        estimate=row["difference"],
        disagrees=row["disagrees"],
        sentence=row["sentence"],
        **{name: row[name] for name in same},
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """The verdict of a plan version as of its newest run with one."""

    run: int
    read_at: datetime
    plan_version: int
    plan_digest: str
    period: int  # of the plan version; a drift alarm ended each before it
    looks: Looks
    minimum_samples: int
    after_the_fact: bool
    after_the_look: bool
    not_the_look: bool  # read from a run that did not come to its end
    decision: Decision
    decision_reason: str  # ''
    currency: str  # of the criteria's money
    recorded: tuple[date, date] | None  # days of the recorded answers that are the incumbent's arm; None: it was called
    checks: str  # how far the planned checks of a fixed horizon are, or that they are void; '': a plan of another kind
    criteria: tuple[CriterionRow, ...]
    weighted: tuple[WeightedRow, ...] | None  # at production's mix; None: not read, (): the samples have no segments
    flips_metric: str  # the metric whose changed answers can be listed: of the plan's first scorer; '': none

    def snapshot(self) -> dict[str, Any]:
        """What is stored with a decision."""
        return {
            "decision": self.decision.value,
            "run": self.run,
            "plan_version": self.plan_version,
            "plan_digest": self.plan_digest,
            "criteria": {row.metric: row.verdict.value for row in self.criteria},
        }


def newest_reading(pilot: Pilot) -> Reading | None:
    """The verdict that stands for the pilot's plan; None before the first run has ended with one."""
    if pilot.plan_id is None:
        return None
    ended = (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET)
    run = (
        ReplayRun.objects.filter(plan_version__plan=pilot.plan_id, status__in=ended)
        .exclude(decision="")
        .select_related("plan_version")
        .order_by("-plan_version__number", "-finished_at", "-id")
        .first()
    )
    if run is None:
        return None
    version, documents = run.plan_version, stored_comparisons(run)
    return Reading(
        run=run.pk,
        read_at=run.finished_at or run.created_at,
        plan_version=version.number,
        plan_digest=version.digest,
        period=run.period,
        looks=Looks(version.document["looks"]),
        minimum_samples=version.document["minimum_samples"],
        after_the_fact=version.after_the_fact,
        after_the_look=run.after_the_look,
        not_the_look=run.not_the_look,
        decision=run.decision,
        decision_reason=run.decision_reason,
        currency=run.currency,
        recorded=_recorded(run),
        checks=checks_in_words(version.document, documents),
        criteria=criterion_rows(documents),
        weighted=None if run.weighted is None else tuple(_weighted(row) for row in run.weighted),
        flips_metric=next((scorer["key"] for scorer in version.document["scorers"]), ""),
    )


@dataclass(frozen=True, slots=True)
class LaterReading:
    """A run's answers as a later version of the plan judges them: after the fact, beside the run's verdict."""

    plan_version: int
    requested_at: datetime
    requested_by: str  # '': by a command
    finished_at: datetime | None  # None: not all is judged yet
    decision: Decision | None
    decision_reason: str  # ''
    scorers: tuple[str, ...]  # with their versions
    criteria: tuple[CriterionRow, ...]


def later_readings(run: ReplayRun) -> tuple[LaterReading, ...]:
    """Oldest first."""
    rows = run.rescorings.select_related("plan_version", "requested_by").order_by("pk")
    return tuple(
        LaterReading(
            plan_version=row.plan_version.number,
            requested_at=row.requested_at,
            requested_by="" if row.requested_by is None else row.requested_by.get_username(),
            finished_at=row.finished_at,
            decision=row.decision or None,
            decision_reason=row.decision_reason,
            scorers=tuple(f"{one['key']}, version {one['version']}" for one in row.plan_version.document["scorers"]),
            criteria=criterion_rows(row.comparisons),
        )
        for row in rows
    )


def _recorded(run: ReplayRun) -> tuple[date, date] | None:
    answers = Completion.objects.filter(arm__run=run, arm__role=ArmRole.INCUMBENT, arm__endpoint=None)
    days = answers.exclude(outcome=Outcome.MISSING).aggregate(
        first=Min("sample__occurred_at"), last=Max("sample__occurred_at")
    )
    return (days["first"].date(), days["last"].date()) if days["first"] and days["last"] else None


def criterion_rows(documents: Iterable[Mapping[str, Any]]) -> tuple[CriterionRow, ...]:
    """Comparison documents of the contract, ready for the table."""
    return tuple(_row(document) for document in documents)


def _row(document: Mapping[str, Any]) -> CriterionRow:
    metric = document["metric"]
    is_ratio = document["scale"] == "ratio"
    higher_is_worse = is_ratio or metric == "failure_rate"
    margin, reason = document["margin"], document["reason"]
    if is_ratio:
        bound = document["max_ratio"]
    else:
        bound = None if margin is None else margin if higher_is_worse else -margin
    return CriterionRow(
        metric=metric,
        label=label_of(metric),
        role=CriterionRole(document["role"]),
        unit=_unit(metric, document),
        incumbent=document["incumbent"],
        candidate=document["candidate"],
        is_ratio=is_ratio,
        estimate=document["ratio"] if is_ratio else document["difference"],
        lower=document["lower"],
        upper=document["upper"],
        reference=1.0 if is_ratio else 0.0,
        bound=bound,
        higher_is_worse=higher_is_worse,
        n=document["n"],
        n_clusters=document["n_clusters"],
        missing=document["missing"],
        table=document["table"],
        harmful_flips=document["harmful_flips"],
        beneficial_flips=document["beneficial_flips"],
        verdict=Verdict(document["verdict"]),
        reason=REASONS.get(reason, reason) if reason else "",
        method=document["method"],
        sentence=document["sentence"],
        per_protocol=document["per_protocol"],
    )


def _unit(metric: str, document: Mapping[str, Any]) -> Unit:
    if metric.startswith("cost_"):
        return "money"
    if metric.endswith("_ms"):
        return "ms"
    shares = ("failure_rate", METRIC, JUDGE_METRICS[JudgeMode.PAIRWISE])
    return "share" if document["table"] is not None or metric in shares else "score"
