"""From evidence to words: one comparison per criterion, and what all gates together say.

Public surface: ``Comparison``, ``PlanReading``, ``read_plan``, ``read_once``, ``frozen_by_drift``,
``stored_comparisons``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any, Protocol

from evaluations.breakeven import BreakEven
from evaluations.enums import GATES, CriterionRole, Decision, Looks, Verdict
from evaluations.models import ComparisonRow, PlanVersion, ReplayRun
from evaluations.scorers.registry import SCORERS
from evaluations.selectors.breakeven import ArmPrices, read_break_even
from evaluations.selectors.criteria import Criterion, Reading, read_failure_rate, read_score
from evaluations.selectors.evidence import ENDED, Evidence, evidence_versions
from evaluations.selectors.judge_figures import JUDGE_METRICS
from evaluations.selectors.planned_looks import LooksTaken, PlannedLooks, planned_looks
from evaluations.selectors.ratio_criteria import QUANTILES, read_ratio
from evaluations.selectors.review_figures import METRIC as HUMAN_PREFERENCE
from evaluations.selectors.sentences import sentence_for
from evaluations.statistics.noninferiority import overall_decision

DEFAULT_T_STAR = 750.0
NOT_YET_DUE = "not_yet_due"
DRIFTED = "drifted"
# Said by people, or a judge, when the replay has ended: why they are not computable here.
_LATER = {HUMAN_PREFERENCE: "reviewed_later", **dict.fromkeys(JUDGE_METRICS.values(), "judged_later")}
BETWEEN_CHECKS = "between_checks"
# What no sequence is known for: one interval, read once.
READ_ONCE = frozenset({*QUANTILES, "cost_per_success"})
_DECIDED = (Verdict.BETTER, Verdict.NON_INFERIOR, Verdict.WORSE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One criterion as read from the evidence; ``to_document`` is the contract's comparison."""

    criterion: Criterion
    reading: Reading
    sentence: str
    break_even: BreakEven | None = None  # of a cost criterion
    stands: Mapping[str, Any] | None = None  # the document of the planned check since which nothing was read

    def to_document(self) -> dict[str, Any]:
        if self.stands is not None:
            return dict(self.stands)
        criterion, reading, table = self.criterion, self.reading, self.reading.table
        return {
            "metric": criterion.metric,
            "scorer": criterion.scorer,
            "role": str(criterion.role),
            "segment": None,
            "n": reading.n,
            "n_clusters": reading.n_clusters,
            "incumbent": reading.incumbent,
            "candidate": reading.candidate,
            "difference": reading.difference,
            "ratio": reading.ratio,
            "lower": reading.lower,
            "upper": reading.upper,
            "scale": "difference" if criterion.max_ratio is None else "ratio",
            "method": reading.method,
            "margin": criterion.margin,
            "max_ratio": criterion.max_ratio,
            "table": None if table is None else table._asdict(),
            "incumbent_passes": None if table is None else table.both_pass + table.incumbent_only,
            "candidate_passes": None if table is None else table.both_pass + table.candidate_only,
            "incumbent_wilson": _pair(reading.incumbent_wilson),
            "candidate_wilson": _pair(reading.candidate_wilson),
            "newcombe": _pair(reading.newcombe),
            "mcnemar_exact_p": reading.mcnemar_exact_p,
            "mcnemar_midp": reading.mcnemar_midp,
            "harmful_flips": None if table is None else table.incumbent_only,
            "beneficial_flips": None if table is None else table.candidate_only,
            "missing": reading.missing,
            "verdict": str(reading.verdict),
            "reason": reading.reason,
            "per_protocol": reading.per_protocol,
            "look": None if reading.look is None else reading.look.to_document(),
            "break_even": None if self.break_even is None else self.break_even.to_document(),
            "sentence": self.sentence,
        }


def _pair(limits: tuple[float, float] | None) -> list[float] | None:
    return None if limits is None else list(limits)


@dataclass(frozen=True, slots=True)
class PlanReading:
    """Everything that a plan version's evidence says on one day."""

    comparisons: tuple[Comparison, ...]
    decision: Decision
    reason: str | None


def criteria_of(document: Mapping[str, Any]) -> list[Criterion]:
    """The criteria of a frozen plan document, in its order."""
    scorers = {entry["key"]: entry["name"] for entry in document["scorers"]}
    return [
        Criterion(
            metric=entry["metric"],
            role=CriterionRole(entry["role"]),
            margin=None if entry["margin"] is None else float(entry["margin"]),
            max_ratio=None if entry["max_ratio"] is None else float(entry["max_ratio"]),
            scorer=scorers.get(entry["metric"]),
            binary=entry["metric"] == "failure_rate"
            or (entry["metric"] in scorers and SCORERS.get(scorers[entry["metric"]]).binary),
            lower_is_better=entry["metric"] == "failure_rate",
        )
        for entry in document["criteria"]
    ]


