"""What a model's end asks of every workload on it: recorded answers against the need, money, and what was asked for.

Public surface: ``ends_of_life``, ``EndOfLife``, ``Line``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, QuerySet, Sum

from evaluations.conf import setting as engine_setting
from evaluations.models import Endpoint, ModelVersion, Plan, Sample, Workload
from evaluations.selectors.estimates import Lengths, cost_per_call, pool_lengths
from pilots.enums import NoticeKind
from pilots.formats import day, money
from pilots.models import Notice, TrafficDay
from pilots.selectors.end_of_life import OnModel, Standing, standings

CallCost = Callable[[Lengths], Decimal | None]

_TRAFFIC_DAYS = 30
_SAMPLES_READ = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One workload with what is there and what is missing."""

    on: OnModel
    samples: int  # of the pool, with a prompt
    answered: int  # of these, with a recorded answer
    short: int  # recorded answers that the need asks for and that are not there; 0 where it need not move
    lengths: Lengths | None  # of its requests; None: neither traffic nor samples tell
    capture_cost: Decimal | None  # to have the model answer what is short once more; None: not known
    replay_cost: Decimal | None  # of the pilot's candidate, for what is not evaluated yet; None: not known, or no pilot
    asked_at: datetime | None  # when its team was last asked to record answers; None: never


@dataclass(frozen=True, slots=True)
class EndOfLife:
    standing: Standing
    lines: tuple[Line, ...]
    currency: str
    sentence: str  # the whole in one

    @property
    def short(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.short)

    @property
    def capture_cost(self) -> Decimal:
        """Of those whose cost is known."""
        return sum((line.capture_cost for line in self.short if line.capture_cost is not None), Decimal(0))

    @property
    def capture_unknown(self) -> int:
        """Workloads that the sum leaves out."""
        return sum(line.capture_cost is None for line in self.short)


def ends_of_life(workloads: QuerySet[Workload], *, at: datetime, model: str = "") -> tuple[EndOfLife, ...]:
    """Of one model, or of every one that ends. The number of queries grows with the models that end, not with what is
    on them."""
    chosen = ModelVersion.objects.filter(slug=model) if model else None
    found = standings(workloads, today=at.date(), models=chosen)
    keys = {line.pk for standing in found for line in standing.lines}
    counts = _counts(keys)
    lengths = _lengths(keys, at)
    currency = engine_setting("DEFAULT_BUDGET")[1]
    candidates = _candidate_costs(found, currency, at)
    return tuple(_end(standing, counts, lengths, candidates, currency, at) for standing in found)


def _end(
    standing: Standing,
    counts: Mapping[int, tuple[int, int]],
    lengths: Mapping[int, Lengths],
    candidates: Mapping[str, CallCost],
    currency: str,
    at: datetime,
) -> EndOfLife:
    model = ModelVersion.objects.get(pk=standing.pk)
    endpoint = Endpoint.objects.filter(model=model).order_by("slug").first()
    cost = cost_per_call(model=model, endpoint=endpoint, currency=currency, at=at)
    asked = dict(
        Notice.objects.filter(kind=NoticeKind.CAPTURE_REQUESTED, data__model=standing.model)
        .order_by("happened_at")
        .values_list("data__workload", "happened_at")
    )
    lines = []
    for on in standing.lines:
        samples, answered = counts.get(on.pk, (0, 0))
        short = max(on.need.samples - answered, 0) if on.depends else 0
        long = lengths.get(on.pk)
        each = None if long is None else cost(long)
        lines.append(
            Line(
                on=on,
                samples=samples,
                answered=answered,
                short=short,
                lengths=long,
                capture_cost=Decimal(0) if not short else None if each is None else short * each,
                replay_cost=_replay_cost(on, long, candidates),
                asked_at=asked.get(on.workload),
            )
        )
    found = EndOfLife(standing, tuple(lines), currency, "")
    return EndOfLife(standing, found.lines, currency, _sentence(found, at.date()))


