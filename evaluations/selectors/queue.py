"""The work that is left, and whether it moves. Public surface: ``claimable``, ``queue_state``, ``QueueState``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Coalesce, Greatest

from evaluations.enums import ChunkState, RunStatus
from evaluations.models import Chunk, ReplayRun


def claimable(now: datetime) -> Q:
    """Chunks that anybody may take: pending, not leased, not waiting, of a run and an arm that go on."""
    return (
        Q(state=ChunkState.PENDING)
        & (Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now))
        & (Q(not_before__isnull=True) | Q(not_before__lte=now))
        & Q(arm__stopped_outcome="")
        & Q(arm__run__status__in=[RunStatus.PENDING, RunStatus.RUNNING])
    )


@dataclass(frozen=True, slots=True)
class QueueState:
    """Chunks of the runs that go on, and how long those that anybody may take have been lying while nothing moved."""

    ready: int
    leased: int
    waiting: int  # for a paused endpoint
    moved_at: datetime | None  # last commit of any run; ``now`` while a worker holds a lease; None: never
    stalled_seconds: float  # 0 while something moves, or there is nothing to do


def queue_state(now: datetime) -> QueueState:
    """Two cheap queries over the runs that have not ended. A worker renews its lease as long as it lives."""
    is_open = Q(state=ChunkState.PENDING, arm__run__status__in=[RunStatus.PENDING, RunStatus.RUNNING])
    ready, leased = claimable(now), Q(lease_expires_at__gt=now)
    created_at = "arm__run__created_at"
    counts: dict[str, Any] = (
        Chunk.objects.filter(is_open)
        .annotate(due_at=Greatest(created_at, *(Coalesce(at, created_at) for at in ("not_before", "lease_expires_at"))))
        .aggregate(
            ready=Count("id", filter=ready),
            leased=Count("id", filter=leased),
            waiting=Count("id", filter=~leased & Q(not_before__gt=now)),
            oldest=Min("due_at", filter=ready),
        )
    )
    oldest: datetime | None = counts.pop("oldest")
    moved_at = now if counts["leased"] else ReplayRun.objects.aggregate(at=Max("progressed_at"))["at"]
    if oldest is None:
        return QueueState(**counts, moved_at=moved_at, stalled_seconds=0.0)
    since = oldest if moved_at is None else max(oldest, moved_at)
    return QueueState(**counts, moved_at=moved_at, stalled_seconds=max(0.0, (now - since).total_seconds()))
