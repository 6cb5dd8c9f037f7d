"""Retention of a history made by hand: 20 spells, and every expected number computed in the comments below.

All cutovers are on 2026-01-01 unless said otherwise; the report is read as of day 200, 2026-07-20. Candidate mai-1
(microsoft, family mai). Incumbents of openai: gpt-4 stays; old-1 was announced to retire a month before the cutovers;
old-2 retires on day 60, never announced.

    spell  followed to            still on it  not on incumbent  not with vendor    remark
    A      rollback 10            end          back              back               quality
    B      rollback 10            end          back              back               latency
    C      rollback 40            end          back              back               quality
    D      rollback 40 to gpt-4o  end          other end         back               reliability
    E      superseded 50 claude-4 end          other end         other end
    F      superseded 70 gpt-4o   end          other end         back
    G      ended 80               end          other end         other end
    H      confirmed 180          -            -                 -                  upgraded to mai-2 on day 60
    I      confirmed 35           -            -                 -                  lost: due on 60, nothing by 120
    J      confirmed 95           -            -                 -
    K      confirmed 180          -            -                 -
    L      rollback 100           end          back              back               cost; observed from day 30
    M      confirmed 180          -            -                 -                  observed from day 60
    N      confirmed 180          -            cut at 60         -                  incumbent old-2
    O      rollback 25            end          back              back               cost; first told as day 20, quality
    P      confirmed 90           -            -                 -                  second spell of A, from day 100
    Q      confirmed 180          -            -                 -                  another workload of K's team
    forced: R (old-1, rollback 30, compliance), S (motive retirement, against the verdict), T (old-2, 25 days before)

Without a spell: one declined, one abandoned, one in progress, one alongside, one abandoned after a ramp; one more is
opened after the day of the report.

Still on it. At risk just before a day = followed to it or longer, entered before it; * = late entries among them.
    day  10: 15 at risk, 2 left   13/15           = 0.866667
    day  25: 13,         1        x 12/13         = 0.8
    day  35: one censored
    day  40: 12 (L*),    2        x 10/12         = 0.666667
    day  50: 10,         1        x  9/10         = 0.6
    day  70: 10 (M*),    1        x  9/10         = 0.54
    day  80:  9,         1        x  8/9          = 0.48
    day  90:  8, one censored; day 95: 7, one censored
    day 100:  6,         1        x  5/6          = 0.4
    day 180:  5, all censored
Mean of the first 180 days: 10 + 15 x 13/15 + 15 x 0.8 + 10 x 2/3 + 20 x 0.6 + 10 x 0.54 + 20 x 0.48 + 80 x 0.4.

Not back on the incumbent (N is censored at 60): the incidence of "back" adds (share still there) x back / at risk.
    10: 2/15; 25: 0.866667/13 = 1/15; 40: 0.8/12 = 1/15; then 0.6 on day 50, x 8/9 on 70, x 7/8 on 80 = 0.466667;
    100: 0.466667/5 = 0.093333. Not back: 0.8 at 30, 0.733333 at 90 (7 at risk), 4 at risk at 180.
Not back with the vendor: 10: 2/15; 25: 1/15; 40: 0.8 x 2/12 = 2/15; 70: 0.6/10 = 0.06; 100: 0.48/6 = 0.08.
    Not back: 0.8 at 30, 0.606667 at 90, 0.526667 at 180.
Spell I, had it gone back on day 36: still on it at 90 = 0.48 x 12/13. Had it stayed to day 200:
    0.8 x 11/13 x 10/11 x 10/11 x 9/10 = 0.8 x 90/143.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pilots.enums import EventKind, Motive, Reason
from pilots.models import Pilot
from pilots.selectors.filters import ReportFilters
from pilots.selectors.retention import RetentionReport, retention
from pilots.services import lifecycle
from pilots.services.corrections import correct_event
from pilots.services.history_import import import_history
from tests import factories as make
from tests.pilots.history_files import on_day, write_history

pytestmark = pytest.mark.django_db
BY = make.actor()
START = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = on_day(200)


def _row(spell: str, event: str, day: int, **fields: Any) -> dict[str, Any]:
    given = {"incumbent": "gpt-4", "candidate": "mai-1", "team": f"team-{spell}".lower(), **fields}
    return {
        "workload": f"work-{spell}".lower(),
        "pilot": spell.lower(),
        "event": event,
        "occurred_at": on_day(day),
    } | given


def _back(spell: str, day: int, reason: str, **fields: Any) -> dict[str, Any]:
    return _row(spell, "rollback", day, reason=reason, attachment="incident:INC-1", **fields)


def _rows() -> list[dict[str, Any]]:
    old_1, old_2 = {"incumbent": "old-1"}, {"incumbent": "old-2"}
    begun = [_row(spell, "cutover", 0) for spell in "ABCDEFGHIJKO"]
    return [
        *begun,
        _row("L", "cutover", 0, observed_from=on_day(30)),
        _row("M", "cutover", 0, observed_from=on_day(60)),
        _row("N", "cutover", 0, **old_2),
        _row("Q", "cutover", 0, team="team-k"),
        _row("R", "cutover", 0, **old_1),
        _row("T", "cutover", 35, **old_2),  # 25 days before old-2 retires
        _back("A", 10, "quality"),
        _row("A", "cutover", 100),
        _row("A", "follow_up", 190),
        _back("B", 10, "latency"),
        _back("C", 40, "quality"),
        _back("D", 40, "reliability", to_model="gpt-4o"),
        _row("E", "superseded", 50, to_model="claude-4"),
        _row("F", "superseded", 70, to_model="gpt-4o"),
        _row("G", "ended", 80),
        _row("H", "superseded", 60, to_model="mai-2"),
        _row("H", "follow_up", 180),
        _row("I", "follow_up", 35),
        _row("J", "follow_up", 95),
        _row("K", "follow_up", 180),
        _back("L", 100, "cost"),
        _row("M", "follow_up", 180),
        _row("N", "follow_up", 180, **old_2),
        _back("O", 20, "quality"),
        _row("Q", "follow_up", 180, team="team-k"),
        _back("R", 30, "compliance", **old_1),
        _row("T", "follow_up", 185, **old_2),
        _row("U", "declined", 5),
        _row("V", "abandoned", 5),
        _row("W", "decided", 5),
        _row("X", "alongside", 5, traffic_share="0.4"),
        _row("Y", "ramp", 5, traffic_share="0.1"),
        _row("Y", "abandoned", 25),
        _row("Z", "opened", 201),
    ]


@pytest.fixture
def history(tmp_path: Path) -> None:
    make.model("gpt-4", family="gpt-4")
    make.model("gpt-4o", family="gpt-4o")
    make.model("old-1", retirement_announced_on=date(2025, 12, 1), retires_on=date(2026, 4, 1))
    make.model("old-2", retires_on=date(2026, 3, 2))
    make.model("mai-1", "microsoft", family="mai")
    make.model("mai-2", "microsoft", family="mai")
    import_history(path=write_history(tmp_path / "history.csv", _rows()), by=BY, at=make.NOW)
    pilot = Pilot.objects.get(slug="o")
    told_wrong = pilot.events.get(kind=EventKind.ROLLBACK)
    correct_event(
        pilot=pilot,
        by=BY,
        at=make.NOW,
        event=told_wrong,
        why="wrong ticket",
        occurred_at=START + timedelta(days=25),
        reason=Reason.COST,
    )
    forced = make.pilot(
        "s",
        at=START - timedelta(days=9),
        workload=make.workload("work-s", "team-s"),
        incumbent=make.model("gpt-4"),
        candidate=make.model("mai-1"),
        motive=Motive.RETIREMENT,
    )
    verdict = {"decision": "do_not_switch"}
    lifecycle.decide(
        pilot=forced, by=BY, at=START - timedelta(days=1), go=True, rationale="it goes away", verdict=verdict
    )
    lifecycle.approve_decision(pilot=forced, by=make.actor("ben"), at=START)
    lifecycle.record_cutover(pilot=forced, by=BY, at=START)
    lifecycle.record_follow_up(pilot=forced, by=BY, at=START + timedelta(days=180))


def read(**given: Any) -> RetentionReport:
    return retention(ReportFilters.parse({"as_of": AS_OF, **given}, now=make.NOW))


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-9)


def loglog(survival: float, greenwood: float) -> tuple[Any, Any]:
    """Kalbfleisch & Prentice 2002, section 1.4: S ^ exp(-+ z sqrt(V) / ln S)."""
    spread = 1.959963984540054 * math.sqrt(greenwood) / math.log(survival)
    return near(survival ** math.exp(-spread)), near(survival ** math.exp(spread))


@pytest.mark.usefixtures("history")
def test_the_funnel_counts_every_attempt_once() -> None:
    document = read().to_document()
    assert document["funnel"] == {
        "opened": 25,
        "declined": 1,
        "abandoned": 1,
        "in_progress": 1,
        "alongside": 1,
        "failed_switch": 1,
        "switched": 20,
        "rolled_back": 7,
        "superseded": 2,
        "ended": 1,
        "in_conflict": 0,
        "lost_to_follow_up": 1,
        "still_switched": 9,
        "of_which": {
            "forced": 3,
            "returned_to_vendor": 8,
            "upgraded": 1,
            "measured": 0,
            "declared": 20,
            "against_verdict": 1,
        },
    }
    assert len(document["spells"]) == 20
    assert document["reasons"] == [
        {"code": "cost", "count": 2, "pilots": ["l", "o"]},
        {"code": "quality", "count": 2, "pilots": ["a", "c"]},
        {"code": "compliance", "count": 1, "pilots": ["r"]},
        {"code": "latency", "count": 1, "pilots": ["b"]},
        {"code": "reliability", "count": 1, "pilots": ["d"]},
    ]


@pytest.mark.usefixtures("history")
def test_still_on_the_candidate() -> None:
    document = read().to_document()
    assert [(step["day"], step["at_risk"], step["events"], step["censored"]) for step in document["curve"]] == [
        (10, 15, 2, 0),
        (25, 13, 1, 0),
        (35, 13, 0, 1),
        (40, 12, 2, 0),
        (50, 10, 1, 0),
        (70, 10, 1, 0),
        (80, 9, 1, 0),
        (90, 8, 0, 1),
        (95, 7, 0, 1),
        (100, 6, 1, 0),
        (180, 5, 0, 5),
    ]
    assert [step["survival"] for step in document["curve"]] == [
        near(value) for value in (13 / 15, 0.8, 0.8, 2 / 3, 0.6, 0.54, 0.48, 0.48, 0.48, 0.4, 0.4)
    ]
    at_30 = 2 / (15 * 13) + 1 / (13 * 12)
    at_90 = at_30 + 2 / (12 * 10) + 1 / (10 * 9) + 1 / (10 * 9) + 1 / (9 * 8)
    day_30, day_90, day_180, day_365 = document["at"]
    lower, upper = loglog(0.8, at_30)
    assert day_30 == {
        "day": 30,
        "still_switched": near(0.8),
        "lower": lower,
        "upper": upper,
        "at_risk": 12,
        "withheld": False,
        "worst": near(0.8),
        "best": near(0.8),
        "customers": 11,
    }
    lower, upper = loglog(0.48, at_90)
    assert day_90 == {
        "day": 90,
        "still_switched": near(0.48),
        "lower": lower,
        "upper": upper,
        "at_risk": 8,
        "withheld": False,
        "worst": near(0.48 * 12 / 13),
        "best": near(0.8 * 90 / 143),
        "customers": 7,
    }
    lower, upper = loglog(0.4, at_90 + 1 / (6 * 5))
    assert (day_180["still_switched"], day_180["lower"], day_180["upper"]) == (near(0.4), lower, upper)
    assert (day_180["at_risk"], day_180["customers"]) == (5, 4)
    assert day_365 == {
        "day": 365,
        "still_switched": None,
        "lower": None,
        "upper": None,
        "at_risk": 0,
        "withheld": True,
        "worst": None,
        "best": None,
        "customers": 0,
    }
    assert document["median_days"] == 80
    mean = document["restricted_mean_days"]
    assert (mean["tau"], mean["value"]) == (180, near(10 + 13 + 12 + 20 / 3 + 12 + 5.4 + 9.6 + 32))


@pytest.mark.usefixtures("history")
def test_not_back_on_the_incumbent_model_and_not_back_with_its_vendor() -> None:
    document = read().to_document()
    rolled_back = [(p["day"], p["still_switched"], p["at_risk"], p["withheld"]) for p in document["not_rolled_back"]]
    assert rolled_back == [
        (30, near(0.8), 12, False),
        (90, near(1 - 4 / 15), 7, False),
        (180, None, 4, True),
        (365, None, 0, True),
    ]
    returned = [(p["day"], p["still_switched"], p["at_risk"]) for p in document["not_returned_to_vendor"]]
    assert returned == [
        (30, near(0.8), 12),
        (90, near(1 - 5 / 15 - 0.06), 8),
        (180, near(1 - 5 / 15 - 0.06 - 0.08), 5),
        (365, None, 0),
    ]
    day_90 = document["not_returned_to_vendor"][1]
    # Spell I gone on day 36, and stayed to day 200, as above.
    left, stayed = 0.8 * 12 / 13, 0.8 * 11 / 13
    assert day_90["worst"] == near(1 - 0.2 - 0.8 / 13 - left * 2 / 12 - left * 10 / 12 * 9 / 10 / 10)
    assert day_90["best"] == near(1 - 0.2 - 0.8 * 2 / 13 - stayed * 10 / 11 / 11)


@pytest.mark.usefixtures("history")
def test_moving_a_retirement_date_moves_the_end_of_follow_up() -> None:
    """old-2 a month later: N is followed to day 91, so that 8 are at risk at 90, and T's cutover was chosen."""
    model = make.model("old-2")
    model.retires_on = date(2026, 4, 2)
    model.save()
    document = read().to_document()
    assert document["funnel"]["of_which"]["forced"] == 2
    # N stays at risk on days 70 and 80, and so does T, a new unit that is followed to day 56 for this answer:
    # 16 at risk on day 10, 14 on 25, 13 on 40, 11 on 50; T is censored, 10 (M among them) on 70.
    points = {point["day"]: point for point in document["not_rolled_back"]}
    assert (points[30]["still_switched"], points[30]["at_risk"]) == (near(1 - 3 / 16), 13)
    assert (points[90]["still_switched"], points[90]["at_risk"]) == (near(1 - 3 / 16 - 13 / 16 / 13), 8)


