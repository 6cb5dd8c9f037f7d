"""Signs of life. Public surface: ``beat``, ``SCHEDULER``, ``SWEEP``."""

from __future__ import annotations

from datetime import datetime

from evaluations.models import Heartbeat

SCHEDULER = "scheduler"  # the scheduler sent the sweep to the broker
SWEEP = "sweep"  # a worker did the sweep


def beat(name: str, *, at: datetime) -> None:
    Heartbeat.objects.bulk_create(
        [Heartbeat(name=name, at=at)], update_conflicts=True, unique_fields=["name"], update_fields=["at"]
    )
