"""The doors of a pilot's life: they work and say so in the audit, they refuse, they leave nothing half done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from evaluations.models import AuditEvent, Team
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from pilots.enums import AttachmentKind, EventKind, Motive, PilotStatus, Reason, SpellEnd
from pilots.models import EventAttachment, FollowUp, Pilot, PilotEvent, Spell
from pilots.selectors.attention import attention, scope_of
from pilots.selectors.timelines import timeline_of
from pilots.services import lifecycle
from pilots.services.corrections import correct_event
from pilots.services.projection import reproject
from tests import factories as make

pytestmark = pytest.mark.django_db
BY = make.actor()

Prepare = Callable[[], Pilot]
Record = Callable[[Pilot], Any]


def _decided() -> Pilot:
    pilot = make.pilot()
    lifecycle.decide(pilot=pilot, by=BY, at=make.day(-10), go=True, rationale="all met", verdict=None)
    return pilot


def _planned() -> Pilot:
    pilot = make.pilot()
    lifecycle.mark_planned(pilot=pilot, by=BY, at=make.day(-20), plan_version=1, digest="d" * 64)
    return pilot


def _overruled() -> Pilot:
    pilot = make.pilot()
    verdict = {"decision": "do_not_switch"}
    lifecycle.decide(pilot=pilot, by=BY, at=make.day(-10), go=True, rationale="deadline", verdict=verdict)
    return pilot


# door, pilot before, call, status after, name in the audit chain, share on the candidate after
DOORS: dict[str, tuple[Prepare, Record, PilotStatus, str, Decimal | None]] = {
    "mark_planned": (
        make.pilot,
        lambda p: lifecycle.mark_planned(pilot=p, by=BY, at=make.day(1), plan_version=1, digest="d" * 64),
        PilotStatus.PLANNED,
        "pilot.planned",
        None,
    ),
    "mark_evaluating": (
        _planned,
        lambda p: lifecycle.mark_evaluating(pilot=p, by=BY, at=make.day(1), run=7),
        PilotStatus.EVALUATING,
        "pilot.evaluating",
        None,
    ),
    "decide_go": (
        _planned,
        lambda p: lifecycle.decide(
            pilot=p, by=BY, at=make.day(1), go=True, rationale="met", verdict={"decision": "safe_to_switch"}
        ),
        PilotStatus.DECIDED,
        "pilot.decided",
        None,
    ),
    "decide_no_go": (
        _planned,
        lambda p: lifecycle.decide(pilot=p, by=BY, at=make.day(1), go=False, rationale="too slow", verdict=None),
        PilotStatus.DECLINED,
        "pilot.declined",
        None,
    ),
    "approve_decision": (
        _overruled,
        lambda p: lifecycle.approve_decision(pilot=p, by=make.actor("ben"), at=make.day(1)),
        PilotStatus.DECIDED,
        "pilot.approved",
        None,
    ),
    "record_ramp": (
        _decided,
        lambda p: lifecycle.record_ramp(pilot=p, by=BY, at=make.day(1), share=Decimal("0.25")),
        PilotStatus.RAMPING,
        "pilot.ramped",
        Decimal("0.25"),
    ),
    "record_alongside": (
        _decided,
        lambda p: lifecycle.record_alongside(
            pilot=p, by=BY, at=make.day(1), share=Decimal("0.4"), review_on=date(2026, 9, 1)
        ),
        PilotStatus.ALONGSIDE,
        "pilot.alongside",
        Decimal("0.4"),
    ),
    "record_cutover": (
        _decided,
        lambda p: lifecycle.record_cutover(pilot=p, by=BY, at=make.day(1)),
        PilotStatus.SWITCHED,
        "pilot.cutover",
        Decimal(1),
    ),
    "record_follow_up": (
        make.switched_pilot,
        lambda p: lifecycle.record_follow_up(pilot=p, by=BY, at=make.day(31)),
        PilotStatus.SWITCHED,
        "pilot.followed_up",
        Decimal(1),
    ),
    "record_rollback": (
        make.switched_pilot,
        lambda p: lifecycle.record_rollback(
            pilot=p,
            by=BY,
            at=make.day(9),
            reason=Reason.LATENCY,
            attachments=["incident:INC-1", "https://status.example/9"],
            share_moved_back=Decimal("0.9"),
        ),
        PilotStatus.ROLLED_BACK,
        "pilot.rolled_back",
        Decimal("0.1"),
    ),
    "record_superseded": (
        make.switched_pilot,
        lambda p: lifecycle.record_superseded(
            pilot=p, by=BY, at=make.day(9), to_model=make.model("claude-4", "anthropic")
        ),
        PilotStatus.SUPERSEDED,
        "pilot.superseded",
        Decimal(0),
    ),
    "record_superseded_in_family": (
        make.switched_pilot,
        lambda p: lifecycle.record_superseded(
            pilot=p, by=BY, at=make.day(9), to_model=make.model("mai-thinking-2", "microsoft", family="mai-thinking")
        ),
        PilotStatus.SWITCHED,
        "pilot.superseded",
        Decimal(1),
    ),
    "record_ended": (
        make.switched_pilot,
        lambda p: lifecycle.record_ended(pilot=p, by=BY, at=make.day(9)),
        PilotStatus.ENDED,
        "pilot.ended",
        Decimal(0),
    ),
    "record_declined": (
        make.pilot,
        lambda p: lifecycle.record_declined(pilot=p, by=BY, at=make.day(1), note="not this year"),
        PilotStatus.DECLINED,
        "pilot.declined",
        None,
    ),
    "record_abandoned": (
        make.pilot,
        lambda p: lifecycle.record_abandoned(pilot=p, by=BY, at=make.day(1)),
        PilotStatus.ABANDONED,
        "pilot.abandoned",
        None,
    ),
    "close_pilot": (
        make.switched_pilot,
        lambda p: lifecycle.close_pilot(pilot=p, by=BY, at=make.day(9)),
        PilotStatus.SWITCHED,
        "pilot.closed",
        Decimal(1),
    ),
    "correct_event": (
        make.switched_pilot,
        lambda p: correct_event(
            pilot=p, by=BY, at=make.day(9), event=p.events.get(kind=EventKind.CUTOVER), why="typo", void=True
        ),
        PilotStatus.DRAFT,
        "pilot.corrected",
        None,
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_works_and_says_so_in_the_audit(door: str) -> None:
    prepare, record, status, action, share = DOORS[door]
    pilot = prepare()
    seen = AuditEvent.objects.count()
    version = pilot.version
    event = record(pilot)
    stored = Pilot.objects.get(pk=pilot.pk)
    assert (stored.status, stored.traffic_share, stored.version, stored.last_seq) == (
        status,
        share,
        version + 1,
        event.seq,
    )
    assert (pilot.status, pilot.version) == (status, version + 1)
    row = AuditEvent.objects.get(sequence=seen + 1)
    assert AuditEvent.objects.count() == seen + 1
    assert (row.action, row.object_label, row.team, row.actor, row.at) == (
        action,
        pilot.slug,
        pilot.workload.team.slug,
        event.actor,
        event.recorded_at,
    )
    assert row.data["event"] == event.seq
    assert audit.verify() is None


@pytest.mark.parametrize("door", DOORS)
def test_a_repeat_of_the_same_event_is_answered_with_the_stored_one(door: str) -> None:
    prepare, record, *_ = DOORS[door]
    pilot = prepare()
    first = record(pilot)
    before = (PilotEvent.objects.count(), AuditEvent.objects.count(), pilot.version)
    if door == "mark_evaluating":
        assert record(pilot) is None  # the pilot is further on already
    else:
        assert record(pilot) == first
    assert (PilotEvent.objects.count(), AuditEvent.objects.count(), pilot.version) == before


@pytest.mark.parametrize("door", DOORS)
def test_without_its_audit_row_a_door_leaves_nothing(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, record, *_ = DOORS[door]
    pilot = prepare()
    before = _everything(pilot)
    instance = (pilot.status, pilot.version, pilot.last_seq)

    def fail(**_: object) -> None:
        raise RuntimeError("the audit chain is down")

    monkeypatch.setattr("pilots.services.appending.record_audit", fail)
    with pytest.raises(RuntimeError, match="audit chain"):
        record(pilot)
    assert _everything(pilot) == before
    assert (pilot.status, pilot.version, pilot.last_seq) == instance


def _everything(pilot: Pilot) -> list[Any]:
    return [
        Pilot.objects.filter(pk=pilot.pk).values().get(),
        list(PilotEvent.objects.order_by("pk").values()),
        list(EventAttachment.objects.order_by("pk").values()),
        list(Spell.objects.order_by("pk").values()),
        list(FollowUp.objects.order_by("pk").values()),
        list(AuditEvent.objects.order_by("pk").values()),
    ]


def test_opening_a_pilot_records_where_it_came_from() -> None:
    workload = make.workload("triage", "support")
    ana = make.user("ana")
    pilot = lifecycle.open_pilot(
        by=BY,
        at=make.day(0),
        slug="triage-to-mai",
        workload=workload,
        incumbent=make.model("gpt-4"),
        candidate=make.model("mai-thinking-1", "microsoft"),
        owner=ana,
        motive=Motive.COST,
    )
    stored = Pilot.objects.get(slug="triage-to-mai")
    assert (stored.status, stored.status_at, stored.version, stored.last_seq) == ("draft", make.day(0), 1, 1)
    assert (stored.owner, stored.motive, pilot.version) == (ana, Motive.COST, 1)
    assert [event.kind for event in stored.events.all()] == [EventKind.OPENED]
    assert AuditEvent.objects.get(action="pilot.opened").object_label == "triage-to-mai"


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"slug": "taken"}, "slug", "there is a pilot called taken already"),
        ({"slug": "no spaces"}, "slug", "a slug has letters"),
        ({"candidate": "same"}, "candidate", "the same model"),
    ],
)
def test_a_pilot_is_not_opened_against_the_rules(fields: dict[str, Any], field: str, rule: str) -> None:
    make.pilot("taken")
    if fields.get("candidate") == "same":
        fields = {"candidate": make.model("gpt-4")}
    with pytest.raises(Refused, match=rule) as refusal:
        make.pilot(**fields)
    assert refusal.value.field == field
    assert Pilot.objects.count() == 1


def test_who_answers_for_a_pilot_can_change() -> None:
    pilot = make.pilot()
    ben = make.user("ben")
    unchanged = {"owner": None, "deputy": None, "motive": None, "plan": None}
    assert lifecycle.change_pilot(pilot=pilot, by=BY, at=make.day(1), **unchanged) is False
    assert lifecycle.change_pilot(pilot=pilot, by=BY, at=make.day(1), **{**unchanged, "owner": ben}) is True
    stored = Pilot.objects.get(pk=pilot.pk)
    assert (stored.owner, stored.version, pilot.version) == (ben, 2, 2)
    assert AuditEvent.objects.get(action="pilot.changed").data == {"owner": {"from": "", "to": "ben"}}
    with pytest.raises(Conflict, match="somebody was faster"):
        lifecycle.change_pilot(pilot=pilot, by=BY, at=make.day(1), **unchanged | {"motive": Motive.COST}, version=1)


def _rollback(pilot: Pilot, **changes: Any) -> PilotEvent:
    given = {"reason": Reason.QUALITY, "attachments": ["note:seen by the team"], "at": make.day(9), **changes}
    return lifecycle.record_rollback(pilot=pilot, by=BY, **given)


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"attachments": []}, "attachments", "at least one attachment"),
        ({"attachments": ["INC-1"]}, "attachments", "kind:reference"),
        ({"attachments": ["incident:"]}, "attachments", "refers to nothing"),
        ({"attachments": ["url:javascript:alert(1)"]}, "attachments", "only http and https"),
        ({"attachments": ["url:ftp://example.org/x"]}, "attachments", "only http and https"),
        ({"reason": None}, "reason", "needs its reason"),
        ({"reason": Reason.OTHER}, "note", "'other' needs a note"),
        ({"reason": Reason.UNEXPLAINED}, "reason", "set by the system only"),
        ({"occurred_at": make.day(10)}, "occurred_at", "future"),
        ({"occurred_at": make.day(-1)}, "", "there is no cutover before 2026-03-01"),
        ({"share_moved_back": Decimal("0.3")}, "share_moved_back", "at least half"),
    ],
)
def test_a_rollback_is_not_saved_against_the_rules(changes: dict[str, Any], field: str, rule: str) -> None:
    pilot = make.switched_pilot()
    before = _everything(pilot)
    with pytest.raises(Refused, match=rule) as refusal:
        _rollback(pilot, **changes)
    assert refusal.value.field == field
    assert _everything(pilot) == before


def test_a_rollback_goes_to_a_model_of_the_incumbents_vendor() -> None:
    pilot = make.switched_pilot()
    with pytest.raises(Refused, match="not of the incumbent's vendor"):
        _rollback(pilot, to_model=make.model("claude-4", "anthropic"))
    with pytest.raises(Refused, match="is the incumbent: that is a rollback"):
        lifecycle.record_superseded(pilot=pilot, by=BY, at=make.day(9), to_model=make.model("gpt-4"))
    event = _rollback(pilot, to_model=make.model("gpt-4o"))
    spell = Spell.objects.get(pilot=pilot)
    assert (event.to_model.slug, spell.end_kind, spell.end_model.slug) == ("gpt-4o", SpellEnd.ROLLED_BACK, "gpt-4o")
    assert [(item.kind, item.reference) for item in event.attachments.all()] == [
        (AttachmentKind.NOTE, "seen by the team")
    ]


def test_a_follow_up_that_names_another_model_is_a_rollback() -> None:
    pilot = make.switched_pilot()
    with pytest.raises(Refused, match="record a rollback instead"):
        lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(31), to_model=make.model("gpt-4"))
    event = lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(31), to_model=pilot.candidate)
    assert Spell.objects.get(pilot=pilot).last_confirmed_on == event.occurred_at.date()


def test_a_late_fact_is_accepted_where_the_resulting_life_is_possible() -> None:
    pilot = make.switched_pilot()
    lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(60))
    with pytest.raises(Refused, match=r"contradicts what is on record: follow-up on 2026-05-01 .*correct that first"):
        _rollback(pilot, at=make.day(61), occurred_at=make.day(40))
    lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(61), occurred_at=make.day(30))
    _rollback(pilot, at=make.day(70), occurred_at=make.day(65))
    spell = Spell.objects.get(pilot=pilot)
    assert (spell.ended_on, spell.last_confirmed_on) == (make.day(65).date(), make.day(65).date())


def test_after_a_rollback_a_second_cutover_begins_a_second_spell() -> None:
    pilot = make.switched_pilot()
    _rollback(pilot)
    lifecycle.record_cutover(pilot=pilot, by=BY, at=make.day(20))
    spells = [(spell.number, spell.started_on, spell.end_kind) for spell in pilot.spells.all()]
    assert spells == [(1, date(2026, 3, 2), SpellEnd.ROLLED_BACK), (2, date(2026, 3, 22), None)]
    assert pilot.status is PilotStatus.SWITCHED


def test_the_one_who_comes_second_is_refused() -> None:
    pilot = _decided()
    ana, ben = Pilot.objects.get(pk=pilot.pk), Pilot.objects.get(pk=pilot.pk)
    lifecycle.record_cutover(pilot=ana, by=make.actor("ana"), at=make.day(0))
    before = _everything(pilot)
    with pytest.raises(Conflict, match="somebody was faster: ana recorded 'cutover' meanwhile"):
        lifecycle.record_cutover(pilot=ben, by=make.actor("ben"), at=make.day(0) + timedelta(seconds=1))
    with pytest.raises(Conflict, match="ana has recorded exactly this already"):
        lifecycle.record_cutover(pilot=ben, by=make.actor("ben"), at=make.day(0))
    fresh = Pilot.objects.get(pk=pilot.pk)
    with pytest.raises(Refused, match="is ruled out: since 2026-03-02 the pilot is 'switched'"):
        lifecycle.record_cutover(pilot=fresh, by=make.actor("ben"), at=make.day(0) + timedelta(seconds=1))
    assert _everything(pilot) == before


def test_the_compare_and_set_itself_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the same version; the row moves between the reading and the writing."""
    pilot = _decided()
    read_history = lifecycle.append_event.__globals__["_extended"]

    def overtaken(current: Pilot, draft: Any) -> Any:
        result = read_history(current, draft)
        Pilot.objects.filter(pk=current.pk).update(version=current.version + 1)
        return result

    monkeypatch.setitem(lifecycle.append_event.__globals__, "_extended", overtaken)
    with pytest.raises(Conflict, match="somebody was faster"):
        lifecycle.record_cutover(pilot=pilot, by=BY, at=make.day(0))
    assert not PilotEvent.objects.filter(kind=EventKind.CUTOVER).exists()


