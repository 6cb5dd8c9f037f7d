"""Text that was kept its time goes, all of it; every figure stays; nothing that is still needed goes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from evaluations.enums import Outcome
from evaluations.models import (
    AuditEvent,
    Completion,
    CompletionContent,
    DataAgreement,
    Plan,
    RecordedContent,
    ReplayRun,
    Sample,
    SampleContent,
    ScoreRow,
)
from evaluations.selectors.purging import periods
from evaluations.services import audit
from evaluations.services.errors import Refused
from evaluations.services.purging import PurgeReport, purge_contents
from evaluations.services.replays import cancel_run, resume_run
from evaluations.tasks import purge, tick_purge
from tests.replays import BY, add_samples, answer, concluded, ready_plan, start

pytestmark = pytest.mark.django_db


def said(role: str, position: int) -> tuple[Outcome, str]:
    return (Outcome.REFUSED, "") if position == 0 else (Outcome.OK, f"secret {role} {position}")


def captured(days: int, **only: Any) -> datetime:
    """Have samples been captured so many days ago."""
    at = timezone.now() - timedelta(days=days)
    Sample.objects.filter(**only).update(captured_at=at)
    return at


def kept(days: int | None) -> None:
    DataAgreement.objects.update(keep_content_days=days)


def purged(**options: Any) -> PurgeReport:
    return purge_contents(by=BY, at=timezone.now(), **options)


def figures(run: ReplayRun) -> dict[str, Any]:
    """All that a run says without its text."""
    answers = Completion.objects.filter(arm__run=run).order_by("pk")
    return {
        "answers": list(answers.values("outcome", "latency_ms", "output_total_tokens", "cost_amount", "flip")),
        "scores": list(ScoreRow.objects.order_by("pk").values("key", "value")),
        "comparisons": list(run.comparisons.values_list("document", flat=True)),
        "spent": run.attempts.aggregate(Sum("cost_amount")),
        "samples": list(Sample.objects.order_by("pk").values("external_id", "digest", "segments")),
    }


def test_text_goes_and_figures_stay() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=3)
    run = concluded(start(plan), said)
    Completion.objects.filter(outcome=Outcome.REFUSED).update(error="your request 'What is 0 plus 0?' was refused")
    ScoreRow.objects.update(detail="secret, compared")
    before = figures(run)
    captured(31)
    kept(30)
    report = purged()
    assert report.to_document() == {
        "dry_run": False,
        "samples": 3,
        "answers": 4,
        "held": 0,
        "workloads": [{"team": "support", "workload": "triage", "days": 30, "samples": 3, "answers": 4, "held": 0}],
    }
    assert not SampleContent.objects.exists()
    assert not CompletionContent.objects.exists()
    assert set(Completion.objects.values_list("error", flat=True)) == {""}
    assert set(ScoreRow.objects.exclude(value=None).values_list("detail", flat=True)) == {""}
    assert figures(run) == before
    event = AuditEvent.objects.get(action="sample.purged")
    assert (event.team, event.object_label, event.data) == (
        "support",
        "triage",
        {"samples": 3, "answers": 4, "kept_days": 30},
    )
    assert purged().workloads == ()  # there is nothing left to do
    assert AuditEvent.objects.filter(action="sample.purged").count() == 1
    assert audit.verify() is None


def test_a_dry_run_counts_the_same_and_removes_nothing() -> None:
    concluded(start(ready_plan("http://127.0.0.1:9", n=3)), said)
    captured(31)
    kept(30)
    counted = purged(dry_run=True)
    assert (SampleContent.objects.count(), CompletionContent.objects.count()) == (3, 4)
    assert not AuditEvent.objects.filter(action="sample.purged").exists()
    assert purged().workloads == counted.workloads


def test_only_what_is_older_than_the_period_goes() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=2, recorded=True)
    captured(30, external_id="s000000")
    captured(29, external_id="s000001")
    assert purged().workloads == ()  # no period: for ever
    kept(30)
    assert purged().samples == 1
    assert list(RecordedContent.objects.values_list("response__sample__external_id", flat=True)) == ["s000001"]
    assert purged(older_than=0, workload=plan.workload).samples == 1
    assert not SampleContent.objects.exists()


def test_the_newest_agreement_says_how_long_also_once_it_has_ended(settings: Any) -> None:
    ready_plan("http://127.0.0.1:9", n=1)
    settings.PILOTS_CONTENT_DAYS = 90
    assert [(period.team.slug, period.days) for period in periods()] == [("support", 90)]
    kept(30)
    DataAgreement.objects.update(ended_at=timezone.now())
    assert [period.days for period in periods()] == [30]
    settings.PILOTS_CONTENT_DAYS = 0
    kept(None)
    assert list(periods()) == []


def test_what_a_run_still_needs_is_held_until_its_end() -> None:
    run = start(ready_plan("http://127.0.0.1:9", n=2))
    add_samples(run.plan_version.plan.workload, 1, stem="f")
    captured(31)
    report = purged(older_than=30)
    assert (report.samples, report.held) == (1, 2)
    assert SampleContent.objects.count() == 2
    concluded(run, said)
    assert purged(older_than=30).samples == 2


def test_purged_samples_are_not_replayed_again() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=3)
    stopped = start(plan)
    cancel_run(run=answer(stopped, said), by=BY, at=timezone.now())
    ReplayRun.objects.update(decision="keep_testing")  # as read at its end
    captured(31, external_id="s000001")
    purged(older_than=30)
    with pytest.raises(Refused, match="1 of the 3 samples of the set were purged: take 2 replays the others"):
        start(plan)
    with pytest.raises(Refused, match="1 of its 3 samples were purged: start another"):
        resume_run(run=stopped, by=BY, at=timezone.now())
    Completion.objects.all().delete()
    taken = start(Plan.objects.get(), take=3)
    assert taken.sample_set is not None
    assert sorted(taken.sample_set.members.values_list("sample__external_id", flat=True)) == ["s000000", "s000002"]


def test_a_step_leaves_the_rest_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluations.services.purging._AT_ONCE", 2)
    monkeypatch.setattr("evaluations.services.purging._SLICE", 1)
    ready_plan("http://127.0.0.1:9", n=5)
    captured(31)
    calls = iter([False, True])
    assert purged(older_than=30, stopping=lambda: next(calls)).samples == 2
    assert purged(older_than=30).samples == 3
    events = AuditEvent.objects.filter(action="sample.purged").order_by("sequence")
    assert [event.data["samples"] for event in events] == [2, 2, 1]


def test_nothing_is_purged_without_its_audit_event(monkeypatch: pytest.MonkeyPatch) -> None:
    ready_plan("http://127.0.0.1:9", n=2)
    captured(31)
    monkeypatch.setattr(audit, "record_all", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        purged(older_than=30)
    assert SampleContent.objects.count() == 2
    assert not Sample.objects.exclude(purged_at=None).exists()


def test_the_scheduler_purges_where_there_is_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr("evaluations.tasks.send_hints", lambda task, args, *, queue: sent.append(queue))
    ready_plan("http://127.0.0.1:9", n=2)
    captured(31)
    tick_purge()
    assert sent == []
    kept(30)
    tick_purge()
    assert sent == ["export"]
    purge()
    assert not SampleContent.objects.exists()
    assert AuditEvent.objects.get(action="sample.purged").actor == "purge"


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("purge_samples", *arguments, stdout=out, stderr=err)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_the_command() -> None:
    concluded(start(ready_plan("http://127.0.0.1:9", n=2)), said)
    captured(31)
    code, out, err = run("--older-than", "30", "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "triage (support): contents of 2 samples and 2 answers would go, kept 30 days",
        "in all: contents of 2 samples and 2 answers would go",
    ]
    code, out, _ = run("--team", "support", "--older-than", "30", "--json")
    assert (code, json.loads(out)["samples"]) == (0, 2)
    assert run()[1] == "in all: contents of 0 samples and 0 answers purged\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--team", "nobody"], "team: no team 'nobody'\n"),
        (["--workload", "none"], "workload: no workload 'none'\n"),
        (["--older-than", "-1"], "older-than: must be between 0 and 36,500 days\n"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], line: str) -> None:
    assert run(*arguments) == (2, "", line)
