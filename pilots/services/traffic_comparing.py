"""What stands in the staging table against what is on record: new, different or known. Public surface: ``Comparing``,
``Group``, ``Change``, ``Difference``.

Set-based: the number of statements is the same for one row and for a million. A source's names are read by the mapping
rules once, whatever the number of its days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from evaluations.enums import Choice
from evaluations.models import Workload
from evaluations.models.fields import of_trillionths
from evaluations.services.bulk import table
from pilots.models import TrafficDay, TrafficSource
from pilots.services.traffic_names import GatewayNames, Source, source_digest
from pilots.services.traffic_staging import ROWS, Staging, Total

_NAMES, _KNOWN = "staged_names", "staged_known"
_FEW = 5000  # keys in one question
_MANY = 5000  # rows from which on the planner is better told of them
_ENDLESS = date.max
_VALUES = ("requests", "input_tokens", "output_tokens", "errors", "cost_amount", "currency")


class Change(Choice):
    ADDED = "added", "added"
    REPLACED = "replaced", "replaced"
    UNCHANGED = "unchanged", "unchanged"


class Group(NamedTuple):
    """All days of one source that mean the same and changed alike."""

    source: Source
    workload: int | None  # primary key; None: nobody has said, as below
    before: int | None  # the workload that the days on record count for; None: there are none, or nobody has said
    model: int | None
    change: Change
    days: int
    requests: int
    first_on: date
    seq: int  # of its first row

    @property
    def workloads(self) -> frozenset[int]:
        """Those whose days change: it gets them, or had them until now."""
        return frozenset(pk for pk in (self.workload, self.before) if pk is not None)

    @property
    def whole(self) -> bool:
        return self.workload is not None and self.model is not None


class Difference(NamedTuple):
    """A day that is replaced."""

    source: Source
    workload: int | None
    day: date
    old: Total
    new: Total


_NEW, _OLD = (", ".join(f"{alias}.{name}" for name in _VALUES) for alias in ("s", "k"))
_SAME = " AND ".join(
    f"s.{name} = k.{name}" if name in ("requests", "currency") else f"COALESCE(s.{name}, -1) = COALESCE(k.{name}, -1)"
    for name in _VALUES
)
# A name that no rule explains any more means what it meant.
_JUDGED = f"""
    SELECT s.seq, s.n, m.source_id, s.day, {_NEW}, k.id AS known_id,
           COALESCE(m.workload_id, k.workload_id) AS workload_id, COALESCE(m.model_id, k.model_id) AS model_id,
           k.workload_id AS before_id,
           CASE WHEN k.id IS NULL THEN 'added'
                WHEN {_SAME} AND COALESCE(m.workload_id, k.workload_id, -1) = COALESCE(k.workload_id, -1)
                     AND COALESCE(m.model_id, k.model_id, -1) = COALESCE(k.model_id, -1) THEN 'unchanged'
                ELSE 'replaced' END AS change
    FROM {ROWS} s
    JOIN {_NAMES} m ON m.n = s.n AND s.day >= m.from_on AND s.day < m.until_on
    LEFT JOIN {_KNOWN} k ON k.source_id = m.source_id AND k.day = s.day
    WHERE s.again = 0
