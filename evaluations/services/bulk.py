"""Many plain rows at a time, and single statements of a hot path.

Public surface: ``insert_rows``, ``insert_beside``, ``update_rows``, ``run_sql``, ``fetch_row``, ``at_once``,
``takes_many_at_once``, ``expect_row``, ``recount``, ``table``, ``large_transaction``.

``bulk_create`` and ``bulk_update`` build an instance and a piece of SQL for every row, which takes two to ten times as
long. Here a few texts of a statement serve every number of rows: PostgreSQL takes them as one JSON document, SQLite in
slices whose sizes are powers of two. (The driver would also run it row by row, and let another thread in at each.) A
relation is given as the primary key that it refers to. Defaults are not filled in: every column without one in the
database must be among the names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache, partial
from typing import Any

import msgspec
from django.db import connection, models

from evaluations.models.fields import EnumField, ExactDecimalField

Names = tuple[str, ...]
Row = Sequence[Any]


def insert_rows(
    model: type[models.Model], names: Names, rows: Iterable[Row], *, ignore_conflicts: bool = False
) -> None:
    """One INSERT for all rows; ``ignore_conflicts`` leaves out those that exist."""
    _run(partial(_insert, model, names, ignore_conflicts), rows)


def insert_beside(
    model: type[models.Model], names: Names, parent: type[models.Model], keys: Names, rows: Iterable[Row]
) -> None:
    """One INSERT for all rows, each with its ``parent``'s primary key first: the one that ``keys`` find.

    A row holds the values of ``names[1:]`` and then those of ``keys``.
    """
    _run(partial(_insert_beside, model, names, parent, keys), rows)


def update_rows(model: type[models.Model], names: Names, keys: Names, rows: Iterable[Row]) -> None:
    """One UPDATE for all rows: the values of ``names`` and then those of ``keys``, which find the row."""
    _run(partial(_update, model, names, keys), rows)


@contextmanager
def at_once() -> Iterator[None]:
    """On PostgreSQL the changes inside go out together, at the end: one way there and back.

    What is read inside sees none of them. Outside of a transaction they are one of their own.
    """
    if _waiting.get() is not None or not takes_many_at_once():
        yield
        return
    waiting: list[tuple[str, Row]] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    if waiting:
        with connection.cursor() as cursor:
            cursor.execute("; ".join(sql for sql, _ in waiting), [value for _, params in waiting for value in params])


def takes_many_at_once() -> bool:
    """Whether this database takes many statements as one text."""
    return connection.vendor == "postgresql" and not connection.settings_dict["OPTIONS"].get("server_side_binding")


def expect_row(sql: str, params: Row) -> None:
    """Of the changes that go out ``at_once``: a statement ending in RETURNING, or in a SELECT that locks, that finds at
    least one row. Where it finds none, none of the changes is made, and ``at_once`` ends in a ``DataError``.
    """
    # The division is what says no: SQL has no other way that needs no function of its own.
    run_sql(f"WITH found AS ({sql}) SELECT 1 / LEAST(count(*), 1) FROM found", params)  # noqa: S608 - ours


_waiting: ContextVar[list[tuple[str, Row]] | None] = ContextVar("waiting", default=None)


def run_sql(sql: str, params: Row) -> int:
    """A statement that the ORM would take longer to write than the database to run; returns the rows changed, 0 where
    they are changed ``at_once`` with others.
    """
    if (waiting := _waiting.get()) is not None:
        waiting.append((sql, params))
        return 0
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def fetch_row(sql: str, params: Row) -> tuple[Any, ...] | None:
    """The first row of such a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def recount(*tables: type[models.Model]) -> None:
    """Have PostgreSQL look at the tables: it plans by its last look, which knows nothing of a run's fresh rows."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {', '.join(map(table, tables))}")


def large_transaction() -> None:
    """For the transaction at hand, of a long import: PostgreSQL sorts in memory, and waits while a file is read.

    The connection's own limit (``conf.POSTGRES_OPTIONS``) is for the short commits of a replay.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL idle_in_transaction_session_timeout = '5min'")


def table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


_Fields = tuple[Any, ...]
_MOST_VALUES = 900  # in one statement: older builds of SQLite take no more


@cache
def _insert(model: type[models.Model], names: Names, ignore_conflicts: bool, n: int) -> tuple[str, _Fields]:
    fields = _fields(model, names)
    # SQLite would take ON for that of a join, were there no WHERE before it.
    end = " WHERE true ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    into = f"INSERT INTO {table(model)} ({_columns(fields)})"
    return f"{into} SELECT * FROM {_given(fields, n)}{end}", fields  # noqa: S608 - names are ours


