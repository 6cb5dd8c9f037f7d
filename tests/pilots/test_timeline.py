"""The timeline: what events say of a pilot, in whatever order and however often they are told."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilots.enums import EventKind, Motive, PilotStatus, Reason, SpellEnd
from pilots.facts import Event, Model, Switch, Timeline
from pilots.timeline import read

GPT_4 = Model("gpt-4", "openai", "gpt")
GPT_4O = Model("gpt-4o", "openai", "gpt-o")
MAI_1 = Model("mai-1", "microsoft", "mai")
MAI_2 = Model("mai-2", "microsoft", "mai")
PHI = Model("phi-5", "microsoft")
CLAUDE = Model("claude-4", "anthropic", "claude")
MODELS = {model.slug: model for model in (GPT_4, GPT_4O, MAI_1, MAI_2, PHI, CLAUDE)}
SWITCH = Switch(GPT_4, MAI_1)
START = datetime(2026, 1, 1, tzinfo=UTC)
K = EventKind


def event(kind: EventKind, day: float, **fields: Any) -> Event:
    at = START + timedelta(days=day)
    text = repr((kind.value, at, sorted(fields.items(), key=str)))
    return Event(kind, at, hashlib.sha256(text.encode()).hexdigest(), **fields)


def rollback(day: float, **fields: Any) -> Event:
    return event(K.ROLLBACK, day, **{"reason": Reason.QUALITY, "to_model": "gpt-4", **fields})


def life(*events: Event, switch: Switch = SWITCH, until: datetime | None = None) -> Timeline:
    return read(events, switch, MODELS, until=until)


def on(day: int) -> date:
    return (START + timedelta(days=day)).date()


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events as they may be told: possible and impossible, some at the same instant, some corrected or voided."""
    kinds = [kind for kind in EventKind if kind is not K.CORRECTED]
    told: list[Event] = []
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=9)):
        fields: dict[str, Any] = {}
        if kind is K.SUPERSEDED:
            fields["to_model"] = draw(st.sampled_from(["mai-2", "gpt-4o", "claude-4"]))
        if kind is K.ROLLBACK:
            fields = {"reason": draw(st.sampled_from([Reason.COST, Reason.QUALITY])), "to_model": "gpt-4"}
        if kind in (K.RAMP, K.ALONGSIDE):
            fields["traffic_share"] = draw(st.sampled_from([Decimal("0.1"), Decimal("0.6")]))
        told.append(event(kind, draw(st.integers(0, 6)), **fields))
    for number in range(draw(st.integers(0, 3))):
        change = draw(
            st.sampled_from(
                [
                    {"void": True},
                    {"void": False},
                    {"occurred_at": (START + timedelta(days=number)).isoformat()},
                    {"reason": "latency"},
                    {"traffic_share": "0.7"},
                ]
            )
        )
        target = draw(st.sampled_from(told))
        told.append(event(K.CORRECTED, draw(st.integers(7, 9)), corrects=target.digest, data=change))
    return told


@settings(max_examples=200, deadline=None, derandomize=True)
@given(told=histories(), seed=st.integers(0, 2**32))
def test_any_permutation_and_any_repetition_reads_the_same(told: list[Event], seed: int) -> None:
    shuffler = random.Random(seed)
    expected = life(*told)
    for _ in range(5):
        again = [*told, *shuffler.choices(told, k=3)]
        shuffler.shuffle(again)
        assert life(*again) == expected


