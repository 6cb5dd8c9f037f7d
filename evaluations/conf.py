"""Settings of the engine with their defaults, and the measured settings of the embedded default.

Public surface: ``setting``, ``data_dir``, ``SQLITE_OPTIONS``, ``POSTGRES_OPTIONS``, ``embedded_broker``,
``celery_defaults``, ``QUEUES``.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from evaluations.file_broker import SCHEME, register

DEFAULTS: dict[str, Any] = {
    # Cap of a replay whose plan and starter name none.
    "DEFAULT_BUDGET": (Decimal("25"), "USD"),
    # A lost worker's work runs again this long after it last renewed its lease, plus one sweep.
    "LEASE_SECONDS": 15,
    "SWEEP_SECONDS": 5,
    # Calls in one chunk: at the most this many, and about 20 s of work at the endpoint's pace.
    "CHUNK_MAX_CALLS": 2000,
    "CHUNK_DEFAULT_CALLS": 500,
    # Attempts for one sample and arm before its failure is final; rate-limit waits do not count.
    "MAX_ATTEMPTS": 4,
    # Calls for one sample that may be lost with the worker that sent them: the sample may be what took it down.
    "MAX_LOST_CALLS": 3,
    "RATE_LIMIT_PATIENCE_SECONDS": 600,
    # A vendor that does not answer is left alone, and one whose quota or credit is used up: one call each so often.
    "PROBE_SECONDS": 10,
    "QUOTA_PAUSE_SECONDS": 3600,
    # With less room on the disk of the database's file, runs pause.
    "MIN_FREE_MB": 100,
    # In-flight calls get this long to end when a worker is told to stop.
    "DRAIN_SECONDS": 15,
    # Output limit, in tokens, of a call where neither request nor endpoint names one: sent, and reserved.
    "DEFAULT_OUTPUT_LIMIT": 4096,
    # Days that prompts and answers are kept after their capture, where the team's data agreement names none. 0: until
    # somebody purges them.
    "CONTENT_DAYS": 0,
    # What leaves captured samples beside the kinds that are always looked for: phone numbers without a country code
    # of this region (ISO 3166), regular expressions by kind, and the names of people in a file, one a line.
    "REDACT_REGION": "",
    "REDACT_PATTERNS": {},
    "REDACT_NAMES_FILE": "",
}


def setting(name: str) -> Any:
    """``settings.PILOTS_<name>`` if the host sets it, else the default above; ``KeyError`` for an unknown name."""
    from django.conf import settings

    return getattr(settings, f"PILOTS_{name}", DEFAULTS[name])


def data_dir() -> Path:
    """``settings.PILOTS_DATA_DIR``, else ``var`` below the working directory: broker files, exports, rejected lines."""
    from django.conf import settings

    return Path(getattr(settings, "PILOTS_DATA_DIR", "var")).absolute()


# WAL and IMMEDIATE: DEFERRED (Django's default) fails at once on a read-to-write upgrade, whatever the timeout.
SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=67108864;"
        " PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32000; PRAGMA foreign_keys=ON;"
    ),
}


# A worker that stops in the middle of a commit holds the run's row for a third of a lease at the most: the others
# wait for it, and would overrun their own.
POSTGRES_OPTIONS: dict[str, Any] = {"options": "-c idle_in_transaction_session_timeout=5000"}


def embedded_broker(folder: Path) -> tuple[str, dict[str, Any]]:
    """URL and transport options of a broker that needs no server: files in ``folder``.

    It may lose a message; that costs at most one sweep, because the database row is the truth.
    """
    queue = folder / "queue"
    control = folder / "control"
    for path in (queue, control):
        path.mkdir(parents=True, exist_ok=True)
    register()
    return f"{SCHEME}://localhost", {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(control),
        "polling_interval": 0.05,
    }


# A connection that died unheard is noticed within seconds. A message that a killed worker took comes back after the
# visibility timeout and one restore interval, not ten; until then the sweep has sent another.
REDIS_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": 5,
    "socket_timeout": 10,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "visibility_timeout": 900,
    "unacked_restore_throttle": 1,
}


def celery_defaults() -> dict[str, Any]:
    """For a Celery app that serves this engine alone. What the tasks rely on under any app is set on the tasks.

    Without what the CELERY_* settings name: Celery would put its defaults above them.
    """
    from django.conf import settings

    # Celery takes the address from its environment variable before the setting.
    broker = os.environ.get("CELERY_BROKER_URL") or getattr(settings, "CELERY_BROKER_URL", None) or ""
    is_redis = str(broker).partition("://")[0] in ("redis", "rediss", "sentinel")
    defaults = {
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_default_queue": "default",
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": REDIS_OPTIONS if is_redis else {},
        "worker_hijack_root_logger": False,
    }
    return {name: value for name, value in defaults.items() if not hasattr(settings, f"CELERY_{name.upper()}")}


QUEUES = ("replay", "scoring", "export", "default")