"""  # noqa: S608 - names are ours, here and below


class Comparing:
    """The comparison of one staging, inside its transaction."""

    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        self.sources = list(staging.sources)  # in the order of their numbers

    def contradictions(self, at_most: int) -> Iterator[tuple[int, int, int, int]]:
        """File and line of rows that say otherwise than an earlier one of the same source and day, with that one's."""
        sql = f"""
            SELECT s.file, s.line, k.file, k.line FROM {ROWS} s
            JOIN {ROWS} k ON k.n = s.n AND k.day = s.day AND k.again = 0
            WHERE s.again = 1 AND NOT ({_SAME}) ORDER BY s.seq LIMIT {at_most}
        """  # noqa: S608
        yield from _fetch(sql) if self.staging.repeated else ()

    def groups(self) -> list[Group]:
        """Everything that was staged, compared with the rows in force. Names that are new are stored."""
        self._name_sources()
        self._find_known()
        sql = f"""
            SELECT n, workload_id, before_id, model_id, change, count(*), sum(requests), min(day), min(seq)
            FROM ({_JUDGED}) j GROUP BY n, workload_id, before_id, model_id, change ORDER BY min(seq)
        """  # noqa: S608
        return [
            Group(self.sources[n], workload, before, model, Change(change), days, int(requests), _day(first_on), seq)
            for n, workload, before, model, change, days, requests, first_on, seq in _fetch(sql)
        ]

    def place(self, seq: int) -> tuple[str, int]:
        """File and line of a row."""
        [(file, line)] = _fetch(f"SELECT file, line FROM {ROWS} WHERE seq = %s", [seq])  # noqa: S608
        return self.staging.files[file], line

    def differences(self, of_each_team: int) -> list[Difference]:
        """The first days that are replaced, of each team."""
        sql = f"""
            SELECT * FROM (
                SELECT j.n, j.workload_id, j.day, {_OLD}, {", ".join(f"j.{name} AS new_{name}" for name in _VALUES)},
                       row_number() OVER (PARTITION BY w.team_id ORDER BY j.seq) AS place
                FROM ({_JUDGED}) j JOIN {_KNOWN} k ON k.id = j.known_id
                LEFT JOIN {table(Workload)} w ON w.id = j.workload_id
                WHERE j.change = 'replaced'
            ) d WHERE place <= {of_each_team} ORDER BY place
        """  # noqa: S608
        return [
            Difference(self.sources[n], workload, _day(day), _total(values[:6]), _total(values[6:12]))
            for n, workload, day, *values in _fetch(sql)
        ]

    def store(self, at: datetime, *, replaced: bool) -> None:
        """The new and different days, on record from ``at`` on. Raises ``IntegrityError`` where somebody is faster."""
        now = connection.ops.adapt_datetimefield_value(at)
        days = table(TrafficDay)
        with connection.cursor() as cursor:
            if replaced:
                cursor.execute(
                    f"UPDATE {days} SET replaced_at = %s WHERE id IN"  # noqa: S608
                    f" (SELECT known_id FROM ({_JUDGED}) j WHERE change = 'replaced')",
                    [now],
                )
            values = ", ".join(_VALUES)
            # In the order of the indexes: what lies together is written together.
            cursor.execute(
                f"INSERT INTO {days} (source_id, workload_id, day, model_id, {values}, recorded_at, replaced_at)"  # noqa: S608
                f" SELECT source_id, workload_id, day, model_id, {values}, %s, NULL FROM ({_JUDGED}) j"
                f" WHERE change <> 'unchanged' ORDER BY source_id, day",
                [now],
            )

    def drop(self) -> None:
        """The tables that were needed; a transaction that is rolled back drops them as well."""
        with connection.cursor() as cursor:
            for name in (ROWS, _NAMES, _KNOWN):
                cursor.execute(f"DROP TABLE IF EXISTS {name}")

    def _name_sources(self) -> None:
        """Which stored source each number is, and what it stands for in each of its periods."""
        digests = [source_digest(source) for source in self.sources]
        stored: dict[str, int] = {}
        for part in _slices(digests, _FEW):
            stored |= dict(TrafficSource.objects.filter(digest__in=part).values_list("digest", "pk"))
        fresh = [
            TrafficSource(**source._asdict(), digest=digest)
            for source, digest in zip(self.sources, digests, strict=True)
            if digest not in stored
        ]
        made = {row.digest: row.pk for row in TrafficSource.objects.bulk_create(fresh, batch_size=_FEW)}
        names = GatewayNames()
        rows: list[tuple[Any, ...]] = []
        for n, (source, digest) in enumerate(zip(self.sources, digests, strict=True)):
            days, mappings = names.periods(source)
            ends = [*days[1:], _ENDLESS]
            key = stored.get(digest) or made[digest]
            rows += [
                (n, key, int(digest in stored), start.isoformat(), end.isoformat(), *mapping)
                for start, end, mapping in zip(days, ends, mappings, strict=True)
            ]
        columns = "n, source_id, known, from_on, until_on, workload_id, model_id"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {_NAMES}")
            cursor.execute(
                f"CREATE TEMPORARY TABLE {_NAMES} (n integer, source_id bigint, known integer, from_on date,"
                " until_on date, workload_id bigint, model_id bigint)"
            )
            if connection.vendor == "postgresql":
                with cursor.copy(f"COPY {_NAMES} ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                cursor.executemany(f"INSERT INTO {_NAMES} VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)  # noqa: S608
                cursor.execute(f"CREATE INDEX {_NAMES}_n ON {_NAMES} (n)")

    def _find_known(self) -> None:
        """The rows in force of these sources and days; sources that are new have none."""
        self._told(_NAMES, ROWS)
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {_KNOWN}")
            # A statement that makes a table takes no parameters everywhere.
            first_on, last_on = self.staging.first_on or date.min, self.staging.last_on or date.min
            cursor.execute(
                f"CREATE TEMPORARY TABLE {_KNOWN} AS"  # noqa: S608
                f" SELECT k.id, k.source_id, k.day, k.workload_id, k.model_id, {_OLD}"
                f" FROM (SELECT DISTINCT n, source_id FROM {_NAMES} WHERE known = 1) m JOIN {ROWS} s ON s.n = m.n"
                f" JOIN {table(TrafficDay)} k ON k.source_id = m.source_id AND k.day = s.day AND k.replaced_at IS NULL"
                f" AND k.day >= '{first_on.isoformat()}' AND k.day <= '{last_on.isoformat()}' WHERE s.again = 0"
            )
            if connection.vendor != "postgresql":
                cursor.execute(f"CREATE INDEX {_KNOWN}_day ON {_KNOWN} (source_id, day)")
        self._told(_KNOWN)

    def _told(self, *names: str) -> None:
        """PostgreSQL knows nothing of tables that were just made."""
        if connection.vendor == "postgresql" and self.staging.rows >= _MANY:
            with connection.cursor() as cursor:
                cursor.execute(f"ANALYZE {', '.join(names)}")


def _fetch(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _day(value: date | str) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _total(values: Sequence[Any]) -> Total:
    requests, input_tokens, output_tokens, errors, cost, currency = values
    return Total(
        requests, input_tokens, output_tokens, errors, None if cost is None else of_trillionths(cost), currency
    )


T = TypeVar("T")


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
