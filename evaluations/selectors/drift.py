"""Has a model, or the difference of two, moved since its first nights? Public surface: ``night_series``, ``Series``,
``Night``, ``BASELINE_NIGHTS``, ``SIGNAL_AT``.

A night is an ended run of a plan version that had answers. A tabular CUSUM with a baseline of 30 nights and h 10 calls
an unchanged model changed in 5 % of 90 nights.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from django.db.models import Avg, Count, Exists, OuterRef, Q, Sum

from evaluations.enums import LEFT_OUT, ArmRole, Choice, Outcome, RunStatus
from evaluations.models import Completion, PlanVersion, ReplayRun, ScoreRow
from evaluations.statistics.drift import cusum

BASELINE_NIGHTS = 30
SIGNAL_AT = 10.0  # h, in standard deviations of the baseline
SLACK = 0.5  # k
# A night that was stopped is a night as far as it went.
_NIGHTS = (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET)
FAILURE_RATE, COST, LATENCY = "failure_rate", "cost_per_request", "latency_mean_ms"


class Side(Choice):
    """Whose figure is followed."""

    INCUMBENT = "incumbent", "incumbent"
    CANDIDATE = "candidate", "candidate"
    DIFFERENCE = "difference", "difference"


class State(Choice):
    DRIFTED = "drifted", "moved since the baseline"
    STEADY = "steady", "no move seen"
    BASELINE = "baseline", "too few nights for a baseline"
    NO_SPREAD = "no_spread", "the baseline has no spread"


@dataclass(frozen=True, slots=True)
class Night:
    run: int
    at: datetime
    value: float
    up: float | None  # the two sums of the CUSUM, in standard deviations; None: a night of the baseline
    down: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of one side, night by night."""

    metric: str
    side: Side
    state: State
    target: float | None  # mean of the baseline; None: there is none yet
    sd: float | None  # of the baseline
    signal_run: int | None  # the first night beyond the threshold
    signal_at: datetime | None
    nights: tuple[Night, ...]  # in order


class _Means(NamedTuple):
    run: int
    at: datetime
    values: Mapping[str, float]  # by metric


def night_series(versions: Iterable[PlanVersion], *, until: datetime) -> dict[int, tuple[Series, ...]]:
    """By plan version, every metric's three series over the nights that had ended ``until`` then.

    A failed answer counts as one that scores 0, as in the comparison; what was left out is. Four queries, whatever
    the number of versions.
    """
    scorers = {
        version.pk: [(entry["key"], entry["version"]) for entry in version.document["scorers"]] for version in versions
    }
    nights = list(
        ReplayRun.objects.filter(plan_version__in=scorers, status__in=_NIGHTS, finished_at__lte=until, done__gt=0)
        .order_by("finished_at", "pk")
        .values_list("pk", "plan_version_id", "finished_at")
    )
    figures = _figures({run: scorers[version] for run, version, _ in nights})
    by_version: dict[int, dict[ArmRole, list[_Means]]] = defaultdict(lambda: defaultdict(list))
    for run, version, at in nights:
        if at is None:  # the filter above leaves none
            continue
        for role in (ArmRole.INCUMBENT, ArmRole.CANDIDATE):
            found = figures.get((run, role), {})
            by_version[version][role].append(_Means(run, at, found))
    return {
        version: tuple(
            _series(by_version[version], [*(key for key, _ in scorers[version]), FAILURE_RATE, COST, LATENCY])
        )
        for version in by_version
    }


def _figures(scorers: Mapping[int, Sequence[tuple[str, str]]]) -> dict[tuple[int, ArmRole], dict[str, float]]:
    """Means over one night's answers, by run and arm. Later versions may have judged the answers again: each run has
    its own scorers.
    """
    counted = Completion.objects.filter(arm__run__in=scorers).exclude(outcome__in=LEFT_OUT).order_by()
    by = ("arm__run", "arm__role")
    judged = ScoreRow.objects.filter(completion=OuterRef("pk"), value__isnull=False)
    # As in the comparison: a vendor's failure, unless a scorer said that it judges such answers.
    failed = counted.exclude(outcome=Outcome.OK).filter(~Exists(judged))
    failures = {(run, ArmRole(role)): n for run, role, n in failed.values_list(*by).annotate(n=Count("pk"))}
    answers = counted.values_list(*by).annotate(
        n=Count("pk"),
        cost=Sum("cost_amount"),
        priced=Count("cost_amount"),
        latency=Avg("latency_ms", filter=Q(outcome=Outcome.OK)),
    )
    found: dict[tuple[int, ArmRole], dict[str, float]] = {}
    for run, role, n, cost, priced, latency in answers:
        arm = found.setdefault((run, ArmRole(role)), {})
        arm[FAILURE_RATE] = failures.get((run, ArmRole(role)), 0) / n
        if priced:
            arm[COST] = float(cost) / priced
        if latency is not None:
            arm[LATENCY] = latency
    scored = counted.filter(scores__value__isnull=False).values_list(*by, "scores__key", "scores__scorer_version")
    for run, role, key, version, total, n in scored.annotate(total=Sum("scores__value"), n=Count("scores__value")):
        if (key, version) in scorers[run]:
            found[run, ArmRole(role)][key] = total / (n + failures.get((run, ArmRole(role)), 0))
    return found


def _series(arms: Mapping[ArmRole, Sequence[_Means]], metrics: Iterable[str]) -> Iterable[Series]:
    before, after = arms[ArmRole.INCUMBENT], arms[ArmRole.CANDIDATE]
    for metric in metrics:
        yield _read(metric, Side.INCUMBENT, [(m.run, m.at, m.values.get(metric)) for m in before])
        yield _read(metric, Side.CANDIDATE, [(m.run, m.at, m.values.get(metric)) for m in after])
        both = [
            (new.run, new.at, _minus(new.values.get(metric), old.values.get(metric)))
            for old, new in zip(before, after, strict=True)
        ]
        yield _read(metric, Side.DIFFERENCE, both)


def _minus(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else new - old


def _read(metric: str, side: Side, rows: Sequence[tuple[int, datetime, float | None]]) -> Series:
    known = [(run, at, value) for run, at, value in rows if value is not None]
    values = [value for _, _, value in known]
    base = values[:BASELINE_NIGHTS]
    enough = len(values) > BASELINE_NIGHTS
    target = math.fsum(base) / len(base) if enough else None
    sd = float(np.std(base, ddof=1)) if enough else None
    state, signal = State.BASELINE, None
    sums: list[tuple[float | None, float | None]] = [(None, None)] * len(values)
    if target is not None and sd is not None:
        if sd <= abs(target) * 1e-12:
            state, sd = State.NO_SPREAD, None
        else:
            read = cusum(values[BASELINE_NIGHTS:], target=target, sd=sd, k=SLACK, h=SIGNAL_AT)
            sums[BASELINE_NIGHTS:] = zip(read.c_plus, read.c_minus, strict=True)
            signal = None if read.first_signal is None else BASELINE_NIGHTS + read.first_signal - 1
            state = State.STEADY if signal is None else State.DRIFTED
    return Series(
        metric=metric,
        side=side,
        state=state,
        target=target,
        sd=sd,
        signal_run=None if signal is None else known[signal][0],
        signal_at=None if signal is None else known[signal][1],
        nights=tuple(Night(run, at, value, up, down) for (run, at, value), (up, down) in zip(known, sums, strict=True)),
    )
