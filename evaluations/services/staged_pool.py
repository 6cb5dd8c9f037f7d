"""What a staged file brings: which of its lines are samples, which are stored already, which make up the set.

Public surface: ``Staged``, ``Members``. The database compares and copies; of the file, no more is held here than some
rows at a time.
"""

# ruff: noqa: S608 - the statements are made of names of ours
from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec
from django.db import DatabaseError, connection, models, transaction

from evaluations.capture.base import BadLine
from evaluations.models import (
    RecordedContent,
    RecordedResponse,
    Sample,
    SampleContent,
    SampleSet,
    SampleSetMember,
    Workload,
)
from evaluations.services.bulk import fetch_row, run_sql, table
from evaluations.services.sample_choice import SampleChoice, Traits
from evaluations.services.staging import BAD, STAGED, text_order

PICKED, JOINING, MEMBERS, LATE = "picked_sample", "joining_answer", "chosen_member", "late_answer"
_TABLES = (PICKED, JOINING, MEMBERS, LATE)
_FETCHED = 2_000  # rows
_SLICE = 20_000  # lines stored in one transaction of SQLite, which others wait for


class Staged:
    """The staged file beside the workload's pool. ``resolve`` first, then ``conflicts``, ``choose``, ``store``.

    A context manager, after which none of its tables is left.
    """

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._postgres = connection.vendor == "postgresql"

    def __enter__(self) -> Staged:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(DatabaseError):  # as of the staged rows themselves
            self.forget()

    def resolve(self) -> None:
        """Find each line's sample: the pool's where it has it, else a new one by the first line that brings it.

        A line fits where the pool has nothing under its id, the same content, or the same but for the answer, which is
        then joined to it.
        """
        self.forget()
        self._find_joining()
        new_id = "NULL"
        if self._postgres:
            new_id = f"nextval(pg_get_serial_sequence('{Sample._meta.db_table}', 'id'))"
        numbered = f"ROW_NUMBER() OVER (PARTITION BY {text_order('external_id')} ORDER BY n)"
        kept = (
            "n, external_id, digest, place, occurred_at, cluster, stratum, edges, pool_id, pool_digest, usable, joins"
        )
        self._run(
            f"CREATE TEMPORARY TABLE {PICKED} AS"
            f" SELECT {kept}, COALESCE(pool_id, {new_id}) AS sample_id FROM ("
            f"SELECT {kept} FROM (SELECT *, {numbered} AS nth FROM ({_LINES}) AS line WHERE fits) AS fitting"
            " WHERE nth = 1 ORDER BY n) AS first",
            (self._workload.pk,),
        )
        if self._postgres:
            self._run(f"ANALYZE {PICKED}")
        else:
            self._run(f"CREATE UNIQUE INDEX temp.{PICKED}_n ON {PICKED} (n)")
            self._run(f"CREATE INDEX temp.{PICKED}_id ON {PICKED} (external_id)")

    def _find_joining(self) -> None:
        """Rows whose sample the pool has, but for its answer: it has none yet, or this very one."""
        self._run(f"CREATE TEMPORARY TABLE {JOINING} (n integer)")
        found = rows_of(
            "SELECT staged.n, content.response_id IS NULL, staged.text, content.text, staged.message, content.message"
            # CROSS: SQLite would begin with the pool, and read the file for each of its samples.
            f" FROM {STAGED} AS staged CROSS JOIN {table(Sample)} AS pool"
            f" LEFT JOIN {table(RecordedContent)} AS content ON content.response_id = pool.id"
            " WHERE staged.request IS NOT NULL AND pool.workload_id = %s"
            " AND pool.external_id = staged.external_id AND pool.digest = staged.digest_unanswered",
            (self._workload.pk,),
        )
        joining = [
            (n,)
            for n, first, text, stored_text, message, stored in found
            if first or (text == stored_text and _decoded(message) == _decoded(stored))
        ]
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {JOINING} VALUES (%s)", joining)

    def conflicts(self) -> Generator[BadLine]:
        """Every bad line in the order of the file: unreadable ones, and ids that hold other content."""
        found = rows_of(
            "SELECT line, field, reason, NULL FROM ("
            f"SELECT line, field, reason FROM {BAD}) AS bad"
            " UNION ALL"
            " SELECT line.line, 'id', line.external_id, CASE WHEN line.fits THEN 1 ELSE 2 END"
            f" FROM ({_LINES}) AS line LEFT JOIN {PICKED} AS picked ON picked.external_id = line.external_id"
            " WHERE NOT line.fits OR picked.digest <> line.digest ORDER BY 1",
            (self._workload.pk,),
        )
        for line, field, text, where in found:
            reason = text
            if where is not None:
                reason = f"{text!r} already holds other content{' in the pool' if where == 2 else ''}"
            yield BadLine(line, field, reason)

    def size(self) -> int:
        """Distinct samples. What else fits repeats one of them."""
        return int(self._one(f"SELECT COUNT(*) FROM {PICKED}"))

    def redacted(self) -> Counter[str]:
        """Replacements by kind, in samples and in answers without a prompt."""
        counts: Counter[str] = Counter()
        rows = rows_of(
            f"SELECT redacted, COUNT(*) FROM {STAGED} WHERE redacted IS NOT NULL"
            f" AND (request IS NULL OR n IN (SELECT n FROM {PICKED})) GROUP BY redacted"
        )
        for kinds, n in rows:
            for kind, times in _decoded(kinds).items():
                counts[kind] += times * n
        return counts

    def choose(self, choice: SampleChoice) -> int:
        """How many make up the set. Raises ``Refused`` for a segment that no sample has.

        Only a choice that looks at the samples needs their ids here; else they are all, or the first in seeded order.
        """
        if not choice.looks:
            return min(self.size(), self.size() if choice.take is None else choice.take)
        places, traits = {}, {}
        found = rows_of(f"SELECT n, external_id, stratum, cluster, occurred_at, edges FROM {PICKED}")
        for n, external_id, stratum, cluster, occurred_at, edges in found:
            places[external_id] = n
            traits[external_id] = Traits(
                stratum=stratum,
                cluster=cluster or None,
                occurred_at=_instant(occurred_at),
                edges=tuple(choice.quotas[number] for number in _decoded(edges) or ()),
            )
        members = choice.members(places, traits)
        self._run(f"CREATE TEMPORARY TABLE {MEMBERS} (position integer, n integer)")
        rows = [(position, places[external_id]) for position, external_id in enumerate(members)]
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {MEMBERS} VALUES (%s, %s)", rows)
        return len(members)

    def members(self, choice: SampleChoice) -> Members:
        """Those of the set, once they are stored."""
        if choice.looks:
            return Members(f"SELECT picked.*, position FROM {MEMBERS} JOIN {PICKED} AS picked USING (n)")
        order = f"place, {text_order('external_id')}"
        most = "" if choice.take is None else f" LIMIT {int(choice.take)}"
        return Members(
            f"SELECT *, ROW_NUMBER() OVER (ORDER BY {order}) - 1 AS position FROM {PICKED} ORDER BY {order}{most}"
        )

    def store(self, *, at: datetime) -> Iterator[int]:
        """Add the new samples and answers to the pool; yields how many lines are dealt with.

        On PostgreSQL one statement a table, inside the caller's transaction; on SQLite a transaction for each slice,
        so that nobody waits long. Raises ``IntegrityError`` where another import has just stored one of the ids.
        """
        for first, last in self._slices():
            with transaction.atomic():
                self._store(first, last, at)
            yield last
        with transaction.atomic():
            self._store_late_answers()

    def _slices(self) -> Iterator[tuple[int, int]]:
        n = int(self._one(f"SELECT COALESCE(MAX(n), 0) FROM {STAGED}"))
        step = max(n, 1) if self._postgres else _SLICE
        for first in range(0, n, step):
            yield first, min(first + step, n)

    def _store(self, first: int, last: int, at: datetime) -> None:
        within = "" if self._postgres else f" AND picked.n > {first} AND picked.n <= {last}"
        if not self._postgres:
            highest = self._one(f"SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = '{_name(Sample)}'")
            self._run(
                f"UPDATE {PICKED} AS picked SET sample_id = %s + n WHERE pool_id IS NULL{within}", (highest - first,)
            )
        rows = f" FROM {PICKED} AS picked JOIN {STAGED} AS staged ON staged.n = picked.n WHERE "
        self._run(
            f"INSERT INTO {table(Sample)}"
            " (id, workload_id, external_id, digest, occurred_at, cluster, segments, replayable, captured_at)"
            " SELECT picked.sample_id, %s, staged.external_id, staged.digest, staged.occurred_at, staged.cluster,"
            f" staged.segments, %s, %s{rows}picked.pool_id IS NULL{within}",
            (self._workload.pk, True, connection.ops.adapt_datetimefield_value(at)),
        )
        self._run(
            f"INSERT INTO {table(SampleContent)} (sample_id, request, reference)"
            f" SELECT picked.sample_id, staged.request, staged.reference{rows}picked.pool_id IS NULL{within}"
        )
        self._store_answers(
            f"{rows}staged.digest_unanswered IS NOT NULL AND (picked.pool_id IS NULL OR (picked.joins AND NOT EXISTS"
            f" (SELECT 1 FROM {table(RecordedResponse)} AS known WHERE known.sample_id = picked.sample_id))){within}"
        )

    def _store_answers(self, rows: str) -> None:
        """``rows``: what to select from, as ``picked`` and ``staged``."""
        into = " (sample_id, model_name, usage, latency_ms, finish_reason)"
        values = "staged.model_name, staged.usage, staged.latency_ms, staged.finish_reason"
        # First the contents' rows are chosen: the second statement would find all of them answered already.
        self._run(f"CREATE TEMPORARY TABLE {LATE} AS SELECT picked.sample_id, staged.n{rows}")
        chosen = f" FROM {LATE} AS picked JOIN {STAGED} AS staged ON staged.n = picked.n"
        self._run(f"INSERT INTO {table(RecordedResponse)}{into} SELECT picked.sample_id, {values}{chosen}")
        self._run(
            f"INSERT INTO {table(RecordedContent)} (response_id, text, message)"
            f" SELECT picked.sample_id, staged.text, staged.message{chosen}"
        )
        self._run(f"DROP TABLE {LATE}")

    def _store_late_answers(self) -> None:
        """Of lines without a prompt: the first answer of a sample of the pool that has none."""
        theirs = (
            f"(SELECT pool.id FROM {table(Sample)} AS pool WHERE pool.workload_id = {int(self._workload.pk)}"
            " AND pool.external_id = late.external_id)"
        )
        self._store_answers(
            f" FROM (SELECT sample_id, MIN(n) AS n FROM (SELECT late.n, {theirs} AS sample_id FROM {STAGED} AS late"
            " WHERE late.request IS NULL AND late.digest_unanswered IS NOT NULL) AS found WHERE sample_id IS NOT NULL"
            f" AND NOT EXISTS (SELECT 1 FROM {table(RecordedResponse)} AS known"
            " WHERE known.sample_id = found.sample_id)"
            f" GROUP BY sample_id) AS picked JOIN {STAGED} AS staged ON staged.n = picked.n"
        )

    def forget(self) -> None:
        for name in _TABLES:
            self._run(f"DROP TABLE IF EXISTS {'pg_temp' if self._postgres else 'temp'}.{name}")

    def _run(self, sql: str, params: tuple[Any, ...] = ()) -> None:
        run_sql(sql, params)

    def _one(self, sql: str) -> Any:
        return (fetch_row(sql, ()) or (None,))[0]


