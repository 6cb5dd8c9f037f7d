"""From a pilot's events to its status and its spells. Public surface: ``read``.

Pure and order-free: any permutation and any duplication of the same events reads the same. Days are UTC dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from pilots.enums import EventKind, PilotStatus, SpellEnd
from pilots.facts import Event, Model, Problem, Spell, Switch, Timeline, corrected
from pilots.transitions import RANK, TRANSITIONS

HALF = Decimal("0.5")


def read(
    events: Iterable[Event],
    switch: Switch,
    models: Mapping[str, Model],
    *,
    until: datetime | None = None,
    forced_within_days: int = 30,
) -> Timeline:
    """The timeline of one pilot.

    ``models`` resolves the slugs in ``to_model``. With ``until``, what happened later is left out; corrections count
    whenever they were made. Never raises: an impossible event is left out and named in ``problems``.
    """
    told = sorted(corrected(events), key=lambda event: (event.occurred_at, RANK[event.kind], event.digest))
    if until is not None:
        told = [event for event in told if event.occurred_at <= until]
    walk = _Walk(switch, models, forced_within_days)
    for _, simultaneous in groupby(told, attrgetter("occurred_at")):
        walk.take(list(simultaneous))
    return walk.timeline(until)


class _Walk:
    """One pass over the events, in the order they happened."""

    def __init__(self, switch: Switch, models: Mapping[str, Model], forced_within_days: int) -> None:
        self.switch, self.models, self.forced_within_days = switch, models, forced_within_days
        self.status = PilotStatus.DRAFT
        self.status_at: datetime | None = None
        self.opened_at: datetime | None = None
        self.closed_at: datetime | None = None
        self.share: Decimal | None = None
        self.share_on: date | None = None
        self.ramped = False
        self.decision = self.decided_by_event = ""
        self.against_verdict = self.awaiting_approval = False
        self.review_on: date | None = None
        self.spells: list[Spell] = []
        self.problems: list[Problem] = []

    def take(self, simultaneous: list[Event]) -> None:
        """Events of one instant, in rank order unless only another order is possible (back in the morning, over again
        in the evening, both told as a bare date)."""
        if len(simultaneous) == 1:
            self.judge(simultaneous[0])
            return
        while simultaneous:
            rules = []
            for position, event in enumerate(simultaneous):
                rule = self.rule_against(event)
                if rule is None:
                    self.apply(event)
                    del simultaneous[position]
                    break
                rules.append(rule)
            else:
                self.problems += map(Problem, simultaneous, rules)
                return

    def judge(self, event: Event) -> None:
        rule = self.rule_against(event)
        if rule is None:
            self.apply(event)
        else:
            self.problems.append(Problem(event, rule))

    def rule_against(self, event: Event) -> str | None:
        """The rule that ``event`` breaks in the present state; None = it is legal."""
        kind, status = event.kind, self.status
        if kind is EventKind.OPENED:
            return None if self.opened_at is None else "a pilot is opened once, before everything else"
        if status not in TRANSITIONS[kind]:
            return self._impossible(event)
        if kind is EventKind.CLOSED and self.closed_at is not None:
            return "the pilot is closed already"
        if kind is EventKind.APPROVED and not self.awaiting_approval:
            return "no decision is waiting for a second person"
        if kind in (EventKind.ROLLBACK, EventKind.SUPERSEDED, EventKind.FOLLOW_UP):
            return self._wrong_model(event)
        small = event.traffic_share is not None and event.traffic_share < HALF
        if kind is EventKind.CUTOVER and small:
            return "a cutover makes the candidate primary: its share is at least one half"
        if kind is EventKind.RAMP and status is PilotStatus.SWITCHED and small:
            return "after the cutover a share under one half is a rollback: record a rollback"
        return None

    def _impossible(self, event: Event) -> str:
        if event.kind in (EventKind.ROLLBACK, EventKind.SUPERSEDED, EventKind.ENDED) and not self.spells:
            return f"{event.kind.label}: there is no cutover before {event.day}"
        since = "" if self.status_at is None else f"since {self.status_at.astimezone(UTC).date()} "
        return f"{event.kind.label} on {event.day} is ruled out: {since}the pilot is '{self.status.label}'"

    def _wrong_model(self, event: Event) -> str | None:
        """What left for where decides how a spell ends; a confirmation must name what the spell runs on."""
        if event.kind is EventKind.FOLLOW_UP:
            running = self.spells[-1].model if self.status is PilotStatus.SWITCHED else self.switch.candidate.slug
            if event.to_model in ("", running):
                return None
            return f"it runs on {event.to_model}, not on {running}: record a rollback instead"
        target = self.models.get(event.to_model)
        if event.kind is EventKind.ROLLBACK:
            if target is not None and target.vendor != self.switch.incumbent.vendor:
                return f"{target.slug} is not of the incumbent's vendor: that is a move to a third model (superseded)"
            if target is not None and target.slug == self.spells[-1].model:
                return f"the workload is on {target.slug} already"
            return None
        if target is None:
            return "a move to a third model names that model"
        if target.slug == self.switch.incumbent.slug:
            return f"{target.slug} is the incumbent: that is a rollback"
        if target.slug == self.spells[-1].model:
            return f"the workload is on {target.slug} already"
        return None

    def apply(self, event: Event) -> None:
        kind, before = event.kind, self.status
        if self.opened_at is None:
            self.opened_at = self.status_at = event.occurred_at
        if kind is EventKind.OPENED:
            return
        after = TRANSITIONS[kind][before]
        if kind is EventKind.CUTOVER:
            self._start(event)
        elif before is PilotStatus.SWITCHED:
            after = self._live(event, after)
        if kind in (EventKind.DECIDED, EventKind.DECLINED):
            self.decision = event.data.get("decision") or ""
            self.against_verdict = bool(event.data.get("against_verdict"))
            self.decided_by_event = event.digest
            self.awaiting_approval = self.against_verdict or bool(event.data.get("second_person"))
        elif kind is EventKind.APPROVED:
            self.awaiting_approval = False
        elif kind is EventKind.CLOSED:
            self.closed_at = event.occurred_at
        elif kind is EventKind.RAMP and before is not PilotStatus.SWITCHED:
            self.ramped = True
        if kind is EventKind.ALONGSIDE:
            review_on = event.data.get("review_on")
            self.review_on = date.fromisoformat(review_on) if review_on else None
        self._set_share(event, after)
        if after is not before:
            self.status, self.status_at = after, event.occurred_at

    def _set_share(self, event: Event, after: PilotStatus) -> None:
        before = self.share
        if event.traffic_share is not None:
            self.share = event.traffic_share
        elif event.kind is EventKind.CUTOVER:
            self.share = Decimal(1)
        elif after in (PilotStatus.ROLLED_BACK, PilotStatus.SUPERSEDED) and after is not self.status:
            self.share = Decimal(0)
        elif after in (PilotStatus.ENDED, PilotStatus.DECLINED, PilotStatus.ABANDONED):
            self.share = None if self.share is None else Decimal(0)
        if event.traffic_share is not None or self.share != before:
            self.share_on = event.day

    def _start(self, event: Event) -> None:
        day = event.day
        observed_from = event.data.get("observed_from")
        self.spells.append(
            Spell(
                number=len(self.spells) + 1,
                started_at=event.occurred_at,
                started_on=day,
                observed_from_on=max(day, date.fromisoformat(observed_from)) if observed_from else day,
                forced=self.switch.forced(day, self.forced_within_days),
                against_verdict=self.against_verdict,
                decision_at_cutover=self.decision,
                model=self.switch.candidate.slug,
                last_confirmed_on=day,
                confirmations=[(day, event.digest)],
            )
        )

    def _live(self, event: Event, after: PilotStatus) -> PilotStatus:
        """An event while switched: it confirms the spell, upgrades it or ends it."""
        spell = self.spells[-1]
        kind = event.kind
        if kind is EventKind.SUPERSEDED and self._upgrade(spell, event):
            after = PilotStatus.SWITCHED
        if after is not PilotStatus.SWITCHED:
            self._end(spell, event)
        elif kind not in (EventKind.RAMP, EventKind.FOLLOW_UP, EventKind.SUPERSEDED):
            return after
        spell.last_confirmed_on = event.day
        spell.confirmations.append((event.day, event.digest))
        return after

    def _upgrade(self, spell: Spell, event: Event) -> bool:
        if not self.models[event.to_model].same_line_as(self.switch.candidate):
            return False
        spell.model, spell.upgraded = event.to_model, True
        return True

    def _end(self, spell: Spell, event: Event) -> None:
        spell.ended_on = event.day
        spell.end_kind = {
            EventKind.ROLLBACK: SpellEnd.ROLLED_BACK,
            EventKind.SUPERSEDED: SpellEnd.SUPERSEDED,
            EventKind.ENDED: SpellEnd.ENDED,
        }[event.kind]
        incumbent = self.switch.incumbent
        if spell.end_kind is SpellEnd.ROLLED_BACK:
            spell.end_reason = event.reason
            spell.end_model = event.to_model or incumbent.slug
        elif spell.end_kind is SpellEnd.SUPERSEDED:
            spell.end_model = event.to_model
        if spell.end_model:
            target = self.models.get(spell.end_model, incumbent)
            spell.back_on_incumbent = spell.end_model == incumbent.slug
            spell.returned_to_vendor = target.vendor == incumbent.vendor
        if spell.observed_from_on > event.day:
            self.problems.append(Problem(event, f"it ended before it was observed ({spell.observed_from_on})"))

    def timeline(self, until: datetime | None) -> Timeline:
        for spell in self.spells:
            # Being observed from a day on is a confirmation of that day.
            entered = spell.observed_from_on if until is None else min(spell.observed_from_on, _day(until))
            spell.last_confirmed_on = max(spell.last_confirmed_on, entered)
        return Timeline(
            status=self.status,
            status_at=self.status_at,
            traffic_share=self.share,
            share_on=self.share_on,
            opened_at=self.opened_at,
            closed_at=self.closed_at,
            ramped=self.ramped,
            decision=self.decision,
            decided_by_event=self.decided_by_event,
            against_verdict=self.against_verdict,
            awaiting_approval=self.awaiting_approval,
            review_on=self.review_on if self.status is PilotStatus.ALONGSIDE else None,
            spells=tuple(self.spells),
            problems=tuple(self.problems),
        )


def _day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()
