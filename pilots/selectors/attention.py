"""What waits for somebody. Public surface: ``attention``, ``Matter``, ``overdue_follow_ups``,
``unanswered_follow_ups``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from django.db.models import F, Max, Q, QuerySet

from evaluations.enums import RunStatus
from evaluations.models import ReplayRun
from pilots.enums import ConflictKind, EventKind, PilotStatus, Reason
from pilots.models import FollowUp, Pilot, PilotEvent, Spell, TrafficConflict
from pilots.transitions import NO_SWITCH_YET

RETIREMENT_NEAR_DAYS = 90
# Five working days, as the calendar counts them at the most.
INVESTIGATION_DAYS = 7


@dataclass(frozen=True, slots=True)
class Matter:
    """One line of the list. ``subject`` is what it is about: a pilot's slug, or a model where ``pilot`` is ''."""

    tone: Literal["bad", "caution", "unknown"]
    subject: str
    words: str
    pilot: str  # slug; '': about a model
    run: int | None  # the run to look at
    urgency: int  # days overdue, or the fewer days left the higher


def attention(pilots: QuerySet[Pilot], *, at: datetime) -> tuple[Matter, ...]:
    """Everything among ``pilots`` that waits, most urgent first."""
    today = at.date()
    found = [
        *_conflicts(pilots),
        *_stopped_runs(pilots),
        *_unapproved(pilots),
        *_investigations(pilots, today),
        *_overdue(pilots, today),
        *_retirements(pilots, today),
    ]
    rank = {"bad": 0, "caution": 1, "unknown": 2}
    return tuple(sorted(found, key=lambda matter: (rank[matter.tone], -matter.urgency, matter.subject)))


def overdue_follow_ups(pilots: QuerySet[Pilot], today: date) -> QuerySet[FollowUp]:
    """Unanswered and past their day, of running periods that nobody has confirmed since."""
    return unanswered_follow_ups(pilots, today).filter(due_on__lt=today)


def unanswered_follow_ups(pilots: QuerySet[Pilot], today: date) -> QuerySet[FollowUp]:
    """The same, with those whose day is today."""
    return FollowUp.objects.filter(
        pilot__in=pilots,
        answered_by=None,
        due_on__lte=today,
        pilot__spells__number=F("spell_number"),
        pilot__spells__ended_on=None,
        pilot__spells__last_confirmed_on__lt=F("due_on"),
    ).exclude(pilot__traffic_reading__confirmed_on__gte=F("due_on"))


def _overdue(pilots: QuerySet[Pilot], today: date) -> Iterator[Matter]:
    """The newest unanswered follow-up of each running period."""
    rows = overdue_follow_ups(pilots, today).order_by("pilot__slug", "-due_on")
    seen = set()
    for slug, day, due_on in rows.values_list("pilot__slug", "day", "due_on"):
        if slug in seen:
            continue
        seen.add(slug)
        late = (today - due_on).days
        yield Matter("caution", slug, f"follow-up at {day} days is overdue by {_days(late)}", slug, None, late)


def _conflicts(pilots: QuerySet[Pilot]) -> Iterator[Matter]:
    """Traffic contradicts what is on record, and nobody has given a reason or disputed it."""
    # What was recorded since the last reading settles what it is about at once.
    left = ~Q(kind=ConflictKind.WENT_BACK) | Q(pilot__status=PilotStatus.SWITCHED)
    here = Q(kind=ConflictKind.WENT_BACK) | ~Q(pilot__status=PilotStatus.SWITCHED)
    rows = TrafficConflict.objects.filter(left, here, pilot__in=pilots, disputed_at=None, settled_at=None)
    for slug, words in rows.order_by("-since_on").values_list("pilot__slug", "words"):
        yield Matter("bad", slug, words, slug, None, 0)


def _stopped_runs(pilots: QuerySet[Pilot]) -> Iterator[Matter]:
    """The newest run of a pilot's plan, where it stopped before its end."""
    newest = (
        ReplayRun.objects.filter(plan_version__plan__pilot__in=pilots)
        .values("plan_version__plan")
        .annotate(newest=Max("id"))
        .values("newest")
    )
    stopped = ReplayRun.objects.filter(pk__in=newest, status__in=[RunStatus.STOPPED_BY_BUDGET, RunStatus.FAILED])
    for pk, status, done, total, slug in stopped.values_list(
        "pk", "status", "done", "total", "plan_version__plan__pilot__slug"
    ):
        share = round(100 * done / total) if total else 0
        yield Matter("bad", slug, f"replay {RunStatus(status).label} at {share} %", slug, pk, 0)


def _unapproved(pilots: QuerySet[Pilot]) -> Iterator[Matter]:
    """Decided against the verdict, and nobody else has agreed yet."""
    waiting = pilots.filter(status__in=[PilotStatus.DECIDED, PilotStatus.DECLINED])
    newest: dict[str, tuple[EventKind, dict[str, object]]] = {}
    events = PilotEvent.objects.filter(
        pilot__in=waiting, kind__in=[EventKind.DECIDED, EventKind.DECLINED, EventKind.APPROVED]
    )
    for slug, kind, data in events.order_by("occurred_at", "seq").values_list("pilot__slug", "kind", "data"):
        newest[slug] = (EventKind(kind), data)
    for slug, (kind, data) in newest.items():
        if kind is not EventKind.APPROVED and data.get("against_verdict"):
            yield Matter("caution", slug, "decided against the verdict: a second person has to approve", slug, None, 0)


def _investigations(pilots: QuerySet[Pilot], today: date) -> Iterator[Matter]:
    """Rolled back with the reason still under investigation after the time allowed for it."""
    limit = today - timedelta(days=INVESTIGATION_DAYS)
    rows = Spell.objects.filter(pilot__in=pilots, end_reason=Reason.UNDER_INVESTIGATION, ended_on__lt=limit)
    for slug, ended_on in rows.values_list("pilot__slug", "ended_on"):
        assert ended_on is not None
        late = (limit - ended_on).days
        yield Matter("caution", slug, f"reason of the rollback is overdue by {_days(late)}", slug, None, late)


def _retirements(pilots: QuerySet[Pilot], today: date) -> Iterator[Matter]:
    """Incumbents that go away while pilots have not moved off them."""
    rows = pilots.filter(
        status__in=NO_SWITCH_YET,
        incumbent__retires_on__gte=today,
        incumbent__retires_on__lte=today + timedelta(days=RETIREMENT_NEAR_DAYS),
    )
    waiting: dict[tuple[str, date], int] = defaultdict(int)
    for model, retires_on in rows.values_list("incumbent__slug", "incumbent__retires_on"):
        assert retires_on is not None
        waiting[model, retires_on] += 1
    for (model, retires_on), n in waiting.items():
        left = (retires_on - today).days
        words = f"retires in {_days(left)}: {n} pilot{'' if n == 1 else 's'} not switched yet"
        yield Matter("caution", model, words, "", None, RETIREMENT_NEAR_DAYS - left)


def _days(n: int) -> str:
    return f"{n} day{'' if n == 1 else 's'}"
