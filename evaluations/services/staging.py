"""A file's readable lines in a temporary table of the database, before any of them is stored.

Public surface: ``Staging``, ``STAGED``, ``BAD``, ``text_order``.

The table is this connection's own and goes with it; what lies there is redacted already. PostgreSQL takes the rows by
COPY in its binary form, which costs it half the work of text; SQLite by one prepared statement. Memory holds no more
than one buffer, however long the file.
"""

# ruff: noqa: S608 - the statements are made of names of ours
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from struct import Struct
from types import TracebackType
from typing import Any

import msgspec
from django.db import DatabaseError, connection

from evaluations.capture.base import BadLine, CapturedSample
from evaluations.services.sample_choice import SampleChoice
from evaluations.services.sample_file import Row

STAGED, BAD = "staged_sample", "staged_bad_line"
MODEL_NAME, FINISH_REASON = 200, 60  # characters kept
_AT_ONCE = 5_000  # rows in one COPY or one statement
# What each column is on PostgreSQL; SQLite takes it all.
_COLUMNS = {
    "n": "integer",  # the row's place among the readable ones: a line may hold several
    "line": "integer",
    "external_id": "text",
    "digest": "text",
    "digest_unanswered": "text",  # what it would be without the answer; None: there is no answer
    "place": "bytea",  # where the seeded order has it
    "occurred_at": "timestamptz",
    "cluster": "text",
    "segments": "jsonb",
    "request": "jsonb",  # None: the log held no prompt
    "reference": "jsonb",
    "model_name": "text",
    "usage": "jsonb",
    "latency_ms": "float8",
    "finish_reason": "text",
    "text": "text",
    "message": "jsonb",
    "redacted": "text",  # replacements by kind as JSON; None: nothing was
    "stratum": "text",  # this and the last: only where the choice looks at them
    "edges": "text",  # the numbers of the quotas that it serves, as JSON
}
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode
_length = Struct("!i").pack
_integer, _microseconds, _real = Struct("!ii").pack, Struct("!iq").pack, Struct("!id").pack
_NULL = _length(-1)
_FIELDS = Struct("!h").pack(len(_COLUMNS))
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_LENGTHS = [_length(n) for n in range(4096)]  # most are short


def text_order(expression: str) -> str:
    """An order by code point, whatever the database's own: it is Python's, and faster."""
    return f'{expression} COLLATE "C"' if connection.vendor == "postgresql" else expression


