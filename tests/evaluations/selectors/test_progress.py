"""Progress is polled every second, whatever the size of the run; what it says is what the attempts say."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluations.enums import AttemptState, Outcome
from evaluations.models import Attempt, CallTally
from evaluations.selectors.progress import run_progress
from evaluations.services.tallies import tally
from evaluations.simulator.server import SimulatedVendors
from tests.pilots.exporters.replayed import work
from tests.replays import ready_plan, start, vendors

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_running_totals_are_what_the_attempts_add_up_to() -> None:
    script = ["overloaded", "ok", "bad_gateway", "server_error"]
    with SimulatedVendors(vendors(new={"script": script})) as simulated:
        run = start(ready_plan(simulated.url, n=30))
        work(run)
    run.refresh_from_db()
    attempts = Attempt.objects.filter(run=run, state=AttemptState.SETTLED)
    counted = Counter(str(outcome) for outcome in attempts.values_list("outcome", flat=True))
    tallies = CallTally.objects.filter(run=run)
    assert sum(row.calls for row in tallies) == run.calls == attempts.count() > 60
    assert sum(row.cost_amount for row in tallies) == run.spent_amount
    failures = {outcome: n for outcome, n in counted.items() if outcome != Outcome.OK}
    assert run_progress(run, now=timezone.now()).failures == failures != {}


def test_progress_reads_a_few_rows_and_never_the_attempts() -> None:
    run = start(ready_plan("http://127.0.0.1:9", n=10))
    endpoint = run.arms.get(role="candidate").endpoint
    assert endpoint is not None
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    for day in range(2):
        for outcome, n in ((Outcome.OK, 3), (Outcome.TIMEOUT, 2), (Outcome.OVERLOADED, 4)):
            settled = [(outcome, Decimal("0.5"))] * n
            tally(run=run, endpoint=endpoint, settled=settled, at=noon + timedelta(days=day))
    with CaptureQueriesContext(connection) as queries:
        progress = run_progress(run, now=noon)
    assert list(progress.failures.items()) == [("overloaded", 8), ("timeout", 4)]
    [query] = queries.captured_queries
    assert f'"{CallTally._meta.db_table}"' in query["sql"]
    assert f'"{Attempt._meta.db_table}"' not in query["sql"]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            assert "SCAN" not in " ".join(row[3] for row in cursor.fetchall())


def test_calls_from_before_there_were_totals_are_counted_by_the_migration() -> None:
    run = start(ready_plan("http://127.0.0.1:9", n=10))
    arm = run.arms.get(role="candidate")
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    members = list(run.sample_set.members.order_by("position"))  # type: ignore[union-attr]
    Attempt.objects.bulk_create(
        Attempt(
            run=run,
            arm=arm,
            endpoint=arm.endpoint,
            sample=member.sample,
            state=AttemptState.SETTLED if position < 8 else AttemptState.SENT,
            outcome=(Outcome.OK, Outcome.TIMEOUT)[position % 2] if position < 8 else "",
            cost_amount=Decimal("0.25") if position % 2 == 0 else None,
            sent_at=noon,
            settled_at=noon + timedelta(days=position // 4) if position < 8 else None,
        )
        for position, member in enumerate(members)
    )
    migration = import_module("evaluations.migrations.0003_watching")
    migration.count_calls_so_far(apps, SimpleNamespace(connection=connection))
    found = CallTally.objects.filter(run=run).order_by("day", "outcome")
    assert [(row.day.day, str(row.outcome), row.calls, row.cost_amount) for row in found] == [
        (24, "ok", 2, Decimal("0.5")),
        (24, "timeout", 2, 0),
        (25, "ok", 2, Decimal("0.5")),
        (25, "timeout", 2, 0),
    ]