@pytest.mark.usefixtures("history")
def test_the_sentence_on_top() -> None:
    """At day 90 it is known of 16 chosen switches (all but I) by 14 customers; A B C D F O were back by then."""
    document = read().to_document()
    point = document["not_returned_to_vendor"][1]
    lower, upper = (f"{100 * point[name]:.0f}" for name in ("lower", "upper"))
    assert document["headline"] == (
        "8 of 14 customers (10 of 16 switches) who chose to leave their model for mai-1 were not back with OpenAI after"
        f" 90 days (61 %, 95 % interval {lower} to {upper}, 0 measured, 16 declared)."
    )
    assert read(pilot="h,j,k,q,m,n").answer.headline == (
        "None of 5 customers (6 switches) who chose to leave their model for mai-1 came back to OpenAI within 90 days;"
        " with 6 followed past day 90 the true rate of staying away could be as low as 54 % (0 measured, 6 declared)."
    )
    assert read(pilot="b,j").answer.headline == (
        "2 customers chose to leave gpt-4 for mai-1, 1 of them back with OpenAI so far: too early for a percentage"
        " (1 period followed for 30 days, 5 needed)."
    )
    assert read(pilot="r,s").answer.headline == (
        "Nobody chose to switch yet: 2 switches forced by the incumbent's retirement."
    )
    assert read(pilot="w,x").answer.headline == "Nobody has switched yet: 2 pilots opened."
    assert read(pilot="none").answer.headline == "No pilot to report on."


