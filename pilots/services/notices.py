"""What people and programs are to be told. Public surface: ``announce``, ``News``, ``tell_of_event``, ``tell_of_run``,
``tell_of_price``, ``tell_of_finding``, ``tell_of_drift``.

An announcement is a row of the outbox, written in the transaction of what caused it: told exactly if it happened.
``services.spreading`` makes notifications and deliveries of it, ``services.deliveries`` sends those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from evaluations.enums import RunStatus
from evaluations.models import DriftAlarm, ModelVersion, Price, ReplayRun, Team
from evaluations.services.drift import alarm_document
from pilots.enums import EventKind, NoticeKind
from pilots.models import Notice, Pilot, PilotEvent

_OF_EVENTS = {
    EventKind.DECIDED: NoticeKind.DECIDED,
    EventKind.DECLINED: NoticeKind.DECIDED,
    EventKind.CUTOVER: NoticeKind.CUTOVER,
    EventKind.ROLLBACK: NoticeKind.ROLLED_BACK,
}
# A cancelled run is left out: whoever cancelled it knows.
_OF_RUNS = {
    RunStatus.FINISHED: NoticeKind.RUN_FINISHED,
    RunStatus.FAILED: NoticeKind.RUN_FINISHED,
    RunStatus.STOPPED_BY_BUDGET: NoticeKind.RUN_STOPPED_BY_BUDGET,
}


@dataclass(frozen=True, slots=True)
class News:
    """Something to be told."""

    key: str  # the same thing is told once
    kind: NoticeKind
    team_id: int
    words: str  # one sentence, without its full stop
    pilot: Pilot | None = None  # None: it is about a model
    data: Mapping[str, Any] = field(default_factory=dict)  # JSON for programs
    actor: str = ""  # who caused it; '': nobody


def announce(news: Iterable[News], *, at: datetime) -> None:
    """Put ``news`` into the outbox, inside the caller's transaction; what was told before is not told again.

    Raises ``RuntimeError`` outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("news belong to the transaction of what they tell")
    Notice.objects.bulk_create(
        [
            Notice(
                key=item.key[:250],
                kind=item.kind,
                team_id=item.team_id,
                pilot=item.pilot,
                words=item.words[:500],
                data={**(about_pilot(item.pilot) if item.pilot else {}), **item.data},
                actor=item.actor[:200],
                happened_at=at,
            )
            for item in news
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


def about_pilot(pilot: Pilot) -> dict[str, Any]:
    """What programs are told about the pilot in question."""
    return {
        "pilot": pilot.slug,
        "workload": pilot.workload.slug,
        "team": pilot.workload.team.slug,
        "incumbent": pilot.incumbent.slug,
        "candidate": pilot.candidate.slug,
        "status": str(pilot.status),
    }


def tell_of_event(event: PilotEvent, pilot: Pilot, *, at: datetime) -> None:
    """Tell of an event of ``pilot``, where it is of a kind that is told."""
    kind = _OF_EVENTS.get(event.kind)
    if kind is None:
        return
    data: dict[str, Any] = {
        "event": event.seq,
        "occurred_at": event.occurred_at.isoformat(),
        "actor": event.actor,
    }
    if kind is NoticeKind.DECIDED:
        data |= {
            "go": event.kind is EventKind.DECIDED,
            "decision": event.data.get("decision"),
            "against_verdict": bool(event.data.get("against_verdict")),
        }
    elif event.traffic_share is not None:
        data["traffic_share"] = str(event.traffic_share)
    if kind is NoticeKind.ROLLED_BACK:
        data |= {"reason": str(event.reason), "to_model": event.to_model.slug if event.to_model else None}
    news = News(
        key=f"event:{event.pk}",
        kind=kind,
        team_id=pilot.workload.team_id,
        pilot=pilot,
        words=_words_of(event, pilot),
        data=data,
        actor=event.actor,
    )
    announce([news], at=at)


def _words_of(event: PilotEvent, pilot: Pilot) -> str:
    moved = f"{pilot.incumbent} to {pilot.candidate}"
    against = ", against the verdict" if event.data.get("against_verdict") else ""
    match event.kind:
        case EventKind.DECIDED:
            return f"{pilot.slug}: {event.actor} decided to go ahead, {moved}{against}"
        case EventKind.DECLINED:
            return f"{pilot.slug}: {event.actor} declined the switch, {moved}{against}"
        case EventKind.CUTOVER:
            return f"{pilot.slug}: {event.actor} recorded the cutover, {moved}"
        case _:
            to = event.to_model or pilot.incumbent
            return f"{pilot.slug}: {event.actor} recorded the rollback to {to}, reason {event.reason.label}"


def tell_of_run(run: ReplayRun, *, at: datetime) -> None:
    """Tell of the end of a replay."""
    kind = _OF_RUNS.get(run.status)
    if kind is None:
        return
    plan = run.plan_version.plan
    team = plan.workload.team
    pilots = Pilot.objects.select_related("workload__team", "incumbent", "candidate")
    pilot = pilots.filter(plan=plan).first()
    name = pilot.slug if pilot else plan.slug
    said = f": {run.decision.label}" if run.decision and run.status is RunStatus.FINISHED else ""
    words = f"{name}: replay {run.pk} {run.status.label} with {run.done:,} of {run.total:,} answers{said}"
    data = {
        "team": team.slug,
        "workload": plan.workload.slug,
        "run": run.pk,
        "run_status": str(run.status),
        "status_reason": run.status_reason or None,
        "total": run.total,
        "done": run.done,
        "spent": {"amount": str(run.spent_amount), "currency": run.currency},
        "budget": {"amount": str(run.budget_amount), "currency": run.currency},
        "decision": str(run.decision) or None,
        "decision_reason": run.decision_reason or None,
    }
    # A run that was resumed ends once more, as another version of itself.
    key = f"run:{run.pk}:{run.version}"
    announce([News(key=key, kind=kind, team_id=team.pk, pilot=pilot, words=words, data=data)], at=at)


def tell_of_price(price: Price, *, created: bool, at: datetime) -> None:
    """Tell each team that uses the model, or tries it, that a price of it is new or was corrected."""
    model = ModelVersion.objects.select_related("vendor").get(pk=price.model_id)
    in_pilot = Pilot.objects.filter(Q(incumbent=model) | Q(candidate=model), closed_at=None)
    concerned = Q(pk__in=in_pilot.values("workload__team")) | Q(workloads__runs_on=model)
    what = "has a new" if created else "has a corrected"
    words = f"{model} {what} {price.kind.label} from {price.effective_from}"
    data = {
        "model": model.slug,
        "vendor": model.vendor.slug,
        "created": created,
        "kind": str(price.kind),
        "effective_from": price.effective_from.isoformat(),
        "currency": price.currency,
        "input_per_mtok": _amount(price.input_per_mtok),
        "output_per_mtok": _amount(price.output_per_mtok),
        "endpoint": price.endpoint.slug if price.endpoint else None,
    }
    announce(
        [
            News(
                key=f"price:{price.pk}:{at.isoformat()}:{team.pk}",
                kind=NoticeKind.PRICE_CHANGED,
                team_id=team.pk,
                words=words,
                data={"team": team.slug, **data},
            )
            for team in Team.objects.filter(concerned).distinct()
        ],
        at=at,
    )


def tell_of_finding(
    kind: NoticeKind, *, pilot: Pilot, key: str, words: str, data: Mapping[str, Any], at: datetime
) -> None:
    """Tell of what was found out about ``pilot``; the same ``key`` again is not told."""
    news = News(
        key=f"{kind}:{pilot.pk}:{key}",
        kind=kind,
        team_id=pilot.workload.team_id,
        pilot=pilot,
        words=words,
        data=data,
    )
    announce([news], at=at)


def tell_of_drift(alarm: DriftAlarm, *, at: datetime) -> None:
    """Tell that a model moved under a pilot's replays."""
    plan = alarm.plan_version.plan
    pilot = Pilot.objects.select_related("workload__team", "incumbent", "candidate").filter(plan=plan).first()
    name = pilot.slug if pilot else plan.slug
    team = plan.workload.team
    announce(
        [
            News(
                key=f"{NoticeKind.DRIFT_ALARMED}:{alarm.plan_version_id}:{alarm.period}",
                kind=NoticeKind.DRIFT_ALARMED,
                team_id=team.pk,
                pilot=pilot,
                words=f"{name}: {alarm.words}",
                data={"team": team.slug, "workload": plan.workload.slug, **alarm_document(alarm)},
            )
        ],
        at=at,
    )


def _amount(amount: Any) -> str | None:
    return None if amount is None else str(amount)