@cache
def _insert_beside(
    model: type[models.Model], names: Names, parent: type[models.Model], keys: Names, n: int
) -> tuple[str, _Fields]:
    own, found = _fields(model, names), _fields(parent, keys)
    fields = (*own[1:], *found)
    values = ", ".join(f"given.column{place}" for place in range(1, len(own)))
    chosen = f"{_given(fields, n)} JOIN {table(parent)} AS parent ON {_matches('parent', found, start=len(own))}"
    return f"INSERT INTO {table(model)} ({_columns(own)}) SELECT parent.id, {values} FROM {chosen}", fields  # noqa: S608


@cache
def _update(model: type[models.Model], names: Names, keys: Names, n: int) -> tuple[str, _Fields]:
    changed, found = _fields(model, names), _fields(model, keys)
    fields = (*changed, *found)
    change = ", ".join(f"{_name(field)} = given.column{place}" for place, field in enumerate(changed, start=1))
    chosen = f"{_given(fields, n)} WHERE {_matches('kept', found, start=len(changed) + 1)}"
    return f"UPDATE {table(model)} AS kept SET {change} FROM {chosen}", fields  # noqa: S608 - names are ours


def _fields(model: type[models.Model], names: Names) -> _Fields:
    return tuple(model._meta.get_field(name) for name in names)


def _name(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _columns(fields: Iterable[Any]) -> str:
    return ", ".join(map(_name, fields))


def _matches(alias: str, fields: Iterable[Any], *, start: int) -> str:
    return " AND ".join(f"{alias}.{_name(field)} = given.column{place}" for place, field in enumerate(fields, start))


def _given(fields: _Fields, n: int) -> str:
    """What to select from: the rows' values as ``column1``, ``column2``, ..."""
    if connection.vendor == "postgresql":
        columns = ", ".join(f"column{place} {field.db_type(connection)}" for place, field in enumerate(fields, start=1))
        return f"json_to_recordset(%s::json) AS given({columns})"
    row = f"({', '.join('?' * len(fields))})"
    return f"(VALUES {', '.join([row] * n)}) AS given"


def _run(statement: Callable[[int], tuple[str, _Fields]], rows: Iterable[Row]) -> None:
    sql, fields = statement(1)
    ready = _ready(fields, rows)
    if not ready:
        return
    if connection.vendor == "postgresql":
        names = [f"column{place}" for place in range(1, len(fields) + 1)]
        document = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in ready])
        run_sql(sql, (document.decode(),))
        return
    with connection.cursor() as cursor:
        start, most = 0, _MOST_VALUES // len(fields)
        while start < len(ready):
            n = 1 << (min(len(ready) - start, most).bit_length() - 1)
            values = [value for row in ready[start : start + n] for value in row]
            with connection.wrap_database_errors:
                # Past Django's cursor, which would look for placeholders in the whole text each time.
                sqlite3.Cursor.execute(cursor.cursor, statement(n)[0], values)
            start += n


def _ready(fields: _Fields, rows: Iterable[Row]) -> list[list[Any]]:
    """The values as the database takes them; most columns take them as they are."""
    prepared = _preparations(fields)
    ready = [list(row) for row in rows]
    for place, prepare in prepared:
        for row in ready:
            row[place] = prepare(row[place])
    return ready


@cache
def _preparations(fields: _Fields) -> list[tuple[int, Callable[[Any], Any]]]:
    found = ((place, _preparation(field)) for place, field in enumerate(fields))
    return [(place, prepare) for place, prepare in found if prepare is not None]


def _preparation(field: Any) -> Callable[[Any], Any] | None:
    """How a value of this column is made ready; None where the driver takes it as it is."""
    if isinstance(field, ExactDecimalField):
        return field.get_prep_value
    if connection.vendor == "postgresql":
        return None  # JSON has a form for everything else
    if isinstance(field, EnumField):
        # The driver would store the name of an enum's member; ``str`` is its value.
        return lambda value: None if value is None else str(value)
    if isinstance(field, models.DateTimeField):
        # A commit stamps all its rows with one instant.
        return lru_cache(maxsize=64)(lambda value: field.get_db_prep_save(value, connection))
    if isinstance(field, models.JSONField):
        return lambda value: None if value is None else msgspec.json.encode(value).decode()
    if isinstance(field, models.DecimalField | models.BooleanField | models.DateField):
        return lambda value: field.get_db_prep_save(value, connection)
    return None