def test_a_decision_against_the_verdict_waits_for_a_second_person() -> None:
    pilot = _overruled()
    with pytest.raises(Refused, match="a second person has to approve it first"):
        lifecycle.record_cutover(pilot=pilot, by=BY, at=make.day(0))
    with pytest.raises(Refused, match="not the one who decided"):
        lifecycle.approve_decision(pilot=pilot, by=BY, at=make.day(0))
    lifecycle.approve_decision(pilot=pilot, by=make.actor("ben"), at=make.day(0))
    lifecycle.record_cutover(pilot=pilot, by=BY, at=make.day(1))
    spell = Spell.objects.get(pilot=pilot)
    assert (spell.against_verdict, spell.decision_at_cutover) == (True, "do_not_switch")


def test_a_teams_policy_asks_for_a_second_person_for_every_decision() -> None:
    team = make.team("careful", second_person=True)
    pilot = make.pilot(workload=make.workload("triage", "careful"))
    moves: list[Callable[[], PilotEvent]] = [
        lambda: lifecycle.record_ramp(pilot=pilot, by=BY, at=make.day(0), share=Decimal("0.1")),
        lambda: lifecycle.record_cutover(pilot=pilot, by=BY, at=make.day(0)),
        lambda: lifecycle.record_alongside(
            pilot=pilot, by=BY, at=make.day(0), share=Decimal("0.5"), review_on=make.day(60).date()
        ),
    ]
    for move in moves:
        with pytest.raises(Refused, match="record the decision and have it approved first"):
            move()
    verdict = {"decision": "safe_to_switch"}
    decided = lifecycle.decide(pilot=pilot, by=BY, at=make.day(0), go=True, rationale="met", verdict=verdict)
    assert (decided.data["second_person"], decided.data["against_verdict"]) == (True, False)
    for move in moves:
        with pytest.raises(Refused, match="a second person has to approve it first"):
            move()
    # The policy at the time of the decision counts, and who decided is who decided in the one that stands.
    Team.objects.filter(pk=team.pk).update(second_person=False)
    with pytest.raises(Refused, match="not the one who decided"):
        lifecycle.approve_decision(pilot=pilot, by=BY, at=make.day(0))
    correct_event(pilot=pilot, by=BY, at=make.day(1), event=decided, why="wrong pilot", void=True)
    again = lifecycle.decide(
        pilot=pilot,
        by=make.actor("ben"),
        at=make.day(1),
        go=True,
        rationale="met",
        verdict={"decision": "keep_testing"},
    )
    assert again.data["against_verdict"] is True
    with pytest.raises(Refused, match="not the one who decided"):
        lifecycle.approve_decision(pilot=pilot, by=make.actor("ben"), at=make.day(2))
    lifecycle.approve_decision(pilot=pilot, by=BY, at=make.day(2))
    lifecycle.record_cutover(pilot=pilot, by=BY, at=make.day(3))
    assert Spell.objects.get(pilot=pilot).against_verdict is True