@pytest.mark.usefixtures("history")
def test_the_spells_are_listed_with_what_they_count_for() -> None:
    rows = {(row["pilot"], row["start"]): row for row in read().to_document()["spells"]}
    assert rows["d", "2026-01-01"] == {
        "pilot": "d",
        "workload": "work-d",
        "team": "team-d",
        "incumbent": "gpt-4",
        "candidate": "mai-1",
        "start": "2026-01-01",
        "end": on_day(40),
        "status": "rolled_back",
        "days": 40,
        "entry_day": 0,
        "forced": False,
        "known_by": "declared",
        "last_confirmed": on_day(40),
        "verdict_at_cutover": None,
        "upgraded": False,
        "returned_to_vendor": True,
        "against_verdict": False,
        "reason": "reliability",
        "to_model": "gpt-4o",
    }
    shown = {key: (row["status"], row["days"], row["entry_day"]) for key, row in rows.items()}
    assert shown["i", "2026-01-01"] == ("lost_to_follow_up", 35, 0)
    assert shown["m", "2026-01-01"] == ("still_switched", 180, 60)
    assert shown["a", on_day(100)] == ("still_switched", 90, 0)
    assert shown["t", on_day(35)] == ("still_switched", 150, 0)
    assert shown["o", "2026-01-01"] == ("rolled_back", 25, 0)
    assert rows["h", "2026-01-01"]["upgraded"] is True
    assert (rows["s", "2026-01-01"]["verdict_at_cutover"], rows["s", "2026-01-01"]["against_verdict"]) == (
        "do_not_switch",
        True,
    )


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("by", "switched"),
    [
        ("incumbent", {"gpt-4": 17, "old-1": 1, "old-2": 2}),
        ("candidate", {"mai-1": 20}),
        ("vendor", {"openai->microsoft": 20}),
        ("forced", {"chosen": 17, "forced": 3, "not_switched": 0}),
        ("verdict", {"do_not_switch": 1, "none": 19}),
        ("motive", {"none": 19, "retirement": 1}),
        ("task_type", {"none": 20}),
    ],
)
def test_groups_share_the_spells_out(by: str, switched: dict[str, int]) -> None:
    document = read(by=by).to_document()
    assert {group["key"]: group["funnel"]["switched"] for group in document["groups"]} == switched
    assert sum(group["funnel"]["opened"] for group in document["groups"]) == 25


