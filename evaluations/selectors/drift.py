"""Has a model, or the difference of two, moved since its first nights? Public surface: ``night_series``, ``Series``,
``Night``, ``Reading``, ``drift_in``, ``Drift``, ``Move``, ``period_of``, ``drift_ended``, ``unread_runs``,
``BASELINE_NIGHTS``, ``SIGNAL_AT``.

A night is a run of a plan version that had answers and was read. A tabular CUSUM with a baseline of 30 nights and h 10
calls an unchanged model changed in 5 % of 90 nights. An alarm ends the period: the next one has a baseline of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Avg, Count, Exists, Max, OuterRef, Q, QuerySet, Sum

from evaluations.enums import GATES, LEFT_OUT, ArmRole, Choice, CriterionRole, Outcome, RunStatus
from evaluations.models import Completion, DriftAlarm, PlanVersion, ReplayRun, RunArm, ScoreRow
from evaluations.selectors.evidence import evidence_versions
from evaluations.selectors.sentences import label_of
from evaluations.statistics.drift import cusum

BASELINE_NIGHTS = 30
SIGNAL_AT = 10.0  # h, in standard deviations of the baseline
SLACK = 0.5  # k
# A night that was stopped is a night as far as it went.
_NIGHTS = (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET)
FAILURE_RATE, COST, LATENCY = "failure_rate", "cost_per_request", "latency_mean_ms"
# What is followed for a criterion that is not its own nightly mean.
_FOLLOWED = {
    "cost_per_success": COST,
    "latency_p50_ms": LATENCY,
    "latency_p95_ms": LATENCY,
    "ttft_p95_ms": LATENCY,
}
_NAMES_SHOWN = 5  # of served models


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


@dataclass(frozen=True, slots=True)
class Reading:
    """The nights of one period of a plan version."""

    period: int
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """One figure that has moved."""

    metric: str
    side: str  # value of ``Side``
    baseline: float  # mean of the baseline's nights
    sd: float
    now: float  # mean of the nights since
    since_run: int  # the night after the sum was last at zero: about when it began
    since_at: str  # ISO

    @property
    def began_at(self) -> datetime:
        return datetime.fromisoformat(self.since_at)


@dataclass(frozen=True, slots=True)
class Drift:
    """What moved in a period, and what the models called themselves."""

    run: int  # the night that told
    moves: tuple[Move, ...]  # of one model before the difference, the largest first
    served: dict[str, dict[str, Any]]  # by arm: ``pinned``, ``before``, ``since``
    words: str  # one sentence without its full stop

    def moved(self) -> list[dict[str, Any]]:
        """As stored with the alarm."""
        return [asdict(move) for move in self.moves]


class _Means(NamedTuple):
    run: int
    at: datetime
    values: Mapping[str, float]  # by metric
    answers: int  # counted


def night_series(
    versions: Iterable[PlanVersion], *, until: datetime, period: int | None = None, ending: ReplayRun | None = None
) -> dict[int, Reading]:
    """By plan version, every metric's three series over the nights that had ended ``until`` then.

    Of ``period``, else of the newest that has a night; ``ending`` is a run whose end is about to be read. A failed
    answer counts as one that scores 0, as in the comparison; what was left out is. Four queries, whatever the number
    of versions.
    """
    scorers = {
        version.pk: [(entry["key"], entry["version"]) for entry in version.document["scorers"]] for version in versions
    }
    told = [
        (run, version, of, at)
        for run, version, of, at in _nights(scorers, until, ending).values_list(
            "pk", "plan_version_id", "period", "finished_at"
        )
        if at is not None  # the filter leaves none
    ]
    newest: dict[int, int] = {}
    for _, version, of, _ in told:
        newest[version] = period if period is not None else max(of, newest.get(version, of))
    nights = [(run, version, at) for run, version, of, at in told if of == newest[version]]
    figures = _figures({run: scorers[version] for run, version, _ in nights})
    by_version: dict[int, dict[ArmRole, list[_Means]]] = defaultdict(lambda: defaultdict(list))
    for run, version, at in nights:
        for role in (ArmRole.INCUMBENT, ArmRole.CANDIDATE):
            values, answers = figures.get((run, role), ({}, 0))
            by_version[version][role].append(_Means(run, at, values, answers))
    return {
        version: Reading(
            newest[version],
            tuple(_series(arms, [*(key for key, _ in scorers[version]), FAILURE_RATE, COST, LATENCY])),
        )
        for version, arms in by_version.items()
    }


def _nights(versions: Iterable[int], until: datetime, ending: ReplayRun | None) -> QuerySet[ReplayRun]:
    read = ~Q(decision="") if ending is None else ~Q(decision="") | Q(pk=ending.pk)
    return ReplayRun.objects.filter(
        read, plan_version__in=versions, status__in=_NIGHTS, finished_at__lte=until, done__gt=0
    ).order_by("finished_at", "pk")


def period_of(version: PlanVersion) -> int:
    """The period that a run created now belongs to: an alarm ended the one before."""
    ended = DriftAlarm.objects.filter(plan_version__in=evidence_versions(version)).aggregate(newest=Max("period"))[
        "newest"
    ]
    return 1 if ended is None else int(ended) + 1


def drift_ended(run: ReplayRun) -> bool:
    """Whether an alarm ended the period of ``run``, so that its evidence decides nothing."""
    return DriftAlarm.objects.filter(plan_version__in=evidence_versions(run.plan_version), period=run.period).exists()


def unread_runs() -> QuerySet[ReplayRun]:
    """Runs whose end was read, but not for drift: an older release concluded them, or a worker was lost."""
    return ReplayRun.objects.filter(drift_read=False).exclude(decision="").order_by("id")


def drift_in(run: ReplayRun) -> Drift | None:
    """What has moved in the period of ``run`` by its end; None: nothing that a gate of its plan rests on.

    The figures of advisory criteria, and those that no criterion uses, are reported without an alarm: with every
    further series a false one becomes likelier.
    """
    version = run.plan_version
    until = run.finished_at
    nights = _nights([version.pk], until, run).filter(period=run.period) if until is not None else None
    if until is None or nights is None or nights.count() <= BASELINE_NIGHTS:
        return None
    [reading] = night_series([version], until=until, period=run.period, ending=run).values()
    gates = {
        _FOLLOWED.get(entry["metric"], entry["metric"])
        for entry in version.document["criteria"]
        if CriterionRole(entry["role"]) in GATES
    }
    found = [one for one in reading.series if one.state is State.DRIFTED and one.metric in gates]
    if not found:
        return None
    moves = sorted((_move(one) for one in found), key=lambda move: (move.side == Side.DIFFERENCE, -abs(_size(move))))
    first = min(moves, key=lambda move: (move.since_at, move.since_run))
    told = min(found, key=lambda one: (one.signal_at or until, one.signal_run or run.pk))
    return Drift(
        run=told.signal_run or run.pk,
        moves=tuple(moves),
        served=_served(run, list(nights.values_list("pk", flat=True)), since=first.since_run),
        words=_words(moves, run.currency),
    )


def _move(one: Series) -> Move:
    """From the night after the sum that gave the alarm was last at zero (Montgomery, section 9.1.2)."""
    signal = next(place for place, night in enumerate(one.nights) if night.run == one.signal_run)
    upwards = (one.nights[signal].up or 0.0) > (one.nights[signal].down or 0.0)
    begin = signal
    while begin > 0 and (one.nights[begin - 1].up if upwards else one.nights[begin - 1].down):
        begin -= 1
    since = [night.value for night in one.nights[begin : signal + 1]]
    return Move(
        metric=one.metric,
        side=one.side.value,
        baseline=one.target or 0.0,
        sd=one.sd or 0.0,
        now=math.fsum(since) / len(since),
        since_run=one.nights[begin].run,
        since_at=one.nights[begin].at.astimezone(UTC).isoformat(),
    )


def _size(move: Move) -> float:
    return (move.now - move.baseline) / move.sd if move.sd else 0.0


def _served(run: ReplayRun, nights: Sequence[int], *, since: int) -> dict[str, dict[str, Any]]:
    """What each arm's model was pinned as, and the names under which it answered before the move and from it on."""
    names: dict[tuple[str, bool], set[str]] = defaultdict(set)
    begun = {pk: place >= nights.index(since) for place, pk in enumerate(nights)}
    answers = Completion.objects.filter(arm__run__in=nights).exclude(served_model="").order_by()
    for role, night, name in answers.values_list("arm__role", "arm__run", "served_model").distinct():
        names[str(role), begun[night]].add(name)
    return {
        arm.role.value: {
            "pinned": arm.endpoint.wire_model if arm.endpoint else "",  # '': its recorded answers, no calls
            "before": sorted(names[arm.role.value, False])[:_NAMES_SHOWN],
            "since": sorted(names[arm.role.value, True])[:_NAMES_SHOWN],
        }
        for arm in RunArm.objects.filter(run=run).select_related("endpoint")
    }


