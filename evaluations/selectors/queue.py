"""The work that is left, and whether it moves.

Public surface: ``open_arms``, ``OpenArm``, ``free``, ``in_turn``, ``paused_endpoints``, ``Pause``, ``work_for``,
``queue_state``, ``QueueState``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, Min, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest

from evaluations.enums import ChunkState, PauseReason, RunStatus
from evaluations.models import Chunk, Endpoint, ReplayRun, RunArm, VendorGate
from evaluations.models.pacing import GateKey, gate_key

_GOES_ON = [RunStatus.PENDING, RunStatus.RUNNING]


@dataclass(frozen=True, slots=True)
class Pause:
    """A vendor that is left alone, with one key."""

    gate_id: int
    until: datetime
    reason: PauseReason | None

    def ends_with_a_probe(self, now: datetime) -> bool:
        """Over, and nobody knows whether the vendor is back."""
        return self.until <= now and self.reason is not None and self.reason.probed


def paused_endpoints(now: datetime) -> dict[int, Pause]:
    """Endpoints behind a gate that is closed now, or that only a probe may open: one query where there is none."""
    return _at_gates(_pauses(), now)


def _pauses() -> dict[GateKey, Pause]:
    """Of every gate that was ever closed and not opened by a probe: past ones too."""
    gates = VendorGate.objects.filter(not_before__isnull=False)
    return {gate.key: Pause(gate.pk, gate.not_before, gate.reason) for gate in gates if gate.not_before is not None}


def _at_gates(pauses: Mapping[GateKey, Pause], now: datetime) -> dict[int, Pause]:
    gates = {key: pause for key, pause in pauses.items() if pause.until > now or pause.ends_with_a_probe(now)}
    if not gates:
        return {}
    endpoints = Endpoint.objects.filter(model__vendor__in={vendor_id for vendor_id, _, _ in gates})
    fields = ("pk", "model__vendor_id", "credential_env", "credential_file", "base_url")
    return {
        pk: gates[key]
        for pk, vendor_id, env, file, base_url in endpoints.values_list(*fields)
        if (key := gate_key(vendor_id=vendor_id, credential_env=env, credential_file=file, base_url=base_url)) in gates
    }


@dataclass(frozen=True, slots=True)
class OpenArm:
    """One side of a run that goes on."""

    arm_id: int
    run_id: int
    endpoint_id: int | None  # None: recorded
    vendor_id: int | None
    max_concurrency: int | None
    served_at: datetime | None
    workers: int  # that hold a lease on a chunk of it


def open_arms(now: datetime) -> list[OpenArm]:
    """Every arm that may have work left; two queries, however many chunks there are."""
    workers = dict(
        Chunk.objects.filter(state=ChunkState.PENDING, lease_expires_at__gt=now)
        .values_list("arm_id")
        .annotate(n=Count("id"))
    )
    rows = RunArm.objects.filter(stopped_outcome="", run__status__in=_GOES_ON).values_list(
        "pk", "run_id", "endpoint_id", "endpoint__model__vendor_id", "endpoint__max_concurrency", "served_at"
    )
    return [OpenArm(*row, workers=workers.get(row[0], 0)) for row in rows]


def free(now: datetime) -> Q:
    """Chunks that are not done and in nobody's hands."""
    return Q(state=ChunkState.PENDING) & (Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now))


def in_turn() -> Q:
    """Where a run's arms go in step, chunks that begin no more than one chunk after what is not done; else all."""
    earlier = Chunk.objects.filter(
        Q(repeat__lt=OuterRef("repeat")) | Q(repeat=OuterRef("repeat"), stop__lt=OuterRef("start")),
        arm__run=OuterRef("arm__run"),
        arm__endpoint__isnull=False,
        state=ChunkState.PENDING,
    )
    return Q(arm__run__in_step=False) | Q(arm__endpoint__isnull=True) | Q(~Exists(earlier))


def claimable(now: datetime, paused: Collection[int]) -> Q:
    """Chunks that anybody may take: free, of a run and an arm that go on, at none of the ``paused`` endpoints."""
    return (
        free(now)
        & Q(arm__stopped_outcome="")
        & Q(arm__run__status__in=_GOES_ON)
        & in_turn()
        & (Q(arm__endpoint__isnull=True) | ~Q(arm__endpoint__in=paused))
    )


def work_for(run: ReplayRun, now: datetime, *, at_most: int) -> int:
    """How many workers ``run`` could use now, counted up to ``at_most``."""
    paused = [pk for pk, pause in paused_endpoints(now).items() if pause.until > now]
    chunks = Chunk.objects.filter(claimable(now, paused), arm__run=run).order_by()
    return len(chunks.values_list("pk")[:at_most])


@dataclass(frozen=True, slots=True)
class QueueState:
    """Chunks of the runs that go on, and how long those that anybody may take have been lying while nothing moved."""

    ready: int
    leased: int
    waiting: int  # for a paused vendor
    moved_at: datetime | None  # last commit of any run; ``now`` while a worker holds a lease; None: never
    stalled_seconds: float  # 0 while something moves, or there is nothing to do


def queue_state(now: datetime) -> QueueState:
    """A few cheap queries over the runs that have not ended. A worker renews its lease as long as it lives."""
    pauses = _pauses()
    paused = [pk for pk, pause in _at_gates(pauses, now).items() if pause.until > now]
    is_open = Q(state=ChunkState.PENDING, arm__run__status__in=_GOES_ON)
    ready, leased = claimable(now, paused), Q(lease_expires_at__gt=now)
    created_at = "arm__run__created_at"
    counts: dict[str, Any] = (
        Chunk.objects.filter(is_open)
        .annotate(due_at=Greatest(created_at, Coalesce("lease_expires_at", created_at)))
        .aggregate(
            ready=Count("id", filter=ready),
            leased=Count("id", filter=leased),
            waiting=Count("id", filter=~leased & Q(arm__endpoint__in=paused)),
            oldest=Min("due_at", filter=ready),
        )
    )
    oldest: datetime | None = counts.pop("oldest")
    moved_at = now if counts["leased"] else ReplayRun.objects.aggregate(at=Max("progressed_at"))["at"]
    if oldest is None:
        return QueueState(**counts, moved_at=moved_at, stalled_seconds=0.0)
    # What waited for a vendor is due from the end of its pause.
    resumed = [pause.until for pause in pauses.values() if pause.until <= now]
    since = max(at for at in (oldest, moved_at, *resumed) if at is not None)
    return QueueState(**counts, moved_at=moved_at, stalled_seconds=max(0.0, (now - since).total_seconds()))