def test_what_waits_for_a_second_person_or_a_review_is_on_the_list() -> None:
    make.team("careful", second_person=True)
    waiting = make.pilot("waiting", workload=make.workload("", "careful"))
    lifecycle.decide(
        pilot=waiting, by=BY, at=make.day(0), go=True, rationale="x", verdict={"decision": "safe_to_switch"}
    )
    overruled = _overruled()
    both = make.pilot("both", workload=make.workload())
    lifecycle.record_alongside(pilot=both, by=BY, at=make.day(0), share=Decimal("0.5"), review_on=make.day(60).date())

    def listed(day: int) -> set[tuple[str, str]]:
        return {(item.subject, item.words) for item in attention(scope_of(Pilot.objects.all(), at=make.day(day)))}

    asked = {
        ("waiting", "decided: a second person has to approve"),
        (overruled.slug, "decided against the verdict: a second person has to approve"),
    }
    assert listed(59) == asked
    assert listed(60) == asked | {("both", "review of running alongside is due today")}
    assert listed(61) == asked | {("both", "review of running alongside is overdue by 1 day")}
    lifecycle.approve_decision(pilot=waiting, by=make.actor("ben"), at=make.day(1))
    assert ("waiting", "decided: a second person has to approve") not in listed(59)


def test_a_decision_needs_its_rationale_and_an_approval_its_occasion() -> None:
    pilot = make.pilot()
    with pytest.raises(Refused, match="rationale") as refusal:
        lifecycle.decide(pilot=pilot, by=BY, at=make.day(0), go=True, rationale=" ", verdict=None)
    assert refusal.value.field == "rationale"
    lifecycle.decide(
        pilot=pilot, by=BY, at=make.day(0), go=True, rationale="met", verdict={"decision": "safe_to_switch"}
    )
    with pytest.raises(Refused, match="no decision is waiting"):
        lifecycle.approve_decision(pilot=pilot, by=make.actor("ben"), at=make.day(1))


