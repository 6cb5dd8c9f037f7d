"""Which attempts to switch there were, and how long each was followed, as of a day and as known at an instant.

Public surface: ``tell``, ``Told``, ``observe``, ``observed_spells``, ``Attempt``, ``ObservedSpell``, ``Stage``.
Computed from events, never from cached status.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter

from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from evaluations.enums import Choice
from pilots.conf import setting
from pilots.enums import ConflictKind, KnownBy, Motive, PilotStatus, Reason, SpellStatus
from pilots.facts import Model, Spell, Switch, Timeline
from pilots.measured import Found, Measured
from pilots.models import Pilot, PilotEvent
from pilots.selectors.filters import ReportFilters
from pilots.selectors.measured import Subject, measured
from pilots.selectors.remembered import remembered
from pilots.selectors.timelines import histories, known_models
from pilots.timeline import read
from pilots.transitions import NO_SWITCH_YET


class Stage(Choice):
    """Where one attempt to switch stands; every attempt is in exactly one."""

    DECLINED = "declined", "declined"
    ABANDONED = "abandoned", "abandoned"
    IN_PROGRESS = "in_progress", "in progress"
    ALONGSIDE = "alongside", "running alongside"
    FAILED_SWITCH = "failed_switch", "ramp without a cutover"
    SWITCHED = "switched", "switched"


@dataclass(frozen=True, slots=True)
class ObservedSpell:
    """One time on the candidate, as far as it was followed. Days count from the cutover."""

    number: int  # within its pilot; 0: nobody recorded its cutover, traffic shows it
    start: date
    end: date | None
    status: SpellStatus
    days: int  # to the end, else to the last confirmation
    entry_day: int  # known about only from this day on; 0: from the cutover
    possible_days: int  # to the day the report is read as of
    impossible_from: int | None  # day from which the incumbent no longer answers; None: no such date
    forced: bool
    known_by: KnownBy
    last_confirmed: date
    verdict_at_cutover: str | None
    upgraded: bool
    against_verdict: bool
    end_model: str  # slug; '': not ended, or the workload is gone
    reason: Reason | None
    returned_to_vendor: bool
    back_on_incumbent: bool

    @property
    def observed_from(self) -> date:
        return self.start + timedelta(days=self.entry_day)

    @property
    def ended(self) -> bool:
        return self.end is not None

    @property
    def lost(self) -> bool:
        return self.status is SpellStatus.LOST_TO_FOLLOW_UP


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to switch: a spell, or a pilot without one."""

    pilot: str  # slug, as all names here
    workload: str
    team: str
    task_type: str
    incumbent: Model
    candidate: Model
    motive: str  # '': not declared
    stage: Stage
    verdict: str  # at the cutover; without a spell, of the latest decision; ''
    spell: ObservedSpell | None

    def group(self, by: str) -> str:
        """The key of this attempt's group; ``by`` is one of ``filters.GROUPINGS``."""
        if by == "vendor":
            return f"{self.incumbent.vendor}->{self.candidate.vendor}"
        if by == "forced":
            if self.spell is None:
                return "not_switched"
            return "forced" if self.spell.forced else "chosen"
        if by in ("incumbent", "candidate"):
            return str(getattr(self, by).slug)
        return getattr(self, by) or "none"


@dataclass(frozen=True, slots=True)
class Told:
    """One pilot with its life, as far as the filters let it be seen."""

    pk: int
    slug: str
    workload: str  # slug
    team: str  # slug
    task_type: str
    motive: Motive | None
    owner: str  # user name; '': nobody
    deputy: str
    opened_at: datetime
    status_at: datetime
    switch: Switch
    timeline: Timeline
    measured: Measured  # what observed traffic says


_COLUMNS = (
    "slug",
    "workload__slug",
    "workload__team__slug",
    "workload__task_type",
    "motive",
    "incumbent_id",
    "candidate_id",
    "version",
    "workload_id",
)


def tell(pilots: QuerySet[Pilot], filters: ReportFilters) -> Iterator[Told]:
    """Every pilot among ``pilots`` that had begun by ``filters.as_of``, oldest row first. Five queries, and one for the
    traffic of pilots that changed since it was last read."""
    models = known_models()
    by_slug = {model.slug: model for model in models.values()}
    chosen = filters.apply(pilots)
    name = get_user_model().USERNAME_FIELD
    rows = {pk: row for pk, *row in chosen.values_list("pk", *_COLUMNS, f"owner__{name}", f"deputy__{name}")}
    within = setting("FORCED_WITHIN_DAYS")
    events = PilotEvent.objects.filter(pilot__in=chosen.values("pk"))
    told: list[Subject] = []
    known_at = filters.known_at if filters.known_before else None
    for pk, history in histories(events, models, known_at=known_at):
        *_, motive, incumbent, candidate, version, workload, _, _ = rows[pk]
        switch = Switch(models[incumbent], models[candidate], motive or None)
        timeline = read(history, switch, by_slug, until=filters.until, forced_within_days=within)
        if timeline.opened_at is not None and timeline.status_at is not None:
            told.append(Subject(pk, version, workload, switch, timeline))
    traffic = measured(told, by_slug, as_of=filters.as_of, known_at=known_at)
    for subject in told:
        slug, workload_slug, team, task_type, motive, *_, owner, deputy = rows[subject.pilot]
        timeline = subject.timeline
        assert timeline.opened_at is not None
        assert timeline.status_at is not None
        yield Told(
            pk=subject.pilot,
            slug=slug,
            workload=workload_slug,
            team=team,
            task_type=task_type,
            motive=motive or None,
            owner=owner or "",
            deputy=deputy or "",
            opened_at=timeline.opened_at,
            status_at=timeline.status_at,
            switch=subject.switch,
            timeline=timeline,
            measured=traffic[subject.pilot],
        )


