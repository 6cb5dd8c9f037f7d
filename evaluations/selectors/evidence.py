"""What all runs of a plan version say, sample by sample.

Public surface: ``Evidence``, ``ArmEvidence``, ``Column``, ``column``, ``evidence_for``, ``runs_until``,
``evidence_versions``, ``score_of``, ``own_scores``, ``Repriced``.

Evidence is that of one period of the plan version: a drift alarm ends a period, and what came before it is not mixed
with what comes after. A sample that was answered several times counts once, with its mean. A vendor's failure counts as
a failed answer; an outcome of our own making leaves the sample out of the counted comparison. Rows are read once, in
any order, into eight bytes a figure: a run may have a million samples.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from django.db.models import BigIntegerField, CharField, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from numpy.typing import NDArray

from evaluations.enums import LEFT_OUT, ArmRole, Outcome, RunStatus
from evaluations.models import Completion, PlanVersion, ReplayRun, RunArm, ScoreRow
from evaluations.models.fields import PLACES

ENDED = (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET, RunStatus.CANCELLED, RunStatus.FAILED)

# Money for one answer by its tokens: uncached input, read from a cache, written to one, output. None: unknown.
Repriced = Callable[[int | None, int | None, int | None, int | None], float | None]
Column = NDArray[np.float64]  # NaN = left out, unscored or unknown; never zero
_AT_ONCE = 2000
_ONE = 10**PLACES  # what one unit of money is stored as


def column(values: Iterable[float | None]) -> Column:
    """``values`` with None where nothing is known."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _nothing() -> Column:
    return column(())


@dataclass(slots=True)
class ArmEvidence:
    """One arm's answers, aligned with ``Evidence.samples``."""

    failure: Column = field(default_factory=_nothing)  # share of counted repeats that the vendor failed
    scores: dict[str, Column] = field(default_factory=dict)  # a failed answer scores 0
    answered_scores: dict[str, Column] = field(default_factory=dict)  # only answers, per protocol
    cost: Column = field(default_factory=_nothing)  # money per repeat
    input_tokens: Column = field(default_factory=_nothing)  # of every kind, per repeat
    output_tokens: Column = field(default_factory=_nothing)
    latency_ms: Column = field(default_factory=_nothing)  # inf: failed
    ttft_ms: Column = field(default_factory=_nothing)


@dataclass(slots=True)
class Evidence:
    """Everything a comparison needs; ``samples`` are ids in ascending order."""

    samples: NDArray[np.int64]
    clusters: NDArray[np.int64]  # by sample; those of one cluster have the same number
    incumbent: ArmEvidence
    candidate: ArmEvidence

    @property
    def n(self) -> int:
        return len(self.samples)


def evidence_versions(version: PlanVersion) -> list[int]:
    """Keys of ``version`` and of those it goes on from: a horizon that is moved keeps the evidence from night one."""
    found, number = [version.pk], _goes_on_from(version)
    while number is not None:
        earlier = PlanVersion.objects.get(plan=version.plan_id, number=number)
        found.append(earlier.pk)
        number = _goes_on_from(earlier)
    return found


def _goes_on_from(version: PlanVersion) -> int | None:
    horizon: Mapping[str, Any] = version.document["horizon"]
    return horizon["voids"] if horizon.get("continues") else None


def runs_until(run: ReplayRun) -> QuerySet[ReplayRun]:
    """``run``, which has ended, and the runs with evidence of its plan version and period that had ended before."""
    same = Q(plan_version__in=evidence_versions(run.plan_version), judges=None, period=run.period)
    before = same & Q(status__in=ENDED, finished_at__lte=run.finished_at)
    return ReplayRun.objects.filter(Q(pk=run.pk) | before).order_by("pk")


def own_scores(version: PlanVersion) -> Q:
    """Among ``ScoreRow``, what runs of ``version`` ended with; later versions may have judged their answers again."""
    mine = Q(pk__in=[])
    for entry in version.document["scorers"]:
        mine |= Q(key=entry["key"], scorer_version=entry["version"])
    return mine


