"""Many plain rows at a time. Public surface: ``insert_rows``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models


def insert_rows(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One prepared INSERT for all rows; a relation is given as the primary key that it refers to.

    ``bulk_create`` builds an instance and a piece of SQL for every row, which takes twice as long. Defaults are not
    filled in: every column without one in the database must be among ``names``.
    """
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    quoted = connection.ops.quote_name
    columns = ", ".join(quoted(field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    prepare = [field.get_db_prep_save for field in fields]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {quoted(model._meta.db_table)} ({columns}) VALUES ({places})",  # noqa: S608 - names are ours
            [[ready(value, connection) for ready, value in zip(prepare, row, strict=True)] for row in rows],
        )