def test_a_life_from_opening_to_rollback() -> None:
    timeline = life(
        event(K.OPENED, 0),
        event(K.PLANNED, 1),
        event(K.EVALUATING, 2),
        event(K.DECIDED, 20, data={"go": True, "decision": "safe_to_switch"}),
        event(K.RAMP, 21, traffic_share=Decimal("0.25")),
        event(K.CUTOVER, 30),
        event(K.FOLLOW_UP, 60),
        rollback(75),
    )
    assert timeline.problems == ()
    assert (timeline.status, timeline.status_at) == (PilotStatus.ROLLED_BACK, START + timedelta(days=75))
    assert (timeline.traffic_share, timeline.opened_at, timeline.ramped) == (Decimal(0), START, True)
    (spell,) = timeline.spells
    assert (spell.started_on, spell.ended_on, spell.end_kind, spell.end_reason, spell.end_model) == (
        on(30),
        on(75),
        SpellEnd.ROLLED_BACK,
        Reason.QUALITY,
        "gpt-4",
    )
    assert (spell.back_on_incumbent, spell.returned_to_vendor, spell.decision_at_cutover) == (
        True,
        True,
        "safe_to_switch",
    )
    assert [day for day, _ in spell.confirmations] == [on(30), on(60), on(75)]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([K.OPENED], PilotStatus.DRAFT),
        ([K.OPENED, K.PLANNED], PilotStatus.PLANNED),
        ([K.OPENED, K.PLANNED, K.PLANNED], PilotStatus.PLANNED),
        ([K.PLANNED, K.EVALUATING, K.PLANNED], PilotStatus.EVALUATING),
        ([K.OPENED, K.DECIDED], PilotStatus.DECIDED),
        ([K.OPENED, K.DECLINED], PilotStatus.DECLINED),
        ([K.OPENED, K.RAMP, K.ABANDONED], PilotStatus.ABANDONED),
        ([K.OPENED, K.RAMP, K.ALONGSIDE, K.FOLLOW_UP], PilotStatus.ALONGSIDE),
        ([K.ALONGSIDE, K.CUTOVER], PilotStatus.SWITCHED),
        ([K.CUTOVER], PilotStatus.SWITCHED),
        ([K.CUTOVER, K.PLANNED, K.CLOSED], PilotStatus.SWITCHED),
        ([K.CUTOVER, K.ENDED], PilotStatus.ENDED),
        ([K.CUTOVER, K.ROLLBACK, K.RAMP], PilotStatus.RAMPING),
        ([K.CUTOVER, K.ROLLBACK, K.CUTOVER], PilotStatus.SWITCHED),
    ],
)
def test_what_may_follow_what(told: list[EventKind], status: PilotStatus) -> None:
    timeline = life(*(event(kind, day) for day, kind in enumerate(told)))
    assert (timeline.status, timeline.problems) == (status, ())


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ([event(K.CUTOVER, 0), event(K.OPENED, 1)], "a pilot is opened once, before everything else"),
        ([event(K.OPENED, 0), event(K.EVALUATING, 1)], "replays started on 2026-01-02 is ruled out"),
        ([event(K.OPENED, 0), rollback(1)], "rollback: there is no cutover before 2026-01-02"),
        ([event(K.OPENED, 0), event(K.FOLLOW_UP, 1)], "follow-up on 2026-01-02 is ruled out"),
        ([event(K.CUTOVER, 0), event(K.CUTOVER, 1)], "cutover on 2026-01-02 is ruled out"),
        (
            [event(K.CUTOVER, 0), event(K.ENDED, 1), event(K.CUTOVER, 2)],
            "cutover on 2026-01-03 is ruled out: since 2026-01-02 the pilot is 'workload ended'",
        ),
        (
            [event(K.ABANDONED, 0), event(K.CUTOVER, 1)],
            "cutover on 2026-01-02 is ruled out: since 2026-01-01 the pilot is 'abandoned'",
        ),
        (
            [event(K.CUTOVER, 0), event(K.ABANDONED, 1)],
            "abandoned on 2026-01-02 is ruled out: since 2026-01-01 the pilot is 'switched'",
        ),
        ([event(K.CUTOVER, 0, traffic_share=Decimal("0.3"))], "a cutover makes the candidate primary"),
        ([event(K.CUTOVER, 0), event(K.RAMP, 1, traffic_share=Decimal(0))], "after the cutover a share under one half"),
        ([event(K.CUTOVER, 0), event(K.SUPERSEDED, 1, to_model="gpt-4")], "gpt-4 is the incumbent: that is a rollback"),
        ([event(K.CUTOVER, 0), event(K.SUPERSEDED, 1, to_model="mai-1")], "the workload is on mai-1 already"),
        ([event(K.CUTOVER, 0), event(K.SUPERSEDED, 1)], "a move to a third model names that model"),
        ([event(K.CUTOVER, 0), rollback(1, to_model="claude-4")], "claude-4 is not of the incumbent's vendor"),
        (
            [event(K.CUTOVER, 0), event(K.FOLLOW_UP, 1, to_model="gpt-4")],
            "it runs on gpt-4, not on mai-1: record a rollback",
        ),
        ([event(K.DECIDED, 0), event(K.APPROVED, 1)], "no decision is waiting"),
        ([event(K.DECLINED, 0), event(K.CLOSED, 1), event(K.CLOSED, 2)], "the pilot is closed already"),
        (
            [event(K.CUTOVER, 0, data={"observed_from": "2026-03-01"}), rollback(9)],
            "it ended before it was observed (2026-03-01)",
        ),
    ],
)
def test_an_impossible_event_is_named_with_its_rule(told: list[Event], rule: str) -> None:
    (problem,) = life(*told).problems
    assert problem.event == told[-1]
    assert problem.rule.startswith(rule)


def test_events_of_one_day_are_read_in_the_order_that_is_possible() -> None:
    back_and_again = life(event(K.CUTOVER, 0), rollback(5), event(K.CUTOVER, 5), event(K.FOLLOW_UP, 5))
    assert [(spell.started_on, spell.ended_on) for spell in back_and_again.spells] == [(on(0), on(5)), (on(5), None)]
    assert back_and_again.problems == ()
    same_day = life(event(K.OPENED, 0), event(K.CUTOVER, 0), rollback(0))
    assert [(spell.started_on, spell.ended_on) for spell in same_day.spells] == [(on(0), on(0))]
    assert same_day.problems == ()


