"""Triggers that make a table append-only. Public surface: ``forbid_changes`` (for migrations), ``lift``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import migrations
from django.db.backends.base.base import BaseDatabaseWrapper


def _create(connection: BaseDatabaseWrapper, table: str) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME"
                " USING ERRCODE = 'integrity_constraint_violation'; END $$"
            )
            cursor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
        elif connection.vendor == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                cursor.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
                    f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )


def _drop(connection: BaseDatabaseWrapper, table: str) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
        elif connection.vendor == "sqlite":
            for verb in ("update", "delete"):
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")


def forbid_changes(table: str) -> list[migrations.RunPython]:
    """Migration operations: from here on the database refuses UPDATE and DELETE on ``table``."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        _create(schema_editor.connection, table)

    def backwards(apps: Any, schema_editor: Any) -> None:
        _drop(schema_editor.connection, table)

    return [migrations.RunPython(forwards, backwards)]


@contextmanager
def lift(connection: BaseDatabaseWrapper, *tables: str) -> Iterator[None]:
    """Without the triggers for a moment: test teardown empties tables with DELETE on SQLite."""
    for table in tables:
        _drop(connection, table)
    try:
        yield
    finally:
        for table in tables:
            _create(connection, table)
