"""Many plain rows at a time. Public surface: ``insert_rows``, ``insert_returning``, ``update_rows``.

``bulk_create`` and ``bulk_update`` build an instance and a piece of SQL for every row, which takes two to ten times as
long. A relation is given as the primary key that it refers to. Defaults are not filled in: every column without one in
the database must be among the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from django.db import connection, models


def insert_rows(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One prepared INSERT for all rows."""
    places = ", ".join(["%s"] * len(names))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {_table(model)} ({_columns(model, names)}) VALUES ({places})",  # noqa: S608 - names are ours
            _ready(model, names, rows),
        )


def insert_returning(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
    """One INSERT of all rows; their primary keys in the order of ``rows``."""
    if not rows:
        return []
    places = ", ".join(["(" + ", ".join(["%s"] * len(names)) + ")"] * len(rows))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_table(model)} ({_columns(model, names)}) VALUES {places} RETURNING id",  # noqa: S608
            [value for row in _ready(model, names, rows) for value in row],
        )
        return [int(pk) for (pk,) in cursor.fetchall()]


def update_rows(
    model: type[models.Model], names: Sequence[str], keys: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """One prepared UPDATE for all rows: the values of ``names`` and then those of ``keys``, which find the row."""
    change = ", ".join(f"{_column(model, name)} = %s" for name in names)
    found = " AND ".join(f"{_column(model, name)} = %s" for name in keys)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {_table(model)} SET {change} WHERE {found}",  # noqa: S608 - names are ours
            _ready(model, [*names, *keys], rows),
        )


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _columns(model: type[models.Model], names: Sequence[str]) -> str:
    return ", ".join(_column(model, name) for name in names)


def _column(model: type[models.Model], name: str) -> str:
    field: Any = model._meta.get_field(name)
    return connection.ops.quote_name(field.column)


def _ready(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """The values as the database takes them."""
    prepare = [_preparation(model, name) for name in names]
    return [[ready(value, connection) for ready, value in zip(prepare, row, strict=True)] for row in rows]


@cache
def _preparation(model: type[models.Model], name: str) -> Callable[[Any, Any], Any]:
    field: Any = model._meta.get_field(name)
    prepare: Callable[[Any, Any], Any] = field.get_db_prep_save
    return prepare
