"""Rows of a workload's sample pool.

Public surface: ``digests_of``, ``keys_of``, ``joining_answers``, ``add_samples``, ``add_answers``.

A sample is stored once per workload and external id; whoever comes second finds it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import IntegrityError, transaction

from evaluations.capture.base import CapturedResponse
from evaluations.capture.digest import sample_digest
from evaluations.models import RecordedContent, RecordedResponse, Sample, SampleContent, Workload
from evaluations.services.bulk import insert_rows
from evaluations.services.errors import Conflict
from evaluations.services.sample_file import Row

_MODEL_NAME, _FINISH_REASON = 200, 60  # characters kept
_SAMPLE = (
    "workload",
    "external_id",
    "digest",
    "occurred_at",
    "cluster",
    "segments",
    "replayable",
    "captured_at",
)


def digests_of(workload: Workload, external_ids: Iterable[str]) -> dict[str, str]:
    """Content digests of those ids that the pool has."""
    found = Sample.objects.filter(workload=workload, external_id__in=list(external_ids))
    return dict(found.values_list("external_id", "digest"))


def keys_of(workload: Workload, external_ids: Iterable[str]) -> dict[str, int]:
    """Primary keys of those ids that the pool has."""
    found = Sample.objects.filter(workload=workload, external_id__in=list(external_ids))
    return dict(found.values_list("external_id", "pk"))


def joining_answers(workload: Workload, rows: Sequence[tuple[Row, str]]) -> set[str]:
    """Ids of the ``rows`` that are the pool's sample, whose digest stands beside, but for their answer.

    The sample has none yet, or has this very one: it keeps the digest that it was stored with.
    """
    same = {
        row.external_id: row.sample.response
        for row, digest in rows
        if row.sample.response is not None and sample_digest(replace(row.sample, response=None)) == digest
    }
    stored = RecordedContent.objects.filter(
        response__sample__workload=workload, response__sample__external_id__in=list(same)
    )
    answers = {
        external_id: (text, message)
        for external_id, text, message in stored.values_list("response__sample__external_id", "text", "message")
    }
    return {
        external_id
        for external_id, answer in same.items()
        if external_id not in answers or answers[external_id] == (answer.text, answer.message)
    }


def add_samples(workload: Workload, rows: Sequence[Row], *, at: datetime) -> dict[str, int]:
    """Store what the pool does not have, with contents and recorded answers, in one transaction.

    Returns the primary key of every row's sample. Raises ``Conflict`` when another import has just stored other
    content under one of the ids.
    """
    try:
        return _add_samples(workload, rows, at)
    except IntegrityError:  # another import was faster with some of them: now they are found
        return _add_samples(workload, rows, at)


@transaction.atomic
def _add_samples(workload: Workload, rows: Sequence[Row], at: datetime) -> dict[str, int]:
    known = digests_of(workload, (row.external_id for row in rows))
    fresh = []
    for row in rows:
        if row.external_id not in known:
            fresh.append(row)
        elif known[row.external_id] != row.digest:
            raise Conflict(f"another import has just stored other content as {row.external_id!r}")
    insert_rows(
        Sample,
        _SAMPLE,
        (
            (
                workload.pk,
                row.external_id,
                row.digest,
                row.sample.occurred_at,
                row.sample.cluster or "",
                row.sample.segments,
                True,
                at,
            )
            for row in fresh
        ),
    )
    keys = keys_of(workload, (row.external_id for row in rows))
    insert_rows(
        SampleContent,
        ("sample", "request", "reference"),
        ((keys[row.external_id], row.sample.request, row.sample.reference) for row in fresh),
    )
    _add_responses([(keys[row.external_id], row.sample.response) for row in fresh if row.sample.response is not None])
    return keys


@transaction.atomic
def add_answers(workload: Workload, rows: Sequence[Row]) -> int:
    """Join answers that were logged without prompts to the pool's samples; returns how many were new.

    The first answer of a sample stays. An answer to no known sample is left out.
    """
    answers = {row.external_id: row.sample.response for row in reversed(rows) if row.sample.response is not None}
    waiting = Sample.objects.filter(workload=workload, external_id__in=list(answers), recorded__isnull=True)
    pairs = [(pk, answers[external_id]) for pk, external_id in waiting.values_list("pk", "external_id")]
    _add_responses(pairs)
    return len(pairs)


def _add_responses(pairs: Sequence[tuple[int, CapturedResponse]]) -> None:
    """Recorded answers by the primary key of their sample."""
    insert_rows(
        RecordedResponse,
        ("sample", "model_name", "usage", "latency_ms", "finish_reason"),
        (
            (
                key,
                (answer.model or "")[:_MODEL_NAME],
                answer.usage.raw,
                answer.latency_ms,
                (answer.finish_reason or "")[:_FINISH_REASON],
            )
            for key, answer in pairs
        ),
    )
    insert_rows(
        RecordedContent, ("response", "text", "message"), ((key, answer.text, answer.message) for key, answer in pairs)
    )