def test_a_closed_pilot_is_still_observed() -> None:
    pilot = make.switched_pilot()
    lifecycle.close_pilot(pilot=pilot, by=BY, at=make.day(3))
    _rollback(pilot)
    assert (pilot.status, pilot.closed_at) == (PilotStatus.ROLLED_BACK, make.day(3))
    with pytest.raises(Refused, match="closed already"):
        lifecycle.close_pilot(pilot=pilot, by=BY, at=make.day(12))


def test_follow_ups_fall_due_and_are_answered_by_what_shows_the_model() -> None:
    pilot = make.switched_pilot()
    start = make.CUTOVER_AT.date()
    assert _due(pilot) == {day: (start + timedelta(days=day), None) for day in (30, 60, 90, 180, 365)}
    confirmed = lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(61))
    early = lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(62), occurred_at=make.day(33))
    kept = FollowUp.objects.get(pilot=pilot, day=90).pk
    gone = _rollback(pilot, at=make.day(100))
    assert {day: answer for day, (_, answer) in _due(pilot).items()} == {30: early.pk, 60: confirmed.pk, 90: gone.pk}
    assert FollowUp.objects.get(pilot=pilot, day=90).pk == kept


def _due(pilot: Pilot) -> dict[int, tuple[date, int | None]]:
    return {row.day: (row.due_on, row.answered_by_id) for row in FollowUp.objects.filter(pilot=pilot)}


def test_status_and_spells_rebuilt_from_the_events_equal_the_stored_ones() -> None:
    pilots = [prepare() for prepare, *_ in DOORS.values()]
    for pilot, (_, record, *_rest) in zip(pilots, DOORS.values(), strict=True):
        record(pilot)
    ignored = {"version", "id"}

    def cached(pilot: Pilot) -> list[Any]:
        row = Pilot.objects.filter(pk=pilot.pk).values().get()
        spells = list(Spell.objects.filter(pilot=pilot).values())
        due = list(FollowUp.objects.filter(pilot=pilot).values())
        return [{key: value for key, value in item.items() if key not in ignored} for item in (row, *spells, *due)]

    for pilot in pilots:
        stored = cached(pilot)
        Spell.objects.filter(pilot=pilot).delete()
        FollowUp.objects.filter(pilot=pilot).delete()
        Pilot.objects.filter(pk=pilot.pk).update(status=PilotStatus.DRAFT, traffic_share=None, closed_at=None)
        reproject(Pilot.objects.filter(pk=pilot.pk))
        assert cached(pilot) == stored
        assert timeline_of(pilot).problems == ()