@pytest.mark.usefixtures("history")
def test_forced_and_chosen_are_compared_only_when_asked() -> None:
    groups = {group["key"]: group for group in read(by="forced", min_at_risk=1).to_document()["groups"]}
    # R left on day 30, S and T were followed on: 2 of 3.
    assert groups["forced"]["at"][0]["still_switched"] == near(2 / 3)
    assert groups["chosen"]["at"][0]["still_switched"] == near(0.8)
    assert read(by="incumbent", min_at_risk=1).to_document()["groups"][1]["at"][0]["at_risk"] == 0


@pytest.mark.usefixtures("history")
def test_the_past_can_be_read_again() -> None:
    """As of day 45 nothing later has happened.

    E F G H J K N Q were not heard of since the cutover: followed to day 0. L and M are observed from that day on or
    later: nothing was seen of them. What is left: A B 10, O 25, I 35 (confirmed), C D 40.
    """
    document = read(as_of=on_day(45), days="30", min_at_risk=1).to_document()
    assert document["funnel"]["switched"] == 19  # P began on day 100
    assert document["funnel"]["rolled_back"] == 6  # A B C D O R
    assert document["funnel"]["lost_to_follow_up"] == 0
    assert [(step["day"], step["at_risk"], step["events"]) for step in document["curve"]] == [
        (0, 14, 0),
        (10, 6, 2),
        (25, 4, 1),
        (35, 3, 0),
        (40, 2, 2),
    ]
    assert document["at"][0]["still_switched"] == near(4 / 6 * 3 / 4)


