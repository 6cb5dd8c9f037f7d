"""Costs of pilots and pairs after a replay, and under prices that are only supposed."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import Outcome, Verdict
from evaluations.models import AuditEvent, Plan, Price, ReplayRun, Workload
from evaluations.services.plan_document import CriterionEntry, definition_of
from evaluations.services.plans import freeze_plan, save_plan
from pilots.models import Pilot
from pilots.selectors.costs import CostsReport, costs
from pilots.selectors.filters import ReportFilters
from pilots.services.lifecycle import open_pilot
from tests import factories as make
from tests.replays import BY, concluded, ready_plan, start, with_criteria

pytestmark = pytest.mark.django_db


def said(role: str, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, str(position)


@pytest.fixture
def pilot() -> Pilot:
    """40 requests, each for $0.001 on both arms: 10 tokens in, 5 out, at $2 and $8 a million."""
    plan = with_criteria(
        ready_plan("http://127.0.0.1:9", n=40),
        CriterionEntry(metric="answered", margin=Decimal("0.03")),
        CriterionEntry(metric="cost_per_request", max_ratio=Decimal("1.2")),
    )
    Workload.objects.update(monthly_requests=42_000)
    opened = _opened("triage-to-new", plan)
    concluded(start(plan), said)
    return opened


def _opened(slug: str, plan: Plan) -> Pilot:
    return open_pilot(
        by=make.actor(),
        at=timezone.now(),
        slug=slug,
        workload=Workload.objects.get(),
        incumbent=plan.incumbent_model,
        candidate=plan.candidate_model,
        plan=plan,
    )


def read(**filters: str) -> CostsReport:
    return costs(ReportFilters.parse(filters, now=timezone.now()))


def test_a_pilot_and_its_pair(pilot: Pilot) -> None:
    report = read()
    [row] = report.pilots
    assert (row.pilot, row.run, row.currency, row.undisclosed) == (
        "triage-to-new",
        ReplayRun.objects.get().pk,
        "USD",
        (),
    )
    assert [(line.metric, line.n, line.incumbent, line.candidate, line.ratio) for line in row.lines] == [
        ("cost_per_request", 40, Decimal("0.001"), Decimal("0.001"), pytest.approx(1)),
        ("cost_per_success", 40, Decimal("0.001"), Decimal("0.001"), pytest.approx(1)),
    ]
    # 0.04 x 1.2 over 200 output and 400 input tokens at a quarter of output's price: 300 tokens' worth.
    tipping = row.lines[0].candidate_must_stay_under
    assert tipping is not None
    assert (tipping.output_per_mtok, tipping.lower, tipping.n) == (Decimal("160.0000"), None, 40)
    assert (row.monthly_requests, row.monthly_incumbent, row.monthly_candidate) == (42_000, 42, 42)
    [pair] = report.pairs
    assert (pair.pilots, pair.known, pair.requests, pair.incumbent_per_request, pair.candidate_per_request) == (
        ("triage-to-new",),
        1,
        40,
        Decimal("0.001"),
        Decimal("0.001"),
    )
    assert (pair.ratio, pair.monthly_incumbent, pair.monthly_candidate) == (pytest.approx(1), 42, 42)
    assert (report.unread, read(team="legal").pilots) == (0, ())


def test_what_was_read_later_is_not_known_yet(pilot: Pilot) -> None:
    report = read(as_of="2026-01-01")
    assert (report.pilots, report.unread) == ((), 1)


def test_the_number_of_queries_is_that_of_one(pilot: Pilot) -> None:
    def counted() -> int:
        with CaptureQueriesContext(connection) as queries:
            read()
        return len(queries)

    one = counted()
    first = pilot.plan
    assert first is not None
    for slug in ("again", "once-more"):
        plan, _ = save_plan(
            slug=slug,
            workload=first.workload,
            incumbent_model=first.incumbent_model,
            incumbent_endpoint=first.incumbent_endpoint,
            incumbent_request={},
            candidate_model=first.candidate_model,
            candidate_endpoint=first.candidate_endpoint,
            candidate_request={},
            definition=definition_of(first),
            by=BY,
            at=timezone.now(),
        )
        freeze_plan(plan=plan, by=BY, at=timezone.now())
        _opened(slug, plan)
        concluded(start(plan), said)
    assert len(read().pilots) == 3
    assert counted() == one


@pytest.fixture
def supposed(tmp_path: Path) -> Any:
    def write(**values: Any) -> Path:
        path = tmp_path / "prices.json"
        path.write_text(json.dumps({"prices": [{"model": "new", "effective_from": "2030-01-01", **values}]}))
        return path

    return write


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("report", "costs", *arguments, stdout=out, stderr=err)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_a_supposed_price_is_held_against_the_tokens_and_nothing_is_stored(pilot: Pilot, supposed: Any) -> None:
    """$100 in and $80 out a million: 10 x 100 + 5 x 80 = $0.0014 a request, 1.4 times the incumbent's."""
    before = (Price.objects.count(), AuditEvent.objects.count(), ReplayRun.objects.get().costs)
    path = supposed(input_per_mtok="100", output_per_mtok="80")
    code, out, err = run("--what-if", str(path), "--json")
    document = json.loads(out)
    [row] = document["pilots"]
    assert (code, err) == (0, "")
    assert [line["candidate"] for line in row["lines"]] == ["0.001", "0.001"]
    assert [line["candidate"] for line in row["what_if"]] == ["0.0014", "0.0014"]
    assert row["what_if"][0]["ratio"] == pytest.approx(1.4)
    assert [(one["model"], one["output_per_mtok"]) for one in document["supposed"]] == [("new", "80")]
    assert (Price.objects.count(), AuditEvent.objects.count(), ReplayRun.objects.get().costs) == before
    assert "at the supposed prices:" in run("--what-if", str(path))[1]


def test_a_supposed_price_may_be_undisclosed(pilot: Pilot, supposed: Any) -> None:
    code, out, _ = run("--what-if", str(supposed()), "--json")
    line = json.loads(out)["pilots"][0]["what_if"][0]
    assert (code, line["candidate"], line["verdict"]) == (0, None, Verdict.NOT_COMPUTABLE.value)
    assert line["candidate_must_stay_under"]["output_per_mtok"] == "160.0000"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"model": "unheard-of"}, "prices.json: prices[0].model: unknown model unheard-of\n"),
        ({"input_per_mtok": "-1"}, "prices.json: prices[0].input_per_mtok: must not be below 0\n"),
        ({"endpoint": "old-prod"}, "prices.json: prices[0].endpoint: new has no endpoint old-prod\n"),
        ({"colour": "red"}, "prices.json: prices[0].colour: "),
    ],
)
def test_what_cannot_be_supposed_is_said_in_one_line(
    pilot: Pilot, supposed: Any, values: dict[str, str], line: str
) -> None:
    code, out, err = run("--what-if", str(supposed(**values)))
    assert (code, out, err[: len(line)], err.count("\n")) == (2, "", line, 1)


def test_only_this_report_supposes_and_only_of_today(pilot: Pilot, supposed: Any) -> None:
    path = str(supposed())
    assert run("--what-if", path, "--as-of", "2026-01-01")[0] == 2
    with pytest.raises(SystemExit):
        call_command("report", "retention", "--what-if", path, stderr=StringIO())
