"""What waits in the lives of pilots: contradictions, reasons, follow-ups. Public surface: ``conflicts``, ``reasons``,
``follow_ups``, ``INVESTIGATION_WORKING_DAYS``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta

from django.db.models import Q

from pilots.conf import setting
from pilots.enums import ConflictKind, MatterKind, PilotStatus, Reason
from pilots.models import Spell, TrafficConflict
from pilots.selectors.followups import overdue_follow_ups
from pilots.selectors.matters.base import Action, Matter, Scope, days, midnight, working_days_after

# So long the reason of a rollback may stay under investigation.
INVESTIGATION_WORKING_DAYS = 5


def conflicts(scope: Scope) -> Iterator[Matter]:
    """Traffic contradicts what is on record, and nobody has given a reason or disputed it."""
    # What was recorded since the last reading settles what it is about at once.
    left = ~Q(kind=ConflictKind.WENT_BACK) | Q(pilot__status=PilotStatus.SWITCHED)
    here = Q(kind=ConflictKind.WENT_BACK) | ~Q(pilot__status=PilotStatus.SWITCHED)
    rows = TrafficConflict.objects.filter(left, here, pilot__in=scope.pilots, disputed_at=None, settled_at=None)
    columns = ("pk", "kind", "pilot__slug", "pilot__workload__team__slug", "words", "since_on", "found_at")
    for pk, kind, slug, team, words, since_on, found_at in rows.order_by("-since_on").values_list(*columns):
        gone, found_on = (scope.today - since_on).days, found_at.astimezone(UTC).date()
        back = kind == ConflictKind.WENT_BACK
        yield Matter(
            kind=MatterKind.CONFLICT,
            key=f"conflict:{pk}",
            tone="bad",
            subject=slug,
            words=words,
            team=team,
            pilot=slug,
            run=None,
            urgency=(scope.today - found_on).days,
            stake=f"{days(gone)} off the candidate" if back else f"{days(gone)} not on record",
            days=gone,
            amount=None,
            currency="",
            due_on=found_on,
            since=found_at,
            size=1,
            action=Action("Give the reason or dispute it" if back else "Set the record right", "pilot", slug),
        )


def reasons(scope: Scope) -> Iterator[Matter]:
    """Rolled back with the reason still under investigation after the working days allowed for it."""
    rows = Spell.objects.filter(
        pilot__in=scope.pilots,
        end_reason=Reason.UNDER_INVESTIGATION,
        ended_on__lt=scope.today - timedelta(days=INVESTIGATION_WORKING_DAYS),
    )
    for slug, team, number, ended_on in rows.order_by("pilot__slug", "number").values_list(
        "pilot__slug", "pilot__workload__team__slug", "number", "ended_on"
    ):
        assert ended_on is not None
        due_on = working_days_after(ended_on, INVESTIGATION_WORKING_DAYS)
        late = (scope.today - due_on).days
        if late <= 0:
            continue
        yield Matter(
            kind=MatterKind.REASON,
            key=f"reason:{slug}:{number}",
            tone="caution",
            subject=slug,
            words=f"reason of the rollback is overdue by {days(late)}",
            team=team,
            pilot=slug,
            run=None,
            urgency=late,
            stake=f"{days((scope.today - ended_on).days)} without a reason",
            days=(scope.today - ended_on).days,
            amount=None,
            currency="",
            due_on=due_on,
            since=midnight(due_on + timedelta(days=1)),
            size=1,
            action=Action("Give the reason", "timeline", slug),
        )


def follow_ups(scope: Scope) -> Iterator[Matter]:
    """The newest unanswered follow-up of each running period."""
    rows = overdue_follow_ups(scope.pilots, scope.today).order_by("pilot__slug", "-due_on")
    seen = set()
    today, lost_after = scope.today, setting("LOST_AFTER_DAYS")
    for pk, slug, team, day, due_on in rows.values_list(
        "pk", "pilot__slug", "pilot__workload__team__slug", "day", "due_on"
    ):
        if slug in seen:
            continue
        seen.add(slug)
        late = (today - due_on).days
        left = lost_after - late
        yield Matter(
            kind=MatterKind.FOLLOW_UP,
            key=f"follow-up:{pk}",
            tone="caution",
            subject=slug,
            words=f"follow-up at {day} days is overdue by {days(late)}",
            team=team,
            pilot=slug,
            run=None,
            urgency=late,
            stake=f"lost to follow-up in {days(left)}" if left > 0 else "lost to follow-up",
            days=max(left, 0),
            amount=None,
            currency="",
            due_on=due_on,
            since=midnight(due_on + timedelta(days=1)),
            size=1,
            action=Action("Confirm what it runs on", "record", f"{slug}/follow_up"),
        )
