"""Production requests into a workload's pool, frozen as a set.

Public surface: ``import_samples``, ``ImportReport``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import IntegrityError, connection, transaction

from evaluations.capture.base import BadLine
from evaluations.capture.sampling import Quota
from evaluations.models import SampleSet, Workload
from evaluations.services import audit
from evaluations.services.bulk import run_sql
from evaluations.services.errors import Conflict
from evaluations.services.redaction import house_redactor
from evaluations.services.sample_choice import SampleChoice
from evaluations.services.sample_file import SampleFile, refusal, write_rejects
from evaluations.services.sample_sets import freeze_members
from evaluations.services.staged_pool import Staged
from evaluations.services.staging import Staging

_PROGRESS = 10_000  # lines
_ATTEMPTS = 3


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
    method = {
        "kind": "import",
        "file": path.name,
        "format": file.reader.key,
        "format_version": file.reader.version,
        "redacted": redact,
        **choice.to_json(),
    }
    with Staging(choice) as staging, Staged(workload) as staged:
        _stage(file, staging, skip_bad=skip_bad, progress=progress)
        for _ in range(_ATTEMPTS):
            rejects: Path | None = None
            try:
                with _alone_in(workload):
                    staged.resolve()
                    distinct, rejected = staged.size(), staging.bad
                    if rejected or distinct < staging.n - staging.answers:
                        rejects, rejected = _reject(path, staged.conflicts(), skip_bad=skip_bad, at=at)
                    stored = staged.choose(choice)
                    for n in staged.store(at=at):
                        if n >= _PROGRESS:
                            progress(f"{n:,} lines stored")
                    sample_set = None
                    if stored:
                        sample_set = freeze_members(
                            workload=workload,
                            members=staged.members(choice),
                            size=stored,
                            name=name or path.name,
                            method=method,
                            by=by,
                            at=at,
                        )
                    return ImportReport(
                        sample_set=sample_set,
                        read=staging.n + staging.bad,
                        stored=stored,
                        duplicates=staging.n + staging.bad - staging.answers - distinct - rejected,
                        rejected=rejected,
                        redacted=dict(sorted(staged.redacted().items())),
                        rejects_file=rejects,
                    )
            except IntegrityError:  # another import was faster with some of them: now they are found
                if rejects is not None:
                    rejects.unlink(missing_ok=True)
    raise Conflict("other imports into this workload were faster each time")


def _stage(file: SampleFile, staging: Staging, *, skip_bad: bool, progress: Callable[[str], None]) -> None:
    """Read and check every line. Raises ``Refused`` for the first bad one unless they are skipped."""
    for read, row in enumerate(file.rows(), 1):
        if not isinstance(row, BadLine):
            staging.add(row)
        elif skip_bad:
            staging.reject(row)
        else:
            raise refusal(file.path, row)
        if read % _PROGRESS == 0:
            progress(f"{read:,} lines read")
    staging.end()


def _reject(path: Path, bad: Generator[BadLine], *, skip_bad: bool, at: datetime) -> tuple[Path | None, int]:
    """Refuse the file for its first bad line, or list all of them."""
    if not skip_bad:
        with closing(bad):
            if (first := next(bad, None)) is not None:
                raise refusal(path, first)
    return write_rejects(path, bad, at=at)


@contextmanager
def _alone_in(workload: Workload) -> Iterator[None]:
    """On PostgreSQL one transaction for the whole file, while other imports into the workload wait; SQLite, where
    everybody would wait, takes it in slices.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        run_sql("SET LOCAL idle_in_transaction_session_timeout = 0", ())
        # What is compared and sorted is narrow: a million lines of it fit, and go to the disk otherwise.
        run_sql("SET LOCAL work_mem = '64MB'", ())
        run_sql("SET CONSTRAINTS ALL IMMEDIATE", ())
        Workload.objects.select_for_update(no_key=True).get(pk=workload.pk)
        yield
