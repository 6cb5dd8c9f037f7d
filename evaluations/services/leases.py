"""Chunks of work, claimed by lease. Public surface: ``Claim``, ``claim_chunk``, ``hold``, ``Held``, ``renew``,
``release``, ``open_members``, ``load_work``.

Every state change is one conditional UPDATE: whoever lost the lease changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count

from evaluations.conf import setting
from evaluations.enums import STOPS_ARM, AttemptState, ChunkState, Outcome, RunStatus
from evaluations.faults import reached
from evaluations.models import (
    Attempt,
    Chunk,
    Completion,
    DataAgreement,
    ReplayRun,
    RunArm,
    SampleContent,
    SampleSetMember,
)
from evaluations.providers.base import CompletionRequest
from evaluations.replay.engine import Work
from evaluations.selectors.queue import claimable
from evaluations.services.bulk import fetch_row, table
from evaluations.services.requests import adapted

_LOAD_SLICE = 500
# Ends of a call that say nothing about the sample: they do not use up its retries.
_NO_FAILURE = frozenset({Outcome.RATE_LIMITED, *STOPS_ARM})


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that is ours until its lease runs out."""

    chunk: Chunk
    arm: RunArm
    run: ReplayRun
    owner: str


def lease_until(now: datetime) -> datetime:
    return now + timedelta(seconds=setting("LEASE_SECONDS"))


def claim_chunk(*, owner: str, now: datetime, run: ReplayRun | None = None) -> Claim | None:
    """Take one chunk by compare-and-set: of ``run``, or of the run with the fewest workers. None: no work."""
    waiting = Chunk.objects.filter(claimable(now))
    if run is not None:
        waiting = waiting.filter(arm__run=run)
    busy = dict(
        Chunk.objects.filter(state=ChunkState.PENDING, lease_expires_at__gt=now)
        .values_list("arm_id")
        .annotate(workers=Count("id"))
    )
    # Fewest workers first: runs share fairly, and so do a run's two arms.
    first_of_arm: dict[int, tuple[int, str]] = {}
    for pk, arm_id, previous in waiting.order_by("id").values_list("id", "arm_id", "lease_owner")[:2000]:
        first_of_arm.setdefault(arm_id, (pk, previous))
    for arm_id in sorted(first_of_arm, key=lambda arm_id: (busy.get(arm_id, 0), first_of_arm[arm_id][0])):
        pk, previous = first_of_arm[arm_id]
        with transaction.atomic():
            taken = Chunk.objects.filter(claimable(now), pk=pk, lease_owner=previous).update(
                lease_owner=owner, lease_expires_at=lease_until(now)
            )
            if not taken:
                continue
            if previous:
                # The former owner died or stalled. What it had sent may have been billed: its money stays reserved.
                Attempt.objects.filter(arm_id=arm_id, state=AttemptState.SENT, lease_owner=previous).update(
                    state=AttemptState.ABANDONED
                )
            ReplayRun.objects.filter(arms=arm_id, status=RunStatus.PENDING).update(
                status=RunStatus.RUNNING, started_at=now, progressed_at=now
            )
        chunk = Chunk.objects.select_related(
            "arm__run__plan_version__plan__workload__team", "arm__endpoint__model__vendor", "arm__model"
        ).get(pk=pk)
        reached("claim")
        return Claim(chunk=chunk, arm=chunk.arm, run=chunk.arm.run, owner=owner)
    return None


def release(claim: Claim, *, done: bool, not_before: datetime | None = None) -> bool:
    """Give the chunk back, finished or not; False if it was no longer ours."""
    return bool(
        Chunk.objects.filter(pk=claim.chunk.pk, lease_owner=claim.owner, state=ChunkState.PENDING).update(
            state=ChunkState.DONE if done else ChunkState.PENDING,
            # An unfinished chunk keeps its last owner's name: the next one settles what that owner left open.
            lease_owner=claim.owner,
            lease_expires_at=None,
            not_before=not_before,
        )
    )


def renew(claim: Claim, *, now: datetime) -> bool:
    """Keep the lease; False if the chunk is no longer ours. Inside a transaction it fences what follows."""
    return bool(
        Chunk.objects.filter(pk=claim.chunk.pk, lease_owner=claim.owner, state=ChunkState.PENDING).update(
            lease_expires_at=lease_until(now)
        )
    )


@dataclass(frozen=True, slots=True)
class Held:
    """What a commit has to know before it writes: whether the lease is ours, and whether calls may still be sent."""

    ours: bool
    to_renew: bool  # a third of the lease is over
    status: RunStatus
    agreement_id: int | None  # the team's data agreement in force


def hold(claim: Claim, *, now: datetime) -> Held:
    """Look, and fence what follows in this transaction: nobody takes the chunk before it ends."""
    soon = connection.ops.adapt_datetimefield_value(now + timedelta(seconds=setting("LEASE_SECONDS") * 2 / 3))
    row = fetch_row(
        _HOLD if connection.vendor == "sqlite" else f"{_HOLD} FOR UPDATE OF chunk",
        (soon, claim.run.plan_version.plan.workload.team_id, claim.chunk.pk),
    )
    assert row is not None
    owner, state, to_renew, status, agreement_id = row
    ours = owner == claim.owner and state == ChunkState.PENDING
    return Held(ours, bool(to_renew), RunStatus(status), agreement_id)


_HOLD = f"""
    SELECT chunk.lease_owner, chunk.state, chunk.lease_expires_at < %s, run.status, agreement.id
    FROM {table(Chunk)} AS chunk
    JOIN {table(RunArm)} AS arm ON arm.id = chunk.arm_id
    JOIN {table(ReplayRun)} AS run ON run.id = arm.run_id
    LEFT JOIN {table(DataAgreement)} AS agreement ON agreement.team_id = %s AND agreement.ended_at IS NULL
    WHERE chunk.id = %s
"""  # noqa: S608 - the tables' names are ours


def open_members(claim: Claim) -> list[SampleSetMember]:
    """The chunk's members that this arm has not answered yet, in order."""
    chunk = claim.chunk
    answered = Completion.objects.filter(
        arm=claim.arm, repeat=chunk.repeat, position__gte=chunk.start, position__lt=chunk.stop
    ).values("position")
    return list(
        SampleSetMember.objects.filter(
            sample_set=claim.run.sample_set, position__gte=chunk.start, position__lt=chunk.stop
        )
        .exclude(position__in=answered)
        .order_by("position")
    )


def load_work(claim: Claim) -> list[Work]:
    """What is left of the chunk, with the requests as this arm sends them."""
    members = open_members(claim)
    sent: dict[int, tuple[int, int]] = {}
    earlier = Attempt.objects.filter(
        arm=claim.arm, repeat=claim.chunk.repeat, sample_id__in=[member.sample_id for member in members]
    )
    for sample_id, outcome in earlier.values_list("sample_id", "outcome"):
        calls, failures = sent.get(sample_id or 0, (0, 0))
        sent[sample_id or 0] = calls + 1, failures + (outcome not in _NO_FAILURE)
    works: list[Work] = []
    for first in range(0, len(members), _LOAD_SLICE):
        part = members[first : first + _LOAD_SLICE]
        contents = SampleContent.objects.in_bulk([member.sample_id for member in part])
        works += [
            Work(
                sample_id=member.sample_id,
                position=member.position,
                repeat=claim.chunk.repeat,
                request=CompletionRequest(adapted(contents[member.sample_id].request or {}, claim.arm.request)),
                attempts=sent.get(member.sample_id, (0, 0))[0],
                failures=sent.get(member.sample_id, (0, 0))[1],
            )
            for member in part
        ]
    return works