def _words(moves: Sequence[Move], currency: str) -> str:
    """``exact of the candidate fell from 91.7 % to 25.0 % since 3 Nov 2026, and 2 more figures moved``."""
    move, more = moves[0], len(moves) - 1
    whose = "candidate less incumbent" if move.side == Side.DIFFERENCE else f"of the {move.side}"
    went = "rose" if move.now > move.baseline else "fell"
    values = " to ".join(_value(value, move.metric, currency) for value in (move.baseline, move.now))
    others = f", and {more} more figure{'' if more == 1 else 's'} moved" if more else ""
    return f"{label_of(move.metric)} {whose} {went} from {values} since about {move.began_at:%-d %b %Y}{others}"


def _value(value: float, metric: str, currency: str) -> str:
    if metric == COST:
        return f"{value:.4g} {currency}"
    return f"{value:,.0f} ms" if metric == LATENCY else f"{100 * value:.1f} %"


def _figures(
    scorers: Mapping[int, Sequence[tuple[str, str]]],
) -> dict[tuple[int, ArmRole], tuple[dict[str, float], int]]:
    """Means over one night's answers, and how many they are of, by run and arm.

    Later versions may have judged the answers again: each run has its own scorers.
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
    found: dict[tuple[int, ArmRole], tuple[dict[str, float], int]] = {}
    for run, role, n, cost, priced, latency in answers:
        arm, _ = found.setdefault((run, ArmRole(role)), ({}, n))
        arm[FAILURE_RATE] = failures.get((run, ArmRole(role)), 0) / n
        if priced:
            arm[COST] = float(cost) / priced
        if latency is not None:
            arm[LATENCY] = latency
    scored = counted.filter(scores__value__isnull=False).values_list(*by, "scores__key", "scores__scorer_version")
    for run, role, key, version, total, n in scored.annotate(total=Sum("scores__value"), n=Count("scores__value")):
        if (key, version) in scorers[run]:
            found[run, ArmRole(role)][0][key] = total / (n + failures.get((run, ArmRole(role)), 0))
    return found


def _series(arms: Mapping[ArmRole, Sequence[_Means]], metrics: Iterable[str]) -> Iterable[Series]:
    before, after = arms[ArmRole.INCUMBENT], arms[ArmRole.CANDIDATE]
    for metric in metrics:
        yield _read(metric, Side.INCUMBENT, [(m.run, m.at, m.values.get(metric), m.answers) for m in before])
        yield _read(metric, Side.CANDIDATE, [(m.run, m.at, m.values.get(metric), m.answers) for m in after])
        both = [
            (new.run, new.at, _minus(new.values.get(metric), old.values.get(metric)), min(new.answers, old.answers))
            for old, new in zip(before, after, strict=True)
        ]
        yield _read(metric, Side.DIFFERENCE, both)


def _minus(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else new - old


def _read(metric: str, side: Side, rows: Sequence[tuple[int, datetime, float | None, int]]) -> Series:
    known = [(run, at, value) for run, at, value, _ in rows if value is not None]
    sizes = [answers for _, _, value, answers in rows if value is not None]
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
            since = _of_usual_size(values[BASELINE_NIGHTS:], sizes, target)
            read = cusum(since, target=target, sd=sd, k=SLACK, h=SIGNAL_AT)
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


def _of_usual_size(values: Sequence[float], sizes: Sequence[int], target: float) -> list[float]:
    """Means of nights with fewer answers than the baseline's, drawn towards ``target`` by as much as they scatter more.

    The baseline's spread is that of its nights: measured by it, five answers would be an alarm every tenth time.
    """
    usual = float(np.median(sizes[:BASELINE_NIGHTS]))
    scales = [min(1.0, math.sqrt(size / usual)) for size in sizes[BASELINE_NIGHTS:]]
    return [target + (value - target) * scale for value, scale in zip(values, scales, strict=True)]