class Staging:
    """Rows and bad lines on their way; a context manager, after which nothing of them is left."""

    def __init__(self, choice: SampleChoice) -> None:
        self.n = 0  # rows
        self.answers = 0  # of these without a prompt
        self.bad = 0  # lines
        self._choice = choice
        self._secret = str(choice.seed).encode()
        self._rows: list[Any] = []
        self._bad: list[tuple[int, str, str]] = []
        self._postgres = connection.vendor == "postgresql"
        # Temporary tables are in memory else, which is faster for small ones; in a transaction this cannot be changed.
        self._on_disk = not self._postgres and not connection.in_atomic_block

    def add(self, row: Row) -> None:
        sample = row.sample
        self.n += 1
        self.answers += sample.request is None
        self._rows.append(self._packed(row) if self._postgres else self._plain(row))
        if len(self._rows) == _AT_ONCE:
            self._write_rows()

    def reject(self, bad: BadLine) -> None:
        self.bad += 1
        self._bad.append((bad.line, bad.field, bad.reason))
        if len(self._bad) == _AT_ONCE:
            self._write_bad()

    def end(self) -> None:
        """Everything is there now."""
        self._write_rows()
        self._write_bad()
        if self._postgres:
            with connection.cursor() as cursor:
                cursor.execute(f"ANALYZE {STAGED} (n, external_id, digest)")  # it plans by what it knows

    def __enter__(self) -> Staging:
        with connection.cursor() as cursor:
            self._drop(cursor)
            if self._on_disk:
                cursor.execute("PRAGMA temp_store = FILE")
            if self._postgres:
                columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
            else:
                columns = ", ".join("n INTEGER PRIMARY KEY" if name == "n" else name for name in _COLUMNS)
            cursor.execute(f"CREATE TEMPORARY TABLE {STAGED} ({columns})")
            cursor.execute(f"CREATE TEMPORARY TABLE {BAD} (line integer, field text, reason text)")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A transaction that has failed takes them back itself; a lost connection has lost them.
        with suppress(DatabaseError), connection.cursor() as cursor:
            self._drop(cursor)
            if self._on_disk:
                cursor.execute("PRAGMA temp_store = MEMORY")

    def _drop(self, cursor: Any) -> None:
        for name in (STAGED, BAD):
            cursor.execute(f"DROP TABLE IF EXISTS {'pg_temp' if self._postgres else 'temp'}.{name}")

    def _write_rows(self) -> None:
        if not self._rows:
            return
        if self._postgres:
            with connection.cursor() as cursor, cursor.copy(f"COPY {STAGED} FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(b"".join((_SIGNATURE, *self._rows, b"\xff\xff")))
        else:
            marks = ", ".join(["%s"] * len(_COLUMNS))
            with _together() as cursor:
                cursor.executemany(f"INSERT INTO temp.{STAGED} VALUES ({marks})", self._rows)
        self._rows.clear()

    def _write_bad(self) -> None:
        if self._bad:
            with _together() as cursor:
                cursor.executemany(f"INSERT INTO {BAD} VALUES (%s, %s, %s)", self._bad)
            self._bad.clear()

    def _place(self, external_id: str) -> bytes:
        """As ``capture.sampling.seeded_order`` has it."""
        return blake2b(external_id.encode(), digest_size=16, key=self._secret).digest()

    def _looked_at(self, sample: CapturedSample) -> tuple[str | None, str | None]:
        if not self._choice.looks:
            return None, None
        traits = self._choice.traits(sample)
        edges = [self._choice.quotas.index(quota) for quota in traits.edges]
        return traits.stratum, _encode(edges).decode() if edges else None

    def _plain(self, row: Row) -> tuple[Any, ...]:
        sample, response = row.sample, row.sample.response
        recorded: tuple[Any, ...] = (None,) * 6
        if response is not None:
            recorded = (
                (response.model or "")[:MODEL_NAME],
                _json(response.usage.raw),
                response.latency_ms,
                (response.finish_reason or "")[:FINISH_REASON],
                response.text,
                _json(response.message),
            )
        occurred_at = sample.occurred_at
        return (
            self.n,
            sample.line,
            row.external_id,
            row.digest,
            row.digest_unanswered,
            self._place(row.external_id),
            None if occurred_at is None else connection.ops.adapt_datetimefield_value(occurred_at),
            sample.cluster or "",
            _json(sample.segments),
            _json(sample.request),
            _json(sample.reference),
            *recorded,
            _json(row.redacted or None),
            *self._looked_at(sample),
        )

    def _packed(self, row: Row) -> bytes:
        sample, response = row.sample, row.sample.response
        stratum, edges = self._looked_at(sample)
        occurred_at = sample.occurred_at
        place = self._place(row.external_id)
        recorded: Sequence[bytes] = (_NULL,) * 6
        if response is not None:
            latency_ms = response.latency_ms
            recorded = (
                _text((response.model or "")[:MODEL_NAME]),
                _jsonb(response.usage.raw),
                _NULL if latency_ms is None else _real(8, latency_ms),
                _text((response.finish_reason or "")[:FINISH_REASON]),
                _text(response.text),
                _jsonb(response.message),
            )
        return b"".join(
            (
                _FIELDS,
                _integer(4, self.n),
                _integer(4, sample.line),
                _text(row.external_id),
                _text(row.digest),
                _text(row.digest_unanswered),
                _LENGTHS[16],
                place,
                _NULL if occurred_at is None else _microseconds(8, _since_2000(occurred_at)),
                _text(sample.cluster or ""),
                _jsonb(sample.segments),
                _jsonb(sample.request),
                _jsonb(sample.reference),
                *recorded,
                _NULL if not row.redacted else _text(_encode(row.redacted).decode()),
                _text(stratum),
                _text(edges),
            )
        )


def _json(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()


def _text(text: str | None) -> bytes:
    if text is None:
        return _NULL
    raw = text.encode()
    return (_LENGTHS[len(raw)] if len(raw) < 4096 else _length(len(raw))) + raw


def _jsonb(value: Any) -> bytes:
    if value is None:
        return _NULL
    raw = _encode(value)
    return b"%b\x01%b" % (_LENGTHS[len(raw) + 1] if len(raw) < 4095 else _length(len(raw) + 1), raw)


def _since_2000(moment: datetime) -> int:
    """Microseconds."""
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


@contextmanager
def _together() -> Iterator[Any]:
    """One transaction for many rows of a temporary table: it takes no lock that another writer of SQLite waits for."""
    with connection.cursor() as cursor:
        alone = connection.vendor == "sqlite" and not connection.in_atomic_block
        if alone:
            cursor.execute("BEGIN")
        try:
            yield cursor
        except BaseException:
            if alone:
                cursor.execute("ROLLBACK")
            raise
        if alone:
            cursor.execute("COMMIT")
