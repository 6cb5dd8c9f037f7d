"""Many plain rows at a time. Public surface: ``insert_rows``, ``insert_returning``, ``update_rows``.

``bulk_create`` and ``bulk_update`` build an instance and a piece of SQL for every row, which takes two to ten times as
long. A relation is given as the primary key that it refers to. Defaults are not filled in: every column without one in
the database must be among the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

from django.db import connection, models

from evaluations.models.fields import EnumField, ExactDecimalField


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
    """The values as the database takes them; most columns take them as they are."""
    prepared = [(place, prepare) for place, name in enumerate(names) if (prepare := _preparation(model, name))]
    ready = [list(row) for row in rows]
    for row in ready:
        for place, prepare in prepared:
            row[place] = prepare(row[place])
    return ready


@cache
def _preparation(model: type[models.Model], name: str) -> Callable[[Any], Any] | None:
    """How a value of this column is made ready; None where the driver takes it as it is."""
    field: Any = model._meta.get_field(name)
    if isinstance(field, EnumField):
        # A driver would store the name of an enum's member; ``str`` is its value.
        return lambda value: None if value is None else str(value)
    if isinstance(field, models.DateTimeField):
        # A commit stamps all its rows with one instant.
        return lru_cache(maxsize=64)(lambda value: field.get_db_prep_save(value, connection))
    if isinstance(field, ExactDecimalField):
        return field.get_prep_value
    if isinstance(field, models.JSONField | models.DecimalField | models.BooleanField):
        return lambda value: field.get_db_prep_save(value, connection)
    return None