def read_plan(
    document: Mapping[str, Any],
    evidence: Evidence,
    *,
    on: date,
    prices: ArmPrices | None = None,
    kept: Mapping[str, Mapping[str, Any]] | None = None,
    taken: LooksTaken | None = None,
    may_check: bool = True,
) -> PlanReading:
    """Read every criterion of a frozen plan once, on day ``on``; ``prices`` are those of the newest run's arms.

    ``kept`` are the comparisons, by metric, of criteria that are read once and were read at an earlier look: they
    stand (``read_once``). ``taken`` is what the planned checks of a fixed horizon have said so far; without
    ``may_check`` none is taken now.
    """
    kept, taken = kept or {}, taken or LooksTaken()
    looks, alpha = Looks(document["looks"]), float(document["alpha"])
    criteria = criteria_of(document)
    too_few = evidence.n < document["minimum_samples"]
    past_horizon = _past_horizon(document["horizon"], evidence.n, on=on)
    solves = next((criterion.metric for criterion in criteria if criterion.scorer), None)
    maximum = document["horizon"]["maximum_samples"]
    planned = planned_looks(document)
    due = planned.due(evidence.n, taken, past_horizon=past_horizon) if planned is not None and may_check else None
    readings: list[tuple[Criterion, Reading]] = []
    for criterion in criteria:
        if criterion.metric in kept:
            readings.append((criterion, _as_read(kept[criterion.metric])))
            continue
        if criterion.metric in _LATER:
            readings.append((criterion, Reading(n=0, verdict=Verdict.NOT_COMPUTABLE, reason=_LATER[criterion.metric])))
            continue
        read = partial(
            _read_criterion,
            evidence,
            criterion,
            alpha=alpha,
            successes=solves,
            t_star=maximum / 2 if maximum else DEFAULT_T_STAR,
        )
        if planned is None or criterion.metric in READ_ONCE:
            reading = read(looks=looks)
        else:
            reading = _read_at_check(planned, due, taken, criterion.metric, read, samples=evidence.n, alpha=alpha)
        if too_few and reading.verdict is not Verdict.NOT_COMPUTABLE:
            reading = replace(reading, verdict=Verdict.INCONCLUSIVE, reason="too_few")
        readings.append((criterion, reading))
    if looks is not Looks.ONE_LOOK:
        readings = _hold_back(readings, kept, past_horizon=past_horizon)
    names = (document["arms"]["incumbent"]["model"], document["arms"]["candidate"]["model"])
    comparisons = []
    for criterion, reading in readings:
        even = read_break_even(evidence, criterion, prices=prices or ArmPrices(), successes=solves, alpha=alpha)
        sentence = sentence_for(criterion, reading, incumbent=names[0], candidate=names[1], break_even=even)
        stands = (
            taken.standing[criterion.metric] if reading.look and reading.look == taken.look(criterion.metric) else None
        )
        comparisons.append(
            Comparison(criterion, reading, sentence if stands is None else stands["sentence"], even, stands)
        )
    decision, reason = _decide(readings, past_horizon=past_horizon)
    return PlanReading(tuple(comparisons), decision, reason)


class _Read(Protocol):
    def __call__(self, *, looks: Looks, level: float | None = None) -> Reading: ...


def _read_criterion(
    evidence: Evidence,
    criterion: Criterion,
    *,
    looks: Looks,
    alpha: float,
    successes: str | None,
    t_star: float,
    level: float | None = None,
) -> Reading:
    if criterion.max_ratio is not None:
        return read_ratio(
            evidence, criterion, looks=looks, alpha=alpha, level=level, successes=successes, t_star=t_star
        )
    read = read_failure_rate if criterion.scorer is None else read_score
    return read(evidence, criterion, looks=looks, alpha=alpha, level=level)


def _read_at_check(
    planned: PlannedLooks, due: int | None, taken: LooksTaken, metric: str, read: _Read, *, samples: int, alpha: float
) -> Reading:
    """At a planned check, the fixed interval at the level it may spend; between two, what the last one said."""
    before = taken.look(metric)
    stands = None if before is None else replace(_as_read(taken.standing[metric]), look=before)
    if stands is not None and (due is None or stands.verdict in _DECIDED):
        return stands
    so_far = read(looks=Looks.ONE_LOOK)
    if so_far.verdict is Verdict.NOT_COMPUTABLE:
        return so_far
    look = None if due is None else planned.look(due, before, samples=samples, pairs=so_far.n, alpha=alpha)
    if look is None:
        return stands or _unread(so_far, BETWEEN_CHECKS)
    if look.alpha is None:
        return replace(_unread(so_far, "too_few"), look=look)
    return replace(read(looks=Looks.ONE_LOOK, level=look.alpha), look=look)