def test_an_upgrade_inside_the_family_continues_the_spell() -> None:
    timeline = life(
        event(K.CUTOVER, 0),
        event(K.SUPERSEDED, 40, to_model="mai-2"),
        event(K.FOLLOW_UP, 60, to_model="mai-2"),
        event(K.SUPERSEDED, 90, to_model="phi-5"),
    )
    (spell,) = timeline.spells
    assert (spell.upgraded, spell.model, spell.ended_on, spell.end_kind, spell.end_model) == (
        True,
        "mai-2",
        on(90),
        SpellEnd.SUPERSEDED,
        "phi-5",
    )
    assert (spell.returned_to_vendor, timeline.status) == (False, PilotStatus.SUPERSEDED)


@pytest.mark.parametrize(
    ("end", "back_on_incumbent", "returned_to_vendor"),
    [
        (rollback(9), True, True),
        (rollback(9, to_model="gpt-4o"), False, True),
        (event(K.SUPERSEDED, 9, to_model="gpt-4o"), False, True),
        (event(K.SUPERSEDED, 9, to_model="claude-4"), False, False),
        (event(K.ENDED, 9), False, False),
    ],
)
def test_where_a_spell_ended(end: Event, back_on_incumbent: bool, returned_to_vendor: bool) -> None:
    (spell,) = life(event(K.CUTOVER, 0), end).spells
    assert (spell.back_on_incumbent, spell.returned_to_vendor) == (back_on_incumbent, returned_to_vendor)


@pytest.mark.parametrize(
    ("announced", "retires", "motive", "forced"),
    [
        (None, None, None, False),
        (None, None, Motive.COST, False),
        (None, None, Motive.RETIREMENT, True),
        (on(1), on(400), None, False),  # announced the day after the cutover
        (on(0), on(400), None, True),
        (on(1), on(10), None, False),  # announced: the days before shutdown say nothing more
        (None, on(31), None, False),
        (None, on(30), None, True),
        (None, on(-5), None, True),
    ],
)
def test_forced_is_not_chosen(
    announced: date | None, retires: date | None, motive: Motive | None, forced: bool
) -> None:
    incumbent = Model("old", "openai", "", announced, retires)
    (spell,) = life(event(K.CUTOVER, 0), switch=Switch(incumbent, MAI_1, motive)).spells
    assert spell.forced is forced


def test_confirmations_and_late_entry() -> None:
    late = event(K.CUTOVER, 0, data={"observed_from": on(50).isoformat()})
    (spell,) = life(late).spells
    assert (spell.observed_from_on, spell.last_confirmed_on) == (on(50), on(50))
    (spell,) = life(late, until=START + timedelta(days=20)).spells
    assert (spell.observed_from_on, spell.last_confirmed_on) == (on(50), on(20))
    (spell,) = life(event(K.CUTOVER, 0), event(K.RAMP, 12, traffic_share=Decimal("0.9")), event(K.CLOSED, 30)).spells
    assert spell.last_confirmed_on == on(12)
    before = event(K.CUTOVER, 0, data={"observed_from": on(-9).isoformat()})
    assert life(before).spells[0].observed_from_on == on(0)


def test_corrections_replace_facts_and_the_latest_wins() -> None:
    cutover, back = event(K.CUTOVER, 0), rollback(40)
    moved = event(K.CORRECTED, 50, corrects=back.digest, data={"occurred_at": on(30).isoformat() + "T00:00:00+00:00"})
    reasoned = event(K.CORRECTED, 51, corrects=back.digest, data={"reason": "cost", "to_model": "gpt-4o", "note": "n"})
    (spell,) = life(cutover, back, moved, reasoned).spells
    assert (spell.ended_on, spell.end_reason, spell.end_model) == (on(30), Reason.COST, "gpt-4o")
    # A correction is knowledge, not an event in the world: it counts whenever it was made.
    (spell,) = life(cutover, back, moved, until=START + timedelta(days=35)).spells
    assert spell.ended_on == on(30)
    voided = event(K.CORRECTED, 52, corrects=back.digest, data={"void": True})
    assert life(cutover, back, voided).status is PilotStatus.SWITCHED
    reinstated = event(K.CORRECTED, 53, corrects=back.digest, data={"void": False})
    assert life(cutover, back, voided, reinstated).status is PilotStatus.ROLLED_BACK


def test_nothing_that_happened_later_is_seen() -> None:
    told = (event(K.OPENED, 0), event(K.CUTOVER, 10), rollback(40))
    assert life(*told, until=START - timedelta(days=1)).opened_at is None
    assert life(*told, until=START + timedelta(days=9)).status is PilotStatus.DRAFT
    timeline = life(*told, until=START + timedelta(days=39))
    assert (timeline.status, timeline.spells[0].ended_on) == (PilotStatus.SWITCHED, None)


def test_a_decision_against_the_verdict_waits_until_it_is_approved() -> None:
    against = event(K.DECIDED, 0, data={"decision": "do_not_switch", "against_verdict": True})
    assert life(against).awaiting_approval is True
    approved = life(against, event(K.APPROVED, 1), event(K.CUTOVER, 2))
    assert (approved.awaiting_approval, approved.spells[0].against_verdict) == (False, True)
    again = event(K.DECIDED, 1, data={"decision": "safe_to_switch", "against_verdict": False})
    assert life(against, again).awaiting_approval is False
