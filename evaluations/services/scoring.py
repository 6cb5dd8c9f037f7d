"""Scores of a run's answers, without calling anybody again. Public surface: ``score_run``."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef

from evaluations.enums import Outcome
from evaluations.faults import reached
from evaluations.models import Completion, CompletionContent, ReplayRun, SampleContent, ScoreRow
from evaluations.scorers.base import Answer, Scored
from evaluations.scorers.registry import SCORERS

BATCH = 500


def score_run(run: ReplayRun) -> int:
    """Score every answer of ``run`` that its plan's scorers have not judged yet; returns the rows written.

    A vendor's failure gets no row. May run twice, also at once: the second finds the first's rows.
    """
    written = 0
    for entry in run.plan_version.document["scorers"]:
        scorer = SCORERS.get(entry["name"])
        outcomes = [Outcome.OK, *([Outcome.TRUNCATED] if scorer.scores_truncated else [])]
        judged = ScoreRow.objects.filter(completion=OuterRef("pk"), key=entry["key"], scorer_version=entry["version"])
        waiting = (
            Completion.objects.filter(~Exists(judged), arm__run=run, outcome__in=outcomes)
            .order_by("id")
            .values_list("id", "sample_id", "outcome")
        )
        last = 0
        # Batch by batch, no cursor left open: on SQLite a write under an open read fails at once when another
        # connection has written meanwhile.
        while batch := list(waiting.filter(id__gt=last)[:BATCH]):
            last = batch[-1][0]
            contents = CompletionContent.objects.in_bulk([pk for pk, _, _ in batch])
            samples = SampleContent.objects.in_bulk([sample_id for _, sample_id, _ in batch])
            rows = [
                _row(pk, entry, scorer, contents.get(pk), samples.get(sample_id), Outcome(outcome))
                for pk, sample_id, outcome in batch
            ]
            reached("before_scores")
            ScoreRow.objects.bulk_create(rows, ignore_conflicts=True)
            written += len(rows)
    return written


def _row(
    completion_id: int,
    entry: dict[str, Any],
    scorer: Any,
    content: CompletionContent | None,
    sample: SampleContent | None,
    outcome: Outcome,
) -> ScoreRow:
    row = ScoreRow(completion_id=completion_id, key=entry["key"], scorer=entry["name"], scorer_version=entry["version"])
    if content is None or sample is None:
        row.detail = "content_purged"
        return row
    score = scorer.score(
        Answer(
            text=content.text or "",
            reference=sample.reference,
            message=content.assistant_message,
            request=sample.request or {},
            outcome=outcome,
        ),
        entry["config"],
    )
    if isinstance(score, Scored):
        row.value, row.detail = score.value, score.detail[:300]
    else:
        row.detail = score.reason[:300]
    return row
