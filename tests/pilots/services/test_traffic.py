"""Observed traffic: all or nothing, the same in any order, replaced with a word in the audit, mapped by rules."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluations.capture.usage import UsageRow
from evaluations.models import AuditEvent, Workload
from evaluations.services.errors import Refused
from pilots.enums import GatewayName
from pilots.models import TrafficDay, TrafficReading, TrafficSource
from pilots.services.traffic import TrafficReport, import_traffic, record_traffic
from pilots.services.traffic_readings import read_due_traffic
from pilots.services.traffic_rules import add_rule, remove_rule
from tests import factories as make

pytestmark = pytest.mark.django_db

HEADER = "workload,day,model,requests,input_tokens,output_tokens,errors,cost,currency\n"


@pytest.fixture
def triage() -> Workload:
    make.model("gpt-4")
    make.model("mai-thinking-1", "microsoft")
    return make.workload("triage", "support")


def csv(folder: Path, *lines: str, name: str = "traffic.csv") -> Path:
    path = folder / name
    path.write_text(HEADER + "".join(line + "\n" for line in lines))
    return path


def take(*paths: Path, **given: Any) -> TrafficReport:
    return import_traffic(paths=paths, by=make.actor(), at=make.NOW, **given)


def table() -> set[tuple[Any, ...]]:
    """Every row in force, as people would read it."""
    columns = ("source__key_alias", "source__wire_name", "workload__slug", "model__slug", "day", "requests", "errors")
    return set(TrafficDay.objects.filter(replaced_at=None).values_list(*columns, "cost_amount", "currency"))


def test_a_file_becomes_traffic_days_and_the_same_again_changes_nothing(triage: Workload, tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "triage,2026-09-03,gpt-4,83,1000,200,1,4.15,EUR",
        "triage,2026-09-03,MAI-Thinking-1,17,,,,,",
        "new-key,2026-09-03,gpt-4,5,,,,,",
    )
    report = take(path)
    assert report.to_document() == {
        "days": 2, "workloads": 1, "unmapped": 1, "added": 3, "replaced": 0, "unchanged": 0,
    }  # fmt: skip
    assert [(item.source.key_alias, item.days, item.requests) for item in report.waiting] == [("new-key", 1, 5)]
    row = TrafficDay.objects.get(model__slug="gpt-4", workload=triage)
    assert (row.day, row.requests, row.input_tokens, row.output_tokens, row.errors) == (
        date(2026, 9, 3),
        83,
        1000,
        200,
        1,
    )
    assert (row.cost_amount, row.currency, row.recorded_at) == (Decimal("4.15"), "EUR", make.NOW)
    before, events = table(), AuditEvent.objects.count()
    again = take(path)
    assert (again.days, again.unmapped, again.added, again.unchanged) == (2, 1, 0, 3)
    assert (table(), AuditEvent.objects.count()) == (before, events)


def test_a_later_value_replaces_and_the_audit_says_from_what(triage: Workload, tmp_path: Path) -> None:
    take(csv(tmp_path, "triage,2026-09-03,gpt-4,83,,,,,"))
    later = import_traffic(
        paths=[csv(tmp_path, "triage,2026-09-03,gpt-4,90,,,,,")], by=make.actor(), at=make.NOW + timedelta(hours=1)
    )
    assert (later.added, later.replaced) == (0, 1)
    assert [row[5] for row in table()] == [90]
    old = TrafficDay.objects.get(replaced_at__isnull=False)
    assert (old.requests, old.replaced_at) == (83, make.NOW + timedelta(hours=1))
    event = AuditEvent.objects.filter(action="traffic.imported").first()
    assert event is not None
    assert (event.team, event.object_label, event.data["replaced"]) == ("support", "traffic.csv", 1)
    assert event.data["differences"] == [
        {"workload": "triage", "model": "gpt-4", "day": "2026-09-03", "from": {"requests": 83}, "to": {"requests": 90}}
    ]


def test_one_bad_row_and_nothing_is_stored(triage: Workload, tmp_path: Path) -> None:
    path = csv(tmp_path, "triage,2026-09-03,gpt-4,83,,,,,", "triage,2026-09-04,gpt-4,many,,,,,", "triage,soon,gpt-4,1")
    with pytest.raises(Refused) as refused:
        take(path)
    assert refused.value.message == "traffic.csv: line 3: requests: 'many' is not a whole number of zero or more"
    assert not TrafficSource.objects.exists()
    previewed = take(path, dry_run=True)
    assert [(problem.line, problem.field) for problem in previewed.problems] == [(3, "requests"), (4, "day")]
    assert not TrafficDay.objects.exists()


def test_rows_that_contradict_each_other_and_days_to_come_are_refused(triage: Workload, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="line 3: says otherwise than line 2 of the same workload, day and model"):
        take(csv(tmp_path, "triage,2026-09-03,gpt-4,83,,,,,", "triage,2026-09-03,gpt-4,84,,,,,"))
    with pytest.raises(Refused, match="line 2: day: 2026-11-02 lies in the future"):
        take(csv(tmp_path, "triage,2026-11-02,gpt-4,83,,,,,"))
    assert take(csv(tmp_path, *["triage,2026-09-03,gpt-4,83,,,,,"] * 2)).added == 1


def call(number: int, day: int, key: str = "support-bot", **changed: Any) -> dict[str, Any]:
    return {
        "request_id": f"chatcmpl-{number}", "call_type": "acompletion", "spend": 0.5, "model": "gpt-4",
        "startTime": f"2026-09-0{day}T10:00:00Z", "prompt_tokens": 10, "completion_tokens": 5, "status": "success",
        "metadata": {"user_api_key_alias": key}, "request_tags": ["app:triage"], **changed,
    }  # fmt: skip


def log(path: Path, *calls: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in calls))
    return path


def test_calls_are_added_up_by_day_over_the_parts_of_a_log(triage: Workload, tmp_path: Path) -> None:
    one = log(tmp_path / "1.jsonl", call(1, 3), call(2, 3), call(3, 4, completion_tokens=None))
    two = log(tmp_path / "2.jsonl", call(2, 3), call(4, 3, status="failure", spend=0), call(5, 4))
    report = take(one, two)
    assert (report.days, report.unmapped, report.added) == (0, 2, 2)
    found = TrafficDay.objects.order_by("day").values_list(
        "requests", "errors", "input_tokens", "output_tokens", "cost_amount"
    )
    # The tokens of one answered call are not known, so those of its day are not.
    assert list(found) == [(3, 1, 20, 10, Decimal(1)), (2, 0, 20, None, Decimal(1))]


def test_a_rule_maps_what_waits_and_what_comes(triage: Workload, tmp_path: Path) -> None:
    path = log(tmp_path / "spend.jsonl", *(call(day, day, model="prod-default") for day in (1, 2, 3)))
    take(path)
    _, mapped = add_rule(kind=GatewayName.KEY_ALIAS, name="Support-Bot", workload=triage, by=make.actor(), at=make.NOW)
    assert mapped == 0  # the model is not known yet
    _, mapped = add_rule(
        kind=GatewayName.WIRE_NAME, name="prod-default", model=make.model("gpt-4"), by=make.actor(), at=make.NOW
    )
    assert mapped == 3
    add_rule(
        kind=GatewayName.WIRE_NAME, name="prod-default", model=make.model("mai-thinking-1"), from_on=date(2026, 9, 5),
        by=make.actor(), at=make.NOW,
    )  # fmt: skip
    report = take(log(tmp_path / "spend.jsonl", *(call(day, day, model="prod-default") for day in (3, 4, 5, 6))))
    assert (report.days, report.unmapped, report.unchanged, report.added) == (4, 0, 1, 3)
    assert sorted((row[4].day, row[3]) for row in table()) == [
        (1, "gpt-4"), (2, "gpt-4"), (3, "gpt-4"), (4, "gpt-4"), (5, "mai-thinking-1"), (6, "mai-thinking-1")
    ]  # fmt: skip
    event = AuditEvent.objects.filter(action="traffic_rule.added").last()
    assert event is not None
    assert (event.team, event.data["workload"]) == ("support", "triage")


def test_a_rule_that_is_gone_maps_no_more_and_unmaps_nothing(triage: Workload, tmp_path: Path) -> None:
    path = log(tmp_path / "spend.jsonl", call(1, 1))
    rule, _ = add_rule(kind=GatewayName.TAG, name="app:triage", workload=triage, by=make.actor(), at=make.NOW)
    assert take(path).days == 1
    remove_rule(rule=rule, by=make.actor(), at=make.NOW)
    assert take(path).unchanged == 1
    assert take(log(tmp_path / "spend.jsonl", call(2, 2))).unmapped == 1


def test_a_rule_says_something_once(triage: Workload) -> None:
    make_rule: dict[str, Any] = {"kind": GatewayName.KEY_ALIAS, "by": make.actor(), "at": make.NOW}
    with pytest.raises(Refused, match="which workload or which model"):
        add_rule(name="bot", **make_rule)
    add_rule(name="bot", workload=triage, **make_rule)
    with pytest.raises(Refused, match="there is a rule for 'BOT' from the beginning already"):
        add_rule(name="BOT", workload=triage, **make_rule)
    with pytest.raises(Refused, match="only a pilot manager of the team"):
        add_rule(name="other", workload=triage, workloads=frozenset(), **make_rule)


def test_nobody_writes_to_a_workload_that_is_not_theirs(triage: Workload, tmp_path: Path) -> None:
    other = make.workload("memos", "legal")
    path = csv(tmp_path, "unheard-of,2026-09-03,gpt-4,1,,,,,", "triage,2026-09-03,gpt-4,83,,,,,")
    with pytest.raises(Refused, match="line 3: workload: 'triage' is not one that you may import for"):
        take(path, workloads={other.pk})
    assert not TrafficDay.objects.exists()


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["triage", "memos", "bot", "nobody"]),
        st.integers(1, 5),
        st.sampled_from(["gpt-4", "prod-default", "unknown"]),
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, data=st.data())
def test_any_order_any_repetition_any_moment_of_the_rules_gives_the_same_table(
    triage: Workload, rows: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    make.workload("memos", "legal")
    TrafficDay.objects.all().delete()
    usage = [
        UsageRow(line, alias, (), called, date(2026, 9, day), 10 * line)
        for line, (alias, day, called) in enumerate(rows, 1)
    ]
    rules: list[dict[str, Any]] = [
        {"kind": GatewayName.KEY_ALIAS, "name": "bot", "workload": triage},
        {"kind": GatewayName.WIRE_NAME, "name": "prod-default", "model": make.model("mai-thinking-1")},
        {"kind": GatewayName.WIRE_NAME, "name": "gpt-4", "model": make.model("gpt-4"), "from_on": date(2026, 9, 3)},
    ]
    by: dict[str, Any] = {"by": make.actor(), "at": make.NOW}

    def outcome(steps: list[Any]) -> set[tuple[Any, ...]]:
        TrafficDay.objects.all().delete()
        made = []
        for step in steps:
            if isinstance(step, dict):
                made.append(add_rule(**step, **by)[0])
            else:
                record_traffic(rows=step, **by)
        found = table()
        for rule in made:
            remove_rule(rule=rule, **by)
        return found

    expected = outcome([*rules, usage])
    parts = [usage[start : start + 4] for start in range(0, len(usage), 4)]
    again = data.draw(st.lists(st.sampled_from(parts), max_size=2))
    assert outcome(data.draw(st.permutations([*rules, *parts, *again]))) == expected


def test_a_month_takes_as_many_statements_for_many_workloads_as_for_one(triage: Workload) -> None:
    def statements(n: int) -> int:
        days = [date(2026, 9, 1) + timedelta(days=number) for number in range(30)]
        rows = [UsageRow(1, f"key-{n}-{key}", (), "gpt-4", day, 5) for key in range(n) for day in days]
        with CaptureQueriesContext(connection) as queries:
            record_traffic(rows=rows, by=make.actor(), at=datetime(2026, 11, 1, tzinfo=UTC))
        return len(queries)

    assert statements(40) == statements(1)


def test_nobody_takes_days_from_a_workload_that_is_not_theirs(triage: Workload, tmp_path: Path) -> None:
    memos, path = make.workload("memos", "legal"), csv(tmp_path, "triage,2026-09-03,gpt-4,83,,,,,")
    take(path)
    pilots = [make.switched_pilot(f"{workload.slug}-one", workload=workload) for workload in (triage, memos)]
    read_due_traffic(now=make.NOW)
    alias: dict[str, Any] = {
        "kind": GatewayName.KEY_ALIAS, "name": "Triage", "workload": memos, "by": make.actor(), "at": make.NOW
    }  # fmt: skip
    with pytest.raises(Refused, match="'Triage' is not one that you may import for"):
        add_rule(**alias, workloads={memos.pk})
    add_rule(**alias)
    before = table()
    with pytest.raises(Refused, match="line 2: workload: 'triage' is not one that you may import for"):
        take(path, workloads={memos.pk})
    assert (table(), [row.due for row in TrafficReading.objects.all()]) == (before, [False, False])
    assert take(path).replaced == 1  # by somebody who may write to both
    assert set(TrafficReading.objects.filter(due=True).values_list("pilot", flat=True)) == {one.pk for one in pilots}
    said = AuditEvent.objects.filter(action="traffic.imported").order_by("-sequence")[:2]
    assert {one.team: [one.data[key] for key in ("workloads", "replaced", "lost")] for one in said} == {
        "legal": [1, 1, 0], "support": [0, 0, 1]
    }  # fmt: skip
