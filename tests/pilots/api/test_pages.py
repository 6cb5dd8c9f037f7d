"""Lists come in pages by cursor, narrowed and ordered by what is on the list of allowed names, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import AuditSource, PriceKind
from evaluations.models import Price, SampleSet
from evaluations.services.audit import Actor
from pilots.models import Claim
from pilots.services.exports import ask_for_export
from pilots.services.lifecycle import record_cutover, record_follow_up
from tests import factories as make
from tests.pilots.api.programs import Program, administrator, endpoint, manager
from tests.pilots.views.people import evaluated_pilot, planned_pilot
from tests.replays import add_samples, start

pytestmark = pytest.mark.django_db


def _slugs(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [row["slug"] for row in page["results"]]


def test_pages_lead_to_the_end_and_back() -> None:
    for number in range(5):
        make.vendor(f"vendor-{number}")
    program = manager()
    first = program.get("vendors?page_size=2")
    second = program.get(first["next"])
    third = program.get(second["next"])
    assert [_slugs(page) for page in (first, second, third)] == [
        ["vendor-0", "vendor-1"],
        ["vendor-2", "vendor-3"],
        ["vendor-4"],
    ]
    assert (first["previous"], third["next"]) == (None, None)
    assert _slugs(program.get(third["previous"])) == ["vendor-2", "vendor-3"]
    back = program.get(program.get(third["previous"])["previous"])
    assert (_slugs(back), back["previous"]) == (["vendor-0", "vendor-1"], None)


def test_the_other_way_round() -> None:
    for number in range(3):
        make.vendor(f"vendor-{number}")
    program = manager()
    first = program.get("vendors?page_size=2&ordering=-slug")
    second = program.get(first["next"])
    assert _slugs(first) + _slugs(second) == ["vendor-2", "vendor-1", "vendor-0"]
    assert _slugs(program.get(second["previous"])) == ["vendor-2", "vendor-1"]


def test_rows_with_one_value_of_the_order_are_neither_lost_nor_repeated() -> None:
    model = make.model("gpt-4")
    for number in range(7):
        Price.objects.create(model=model, effective_from="2026-01-01", kind=PriceKind.LIST, service_tier=str(number))
    program = manager()
    page, seen = program.get("prices?page_size=3"), []
    while True:
        seen += [row["service_tier"] for row in page["results"]]
        if page["next"] is None:
            break
        page = program.get(page["next"])
    assert sorted(seen) == list("0123456")


def test_what_was_added_meanwhile_moves_nothing() -> None:
    for slug in ("b", "d"):
        make.vendor(slug)
    program = manager()
    first = program.get("vendors?page_size=1")
    make.vendor("a")
    assert _slugs(program.get(first["next"])) == ["d"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("page_size=0", "expected a whole number >= 1"),
        ("page_size=501", "expected a whole number <= 500"),
        ("page_size=1e9", "expected a whole number"),
        ("page_size=-1", "expected a whole number >= 1"),
        ("page=2", "page is not a known key"),
        ("ordering=team__secret", "'team__secret' is not one of -slug, slug"),
        ("ordering=name", "'name' is not one of -slug, slug"),
        ("cursor=x", "cursor is not a cursor of this list"),
        ("cursor=WyJhIiwtMSxmYWxzZV0", "cursor is not a cursor of this list"),  # ["a",-1,false]
        ("cursor=WyJcdTAwMDAiLDEsZmFsc2Vd", "cursor is not a cursor of this list"),  # ["\u0000",1,false]
        ("team__name=x", "team__name is not a known key"),
        ("ordering=slug&ordering=slug", "ordering is given twice"),
        ("team=%00", "team holds a character that cannot be stored"),
    ],
)
def test_what_is_not_on_the_list_is_refused(query: str, detail: str) -> None:
    status, said = manager().refused("GET", f"workloads?{query}")
    assert (status, said[: len(detail)]) == (400, detail)


def test_the_cursor_of_another_list_is_refused_where_it_makes_no_sense() -> None:
    for number in range(2):
        make.vendor(f"vendor-{number}")
    program = manager()
    cursor = program.get("vendors?page_size=1")["next"].partition("cursor=")[2]
    assert program.refused("GET", f"prices?cursor={cursor}") == (400, "cursor is not a cursor of this list")


def test_filters_narrow() -> None:
    make.switched_pilot("one", workload=make.workload("triage", "support", task_type="classification"))
    make.pilot("two", workload=make.workload("memos", "legal"), candidate=make.model("claude", "anthropic"))
    program = administrator()
    for query, expected in (
        ("", ["one", "two"]),
        ("?team=legal", ["two"]),
        ("?team=legal&team=support", ["one", "two"]),
        ("?team=legal,support", ["one", "two"]),
        ("?workload=triage", ["one"]),
        ("?vendor=anthropic", ["two"]),
        ("?candidate=claude", ["two"]),
        ("?task_type=classification", ["one"]),
        ("?status=switched", ["one"]),
        ("?status=switched&status=draft", ["one", "two"]),
        ("?status=switched&team=legal", []),
        ("?ordering=-status_at", ["one", "two"]),
        ("?ordering=status_at", ["two", "one"]),
    ):
        assert _slugs(program.get(f"pilots{query}")) == expected, query


def _a_row_more(number: int) -> None:
    """One more row of every list that can grow without a replay."""
    support = make.team("support")
    make.member(support)
    made = make.rolled_back_pilot(workload=make.workload("", "support", runs_on=make.model("gpt-4")))
    endpoint(make.model(vendor_slug=f"vendor-{number}").slug)
    Price.objects.create(model=make.model("gpt-4"), effective_from=f"2026-01-0{number}")
    Claim.objects.create(model=make.model("gpt-4"), words=str(number), kind="quality", stated_on="2026-01-01")
    make.traffic(made.workload, "2026-01-01", {made.incumbent.slug: 1})
    SampleSet.objects.create(workload=made.workload, name="s", digest=str(number), size=1, frozen_at=timezone.now())


LISTS = [
    "vendors", "models", "endpoints", "prices", "teams", "teams/support/members", "workloads", "sample-sets", "pilots",
    "traffic", "claims", "reports/retention", "reports/portfolio", "reports/evidence",
]  # fmt: skip


def _queries(program: Program, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        program.get(path)
    return len(queries)


def test_every_list_takes_as_many_queries_for_three_rows_as_for_one() -> None:
    make.model("gpt-4")
    person = make.user(is_superuser=True)
    program = Program(person)
    program.get("vendors")  # the use of the token is noted
    _a_row_more(1)
    one = {path: _queries(program, path) for path in LISTS}
    for number in (2, 3):
        _a_row_more(number)
        make.team(f"team-{number}")
    assert {path: _queries(program, path) for path in LISTS} == one
    assert max(one[path] for path in LISTS if "/" not in path) <= 4


def test_the_lists_of_a_pilot_too() -> None:
    pilot = planned_pilot()
    assert pilot.plan is not None
    program = Program(make.member(pilot.workload.team))
    record_cutover(pilot=pilot, by=make.actor(), at=timezone.now(), attachments=["incident:1"])
    start(pilot.plan)
    for number in range(3):
        key = {"key": "pilot", "filters": {"pilot": f"{pilot.slug},{number}"}}
        ask_for_export(**key, by=Actor.person(program.person, AuditSource.API), at=timezone.now())
        if number == 0:
            lists = ["replay-runs", "exports", *(f"pilots/{pilot.slug}/{name}" for name in ("events", "replays"))]
            program.get("vendors")
            one = [_queries(program, path) for path in lists]
        at = timezone.now() + timedelta(microseconds=number)
        record_follow_up(pilot=pilot, by=make.actor(), at=at, note=str(number), attachments=["incident:2"])
        add_samples(pilot.workload, 2, stem="abc"[number])
        start(pilot.plan)
    assert [_queries(program, path) for path in lists] == one


@pytest.mark.django_db(transaction=True)
def test_the_answers_of_a_run_too() -> None:
    pilot, run = evaluated_pilot(n=3)
    program = Program(make.member(pilot.workload.team))
    paths = [
        f"replay-runs/{run.pk}/completions",
        f"replay-runs/{run.pk}/completions?content=true",
        f"replay-runs/{run.pk}/comparisons",
    ]
    program.get("vendors")
    three = [_queries(program, path) for path in paths]
    assert len(program.get(paths[0])["results"]) == 6
    run.arms.get(role="candidate").completions.all().delete()
    run.arms.get(role="incumbent").completions.filter(position__gt=0).delete()
    assert len(program.get(paths[0])["results"]) == 1
    assert [_queries(program, path) for path in paths] == three
