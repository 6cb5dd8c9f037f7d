"""Usage on its way into the database: read once, kept in a table of the transaction, compared and stored there.

Public surface: ``Staging``, ``Problem``, ``Total``. Memory does not grow with the file: here are only the names in it
and a bit for each day of each of them. What stands in the table is judged by ``traffic_comparing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from django.db import connection

from evaluations.capture.base import BadLine
from evaluations.capture.usage import UsageRow
from evaluations.models.fields import PLACES
from pilots.services.traffic_names import Source

ROWS = "staged_traffic"
_COLUMNS = (
    "seq", "file", "line", "again", "n", "day", "requests", "input_tokens", "output_tokens", "errors", "cost_amount",
    "currency",
)  # fmt: skip
_MOST_STORED = 2**63 - 1
_AT_ONCE = 2000  # rows handed over together


class Total(NamedTuple):
    """Usage of one source on one day; None: not said, or not of every answered call."""

    requests: int
    input_tokens: int | None
    output_tokens: int | None
    errors: int | None
    cost: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that breaks a rule."""

    file: str
    line: int
    field: str  # '': the row as a whole
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}: {self.field}{': ' if self.field else ''}{self.reason}"


class _Day(NamedTuple):
    text: str
    bit: int


class _Sink(Protocol):
    def __call__(self, rows: list[Any]) -> None: ...


class Staging:
    """What files say, each day of each source once. To be used inside a transaction, which keeps the table."""

    def __init__(self, today: date, most_problems: int) -> None:
        self.sources: dict[Source, int] = {}  # their numbers, in order of appearance
        self.files: list[str] = []
        self.problems: list[Problem] = []
        self.first_on: date | None = None  # None: nothing came, as below
        self.last_on: date | None = None
        self.repeated = False  # whether a source's day came more than once
        self.rows = 0
        self._today, self._most = today, most_problems
        self._days: dict[date, _Day] = {}
        self._seen: list[int] = []  # by source, a bit for each day
        self._calls: set[int] = set()  # that were counted
        self._sums: dict[Source, dict[date, UsageRow]] = {}
        self._as_text = connection.vendor == "postgresql"

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Inside, ``take`` may be called; after it the table is complete, unless there are problems."""
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {ROWS}")
            cursor.execute(
                f"CREATE TEMPORARY TABLE {ROWS} (seq bigint, file integer, line bigint, again integer, n integer,"
                " day date, requests bigint, input_tokens bigint, output_tokens bigint, errors bigint,"
                " cost_amount bigint, currency varchar(3))"
            )
            if self._as_text:
                # One copy for all: the server stores while the next rows are read.
                with cursor.copy(f"COPY {ROWS} ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
                    # Numbers, dates and a code of three letters: nothing in here needs an escape.
                    self._sink: _Sink = lambda rows: copy.write("".join(rows).replace("None", "\\N"))
                    yield
                    self._finish()
            else:
                insert = f"INSERT INTO {ROWS} VALUES ({', '.join(['%s'] * len(_COLUMNS))})"  # noqa: S608
                self._sink = lambda rows: cursor.executemany(insert, rows)
                yield
                self._finish()

    def take(self, file: str, rows: Iterable[UsageRow | BadLine], *, calls: bool) -> None:
        """Rows of a file, in its order. With ``calls`` they are added up by day until all files are read."""
        self.files.append(file)
        good = self._good(file, rows)
        if calls:
            for row in good:
                self._add(row)
        else:
            self._keep(good, len(self.files) - 1)

    def _good(self, file: str, rows: Iterable[UsageRow | BadLine]) -> Iterator[UsageRow]:
        """Until there are as many problems as are wanted."""
        today = self._today
        for row in rows:
            if type(row) is UsageRow:
                if row[4] <= today:  # its day
                    yield row
                    continue
                self.problem(file, row.line, "day", f"{row.day} lies in the future")
            elif isinstance(row, BadLine):
                self.problem(file, row.line, row.field, row.reason)
            if len(self.problems) >= self._most:
                return

    def problem(self, file: str, line: int, field: str, reason: str) -> None:
        self.problems.append(Problem(file, line, field, reason))

    def _keep(self, rows: Iterable[UsageRow], file: int) -> None:
        """A loop that runs a million times: nothing is looked up in it twice."""
        sources, days, seen, as_text = self.sources, self._days, self._seen, self._as_text
        ready: list[Any] = []
        seq = self.rows
        for line, alias, tags, wire_name, day, requests, inputs, outputs, errors, cost, currency, _ in rows:
            named = (alias, tags, wire_name)
            # A plain tuple finds the named one that is equal to it.
            n = sources.get(named)  # type: ignore[call-overload]
            if n is None:
                n = sources[Source(*named)] = len(seen)
                seen.append(0)
            known = days.get(day)
            if known is None:
                known = days[day] = self._new_day(day)
            text, bit = known
            again = 1 if seen[n] & bit else 0
            seen[n] |= bit
            if again:
                self.repeated = True
            amount = None
            # A day of failed calls alone has a sum of no money in no currency.
            if cost is not None and currency:
                amount = int(cost.scaleb(PLACES))
                if amount > _MOST_STORED:
                    self.problem(self.files[file], line, "cost", f"{cost} is more than is kept")
                    continue
            seq += 1
            ready.append(
                f"{seq}\t{file}\t{line}\t{again}\t{n}\t{text}\t{requests}\t{inputs}\t{outputs}\t{errors}\t{amount}\t{currency}\n"
                if as_text
                else (seq, file, line, again, n, text, requests, inputs, outputs, errors, amount, currency)
            )
            if len(ready) == _AT_ONCE:
                self._sink(ready)
                ready = []
        self.rows = seq
        if ready:
            self._sink(ready)

    def _new_day(self, day: date) -> _Day:
        self.first_on = day if self.first_on is None else min(self.first_on, day)
        self.last_on = day if self.last_on is None else max(self.last_on, day)
        return _Day(day.isoformat(), 1 << len(self._days))

    def _add(self, row: UsageRow) -> None:
        if row.call:
            call = hash(row.call)
            if call in self._calls:
                return
            self._calls.add(call)
        if row.errors:
            # A failed call that says nothing of tokens or money has used none, as far as any log can tell.
            row = row._replace(
                input_tokens=row.input_tokens or 0, output_tokens=row.output_tokens or 0, cost=row.cost or Decimal(0)
            )
        of_source = self._sums.setdefault(Source(*row[1:4]), {})
        old = of_source.get(row.day)
        of_source[row.day] = row if old is None else _sum(old, row)

    def _finish(self) -> None:
        self._keep((row for days in self._sums.values() for row in days.values()), 0)
        self._sums = {}


def _sum(old: UsageRow, new: UsageRow) -> UsageRow:
    """What no answered call left unsaid stays said."""
    return old._replace(
        requests=old.requests + new.requests,
        input_tokens=_plus(old.input_tokens, new.input_tokens),
        output_tokens=_plus(old.output_tokens, new.output_tokens),
        errors=_plus(old.errors, new.errors),
        cost=None if old.cost is None or new.cost is None else old.cost + new.cost,
        currency=old.currency or new.currency,
    )


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