@dataclass(frozen=True, slots=True)
class Members:
    """Rows of ``PICKED``, each with its ``position`` from 0."""

    sql: str

    def lines(self) -> Iterator[str]:
        """For the set's digest, in the order of their code points."""
        line = "external_id || ' ' || COALESCE(pool_digest, digest)"
        rows = rows_of(f"SELECT {line} FROM ({self.sql}) AS member ORDER BY {text_order(line)}")
        return (text for (text,) in rows)

    def all_usable(self) -> bool:
        """None is a sample whose contents are gone, or one that never had a prompt."""
        return fetch_row(f"SELECT 1 FROM ({self.sql}) AS member WHERE NOT usable LIMIT 1", ()) is None

    def insert_into(self, sample_set: SampleSet) -> None:
        run_sql(
            f"INSERT INTO {table(SampleSetMember)} (sample_set_id, sample_id, position)"
            f" SELECT %s, sample_id, position FROM ({self.sql}) AS member",
            (sample_set.pk,),
        )


# Every line with a prompt, beside the pool's sample of its id.
_LINES = (
    "SELECT staged.n, staged.line, staged.external_id, staged.digest, staged.place, staged.occurred_at,"
    " staged.cluster, staged.stratum, staged.edges, pool.id AS pool_id, pool.digest AS pool_digest,"
    " (pool.id IS NULL OR (pool.replayable AND pool.purged_at IS NULL)) AS usable, joining.n IS NOT NULL AS joins,"
    " (pool.id IS NULL OR pool.digest = staged.digest OR joining.n IS NOT NULL) AS fits"
    f" FROM {STAGED} AS staged LEFT JOIN evaluations_sample AS pool"
    " ON pool.workload_id = %s AND pool.external_id = staged.external_id"
    f" LEFT JOIN {JOINING} AS joining ON joining.n = staged.n WHERE staged.request IS NOT NULL"
)


def rows_of(sql: str, params: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """A statement's rows, some at a time; whoever does not read to the end closes it inside the transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, params or None)
        while rows := cursor.fetchmany(_FETCHED):
            yield from rows


def _name(model: type[models.Model]) -> str:
    return model._meta.db_table


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _instant(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
