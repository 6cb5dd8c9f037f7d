"""One door per change in a pilot's life. Public surface: ``open_pilot``, ``change_pilot``, ``mark_planned``,
``mark_evaluating``, ``decide``, ``approve_decision``, ``record_ramp``, ``record_alongside``, ``record_cutover``,
``record_follow_up``, ``record_rollback``, ``record_superseded``, ``record_ended``, ``record_declined``,
``record_abandoned``, ``close_pilot``. Corrections have a door of their own, ``services.corrections``.

Everywhere: ``by`` is who records, ``at`` the instant of recording, ``occurred_at`` the instant at which it happened
(default: ``at``), ``version`` the pilot's version that the person saw (default: that of ``pilot``, which is brought
up to date). Each door is atomic and audited, answers an exact repeat with the stored event, and raises ``Refused``
naming the broken rule or ``Conflict`` when somebody else was faster. What may follow what: ``pilots.transitions``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from django.db import transaction

from evaluations.enums import Decision
from evaluations.models import ModelVersion, Plan, Workload
from evaluations.services.audit import Actor, register_actions
from evaluations.services.audit import record as record_audit
from evaluations.services.errors import Conflict, Refused
from pilots.enums import EventKind, Motive, PilotStatus, Reason
from pilots.facts import Timeline
from pilots.models import Pilot, PilotEvent
from pilots.selectors.timelines import timeline_of
from pilots.services.appending import append_event
from pilots.services.drafts import HALF, Attachment, EventDraft, attachments_from
from pilots.services.projection import faster, reproject
from pilots.services.traffic_readings import dispute_conflicts

if TYPE_CHECKING:
    from django.contrib.auth.models import User

register_actions({"pilot.changed": "changed pilot"})

_SLUG = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Common(TypedDict, total=False):
    """What every event may carry."""

    occurred_at: datetime | None
    note: str
    attachments: Iterable[Attachment | str]
    version: int | None


def open_pilot(
    *,
    by: Actor,
    at: datetime,
    slug: str,
    workload: Workload,
    incumbent: ModelVersion,
    candidate: ModelVersion,
    plan: Plan | None = None,
    owner: User | None = None,
    deputy: User | None = None,
    motive: Motive | None = None,
    **common: Unpack[Common],
) -> Pilot:
    """Open a pilot as a draft. Refuses a taken or unusable slug, one model on both sides, a plan of another switch."""
    if not _SLUG.fullmatch(slug):
        raise Refused("a slug has letters, digits, hyphens and underscores, 80 at the most", field="slug")
    if incumbent == candidate:
        raise Refused("incumbent and candidate are the same model", field="candidate")
    if plan is not None and (plan.workload_id, plan.incumbent_model_id, plan.candidate_model_id) != (
        workload.pk,
        incumbent.pk,
        candidate.pk,
    ):
        raise Refused("the plan is for another workload or other models", field="plan")
    with transaction.atomic():
        if Pilot.objects.filter(slug=slug).exists():
            raise Refused(f"there is a pilot called {slug} already", field="slug")
        pilot = Pilot.objects.create(
            slug=slug,
            workload=workload,
            incumbent=incumbent,
            candidate=candidate,
            plan=plan,
            owner=owner,
            deputy=deputy,
            motive=motive or "",
            status_at=common.get("occurred_at") or at,
        )
        _record(pilot, by, at, EventKind.OPENED, common)
    return pilot


def change_pilot(
    *,
    pilot: Pilot,
    by: Actor,
    at: datetime,
    owner: User | None,
    deputy: User | None,
    motive: Motive | None,
    plan: Plan | None,
    version: int | None = None,
) -> bool:
    """Set who answers for the pilot, its declared motive and its plan; False if all of it was so already.

    A plan once attached stays attached.
    """
    values: dict[str, Any] = {"owner": owner, "deputy": deputy, "motive": motive or "", "plan": plan}
    before = {name: getattr(pilot, name) or None for name in values}
    changed = {name: value for name, value in values.items() if (value or None) != before[name]}
    if not changed:
        return False
    if "plan" in changed and before["plan"] is not None:
        raise Refused("a pilot keeps its plan; freeze a new version of it", field="plan")
    seen = pilot.version if version is None else version
    with transaction.atomic():
        if Pilot.objects.filter(pk=pilot.pk, version=seen).update(**changed, version=seen + 1) == 0:
            raise Conflict(faster(pilot))
        record_audit(
            by=by,
            at=at,
            action="pilot.changed",
            object_type="pilot",
            object_id=pilot.pk,
            object_label=pilot.slug,
            team=pilot.workload.team,
            data={name: {"from": str(before[name] or ""), "to": str(value or "")} for name, value in changed.items()},
        )
        if "motive" in changed:
            reproject(Pilot.objects.filter(pk=pilot.pk))
            seen += 1
    for name, value in changed.items():
        setattr(pilot, name, value)
    pilot.version = seen + 1
    return True


def mark_planned(
    *, pilot: Pilot, by: Actor, at: datetime, plan_version: int, digest: str, **common: Unpack[Common]
) -> PilotEvent:
    """The plan was frozen; a later version of it leaves the status as it is."""
    return _record(pilot, by, at, EventKind.PLANNED, common, data={"plan_version": plan_version, "digest": digest})


def mark_evaluating(*, pilot: Pilot, by: Actor, at: datetime, run: int, **common: Unpack[Common]) -> PilotEvent | None:
    """The first replay started. None, and nothing recorded, when the pilot is further on already."""
    if pilot.status is not PilotStatus.PLANNED:
        return None
    return _record(pilot, by, at, EventKind.EVALUATING, common, data={"run": run})


def decide(
    *,
    pilot: Pilot,
    by: Actor,
    at: datetime,
    go: bool,
    rationale: str,
    verdict: Mapping[str, Any] | None,
    **common: Unpack[Common],
) -> PilotEvent:
    """Go or no-go, with the verdict as it stood: a mapping with at least ``decision``; None = no verdict was read.

    No-go declines the pilot. Go without all criteria met, or no-go in spite of them, is *against the verdict*: flagged,
    counted, and to be approved by a second person before traffic moves. So is every decision of a team whose policy
    asks for it.
    """
    if not rationale.strip():
        raise Refused("a decision needs its rationale", field="rationale")
    said = None if verdict is None else Decision(verdict["decision"])
    data: dict[str, Any] = {
        "go": go,
        "decision": said.value if said else None,
        "verdict": None if verdict is None else dict(verdict),
        "against_verdict": said is not None and go != (said is Decision.SAFE_TO_SWITCH),
    }
    if pilot.workload.team.second_person:
        data["second_person"] = True  # the policy as it was then
    kind = EventKind.DECIDED if go else EventKind.DECLINED
    return _record(pilot, by, at, kind, {**common, "note": rationale}, data=data)


def approve_decision(*, pilot: Pilot, by: Actor, at: datetime, **common: Unpack[Common]) -> PilotEvent:
    """A second person agrees to the decision. Refuses the person who decided."""
    decided = PilotEvent.objects.filter(pilot=pilot, digest=timeline_of(pilot).decided_by_event).first()
    if decided is not None and decided.actor == by.name[:200]:
        raise Refused("this decision needs a second person, not the one who decided")
    return _record(pilot, by, at, EventKind.APPROVED, common)


def record_ramp(*, pilot: Pilot, by: Actor, at: datetime, share: Decimal, **common: Unpack[Common]) -> PilotEvent:
    """``share`` of the traffic (0 to 1) is on the candidate from now on; before a cutover the pilot is then ramping."""
    if pilot.status is not PilotStatus.SWITCHED:
        _refuse_unapproved(pilot)
    return _record(pilot, by, at, EventKind.RAMP, common, traffic_share=share)


def record_alongside(
    *, pilot: Pilot, by: Actor, at: datetime, share: Decimal, review_on: date, **common: Unpack[Common]
) -> PilotEvent:
    """Both models stay, by decision: with an agreed share on the candidate and a day on which it is reviewed."""
    _refuse_unapproved(pilot)
    data = {"review_on": review_on.isoformat()}
    return _record(pilot, by, at, EventKind.ALONGSIDE, common, traffic_share=share, data=data)


def record_cutover(
    *,
    pilot: Pilot,
    by: Actor,
    at: datetime,
    share: Decimal = Decimal(1),
    observed_from: date | None = None,
    **common: Unpack[Common],
) -> PilotEvent:
    """The candidate became primary: a spell begins. ``observed_from``: known about only from that day on."""
    _refuse_unapproved(pilot)
    data = {} if observed_from is None else {"observed_from": observed_from.isoformat()}
    return _record(pilot, by, at, EventKind.CUTOVER, common, traffic_share=share, data=data)


def record_follow_up(
    *, pilot: Pilot, by: Actor, at: datetime, to_model: ModelVersion | None = None, **common: Unpack[Common]
) -> PilotEvent:
    """Somebody confirmed that the workload is on the candidate. Naming another model is refused: that is a rollback.

    With an attachment it also disputes what traffic has been saying against that.
    """
    with transaction.atomic():
        event = _record(pilot, by, at, EventKind.FOLLOW_UP, common, to_model=to_model)
        if event.attachments.exists():
            dispute_conflicts(pilot=pilot, by=by, at=at, on=event.occurred_at.astimezone(UTC).date())
    return event


def record_rollback(
    *,
    pilot: Pilot,
    by: Actor,
    at: datetime,
    reason: Reason,
    attachments: Iterable[Attachment | str],
    share_moved_back: Decimal = Decimal(1),
    to_model: ModelVersion | None = None,
    occurred_at: datetime | None = None,
    note: str = "",
    version: int | None = None,
) -> PilotEvent:
    """Primary went back to ``to_model`` (default: the incumbent), with ``share_moved_back`` of all traffic.

    Refuses to be saved without a reason and at least one attachment; ``other`` needs a note, ``unexplained`` is the
    system's. The model must be of the incumbent's vendor: everything else is a move to a third model.
    """
    if not HALF <= share_moved_back <= 1:
        raise Refused("a rollback moves at least half of the traffic back, at most all", field="share_moved_back")
    common: Common = {"occurred_at": occurred_at, "note": note, "attachments": attachments, "version": version}
    return _record(
        pilot,
        by,
        at,
        EventKind.ROLLBACK,
        common,
        traffic_share=1 - share_moved_back,
        reason=reason,
        to_model=to_model or pilot.incumbent,
    )


def record_superseded(
    *, pilot: Pilot, by: Actor, at: datetime, to_model: ModelVersion, **common: Unpack[Common]
) -> PilotEvent:
    """The workload left the candidate for a third model. Inside the candidate's family the spell goes on, upgraded."""
    return _record(pilot, by, at, EventKind.SUPERSEDED, common, to_model=to_model)


