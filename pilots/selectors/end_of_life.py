"""Models that end, the workloads on them, and when each has to start at the latest.

Public surface: ``standings``, ``Standing``, ``OnModel``, ``Trial``, ``ROLES``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from evaluations.models import Endpoint, ModelVersion, PlanVersion, ReplayRun, Workload
from evaluations.selectors.needs import Need, need_of
from pilots.conf import setting
from pilots.cron import CronLine
from pilots.enums import PilotStatus
from pilots.models import Pilot, Schedule, Spell
from pilots.transitions import NO_SWITCH_YET

# What a model may be to a workload, in this order. In production = said to run on it, and no pilot has moved it.
IN_PRODUCTION, INCUMBENT, CANDIDATE, JUDGE = ROLES = ("in production", "incumbent", "candidate", "judge")
_AS_INCUMBENT = (*NO_SWITCH_YET, PilotStatus.ALONGSIDE)
_LIVE = (*_AS_INCUMBENT, PilotStatus.SWITCHED)
# Until the evaluation is over: what follows is only the ramp.
_EVALUATED = (PilotStatus.DECIDED, PilotStatus.RAMPING, PilotStatus.ALONGSIDE)
# Of a workload without a plan: the margin and the minimum that the form for a new pilot proposes.
UNPLANNED: Mapping[str, Any] = {
    "criteria": [{"metric": "", "role": "primary", "margin": "0.03"}],
    "minimum_samples": 350,
}
# A cron line is followed for so many days to learn how many samples a night it comes to.
_RATE_DAYS = 28


@dataclass(frozen=True, slots=True)
class Trial:
    """The pilot that is to move a workload off the model."""

    pilot: str  # slug
    status: PilotStatus
    plan: int | None  # None: it has none
    evaluated: int  # samples of the newest plan version that were read at the end of its newest run
    nightly: float | None  # samples by its schedule; None: it has none


@dataclass(frozen=True, slots=True)
class OnModel:
    """One workload that a model's end concerns."""

    pk: int
    workload: str  # slug
    name: str
    team: str  # slug
    roles: Mapping[str, tuple[str, ...]]  # of ``ROLES`` -> slugs of the pilots in which it has it
    depends: bool  # production runs on the model, so that the workload has to move
    trial: Trial | None  # None: nobody has begun to move it, or it need not move
    need: Need  # of its plan, else of the plan that a new pilot is proposed with
    nightly: float  # samples a night: by schedule, else ``NIGHTLY_SAMPLES``
    nights: int  # until the need is met
    last_start: date | None  # on which evaluation and ramp still end in time; None: it need not move

    @property
    def needs_pilot(self) -> bool:
        return self.depends and self.trial is None


@dataclass(frozen=True, slots=True)
class Standing:
    """One model with its end, and everything on it."""

    pk: int
    model: str  # slug
    vendor: str  # name
    announced_on: date | None
    retires_on: date  # first day on which it no longer answers
    days_left: int  # 0 or less: it has ended
    lines: tuple[OnModel, ...]  # earliest last start first, then by slug

    @property
    def ended(self) -> bool:
        return self.days_left <= 0

    @property
    def depending(self) -> tuple[OnModel, ...]:
        return tuple(line for line in self.lines if line.depends)

    @property
    def last_start(self) -> date | None:
        """Of the workload that has to start first; None: none has to move."""
        return min((line.last_start for line in self.lines if line.last_start is not None), default=None)


@dataclass(slots=True)
class _Found:
    roles: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    depends: bool = False
    trial: tuple[int, str, PilotStatus, int | None] | None = None


def standings(
    workloads: QuerySet[Workload],
    *,
    today: date,
    models: QuerySet[ModelVersion] | None = None,
    judges: bool = True,
) -> tuple[Standing, ...]:
    """Every model with a known end that something of ``workloads`` is on, the next end first; those that have ended
    after those that will. Without ``judges``, a model that only judges is left out. A constant number of queries."""
    ending = (ModelVersion.objects.all() if models is None else models).filter(retires_on__isnull=False)
    catalogue = {row.pk: row for row in ending.select_related("vendor")}
    if not catalogue:
        return ()
    found = _roles(workloads, set(catalogue), judges=judges)
    rows = {row[0]: row for row in workloads.filter(pk__in={pk for _, pk in found}).values_list(
        "pk", "slug", "name", "team__slug"
    )}  # fmt: skip
    trials, definitions = _trials([one.trial for one in found.values() if one.trial is not None])
    lines: defaultdict[int, list[OnModel]] = defaultdict(list)
    pace = _Pace(setting("NIGHTLY_SAMPLES"), setting("RAMP_DAYS"))
    for (model, pk), one in found.items():
        retires_on = catalogue[model].retires_on
        assert retires_on is not None
        trial = None if one.trial is None else trials[one.trial[0]]
        definition = UNPLANNED if trial is None or trial.plan is None else definitions[trial.plan]
        lines[model].append(_line(rows[pk], one, trial, need_of(definition), retires_on, pace))
    standing = (_standing(catalogue[model], of, today) for model, of in lines.items())
    return tuple(sorted(standing, key=lambda one: (one.ended, abs(one.days_left), one.model)))


