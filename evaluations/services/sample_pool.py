"""Rows of a workload's sample pool. Public surface: ``digests_of``, ``add_samples``, ``add_answers``.

A sample is stored once per workload and external id; whoever comes second finds it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import IntegrityError, transaction

from evaluations.capture.base import CapturedResponse
from evaluations.models import RecordedContent, RecordedResponse, Sample, SampleContent, Workload
from evaluations.services.errors import Conflict
from evaluations.services.sample_file import Row

_MODEL_NAME, _FINISH_REASON = 200, 60  # characters kept


def digests_of(workload: Workload, external_ids: Iterable[str]) -> dict[str, str]:
    """Content digests of those ids that the pool has."""
    found = Sample.objects.filter(workload=workload, external_id__in=list(external_ids))
    return dict(found.values_list("external_id", "digest"))


def add_samples(workload: Workload, rows: Sequence[Row]) -> dict[str, int]:
    """Store what the pool does not have, with contents and recorded answers, in one transaction.

    Returns the primary key of every row's sample. Raises ``Conflict`` when another import has just stored other
    content under one of the ids.
    """
    try:
        return _add_samples(workload, rows)
    except IntegrityError:  # another import was faster with some of them: now they are found
        return _add_samples(workload, rows)


@transaction.atomic
def _add_samples(workload: Workload, rows: Sequence[Row]) -> dict[str, int]:
    digests = {row.external_id: row.digest for row in rows}
    keys: dict[str, int] = {}
    stored = Sample.objects.filter(workload=workload, external_id__in=list(digests))
    for pk, external_id, digest in stored.values_list("pk", "external_id", "digest"):
        if digests[external_id] != digest:
            raise Conflict(f"another import has just stored other content as {external_id!r}")
        keys[external_id] = pk
    fresh = [row for row in rows if row.external_id not in keys]
    samples = Sample.objects.bulk_create(
        Sample(
            workload=workload,
            external_id=row.external_id,
            digest=row.digest,
            occurred_at=row.sample.occurred_at,
            cluster=row.sample.cluster or "",
            segments=dict(row.sample.segments),
        )
        for row in fresh
    )
    SampleContent.objects.bulk_create(
        SampleContent(sample=sample, request=row.sample.request, reference=row.sample.reference)
        for sample, row in zip(samples, fresh, strict=True)
    )
    _add_responses(
        [
            (sample, row.sample.response)
            for sample, row in zip(samples, fresh, strict=True)
            if row.sample.response is not None
        ]
    )
    return keys | {sample.external_id: sample.pk for sample in samples}


@transaction.atomic
def add_answers(workload: Workload, rows: Sequence[Row]) -> int:
    """Join answers that were logged without prompts to the pool's samples; returns how many were new.

    The first answer of a sample stays. An answer to no known sample is left out.
    """
    answers = {row.external_id: row.sample.response for row in reversed(rows) if row.sample.response is not None}
    open_samples = Sample.objects.filter(workload=workload, external_id__in=list(answers), recorded__isnull=True)
    pairs = [(sample, answer) for sample in open_samples if (answer := answers[sample.external_id]) is not None]
    _add_responses(pairs)
    return len(pairs)


def _add_responses(pairs: Sequence[tuple[Sample, CapturedResponse]]) -> None:
    responses = RecordedResponse.objects.bulk_create(
        RecordedResponse(
            sample=sample,
            model_name=(answer.model or "")[:_MODEL_NAME],
            usage=None if answer.usage.raw is None else dict(answer.usage.raw),
            latency_ms=answer.latency_ms,
            finish_reason=(answer.finish_reason or "")[:_FINISH_REASON],
        )
        for sample, answer in pairs
    )
    RecordedContent.objects.bulk_create(
        RecordedContent(
            response=response, text=answer.text, message=None if answer.message is None else dict(answer.message)
        )
        for response, (_, answer) in zip(responses, pairs, strict=True)
    )