def _unread(reading: Reading, reason: str) -> Reading:
    """The figures so far, without anything that says how sure they are."""
    return Reading(
        n=reading.n,
        n_clusters=reading.n_clusters,
        incumbent=reading.incumbent,
        candidate=reading.candidate,
        difference=reading.difference,
        ratio=reading.ratio,
        table=reading.table,
        missing=reading.missing,
        reason=reason,
    )


def _past_horizon(horizon: Mapping[str, Any], n: int, *, on: date) -> bool:
    maximum, decide_by = horizon["maximum_samples"], horizon["decide_by"]
    return (maximum is not None and n >= maximum) or (decide_by is not None and on > date.fromisoformat(decide_by))


def _hold_back(
    readings: Sequence[tuple[Criterion, Reading]], kept: Container[str], *, past_horizon: bool
) -> list[tuple[Criterion, Reading]]:
    """Without a sequence a criterion is read once, when every other gate passes or at the horizon."""
    others = [r.verdict for c, r in readings if c.role in GATES and c.metric not in READ_ONCE]
    due = past_horizon or all(word in (Verdict.BETTER, Verdict.NON_INFERIOR) for word in others)
    if due:
        return list(readings)
    return [
        (c, replace(r, verdict=Verdict.INCONCLUSIVE, reason=NOT_YET_DUE))
        if c.metric in READ_ONCE and c.metric not in kept and r.verdict is not Verdict.NOT_COMPUTABLE
        else (c, r)
        for c, r in readings
    ]


def read_once(version: PlanVersion, *, period: int) -> dict[str, dict[str, Any]]:
    """The first true reading in a period of each criterion that a plan of several looks reads once, by metric."""
    if version.document["looks"] == Looks.ONE_LOOK:
        return {}
    versions = evidence_versions(version)
    rows = ComparisonRow.objects.filter(plan_version__in=versions, metric__in=READ_ONCE, run__status__in=ENDED)
    rows = rows.filter(run__period=period)
    found: dict[str, dict[str, Any]] = {}
    for row in rows.exclude(verdict=Verdict.NOT_COMPUTABLE).order_by("run__finished_at", "run"):
        if row.document["reason"] not in (NOT_YET_DUE, "too_few", DRIFTED):
            found.setdefault(row.metric, row.document)
    return found


def _as_read(document: Mapping[str, Any]) -> Reading:
    names = ("n", "incumbent", "candidate", "difference", "ratio", "lower", "upper", "method", "missing", "reason")
    return Reading(**{name: document[name] for name in names}, verdict=Verdict(document["verdict"]))


def frozen_by_drift(
    document: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]], *, n: int, on: date
) -> tuple[list[dict[str, Any]], Decision, str | None]:
    """``comparisons`` of a period that a drift alarm ended: their figures stand, and decide nothing.

    The evidence is of a model before a change and after it, so no interval holds for either. With the decision and its
    reason, as ``read_plan``; ``n`` samples were read.
    """
    names = (document["arms"]["incumbent"]["model"], document["arms"]["candidate"]["model"])
    frozen, readings = [], []
    for criterion, old in zip(criteria_of(document), comparisons, strict=True):
        reading = _as_read(old)
        new = dict(old)
        if reading.verdict is not Verdict.NOT_COMPUTABLE:
            reading = replace(reading, verdict=Verdict.INCONCLUSIVE, reason=DRIFTED)
            sentence = sentence_for(criterion, reading, incumbent=names[0], candidate=names[1])
            new |= {"verdict": str(reading.verdict), "reason": DRIFTED, "sentence": sentence}
        frozen.append(new)
        readings.append((criterion, reading))
    return frozen, *_decide(readings, past_horizon=_past_horizon(document["horizon"], n, on=on))


def _decide(readings: Sequence[tuple[Criterion, Reading]], *, past_horizon: bool) -> tuple[Decision, str | None]:
    gates = [(criterion, reading) for criterion, reading in readings if criterion.role in GATES]
    decision = overall_decision([reading.verdict for _, reading in gates])
    if decision is Decision.KEEP_TESTING and past_horizon:
        decision = Decision.KEEP_INCUMBENT
    if decision is Decision.DO_NOT_SWITCH:
        return decision, ", ".join(c.metric for c, r in gates if r.verdict is Verdict.WORSE)
    open_gates = [
        f"{c.metric}: {r.reason or r.verdict}"
        for c, r in gates
        if r.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPUTABLE)
    ]
    return decision, ", ".join(open_gates) or None


def stored_comparisons(run: ReplayRun) -> list[dict[str, Any]]:
    """The comparisons that ``run`` ended with, as documents, in the plan's order."""
    return [row.document for row in run.comparisons.all()]
