"""Signs of life. Public surface: ``beat``."""

from __future__ import annotations

from datetime import datetime

from evaluations.enums import Beat
from evaluations.models import Heartbeat


def beat(name: Beat, *, at: datetime) -> None:
    Heartbeat.objects.bulk_create(
        [Heartbeat(name=name, at=at)], update_conflicts=True, unique_fields=["name"], update_fields=["at"]
    )
