"""The end of prompts and answers that were kept their time. Public surface: ``purge_contents``, ``PurgeReport``,
``Purged``, ``lock_contents``.

What goes is text: requests, references, answers, what scorers and reviewers noted of them, errors (vendors repeat the
request in them). Samples, digests, outcomes, scores, tokens, money and every comparison stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from evaluations.models import (
    Completion,
    CompletionContent,
    RecordedContent,
    ReviewNote,
    Sample,
    SampleContent,
    ScoreRow,
    Team,
    Workload,
)
from evaluations.selectors.purging import Period, due, held, periods
from evaluations.services import audit

_AT_ONCE = 5000  # samples, in one transaction with its audit event
_SLICE = 500  # in one statement


@dataclass(frozen=True, slots=True)
class Purged:
    """What became, or would become, of one workload's contents."""

    team: str  # slug
    workload: str  # slug
    days: int  # that contents are kept
    samples: int  # whose contents went
    answers: int  # to them, of models; recorded ones of production aside
    held: int  # samples that are due, but that a run still needs

    def to_document(self) -> dict[str, Any]:
        return {
            "team": self.team,
            "workload": self.workload,
            "days": self.days,
            "samples": self.samples,
            "answers": self.answers,
            "held": self.held,
        }


@dataclass(frozen=True, slots=True)
class PurgeReport:
    dry_run: bool  # nothing was removed
    workloads: tuple[Purged, ...]  # those that anything was due of

    @property
    def samples(self) -> int:
        return sum(row.samples for row in self.workloads)

    @property
    def answers(self) -> int:
        return sum(row.answers for row in self.workloads)

    @property
    def held(self) -> int:
        return sum(row.held for row in self.workloads)

    def to_document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "samples": self.samples,
            "answers": self.answers,
            "held": self.held,
            "workloads": [row.to_document() for row in self.workloads],
        }


def lock_contents(workload_id: int) -> None:
    """Until the transaction ends: a purge, and the start of a run that needs what it removes, go one by one."""
    list(Workload.objects.select_for_update(no_key=True).filter(pk=workload_id).values_list("pk"))


def purge_contents(
    *,
    by: audit.Actor,
    at: datetime,
    team: Team | None = None,
    workload: Workload | None = None,
    older_than: int | None = None,
    dry_run: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> PurgeReport:
    """Remove the contents of samples that were captured longer ago than they are kept, with all answers to them.

    ``team`` or ``workload`` narrow it, ``older_than`` (days) takes the place of every period. Samples of a run that
    goes on are held until it has ended. Goes in steps, each with its audit event: broken off, it is gone on with later;
    done twice, it finds nothing. ``dry_run`` counts and removes nothing.
    """
    found = []
    for period in periods(team=workload.team if workload is not None else team, older_than=older_than):
        owned = Workload.objects.filter(team=period.team).order_by("slug")
        for one in owned if workload is None else owned.filter(pk=workload.pk):
            purged = _count(one, period, at) if dry_run else _purge(one, period, by=by, at=at, stopping=stopping)
            if purged.samples or purged.held:
                found.append(purged)
    report = PurgeReport(dry_run, tuple(found))
    if report.samples and not dry_run:
        _leave_no_trace()
    return report


def _count(workload: Workload, period: Period, at: datetime) -> Purged:
    samples = due(workload, days=period.days, at=at)
    return Purged(
        team=period.team.slug,
        workload=workload.slug,
        days=period.days,
        samples=samples.count(),
        answers=CompletionContent.objects.filter(completion__sample__in=samples.values("pk")).count(),
        held=held(workload, days=period.days, at=at).count(),
    )


def _purge(
    workload: Workload, period: Period, *, by: audit.Actor, at: datetime, stopping: Callable[[], bool]
) -> Purged:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten in the file as well
    samples = answers = 0
    while not stopping():
        gone, answered = _step(workload, period, by=by, at=at)
        samples, answers = samples + gone, answers + answered
        if gone < _AT_ONCE:
            break
    waiting = held(workload, days=period.days, at=at).count()
    return Purged(period.team.slug, workload.slug, period.days, samples, answers, waiting)


@transaction.atomic
def _step(workload: Workload, period: Period, *, by: audit.Actor, at: datetime) -> tuple[int, int]:
    """How many samples' contents went, and how many answers'."""
    lock_contents(workload.pk)
    chosen = list(due(workload, days=period.days, at=at).order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
    if not chosen:
        return 0, 0
    answers = 0
    for first in range(0, len(chosen), _SLICE):
        part = chosen[first : first + _SLICE]
        SampleContent.objects.filter(pk__in=part).delete()
        RecordedContent.objects.filter(pk__in=part).delete()
        answers += CompletionContent.objects.filter(completion__sample__in=part).delete()[0]
        ReviewNote.objects.filter(answer__review__item__sample__in=part).delete()
        Completion.objects.filter(sample__in=part).exclude(error="").update(error="")
        # Of an unscored answer it says why, and nothing of what was answered.
        ScoreRow.objects.filter(completion__sample__in=part, value__isnull=False).exclude(detail="").update(detail="")
        Sample.objects.filter(pk__in=part).update(purged_at=at)
    audit.record(
        by=by,
        at=at,
        action="sample.purged",
        object_type="workload",
        object_id=workload.pk,
        object_label=workload.slug,
        team=period.team,
        data={"samples": len(chosen), "answers": answers, "kept_days": period.days},
    )
    return len(chosen), answers


def _leave_no_trace() -> None:
    """SQLite's log still holds the pages as they were before."""
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