def _replay_cost(on: OnModel, lengths: Lengths | None, candidates: Mapping[str, CallCost]) -> Decimal | None:
    if on.trial is None or lengths is None or on.trial.pilot not in candidates:
        return None
    each = candidates[on.trial.pilot](lengths)
    return None if each is None else max(on.need.samples - on.trial.evaluated, 0) * each


def _counts(workloads: Collection[int]) -> dict[int, tuple[int, int]]:
    """Samples with a prompt, and those of them with a recorded answer, by workload."""
    pool = Sample.objects.filter(workload__in=workloads, replayable=True, purged_at__isnull=True)
    rows = pool.order_by().values_list("workload_id").annotate(n=Count("pk"), answered=Count("recorded"))
    return {workload: (n, answered) for workload, n, answered in rows}


def _lengths(workloads: Collection[int], at: datetime) -> dict[int, Lengths]:
    """As traffic of the last days counted them, else as the newest samples of the pool say."""
    since = at.date() - timedelta(days=_TRAFFIC_DAYS)
    rows = (
        TrafficDay.objects.filter(
            workload__in=workloads, day__gt=since, replaced_at=None, requests__gt=0,
            input_tokens__isnull=False, output_tokens__isnull=False,
        )
        .order_by()
        .values_list("workload_id")
        .annotate(n=Sum("requests"), into=Sum("input_tokens"), out=Sum("output_tokens"))
    )  # fmt: skip
    counted = {workload: Lengths(round(into / n), round(out / n), True) for workload, n, into, out in rows}
    return pool_lengths(set(workloads) - counted.keys(), each=_SAMPLES_READ) | counted


def _candidate_costs(found: tuple[Standing, ...], currency: str, at: datetime) -> dict[str, CallCost]:
    """By pilot with a plan: the money of one call of its candidate."""
    plans = {
        line.trial.plan: line.trial.pilot
        for standing in found
        for line in standing.lines
        if line.trial is not None and line.trial.plan is not None
    }
    costs: dict[tuple[int, int | None], CallCost] = {}
    by_pilot: dict[str, CallCost] = {}
    for plan in Plan.objects.filter(pk__in=plans).select_related("candidate_model", "candidate_endpoint"):
        key = plan.candidate_model_id, plan.candidate_endpoint_id
        if key not in costs:
            costs[key] = cost_per_call(
                model=plan.candidate_model, endpoint=plan.candidate_endpoint, currency=currency, at=at
            )
        by_pilot[plans[plan.pk]] = costs[key]
    return by_pilot


def _sentence(found: EndOfLife, today: date) -> str:
    standing = found.standing
    left, n = standing.days_left, len(found.lines)
    workloads = f"{n:,} workload{'' if n == 1 else 's'}"
    if standing.ended:
        begun = f"{standing.model} ended {_days(-left)} ago: {workloads} still on record with it"
    else:
        begun = f"{standing.model} ends in {_days(left)}: {workloads}"
    parts = [f"{begun}{_answers(found)}"]
    if found.short:
        parts.append("what was not recorded cannot be captured any more" if standing.ended else _capture(found))
    last = standing.last_start
    if last is not None and not standing.ended:
        parts.append(f"last safe start {day(last)}" if last >= today else f"the last safe start was {day(last)}")
    return f"{'; '.join(parts)}."


def _answers(found: EndOfLife) -> str:
    if not found.standing.depending:
        return ", none of them in production on it"
    if not found.short:
        return ", all with the recorded answers that they need"
    which = "recorded answers" if not any(line.answered for line in found.short) else "enough recorded answers"
    return f", {len(found.short):,} without {which}"


def _capture(found: EndOfLife) -> str:
    unknown = found.capture_unknown
    if unknown == len(found.short):
        return "what it costs to capture them now is not known"
    about = money(found.capture_cost, found.currency)
    return f"capture now, about {about}" + (f" and an unknown amount for {unknown:,} of them" if unknown else "")


def _days(n: int) -> str:
    return f"{n:,} day{'' if n == 1 else 's'}"
