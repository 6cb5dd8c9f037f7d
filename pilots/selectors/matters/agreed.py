"""What people agreed on and somebody still has to do: a second person's approval, a review. Public surface:
``approvals``, ``reviews``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from django.db.models import Exists, OuterRef, Q, QuerySet

from pilots.enums import EventKind, MatterKind, PilotStatus
from pilots.facts import Timeline
from pilots.models import Pilot, PilotEvent
from pilots.selectors.matters.base import Action, Matter, Scope, days, midnight
from pilots.selectors.timelines import histories, known_models, switch_of
from pilots.timeline import read


def approvals(scope: Scope) -> Iterator[Matter]:
    """A decision that needs a second person, and nobody else has agreed yet."""
    asks = PilotEvent.objects.filter(
        Q(data__against_verdict=True) | Q(data__second_person=True),
        pilot=OuterRef("pk"),
        kind__in=[EventKind.DECIDED, EventKind.DECLINED],
    )
    waiting = scope.pilots.filter(Exists(asks), status__in=[PilotStatus.DECIDED, PilotStatus.DECLINED], closed_at=None)
    lives = [(pilot, timeline) for pilot, timeline in _lives(waiting) if timeline.awaiting_approval]
    decided = {
        (pilot, digest): (pk, occurred_at, recorded_at)
        for pilot, digest, pk, occurred_at, recorded_at in PilotEvent.objects.filter(
            pilot__in=[pilot for pilot, _ in lives], kind__in=[EventKind.DECIDED, EventKind.DECLINED]
        ).values_list("pilot_id", "digest", "pk", "occurred_at", "recorded_at")
    }
    for pilot, timeline in lives:
        pk, occurred_at, recorded_at = decided[pilot.pk, timeline.decided_by_event]
        waited = (scope.today - occurred_at.astimezone(UTC).date()).days
        against = "decided against the verdict" if timeline.against_verdict else "decided"
        yield Matter(
            kind=MatterKind.APPROVAL,
            key=f"approval:{pk}",
            tone="caution",
            subject=pilot.slug,
            words=f"{against}: a second person has to approve",
            team=pilot.workload.team.slug,
            pilot=pilot.slug,
            run=None,
            urgency=0,
            stake=f"has waited {days(waited)}",
            days=waited,
            amount=None,
            currency="",
            due_on=None,
            since=recorded_at,
            size=1,
            action=Action("Approve it, or decide anew", "pilot", pilot.slug),
        )


def reviews(scope: Scope) -> Iterator[Matter]:
    """Running alongside on or past the day on which that was to be reviewed."""
    for pilot, timeline in _lives(scope.pilots.filter(status=PilotStatus.ALONGSIDE, closed_at=None)):
        if timeline.review_on is None or timeline.review_on > scope.today:
            continue
        late = (scope.today - timeline.review_on).days
        yield Matter(
            kind=MatterKind.REVIEW,
            key=f"review:{pilot.pk}:{timeline.review_on}",
            tone="caution",
            subject=pilot.slug,
            words=f"review of running alongside is {f'overdue by {days(late)}' if late else 'due today'}",
            team=pilot.workload.team.slug,
            pilot=pilot.slug,
            run=None,
            urgency=late,
            stake=f"agreed for {days(late)} ago" if late else "agreed for today",
            days=late,
            amount=None,
            currency="",
            due_on=timeline.review_on,
            since=midnight(timeline.review_on),
            size=1,
            action=Action("Agree on it anew, or decide", "record", f"{pilot.slug}/alongside"),
        )


def _lives(pilots: QuerySet[Pilot]) -> Iterator[tuple[Pilot, Timeline]]:
    """Each with what its events say, by slug. Three queries."""
    chosen = {pilot.pk: pilot for pilot in pilots.select_related("workload__team")}
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    told = dict(histories(PilotEvent.objects.filter(pilot__in=list(chosen)), models))
    for pk, pilot in sorted(chosen.items(), key=lambda item: item[1].slug):
        yield pilot, read(told.get(pk, []), switch_of(pilot, models), by_slug)
