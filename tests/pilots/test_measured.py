"""What daily traffic says of a pilot: runs, missing days, contradictions, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from pilots.enums import ConflictKind, MeasuredState, PilotStatus
from pilots.facts import Model, Spell, Switch, Timeline
from pilots.measured import Day, Measured, Origin, measure, of_switch

OLD, NEW = Model("gpt-4", "openai", "gpt"), Model("mai-1", "microsoft", "mai")
NEWER, THIRD = Model("mai-2", "microsoft", "mai"), Model("claude-4", "anthropic", "claude")
KNOWN = {model.slug: model for model in (OLD, NEW, NEWER, THIRD)}
SWITCH = Switch(OLD, NEW)
START = date(2026, 6, 1)
OPENED = datetime(2026, 6, 20, tzinfo=UTC)


def on(number: int) -> date:
    return START + timedelta(days=number)


def spell(first: int = 0, last: int | None = None) -> Spell:
    return Spell(
        number=1, started_at=None, started_on=on(first), observed_from_on=on(first), forced=False,  # type: ignore[arg-type]
        against_verdict=False, decision_at_cutover="", model="mai-1", last_confirmed_on=on(first), confirmations=[],
        ended_on=None if last is None else on(last),
    )  # fmt: skip


def life(*spells: Spell, status: PilotStatus = PilotStatus.SWITCHED) -> Timeline:
    return Timeline(
        status, None, None, OPENED, None, False, decision="", decided_by_event="", against_verdict=False,
        awaiting_approval=False, review_on=None, spells=spells, problems=(),
    )  # fmt: skip


def days(*shares: int | None, first: int = 0, other: str = "gpt-4") -> list[Day]:
    """Percent on the candidate, day by day; None: no data."""
    told = [
        of_switch(on(first + number), {"mai-1": share, other: 100 - share}, SWITCH, KNOWN)
        for number, share in enumerate(shares)
        if share is not None
    ]
    return [day for day in told if day is not None]


def read(told: list[Day], timeline: Timeline) -> Measured:
    return measure(told, timeline, SWITCH, KNOWN)


def test_seven_days_under_one_half_are_a_return_and_six_are_not() -> None:
    assert read(days(*[90] * 20, *[17] * 6), life(spell())).found == ()
    [found] = read(days(*[90] * 20, *[17] * 7), life(spell())).found
    assert (found.kind, found.spell, found.model, found.vendor) == (ConflictKind.WENT_BACK, 1, "gpt-4", "openai")
    assert (found.since_on, found.established_on, found.last_on) == (on(20), on(26), on(26))
    assert found.share == pytest.approx(0.83)


def test_a_missing_day_is_no_day_below_and_breaks_no_run() -> None:
    assert read(days(*[90] * 20, *[None] * 30), life(spell())).found == ()
    [found] = read(days(*[90] * 20, 17, 17, None, None, *[17] * 5), life(spell())).found
    assert (found.since_on, found.established_on) == (on(20), on(28))
    far_apart = days(*[90] * 20, *[17] * 4, *[None] * 8, *[17] * 4)
    assert read(far_apart, life(spell())).found == ()


def test_days_before_the_cutover_and_after_a_recorded_end_are_no_return() -> None:
    told = days(*[0] * 30, *[95] * 30, *[5] * 30)
    assert read(told, life(spell(30, 60), status=PilotStatus.ROLLED_BACK)).found == ()
    [found] = read(told, life(spell(30))).found
    assert found.since_on == on(60)
    # Cut over on record, and the traffic never came.
    [found] = read(days(*[0] * 30), life(spell(10))).found
    assert found.since_on == on(10)


def test_on_the_candidate_without_a_word() -> None:
    told = days(*[0] * 10, *[80] * 14)
    [found] = read(told, life(status=PilotStatus.RAMPING)).found
    assert (found.kind, found.since_on, found.established_on) == (ConflictKind.UNRECORDED, on(10), on(23))
    assert read(told[:-1], life(status=PilotStatus.RAMPING)).found == ()
    assert read(told, life(status=PilotStatus.DECLINED)).found == ()
    [found] = read(days(*[95] * 60), life(spell(0, 20), status=PilotStatus.ROLLED_BACK)).found
    assert (found.kind, found.since_on) == (ConflictKind.STILL_ON_IT, on(21))


def test_without_a_recorded_cutover_the_first_of_fourteen_days_is_the_origin() -> None:
    planned = life(status=PilotStatus.PLANNED)
    assert read(days(*[10] * 20, *[80] * 13, 79), planned).origin is None
    assert read(days(*[10] * 20, *[80] * 14), planned).origin == Origin(on(20), on(33))
    # A recorded cutover is the origin, however the traffic went.
    assert read(days(*[80] * 40), life(spell(30))).origin is None
    # A run that was over before the pilot was opened (on day 19) is another story; one that goes on is its own.
    assert read(days(*[80] * 18), planned).origin is None
    assert read(days(*[80] * 20), planned).origin == Origin(on(0), on(13))
    assert read(days(*[80] * 14, *[10] * 10, *[80] * 14), planned).origin == Origin(on(24), on(37))


def test_a_period_that_was_only_measured_is_confirmed_and_left_like_any_other() -> None:
    seen = read(days(*[10] * 20, *[85] * 30, *[17] * 7, *[60] * 2), life(status=PilotStatus.ABANDONED))
    assert seen.origin == Origin(on(20), on(33))
    assert seen.confirmed == ((0, on(20), on(58)),)
    assert [(found.kind, found.spell, found.since_on) for found in seen.found] == [(ConflictKind.WENT_BACK, 0, on(50))]


def test_a_successor_is_the_candidate_and_a_third_model_is_where_it_went() -> None:
    upgraded = of_switch(on(0), {"mai-2": 90, "gpt-4": 10}, SWITCH, KNOWN)
    assert upgraded is not None
    assert (upgraded.candidate, upgraded.incumbent, upgraded.total) == (90, 10, 100)
    within = Switch(Model("mai-0", "microsoft", "mai"), NEW)
    older = of_switch(on(0), {"mai-0": 90, "mai-1": 10}, within, KNOWN | {"mai-0": within.incumbent})
    assert older is not None
    assert (older.candidate, older.incumbent) == (10, 90)
    [found] = read(days(*[90] * 20, *[10] * 7, other="claude-4"), life(spell())).found
    assert (found.model, found.vendor) == ("claude-4", "anthropic")
    assert of_switch(on(0), {"gpt-4": 0}, SWITCH, KNOWN) is None


@pytest.mark.parametrize(
    ("shares", "state", "since"),
    [
        ([0] * 5, MeasuredState.NOT_ON_IT, 0),
        ([0, *[30] * 5], MeasuredState.ALONGSIDE, 1),
        ([0, *[80] * 14], MeasuredState.SWITCHED, 1),
        ([0, *[96] * 29], MeasuredState.SWITCHED, 1),
        ([0, *[96] * 30], MeasuredState.REPLACED, 1),
        ([*[90] * 20, *[49] * 7], MeasuredState.BACK, 20),
    ],
)
def test_where_the_traffic_stands(shares: list[int], state: MeasuredState, since: int) -> None:
    reading = read(days(*shares), life())
    assert (reading.state, reading.state_since) == (state, on(since))


def test_a_day_on_the_candidate_confirms_its_period() -> None:
    reading = read(days(*[90] * 20, *[17] * 3, 60, 40), life(spell(5)))
    assert reading.confirmed == ((1, on(5), on(23)),)
    assert (reading.observed_days, reading.first_on, reading.last_on) == (25, on(0), on(24))
    nothing = read([], life(spell()))
    assert (nothing.state, nothing.confirmed, nothing.found, nothing.last_on) == (None, (), (), None)


def recorded(share: str, number: int = 0, status: PilotStatus = PilotStatus.SWITCHED) -> Timeline:
    return replace(life(spell(), status=status), traffic_share=Decimal(share), share_on=on(number))


@pytest.mark.parametrize(
    ("shares", "since", "share"),
    [
        ([90] * 20, None, None),  # ten points off are not more than ten
        ([100] * 10 + [89] * 6, None, None),
        ([100] * 10 + [89] * 7, 10, 0.89),
        ([100] * 10 + [80] * 6 + [60], 10, 0.771429),  # (6 x 80 + 60) / 7
        ([100] * 10 + [80] * 7 + [95], None, None),  # the newest day is back
        ([100] * 10 + [80, None, None, *[80] * 6], 10, 0.8),
    ],
)
def test_a_share_that_stays_off_the_recorded_one(
    shares: list[int | None], since: int | None, share: float | None
) -> None:
    found = read(days(*shares), recorded("1", -1)).share_drift
    if since is None:
        assert found is None
    else:
        assert found is not None
        assert (found.since_on, found.recorded, found.recorded_on) == (on(since), Decimal(1), on(-1))
        assert found.share == pytest.approx(share, abs=1e-6)


def test_a_share_drifts_either_way_and_only_after_it_was_recorded() -> None:
    found = read(days(*[70] * 20), recorded("0.5", 5, PilotStatus.ALONGSIDE)).share_drift
    assert found is not None
    assert (found.since_on, found.last_on, found.share) == (on(6), on(19), 0.7)
    # Ten days to each side of one half are no drift to one side.
    assert read(days(*[70, 30] * 10), recorded("0.5", 5, PilotStatus.ALONGSIDE)).share_drift is None
    assert read(days(*[70] * 12), recorded("0.5", 5, PilotStatus.ALONGSIDE)).share_drift is None  # six days since
    assert read(days(*[70] * 20), recorded("0.5", 5, PilotStatus.RAMPING)).share_drift is None
    assert read(days(*[70] * 20), life(spell())).share_drift is None
    assert read([], recorded("1")).share_drift is None