def _roles(workloads: QuerySet[Workload], models: set[int], *, judges: bool) -> dict[tuple[int, int], _Found]:
    """By model and workload."""
    found: defaultdict[tuple[int, int], _Found] = defaultdict(_Found)
    pilots = Pilot.objects.filter(workload__in=workloads)
    upgraded = Spell.objects.filter(pilot=OuterRef("pk"), ended_on=None, upgraded=True)
    rows = (
        pilots.filter(Q(incumbent__in=models, status__in=_LIVE) | Q(candidate__in=models, status__in=_LIVE))
        .annotate(upgraded=Exists(upgraded))
        .order_by("slug")
    )
    moved = set()
    for pk, slug, workload, incumbent, candidate, status, plan, left in rows.values_list(
        "pk", "slug", "workload_id", "incumbent_id", "candidate_id", "status", "plan_id", "upgraded"
    ):
        if incumbent in models and status == PilotStatus.SWITCHED:
            moved.add((incumbent, workload))
        elif incumbent in models:
            one = found[incumbent, workload]
            one.roles[INCUMBENT].append(slug)
            one.depends, one.trial = True, (pk, slug, PilotStatus(status), plan)
        if candidate in models and not (status == PilotStatus.SWITCHED and left):
            one = found[candidate, workload]
            one.roles[CANDIDATE].append(slug)
            one.depends = one.depends or status == PilotStatus.SWITCHED
    for model, workload in workloads.filter(runs_on__in=models).values_list("runs_on_id", "pk"):
        if model is not None and (model, workload) not in moved:
            found[model, workload].roles[IN_PRODUCTION] = []
            found[model, workload].depends = True
    if judges:
        of = dict(Endpoint.objects.filter(model__in=models).values_list("slug", "model_id"))
        judged = (
            pilots.filter(plan__definition__judge__endpoint__in=list(of), status__in=_LIVE) if of else pilots.none()
        )
        for slug, workload, endpoint in judged.order_by("slug").values_list(
            "slug", "workload_id", "plan__definition__judge__endpoint"
        ):
            found[of[endpoint], workload].roles[JUDGE].append(slug)
    return dict(found)


def _trials(
    pilots: Iterable[tuple[int, str, PilotStatus, int | None]],
) -> tuple[dict[int, Trial], dict[int, Mapping[str, Any]]]:
    """By pilot, and the definitions of their plans. Three queries."""
    wanted = {pk: (slug, status, plan) for pk, slug, status, plan in pilots}
    definitions = dict(Pilot.objects.filter(pk__in=wanted, plan__isnull=False).values_list("plan", "plan__definition"))
    newest = PlanVersion.objects.filter(plan=OuterRef("plan_version__plan")).order_by("-number").values("pk")[:1]
    ended = ReplayRun.objects.filter(
        plan_version__plan__in=definitions, plan_version=Subquery(newest), evidence_samples__isnull=False
    )
    evaluated = dict(ended.order_by("pk").values_list("plan_version__plan", "evidence_samples"))
    schedules = Schedule.objects.filter(pilot__in=wanted, enabled=True)
    per_night: dict[tuple[str, str], float] = {}
    nightly: dict[int, float] = {}
    for pilot, cron, zone, take in schedules.values_list("pilot_id", "cron", "timezone", "take"):
        if (cron, zone) not in per_night:
            per_night[cron, zone] = _runs_a_night(CronLine(cron, zone))
        nightly[pilot] = take * per_night[cron, zone]
    trials = {
        pk: Trial(slug, status, plan, 0 if plan is None else evaluated.get(plan) or 0, nightly.get(pk))
        for pk, (slug, status, plan) in wanted.items()
    }
    return trials, definitions


def _runs_a_night(line: CronLine) -> float:
    """How often it comes due a day, over four weeks of winter; more than once an hour counts as once an hour."""
    start = datetime(2026, 1, 5, tzinfo=UTC)
    end = start + timedelta(days=_RATE_DAYS)
    dues = islice(line.after(start - timedelta(seconds=1)), 24 * _RATE_DAYS)
    return sum(due < end for due in dues) / _RATE_DAYS


class _Pace(NamedTuple):
    """What is counted on where nothing better is known."""

    nightly: int  # samples
    ramp_days: int


def _line(
    row: tuple[int, str, str, str], found: _Found, trial: Trial | None, need: Need, retires_on: date, pace: _Pace
) -> OnModel:
    nightly = (trial.nightly if trial is not None else None) or pace.nightly
    missing = need.samples - (trial.evaluated if trial is not None else 0)
    over = trial is not None and trial.status in _EVALUATED
    nights = 0 if over else math.ceil(max(missing, 0) / nightly)
    pk, slug, name, team = row
    return OnModel(
        pk=pk,
        workload=slug,
        name=name,
        team=team,
        roles={role: tuple(found.roles[role]) for role in ROLES if role in found.roles},
        depends=found.depends,
        trial=trial,
        need=need,
        nightly=nightly,
        nights=nights,
        last_start=retires_on - timedelta(days=pace.ramp_days + nights) if found.depends else None,
    )


def _standing(model: ModelVersion, lines: list[OnModel], today: date) -> Standing:
    assert model.retires_on is not None
    return Standing(
        pk=model.pk,
        model=model.slug,
        vendor=model.vendor.name,
        announced_on=model.retirement_announced_on,
        retires_on=model.retires_on,
        days_left=(model.retires_on - today).days,
        lines=tuple(sorted(lines, key=lambda line: (line.last_start or date.max, line.workload))),
    )
