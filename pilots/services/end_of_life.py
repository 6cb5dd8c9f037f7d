"""Getting ready before a model ends. Public surface: ``prepare_for_end``, ``Prepared``, ``Proposal``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from django.db import transaction

from evaluations.conf import setting as engine_setting
from evaluations.enums import CriterionRole
from evaluations.models import Endpoint, ModelVersion, Plan, Workload
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import (
    BudgetEntry,
    CriterionEntry,
    PlanDefinition,
    ScorerEntry,
    definition_of,
)
from pilots.conf import setting
from pilots.enums import Motive, NoticeKind
from pilots.selectors.end_of_life_report import EndOfLife, ends_of_life
from pilots.selectors.preparation import Asking, preparation
from pilots.services.idempotency import Kept, begin, forget, keep
from pilots.services.notices import News, announce
from pilots.services.opening import Arm, open_with_plan

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ROUTE = "end-of-life"

register_actions(
    {
        "end_of_life.prepared": "opened pilots and asked for answers before the end of",
        "capture.requested": "asked for recorded answers of",
    }
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """How answers are judged where the workload has no earlier plan to take it from."""

    scorer: str  # name of a scorer that needs no settings
    margin: Decimal  # the largest loss accepted, as a share
    minimum_samples: int


@dataclass(frozen=True, slots=True)
class Prepared:
    pilots: tuple[str, ...]  # slugs of the drafts
    asked: tuple[str, ...]  # slugs of the workloads whose teams were asked


def prepare_for_end(
    *,
    model: ModelVersion,
    workloads: Sequence[Workload],
    candidate: Endpoint,
    owner: User | None,
    proposal: Proposal,
    seen: str,
    key: str,
    user: User,
    by: Actor,
    at: datetime,
) -> Prepared:
    """Open a draft for each of ``workloads`` that has to move off ``model`` and has no pilot, and ask the team of each
    that is short of recorded answers for them; all of it or nothing. No vendor is called.

    ``seen`` is the digest of the list that the person agreed to: ``Conflict`` where it is another by now. The same
    ``key`` again returns what was done. Raises ``Refused`` for what opening a pilot refuses.
    """
    begun = begin(user=user, route=ROUTE, key=key, digest=seen, at=at)
    if isinstance(begun, Kept):
        return Prepared(tuple(begun.document["pilots"]), tuple(begun.document["asked"]))
    try:
        with transaction.atomic():
            done = _prepare(model, workloads, candidate, owner, proposal, seen, by, at)
            keep(begun, status=200, document={"pilots": done.pilots, "asked": done.asked}, headers={})
    except BaseException:
        forget(begun)
        raise
    return done


def _prepare(
    model: ModelVersion,
    workloads: Sequence[Workload],
    candidate: Endpoint,
    owner: User | None,
    proposal: Proposal,
    seen: str,
    by: Actor,
    at: datetime,
) -> Prepared:
    # Whoever prepares the same workloads at the same time waits here, and then sees what was done.
    rows = Workload.objects.select_related("team").filter(pk__in=[workload.pk for workload in workloads])
    locked = {row.slug: row for row in rows.select_for_update(of=("self",)).order_by("pk")}
    if candidate.model_id == model.pk:
        raise Refused(f"{candidate.slug} serves {model.slug}, the model that ends", field="candidate")
    ends = ends_of_life(Workload.objects.filter(pk__in=[row.pk for row in locked.values()]), at=at, model=model.slug)
    found = next(iter(ends), None)
    prepared = None if found is None else preparation(found, locked, candidate=candidate, at=at)
    if found is None or prepared is None or prepared.digest != seen:
        raise Conflict("what would be created has changed since you saw it: look at the list again")
    if prepared.empty:
        raise Refused("there is nothing to create for these workloads", field="workloads")
    plans = Plan.objects.in_bulk([one.plan_from for one in prepared.openings if one.plan_from is not None])
    own = Endpoint.objects.in_bulk([one.incumbent_endpoint for one in prepared.openings if one.incumbent_endpoint])
    for one in prepared.openings:
        earlier = plans.get(one.plan_from) if one.plan_from is not None else None
        open_with_plan(
            by=by,
            at=at,
            slug=one.slug,
            workload=locked[one.line.on.workload],
            incumbent=Arm(model, own[one.incumbent_endpoint] if one.incumbent_endpoint is not None else None),
            candidate=Arm(candidate.model, candidate),
            owner=owner,
            deputy=None,
            motive=Motive.RETIREMENT,
            definition=_definition(earlier, proposal, found, at.date()),
        )
    _ask(prepared.askings, found, locked, by, at)
    done = Prepared(
        tuple(one.slug for one in prepared.openings), tuple(one.line.on.workload for one in prepared.askings)
    )
    record(
        by=by,
        at=at,
        action="end_of_life.prepared",
        object_type="model",
        object_id=model.pk,
        object_label=model.slug,
        data={"pilots": list(done.pilots), "asked": list(done.asked), "candidate": candidate.slug},
    )
    return done


def _definition(earlier: Plan | None, proposal: Proposal, found: EndOfLife, today: date) -> PlanDefinition:
    """The workload's earlier criteria, else the proposal; decided while the ramp still ends in time, if it can be."""
    last = found.standing.retires_on - timedelta(days=setting("RAMP_DAYS"))
    decide_by = last if last > today else None
    if earlier is not None:
        return msgspec.structs.replace(definition_of(earlier), decide_by=decide_by)
    amount, currency = engine_setting("DEFAULT_BUDGET")
    return PlanDefinition(
        hypothesis=f"Before {found.standing.model} ends, the candidate answers at least as well",
        scorers=[ScorerEntry(name=proposal.scorer)],
        criteria=[
            CriterionEntry(metric=proposal.scorer, margin=proposal.margin),
            CriterionEntry(metric="failure_rate", role=CriterionRole.GUARDRAIL, margin=proposal.margin),
        ],
        minimum_samples=proposal.minimum_samples,
        decide_by=decide_by,
        budget=BudgetEntry(amount=amount, currency=currency),
    )


def _ask(askings: Sequence[Asking], found: EndOfLife, workloads: dict[str, Workload], by: Actor, at: datetime) -> None:
    """Tell the teams; asked twice on a day, a team is told once."""
    standing = found.standing
    news = []
    for asking in askings:
        line = asking.line
        workload = workloads[line.on.workload]
        news.append(
            News(
                key=f"{NoticeKind.CAPTURE_REQUESTED}:{standing.pk}:{workload.pk}:{at.date()}",
                kind=NoticeKind.CAPTURE_REQUESTED,
                team_id=workload.team_id,
                words=f"{workload.slug}: {line.short:,} recorded answers of {standing.model} are missing and it ends on"
                f" {standing.retires_on}: import a log, or post samples to the API",
                data={
                    "team": workload.team.slug,
                    "workload": workload.slug,
                    "model": standing.model,
                    "retires_on": standing.retires_on.isoformat(),
                    "answered": line.answered,
                    "missing": line.short,
                },
                actor=by.name,
            )
        )
        record(
            by=by,
            at=at,
            action="capture.requested",
            object_type="workload",
            object_id=workload.pk,
            object_label=workload.slug,
            team=workload.team,
            data={"model": standing.model, "missing": line.short},
        )
    announce(news, at=at)
