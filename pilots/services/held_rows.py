"""Long work on one row that was claimed by lease. Public surface: ``held``, ``BrokenOff``, ``Clock``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connections
from django.db.models import QuerySet

from evaluations.services.leases import lease_until
from evaluations.services.work import Stop

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

_BEAT_SECONDS = 1.0  # so old the progress may be that a page shows


class BrokenOff(Exception):
    """The worker is told to stop, or the lease is lost: not this worker's row any more."""


@contextmanager
def held(
    ours: QuerySet[Any], *, name: str, told: Mapping[str, object], clock: Clock, stopping: Stop
) -> Iterator[Callable[[], None]]:
    """Keep the lease of the row, and what is ``told`` of the progress in its columns, from a thread beside: some steps
    take long and tell nothing.

    ``ours`` finds the row for as long as the lease is ours. Yields what the work calls now and then; it raises
    ``BrokenOff`` where the work is to end.
    """
    lost, over = threading.Event(), threading.Event()

    def go_on() -> None:
        if lost.is_set() or stopping():
            raise BrokenOff

    def beat() -> None:
        try:
            while not over.wait(_BEAT_SECONDS):
                try:
                    if not ours.update(lease_expires_at=lease_until(clock()), **told):
                        lost.set()
                        return
                except DatabaseError:
                    logger.warning("%s: its lease could not be renewed now", name)
        finally:
            connections.close_all()

    thread = threading.Thread(target=beat, name=name, daemon=True)
    thread.start()
    try:
        yield go_on
    finally:
        over.set()
        thread.join()
