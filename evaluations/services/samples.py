"""Production requests into a workload's pool, frozen as a set.

Public surface: ``import_samples``, ``ImportReport``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

from evaluations.capture.base import BadLine
from evaluations.capture.sampling import Quota
from evaluations.models import SampleSet, Workload
from evaluations.services import audit
from evaluations.services.redaction import house_redactor
from evaluations.services.sample_choice import SampleChoice, Traits
from evaluations.services.sample_file import Rejects, Row, SampleFile, Spool
from evaluations.services.sample_pool import add_answers, add_samples, digests_of, joining_answers, keys_of
from evaluations.services.sample_sets import freeze_set

T = TypeVar("T")
_LOOKUP = 500  # ids in one query
_BATCH = 1_000  # rows in one transaction
_PROGRESS = 10_000


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a file. read = distinct samples + duplicates + rejected + lines without a prompt."""

    sample_set: SampleSet | None  # None: no line had a prompt
    read: int  # lines
    stored: int  # members of the set
    duplicates: int  # lines that repeat a sample of the same file
    rejected: int  # bad lines, with ``skip_bad``
    redacted: Mapping[str, int]  # replacements by kind
    rejects_file: Path | None  # JSON lines {"line", "field", "reason"}

    @property
    def digest(self) -> str | None:
        return None if self.sample_set is None else self.sample_set.digest


@dataclass
class _Survey:
    """What the first reading found. Ids and digests only: contents stay on disk."""

    read: int = 0
    duplicates: int = 0
    answers: int = 0  # lines without a prompt
    redacted: Counter[str] = field(default_factory=Counter)
    digests: dict[str, bytes] = field(default_factory=dict)  # of replayable samples, by external id
    traits: dict[str, Traits] = field(default_factory=dict)  # where the choice looks at them
    joining: set[str] = field(default_factory=set)  # samples that the pool has, but for the answer that comes here


def import_samples(
    *,
    workload: Workload,
    path: Path,
    by: audit.Actor,
    at: datetime,
    format: str = "auto",
    requests: Path | None = None,
    name: str | None = None,
    take: int | None = None,
    seed: int = 0,
    stratify: str | None = None,
    newest: int | None = None,
    per_cluster: int | None = None,
    quotas: Sequence[Quota] = (),
    redact: bool = True,
    names: Path | None = None,
    patterns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    progress: Callable[[str], None] = lambda message: None,
) -> ImportReport:
    """Check the whole file, add what is new to the workload's pool, and freeze a set of the file's samples.

    A sample is known by the log's id, else by its content. The same id with other content, in the file or in the pool,
    is a bad line; an answer to a sample that the pool has without one is joined to it. A line without a prompt is
    stored as the recorded answer of the pool's sample of that id if that has none yet, and is never a member. The set
    holds all samples, or ``take`` of them, drawn with ``seed`` and in proportion to the segment ``stratify``; at most
    ``per_cluster`` of each cluster, only of the ``newest``, and at least what ``quotas`` ask of edge cases. The same
    file again returns the same set. Personal data and secrets are redacted by the site's rules, to which ``names`` (a
    dictionary, one a line) and ``patterns`` (expressions by kind) add.

    Raises ``Refused`` naming file, line and field of the first bad line, and nothing is stored; ``skip_bad`` counts
    bad lines and writes them to a file in the data directory instead.
    """
    choice = SampleChoice(take, seed, stratify, newest, per_cluster, tuple(quotas))
    choice.check()
    redactor = house_redactor(names=names, patterns=patterns) if redact else None
    file = SampleFile(path, format=format, requests=requests, redactor=redactor)
    with TemporaryFile() as handle, Rejects(path, at=at, skip=skip_bad) as rejects:
        spool = Spool(handle)
        survey = _survey(file, workload, spool, rejects, choice, progress)
        members = choice.members(survey.digests, survey.traits)
        keys = _store(spool, workload, survey, at, progress)
    sample_set = None
    if members:
        method = {
            "kind": "import",
            "file": path.name,
            "format": file.reader.key,
            "format_version": file.reader.version,
            "redacted": redact,
            **choice.to_json(),
        }
        sample_set = freeze_set(
            workload=workload,
            sample_ids=[keys[external_id] for external_id in members],
            name=name or path.name,
            method=method,
            parent=None,
            by=by,
            at=at,
        )
    return ImportReport(
        sample_set=sample_set,
        read=survey.read,
        stored=len(members),
        duplicates=survey.duplicates,
        rejected=rejects.count,
        redacted=dict(sorted(survey.redacted.items())),
        rejects_file=rejects.path,
    )