def evidence_for(
    version: PlanVersion,
    *,
    at_end_of: ReplayRun | None = None,
    period: int | None = None,
    judged_by: PlanVersion | None = None,
    repriced: Mapping[ArmRole, Repriced] | None = None,
) -> Evidence:
    """The evidence of every ended run of ``version`` in one period, and of ``at_end_of`` which is about to end.

    ``period``: that of ``at_end_of`` unless told; without either, the runs of all periods.
    ``judged_by``: what the scorers of that later version made of the runs until ``at_end_of``, which has ended.
    ``repriced``: the arms that cost what their answers' tokens would cost at other prices.
    """
    runs = Q(run__plan_version__in=evidence_versions(version)) & Q(run__judges=None) & Q(run__status__in=ENDED)
    if at_end_of is not None:
        period = at_end_of.period
    if period is not None:
        runs &= Q(run__period=period)
    if at_end_of is not None:
        runs = Q(run__in=runs_until(at_end_of)) if judged_by else runs | Q(run=at_end_of)
    roles = dict(RunArm.objects.filter(runs).values_list("id", "role"))
    document = (judged_by or version).document
    keys = sorted({(entry["key"], entry["version"]) for entry in document["scorers"]})
    answers = {role: _Answers(len(keys), (repriced or {}).get(role)) for role in (ArmRole.INCUMBENT, ArmRole.CANDIDATE)}
    numbers: dict[str, int] = {}  # of clusters, in order of appearance
    of_sample: dict[int, int] = {}  # only of samples in a cluster
    for arm_id, sample_id, cluster, *figures in _rows(list(roles), keys):
        answers[roles[arm_id]].add(sample_id, figures)
        if cluster:
            of_sample[sample_id] = numbers.setdefault(cluster, len(numbers))
    given = {role: rows.arrays() for role, rows in answers.items()}
    samples = np.unique(np.concatenate([rows.sample for rows in given.values()]))
    alone = -1 - samples  # a number of its own, that no cluster has
    metrics = [key for key, _ in keys]
    return Evidence(
        samples=samples,
        clusters=np.array([of_sample.get(pk, own) for pk, own in zip(samples.tolist(), alone.tolist(), strict=True)])
        if of_sample
        else alone,
        incumbent=_arm(given[ArmRole.INCUMBENT], samples, metrics),
        candidate=_arm(given[ArmRole.CANDIDATE], samples, metrics),
    )


def score_of(key: str, scorer_version: str, *, unscored: float | None = None) -> Subquery:
    """What a scorer said of a ``Completion``; None: nothing. By an index, one answer at a time: a join would be planned
    by what PostgreSQL believes of scores that have just been written, and may compare each answer with all of them.
    """
    given = ScoreRow.objects.filter(completion=OuterRef("pk"), key=key, scorer_version=scorer_version)
    return Subquery(given.values(said=F("value") if unscored is None else Coalesce("value", Value(unscored))))