def test_what_was_not_recorded_yet_is_not_known() -> None:
    pilot = make.switched_pilot("late")
    lifecycle.record_follow_up(pilot=pilot, by=BY, at=make.day(31))
    rollback = lifecycle.record_rollback(
        pilot=pilot,
        by=BY,
        at=make.day(60),
        occurred_at=make.day(40),
        reason=Reason.COST,
        attachments=["invoice:9"],
    )
    correct_event(pilot=pilot, by=BY, at=make.day(70), event=rollback, why="earlier", occurred_at=make.day(35))

    def spell(as_of: int, known: int) -> list[tuple[str, int]]:
        given = {"as_of": make.day(as_of).date().isoformat(), "known_at": make.day(known).isoformat()}
        rows = retention(ReportFilters.parse(given, now=make.NOW)).answer.spells
        return [(row.status, row.days) for row in rows]

    assert spell(50, 59) == [("still_switched", 31)]
    assert spell(50, 60) == [("rolled_back", 40)]
    assert spell(50, 70) == [("rolled_back", 35)]
    assert spell(38, 60) == [("still_switched", 31)]
    assert spell(-1, 70) == []
    assert spell(120, 59) == [("lost_to_follow_up", 31)]
    assert spell(119, 59) == [("still_switched", 31)]


def test_filters_narrow_and_access_limits(django_assert_num_queries: Any) -> None:
    for number in range(3):
        make.rolled_back_pilot(f"p{number}", workload=make.workload(f"w{number}", f"t{number}", task_type="triage"))
    filters = ReportFilters.parse({"team": "t1,t2", "task-type": "triage", "min_at_risk": "1"}, now=make.NOW)
    report = retention(filters)
    assert [row.pilot for row in report.answer.spells] == ["p1", "p2"]
    visible = Pilot.objects.filter(workload__team__slug="t2")
    assert [row.pilot for row in retention(filters, visible).answer.spells] == ["p2"]
    for slug in ("openai", "microsoft"):
        given = ReportFilters.parse({"vendor": slug}, now=make.NOW)
        assert len(retention(given).answer.spells) == 3
    assert retention(ReportFilters.parse({"vendor": "google"}, now=make.NOW)).answer.spells == ()
    one = ReportFilters.parse({"pilot": "p1"}, now=make.NOW)
    everything = ReportFilters.parse({"by": "team"}, now=make.NOW)
    for filters in (one, everything):
        with django_assert_num_queries(8):  # models, events, pilots, readings, days, disputes, vendors
            retention(filters)