def record_ended(*, pilot: Pilot, by: Actor, at: datetime, **common: Unpack[Common]) -> PilotEvent:
    """The workload itself is gone."""
    return _record(pilot, by, at, EventKind.ENDED, common)


def record_declined(*, pilot: Pilot, by: Actor, at: datetime, **common: Unpack[Common]) -> PilotEvent:
    """No-go where no verdict was at hand; with one, ``decide(go=False)`` keeps its snapshot."""
    data = {"second_person": True} if pilot.workload.team.second_person else {}
    return _record(pilot, by, at, EventKind.DECLINED, common, data=data)


def record_abandoned(*, pilot: Pilot, by: Actor, at: datetime, **common: Unpack[Common]) -> PilotEvent:
    """Given up before any cutover."""
    return _record(pilot, by, at, EventKind.ABANDONED, common)


def close_pilot(*, pilot: Pilot, by: Actor, at: datetime, **common: Unpack[Common]) -> PilotEvent:
    """End the pilot's administration; follow-ups, rollbacks and everything else can still be recorded."""
    return _record(pilot, by, at, EventKind.CLOSED, common)


def _record(
    pilot: Pilot,
    by: Actor,
    at: datetime,
    kind: EventKind,
    common: Common,
    *,
    traffic_share: Decimal | None = None,
    reason: Reason | None = None,
    to_model: ModelVersion | None = None,
    data: Mapping[str, Any] | None = None,
) -> PilotEvent:
    draft = EventDraft(
        kind=kind,
        occurred_at=(common.get("occurred_at") or at).astimezone(UTC),
        traffic_share=traffic_share,
        reason=reason,
        to_model=to_model,
        note=common.get("note", ""),
        attachments=attachments_from(common.get("attachments", ())),
        data=data or {},
    )
    return append_event(pilot=pilot, by=by, at=at, draft=draft, version=common.get("version"))


def _refuse_unapproved(pilot: Pilot) -> None:
    """No traffic moves on a decision that waits for its second person, nor past a policy that asks for one."""
    timeline: Timeline = timeline_of(pilot)
    if timeline.awaiting_approval:
        raise Refused("the decision waits: a second person has to approve it first")
    if pilot.workload.team.second_person and not timeline.decided_by_event:
        raise Refused("this team decides with a second person: record the decision and have it approved first")