def _rows(arms: Sequence[int], keys: Sequence[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
    """Arm, sample, cluster, and the figures of ``_Answers.add``, one answer at a time."""
    scores = {f"score_{place}": score_of(*scorer) for place, scorer in enumerate(keys)}
    # As they are stored: an enum and a Decimal for every row would take longer than reading it.
    raw = {
        "raw_outcome": ExpressionWrapper(F("outcome"), output_field=CharField()),
        "raw_cost": ExpressionWrapper(F("cost_amount"), output_field=BigIntegerField()),
    }
    rows = Completion.objects.filter(arm__in=arms).annotate(**scores, **raw)
    return rows.values_list(
        "arm_id",
        "sample_id",
        "sample__cluster",
        "raw_outcome",
        "raw_cost",
        "input_uncached_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_total_tokens",
        "latency_ms",
        "ttft_ms",
        *scores,
    ).iterator(chunk_size=_AT_ONCE)


@dataclass(slots=True)
class _Arrays:
    """One arm's answers in the order of reading."""

    sample: NDArray[np.int64]
    counted: NDArray[np.bool_]  # not left out
    ok: NDArray[np.bool_]
    cost: Column
    input_tokens: Column
    output_tokens: Column
    latency_ms: Column
    ttft_ms: Column
    scores: list[Column]


class _Answers:
    """Grows by one answer at a time."""

    def __init__(self, scorers: int, repriced: Repriced | None = None) -> None:
        self._repriced = repriced
        self._sample, self._flags = array("q"), array("b")
        self._figures = [array("d") for _ in range(5 + scorers)]

    def add(self, sample_id: int, figures: Sequence[Any]) -> None:
        outcome, cost, uncached, read, written, output, *rest = figures
        nothing = 0 if cost == 0 else None  # what was refused at the door has used no tokens
        self._sample.append(sample_id)
        self._flags.append(_FLAGS[outcome])
        money = None if cost is None else cost / _ONE
        if self._repriced is not None and (cost != 0 or output is not None):
            money = self._repriced(uncached, read, written, output)
        known = (
            money,
            nothing if uncached is None else uncached + (read or 0) + (written or 0),
            nothing if output is None else output,
            *rest,
        )
        for place, value in zip(self._figures, known, strict=True):
            place.append(math.nan if value is None else value)

    def arrays(self) -> _Arrays:
        """The same memory, for numpy."""
        flags = np.asarray(self._flags)
        cost, input_tokens, output_tokens, latency_ms, ttft_ms, *scores = (np.asarray(each) for each in self._figures)
        return _Arrays(
            sample=np.asarray(self._sample),
            counted=flags != _OUT,
            ok=flags == _ANSWERED,
            cost=cost,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            latency_ms=latency_ms,
            ttft_ms=ttft_ms,
            scores=scores,
        )


_OUT, _ANSWERED, _NOT_OK = 0, 1, 2
_FLAGS = {
    outcome.value: _OUT if outcome in LEFT_OUT else _ANSWERED if outcome is Outcome.OK else _NOT_OK
    for outcome in Outcome
}


def _arm(rows: _Arrays, samples: NDArray[np.int64], metrics: Sequence[str]) -> ArmEvidence:
    scored = np.zeros(len(rows.sample), dtype=np.bool_)
    for score in rows.scores:
        scored |= ~np.isnan(score)
    # A vendor's failure, unless a scorer said that it judges such answers (a cut one, for example).
    failed = ~rows.ok & ~scored

    def mean(values: Column, of: NDArray[np.bool_] = rows.counted) -> Column:
        return _means(values[of], np.searchsorted(samples, rows.sample[of]), len(samples))

    answered = rows.counted & ~failed
    return ArmEvidence(
        failure=mean(failed.astype(np.float64)),
        scores={key: mean(np.where(failed, 0.0, score)) for key, score in zip(metrics, rows.scores, strict=True)},
        answered_scores={key: mean(score, answered) for key, score in zip(metrics, rows.scores, strict=True)},
        cost=mean(rows.cost),
        input_tokens=mean(rows.input_tokens),
        output_tokens=mean(rows.output_tokens),
        latency_ms=mean(np.where(failed, math.inf, rows.latency_ms)),
        ttft_ms=mean(np.where(failed, math.inf, rows.ttft_ms)),
    )


def _means(values: Column, places: NDArray[np.intp], n: int) -> Column:
    """By place; NaN if there is nothing, or if anything is unknown."""
    means = np.full(n, math.nan)
    times = np.bincount(places, minlength=n)
    once = times[places] == 1
    means[places[once]] = values[once]
    several = np.flatnonzero(~once)
    order = several[np.argsort(places[several], kind="stable")]
    together = iter(values[order].tolist())
    for place in np.flatnonzero(times > 1).tolist():
        repeats = int(times[place])
        means[place] = math.fsum(islice(together, repeats)) / repeats
    return means