def observe(pilots: QuerySet[Pilot], filters: ReportFilters) -> tuple[Attempt, ...]:
    """Every attempt among ``pilots`` that had begun by ``filters.as_of``, by pilot and in order of time."""
    return remembered("attempts", pilots, filters, lambda: _observed(pilots, filters))


def _observed(pilots: QuerySet[Pilot], filters: ReportFilters) -> tuple[Attempt, ...]:
    attempts = [attempt for told in tell(pilots, filters) for attempt in _attempts(told, filters.as_of)]
    return tuple(sorted(attempts, key=attrgetter("pilot")))


def _attempts(told: Told, as_of: date) -> Iterator[Attempt]:
    spells: list[ObservedSpell | None] = [*observed_spells(told, as_of)]
    stage = Stage.SWITCHED if spells else _stage(told.timeline)
    for spell in spells or [None]:
        yield Attempt(
            pilot=told.slug,
            workload=told.workload,
            team=told.team,
            task_type=told.task_type,
            incumbent=told.switch.incumbent,
            candidate=told.switch.candidate,
            motive=told.motive or "",
            stage=stage,
            verdict=told.timeline.decision if spell is None else spell.verdict_at_cutover or "",
            spell=spell,
        )


def observed_spells(told: Told, as_of: date) -> tuple[ObservedSpell, ...]:
    """The pilot's periods as they stood on ``as_of``; without a recorded cutover, the one that traffic shows."""
    declared = told.timeline.spells
    shown = declared or (_measured_only(told),)
    return tuple(observed(spell, told.switch, as_of, told.measured) for spell in shown if spell is not None)


def _measured_only(told: Told) -> Spell | None:
    """A period that nobody recorded, numbered 0. Running alongside is agreed: it is never among the switched."""
    timeline, origin = told.timeline, told.measured.origin
    if origin is None or timeline.status is PilotStatus.ALONGSIDE:
        return None
    return Spell(
        number=0,
        started_at=datetime.combine(origin.day, time(), UTC),
        started_on=origin.day,
        observed_from_on=origin.day,
        forced=told.switch.forced(origin.day, setting("FORCED_WITHIN_DAYS")),
        against_verdict=timeline.against_verdict,
        decision_at_cutover=timeline.decision,
        model=told.switch.candidate.slug,
        last_confirmed_on=origin.day,
        confirmations=[],
    )


def _stage(timeline: Timeline) -> Stage:
    if timeline.status is PilotStatus.ALONGSIDE:
        return Stage.ALONGSIDE
    if timeline.status in NO_SWITCH_YET:
        return Stage.IN_PROGRESS
    if timeline.ramped:
        return Stage.FAILED_SWITCH
    return Stage.DECLINED if timeline.status is PilotStatus.DECLINED else Stage.ABANDONED


def observed(spell: Spell, switch: Switch, as_of: date, traffic: Measured) -> ObservedSpell:
    """The spell as it stood on ``as_of``, after what was declared and what was observed.

    Running on record but seen to have left the candidate, it ended on the first day of that, unexplained. A day on
    which it was seen on the candidate confirms it as a follow-up does.
    """
    start = spell.started_on
    retires_on = switch.incumbent.retires_on
    left = _left(spell, traffic)
    seen_on = (
        None if spell.ended_on else max((last for n, _, last in traffic.confirmed if n == spell.number), default=None)
    )
    last_confirmed, measured = spell.last_confirmed_on, left is not None
    if left is not None:
        last_confirmed = left.since_on
    elif seen_on is not None and seen_on >= last_confirmed:
        last_confirmed, measured = seen_on, True
    ended_on = spell.ended_on or (left.since_on if left else None)
    return ObservedSpell(
        number=spell.number,
        start=start,
        end=ended_on,
        status=SpellStatus.IN_CONFLICT if left else _status(spell, last_confirmed, as_of),
        days=((ended_on or last_confirmed) - start).days,
        entry_day=(spell.observed_from_on - start).days,
        possible_days=(as_of - start).days,
        impossible_from=None if retires_on is None else max((retires_on - start).days, 0),
        forced=spell.forced,
        known_by=KnownBy.MEASURED if measured else KnownBy.DECLARED,
        last_confirmed=last_confirmed,
        verdict_at_cutover=spell.decision_at_cutover or None,
        upgraded=spell.upgraded,
        against_verdict=spell.against_verdict,
        end_model=left.model if left else spell.end_model,
        reason=Reason.UNEXPLAINED if left else spell.end_reason,
        returned_to_vendor=left.vendor == switch.incumbent.vendor if left else spell.returned_to_vendor,
        back_on_incumbent=left.model == switch.incumbent.slug if left else spell.back_on_incumbent,
    )


def _left(spell: Spell, traffic: Measured) -> Found | None:
    """The first time that a spell which runs on record was seen to have left the candidate."""
    if spell.ended_on is not None:
        return None
    return next(
        (found for found in traffic.found if found.kind is ConflictKind.WENT_BACK and found.spell == spell.number), None
    )


def _status(spell: Spell, last_confirmed: date, as_of: date) -> SpellStatus:
    if spell.end_kind is not None:
        return SpellStatus(spell.end_kind.value)
    confirmed = (last_confirmed - spell.started_on).days
    due = next((day for day in setting("FOLLOW_UP_DAYS") if day > confirmed), None)
    if due is None:
        return SpellStatus.STILL_SWITCHED
    lost_on = spell.started_on + timedelta(days=due + setting("LOST_AFTER_DAYS"))
    return SpellStatus.LOST_TO_FOLLOW_UP if as_of >= lost_on else SpellStatus.STILL_SWITCHED
