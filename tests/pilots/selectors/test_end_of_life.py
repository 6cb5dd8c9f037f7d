"""Who is on a model that ends, what is missing, what it costs and when it has to begin: by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evaluations.models import Price, Workload
from pilots.enums import PilotStatus
from pilots.models import Pilot, Schedule
from pilots.selectors.attention import attention, scope_of
from pilots.selectors.end_of_life_report import EndOfLife, Line, ends_of_life
from pilots.services import lifecycle
from tests import factories as make
from tests.pilots.endings import AT, DEFINITION, answered, candidate, ending_model, planned, running_on, seen

pytestmark = pytest.mark.django_db


def read() -> EndOfLife:
    [found] = ends_of_life(Workload.objects.all(), at=AT)
    return found


def line(slug: str) -> Line:
    [found] = [line for line in read().lines if line.on.workload == slug]
    return found


def test_the_sentence_with_every_part_computed() -> None:
    """Two without answers, each short of 698 (3 points, 8 % discordant, 80 % power; see STATISTICS, section 3).

    One call of 1,000 + 100 tokens at 30 and 60 dollars a million is 0.036: 698 of them 25.128, twice 50.256.
    Last safe start: 31 December less 14 days of ramp and ceil(698 / 100) = 7 nights, that is the 10th.
    """
    model = ending_model()
    for slug in ("a", "b", "c"):
        seen(running_on(model, slug))
    answered(Workload.objects.get(slug="c"), 698)
    found = read()
    assert found.sentence == (
        "gpt-4 ends in 60 days: 3 workloads, 2 without recorded answers; capture now, about $50.26;"
        " last safe start 10 Dec 2026."
    )
    assert (found.capture_cost, found.capture_unknown) == (Decimal("50.256"), 0)


def test_too_few_answers_are_not_none_and_what_is_unknown_is_said() -> None:
    model = ending_model()
    some, none = running_on(model, "some"), running_on(model, "none")
    answered(some, 600, of=650)
    # 98 are short: at 500 + 50 tokens, as the newest samples say, 0.018 each; nothing tells of the other.
    assert (line("some").short, line("some").answered, line("some").samples) == (98, 600, 650)
    assert line("some").capture_cost == Decimal("1.764")
    assert (line("none").short, line("none").capture_cost) == (698, None)
    assert none.slug == "none"
    assert read().sentence == (
        "gpt-4 ends in 60 days: 2 workloads, 2 without enough recorded answers; capture now, about $1.76 and an unknown"
        " amount for 1 of them; last safe start 10 Dec 2026."
    )
    Price.objects.all().delete()
    assert "what it costs to capture them now is not known" in read().sentence


def test_all_have_what_they_need_and_the_last_start_has_passed() -> None:
    model = ending_model(retires_on=date(2026, 11, 15))
    answered(running_on(model, "a"), 700)
    assert read().sentence == (
        "gpt-4 ends in 14 days: 1 workload, all with the recorded answers that they need;"
        " the last safe start was 25 Oct 2026."
    )


def test_a_model_that_has_ended() -> None:
    model = ending_model(retires_on=date(2026, 10, 23))
    seen(running_on(model, "a"))
    assert read().sentence == (
        "gpt-4 ended 9 days ago: 1 workload still on record with it, 1 without recorded answers;"
        " what was not recorded cannot be captured any more."
    )


@pytest.mark.parametrize(
    ("cron", "take", "nights", "last"),
    [
        ("0 2 * * *", 50, 14, date(2026, 12, 3)),  # 698 / 50
        ("0 2 * * 1", 350, 14, date(2026, 12, 3)),  # once a week: 50 a night
        ("0 2 * * 1-5", 140, 7, date(2026, 12, 10)),  # five of seven: 100 a night
    ],
)
def test_the_nightly_rate_is_the_schedules(cron: str, take: int, nights: int, last: date) -> None:
    pilot = planned(running_on(ending_model(), "a"), "a-to-mai")
    Schedule.objects.create(pilot=pilot, cron=cron, take=take)
    found = line("a").on
    assert (found.nights, found.last_start, found.trial and found.trial.pilot) == (nights, last, "a-to-mai")
    assert not found.needs_pilot


def test_a_plan_of_its_own_and_one_that_is_decided() -> None:
    model = ending_model()
    pilot = planned(running_on(model, "a"), "a-to-mai", {**DEFINITION, "looks": "every_night", "maximum_samples": 1000})
    # Twice 698, but no more than the horizon.
    assert (line("a").on.need.samples, line("a").on.nights) == (1000, 10)
    Pilot.objects.filter(pk=pilot.pk).update(status=PilotStatus.DECIDED)
    assert (line("a").on.nights, line("a").on.last_start) == (0, date(2026, 12, 17))


def test_the_candidates_replay_is_priced_apart() -> None:
    model = ending_model()
    candidate()
    workload = running_on(model, "a")
    seen(workload)
    planned(workload, "a-to-mai")
    # 1,000 x 2 + 100 x 8 a million: 0.0028 each.
    assert line("a").replay_cost == Decimal("1.9544")


def test_what_a_model_is_to_a_workload() -> None:
    model = ending_model()
    moved = make.switched_pilot("moved", workload=running_on(model, "moved-off"))
    other = make.model("gemini", "google", retires_on=date(2027, 3, 1))
    judged = planned(make.workload("judged", "support"), "judged-to-mai")
    judge = other.endpoints.create(slug="g", protocol="openai_chat", base_url="https://x", wire_model="g")
    judged.plan.definition = {**DEFINITION, "judge": {"endpoint": judge.slug}}  # type: ignore[union-attr]
    judged.plan.save()  # type: ignore[union-attr]
    onto = make.switched_pilot("onto", workload=make.workload("onto-w", "support"), candidate=other)
    trying = make.pilot("trying", workload=make.workload("trying-w", "support"), candidate=other)
    found = {end.standing.model: end for end in ends_of_life(Workload.objects.all(), at=AT)}
    assert {row.on.workload: dict(row.on.roles) for row in found["gpt-4"].lines} == {
        "judged": {"incumbent": ("judged-to-mai",)},
        "trying-w": {"incumbent": ("trying",)},
    }
    assert {row.on.workload: (dict(row.on.roles), row.on.depends) for row in found["gemini"].lines} == {
        "judged": ({"judge": ("judged-to-mai",)}, False),
        "onto-w": ({"candidate": ("onto",)}, True),
        "trying-w": ({"candidate": ("trying",)}, False),
    }
    assert [moved.slug, onto.slug, trying.slug] == ["moved", "onto", "trying"]


def test_an_upgrade_left_the_candidate() -> None:
    old = make.model("mai-thinking-1", "microsoft", family="mai-thinking", retires_on=date(2027, 1, 1))
    pilot = make.switched_pilot(candidate=old)
    assert [row.on.depends for row in read().lines] == [True]
    new = make.model("mai-thinking-2", "microsoft", family="mai-thinking")
    lifecycle.record_superseded(pilot=pilot, by=make.actor(), at=make.NOW, to_model=new)
    assert ends_of_life(Workload.objects.all(), at=AT) == ()


def test_a_rolled_back_workload_is_on_it_again() -> None:
    model = ending_model()
    make.rolled_back_pilot(workload=running_on(model, "back"), incumbent=model)
    assert line("back").on.needs_pilot


def test_the_attention_list_names_the_last_safe_start() -> None:
    model = ending_model()
    for slug in ("a", "b"):
        make.pilot(workload=running_on(model, slug))
    [matter] = [one for one in attention(scope_of(Pilot.objects.all(), at=AT)) if one.kind == "retirement"]
    assert matter.words == "ends in 60 days: 2 workloads are still on it, 2 with a pilot"
    assert (matter.stake, matter.due_on) == ("60 days left, last safe start 10 Dec 2026", date(2026, 12, 10))
    assert (matter.tone, matter.size, matter.action.query) == ("caution", 2, "model=gpt-4")
    [later] = [
        one for one in attention(scope_of(Pilot.objects.all(), at=AT + timedelta(days=40))) if one.kind == "retirement"
    ]
    assert (later.tone, later.urgency) == ("bad", 1)


def test_the_number_of_queries_does_not_grow_with_what_is_on_it() -> None:
    model = ending_model()
    candidate()
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            workload = running_on(model, make.name("w"))
            seen(workload)
            pilot = planned(workload, make.name("p"))
            Schedule.objects.create(pilot=pilot, cron="0 2 * * *", take=50)
            answered(running_on(model, make.name("w")), 3)
        with CaptureQueriesContext(connection) as queries:
            read()
        counts.append(len(queries))
    assert counts[0] == counts[1]
