"""Scores of a run's answers, without calling anybody again. Public surface: ``score_run``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef

from evaluations.enums import Outcome
from evaluations.faults import reached
from evaluations.models import Completion, CompletionContent, ReplayRun, SampleContent, ScoreRow
from evaluations.scorers.base import Answer, Scored, Scorer, Unscored
from evaluations.scorers.registry import SCORERS
from evaluations.services.scoring_turns import Turn, take_turn

logger = logging.getLogger(__name__)

BATCH = 500


def score_run(run: ReplayRun) -> bool:
    """Score every answer of ``run`` that its plan's scorers have not judged yet; False while somebody else does.

    A vendor's failure gets no row. An answer that a scorer can not judge without ending its process gets one that says
    so. May run twice: the second finds the first's rows.
    """
    turn = take_turn(run)
    if turn is None:
        return False
    try:
        return all(_score(run, entry, turn) for entry in run.plan_version.document["scorers"])
    finally:
        turn.end()


def _score(run: ReplayRun, entry: dict[str, Any], turn: Turn) -> bool:
    """One scorer's rows; False if another process has taken over."""
    key, scorer = entry["key"], SCORERS.get(entry["name"])
    outcomes = [Outcome.OK, *([Outcome.TRUNCATED] if scorer.scores_truncated else [])]
    judged = ScoreRow.objects.filter(completion=OuterRef("pk"), key=key, scorer_version=entry["version"])
    waiting = (
        Completion.objects.filter(~Exists(judged), arm__run=run, outcome__in=outcomes)
        .order_by("id")
        .values_list("id", "sample_id", "outcome")
    )
    last = 0
    # Batch by batch, no cursor left open: on SQLite a write under an open read fails at once when another
    # connection has written meanwhile.
    while batch := list(waiting.filter(id__gt=last)[:BATCH]):
        suspect = batch[0][0] <= turn.suspects(key)
        if suspect:
            batch = batch[:1]
        last = batch[-1][0]
        if not turn.begin(key, batch[0][0], last, suspect=suspect):
            return False
        contents = CompletionContent.objects.in_bulk([pk for pk, _, _ in batch])
        samples = SampleContent.objects.in_bulk([sample_id for _, sample_id, _ in batch])
        rows = []
        for pk, sample_id, outcome in batch:
            row = ScoreRow(completion_id=pk, key=key, scorer=entry["name"], scorer_version=entry["version"])
            if suspect and turn.gives_up:
                row.detail = f"given up: {turn.lost} processes ended at it"
            else:
                _judge(row, scorer, entry["config"], contents.get(pk), samples.get(sample_id), Outcome(outcome))
            rows.append(row)
            if not turn.keep():
                return False
        reached("before_scores")
        ScoreRow.objects.bulk_create(rows, ignore_conflicts=True)
    return True


def _judge(
    row: ScoreRow,
    scorer: Scorer,
    config: Mapping[str, Any],
    content: CompletionContent | None,
    sample: SampleContent | None,
    outcome: Outcome,
) -> None:
    if content is None or sample is None:
        row.detail = "content_purged"
        return
    answer = Answer(
        text=content.text or "",
        reference=sample.reference,
        message=content.assistant_message,
        request=sample.request or {},
        outcome=outcome,
    )
    try:
        score = scorer.score(answer, config)
    except Exception as error:
        # A scorer never raises, and a run must not stand still for one that does.
        logger.exception("scorer %s broke on completion %s", row.scorer, row.completion_id)
        score = Unscored(f"the scorer broke: {type(error).__name__}")
    if isinstance(score, Scored):
        row.value, row.detail = score.value, score.detail[:300]
    else:
        row.detail = score.reason[:300]
