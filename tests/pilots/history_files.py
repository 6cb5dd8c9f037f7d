"""History files for tests: rows with the columns of the public interface."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

COLUMNS = (
    "team",
    "workload",
    "pilot",
    "incumbent",
    "candidate",
    "event",
    "occurred_at",
    "traffic_share",
    "reason",
    "to_model",
    "attachment",
    "note",
    "observed_from",
)


def write_history(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A CSV file; columns that a row does not name are empty."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def on_day(number: int, start: date = date(2026, 1, 1)) -> str:
    """The date ``number`` days after the start."""
    return (start + timedelta(days=number)).isoformat()