def _survey(
    file: SampleFile,
    workload: Workload,
    spool: Spool,
    rejects: Rejects,
    choice: SampleChoice,
    progress: Callable[[str], None],
) -> _Survey:
    """Read and check every line without writing to the database; readable ones go to ``spool``."""
    survey = _Survey()
    unchecked: dict[str, Row] = {}  # by external id, not yet compared with the pool
    for row in file.rows():
        survey.read += 1
        if survey.read % _PROGRESS == 0:
            progress(f"{survey.read:,} lines read")
        if isinstance(row, BadLine):
            rejects.add(row)
            continue
        line, digest = row.sample.line, bytes.fromhex(row.digest)
        if row.sample.request is None:
            survey.answers += 1
        elif (known := survey.digests.get(row.external_id)) is not None:
            if known == digest:
                survey.duplicates += 1
            else:
                rejects.add(BadLine(line, "id", f"{row.external_id!r} already holds other content"))
            continue
        else:
            survey.digests[row.external_id] = digest
            unchecked[row.external_id] = row
            if choice.looks:
                survey.traits[row.external_id] = choice.traits(row.sample)
        survey.redacted.update(row.redacted)
        spool.add(row)
        if len(unchecked) == _LOOKUP:
            _compare_with_pool(workload, survey, unchecked, rejects)
    _compare_with_pool(workload, survey, unchecked, rejects)
    return survey


def _compare_with_pool(workload: Workload, survey: _Survey, unchecked: dict[str, Row], rejects: Rejects) -> None:
    other = {
        external_id: digest
        for external_id, digest in digests_of(workload, unchecked).items()
        if survey.digests[external_id] != bytes.fromhex(digest)
    }
    survey.joining |= joining_answers(
        workload, [(unchecked[external_id], digest) for external_id, digest in other.items()]
    )
    for external_id in other.keys() - survey.joining:
        del survey.digests[external_id]
        survey.traits.pop(external_id, None)
        reason = f"{external_id!r} already holds other content in the pool"
        rejects.add(BadLine(unchecked[external_id].sample.line, "id", reason))
    unchecked.clear()


def _store(
    spool: Spool, workload: Workload, survey: _Survey, at: datetime, progress: Callable[[str], None]
) -> dict[str, int]:
    """Everything that was accepted, in batches; returns primary keys by external id."""

    def accepted() -> Iterator[Row]:
        return (
            row
            for row in spool
            if row.sample.request is not None and survey.digests.get(row.external_id) == bytes.fromhex(row.digest)
        )

    keys: dict[str, int] = {}
    for batch in _batches(accepted(), _BATCH):
        joining = [row for row in batch if row.external_id in survey.joining]
        add_answers(workload, joining)
        keys |= keys_of(workload, (row.external_id for row in joining))
        keys |= add_samples(workload, [row for row in batch if row.external_id not in survey.joining], at=at)
        if len(keys) % _PROGRESS == 0:
            progress(f"{len(keys):,} samples stored")
    if survey.answers:
        answers = (row for row in spool if row.sample.request is None)
        for batch in _batches(answers, _LOOKUP):
            add_answers(workload, batch)
    return keys


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
