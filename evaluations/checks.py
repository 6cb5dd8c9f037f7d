"""System checks of the engine."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection


@register(Tags.database)
def sqlite_is_tuned(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """On SQLite, deferred transactions fail under two writers whatever the timeout."""
    if connection.vendor != "sqlite":
        return []
    if connection.settings_dict.get("OPTIONS", {}).get("transaction_mode") == "IMMEDIATE":
        return []
    return [
        Error(
            "SQLite must run with transaction_mode IMMEDIATE.",
            hint="Set DATABASES['default']['OPTIONS'] = evaluations.conf.SQLITE_OPTIONS.",
            id="evaluations.E001",
        )
    ]
