"""Chunks of work, claimed by lease. Public surface: ``Claim``, ``claim_chunk``, ``hold``, ``Held``, ``expect_held``,
``renew``, ``release``, ``open_members``, ``lost_calls``, ``load_work``.

Every state change is one conditional UPDATE: whoever lost the lease changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone

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
    VendorGate,
)
from evaluations.providers.base import CompletionRequest
from evaluations.replay.ledger import Work
from evaluations.selectors.queue import OpenArm, Pause, free, in_turn, open_arms, paused_endpoints
from evaluations.services.bulk import expect_row, fetch_row, table
from evaluations.services.pacing import begin_probe
from evaluations.services.requests import adapted

_LOAD_SLICE = 500
_TRIES = 8  # chunks of one arm, when others take the same ones
_LOOKS = 16  # at the arms, when others are served meanwhile
# Ends of a call that say nothing about the sample: they do not use up its retries.
_NO_FAILURE = frozenset({Outcome.RATE_LIMITED, *STOPS_ARM})


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that is ours until its lease runs out."""

    chunk: Chunk
    arm: RunArm
    run: ReplayRun
    owner: str
    probes: bool = False  # its first call finds out whether the vendor is back


def lease_until(now: datetime) -> datetime:
    return now + timedelta(seconds=setting("LEASE_SECONDS"))


def claim_chunk(*, owner: str, now: datetime, run: ReplayRun | None = None) -> Claim | None:
    """Take one chunk by compare-and-set: of ``run``, or of any that goes on. None: no work.

    The arm with the fewest workers comes first, then the vendor with the fewest, then whoever was served longest ago:
    so runs share fairly, and so do a run's two arms and the vendors. Arms of a paused vendor are passed over, and
    those whose endpoint has as many workers as it takes calls. A few rows an arm are read, however many chunks wait.
    """
    for _ in range(_LOOKS):
        try:
            return _claim_in_turn(owner=owner, now=now, run=run)
        except _Overtaken:
            continue
    return None


class _Overtaken(Exception):
    """Another worker was served at this arm since we looked: by now it may be another's turn."""


def _claim_in_turn(*, owner: str, now: datetime, run: ReplayRun | None) -> Claim | None:
    arms, pauses = open_arms(now), paused_endpoints(now)
    of_endpoint: Counter[int | None] = Counter()
    of_vendor: Counter[int | None] = Counter()
    for arm in arms:
        of_endpoint[arm.endpoint_id] += arm.workers
        of_vendor[arm.vendor_id] += arm.workers
    turns = sorted(
        (arm for arm in arms if run is None or arm.run_id == run.pk),
        key=lambda arm: (
            arm.workers,
            of_vendor[arm.vendor_id],
            arm.served_at is not None and arm.served_at.timestamp(),
            arm.arm_id,
        ),
    )
    for arm in turns:
        pause = pauses.get(arm.endpoint_id or 0)
        if pause is not None and not pause.ends_with_a_probe(now):
            continue
        if arm.max_concurrency is not None and of_endpoint[arm.endpoint_id] >= arm.max_concurrency:
            continue
        claim = _claim_of(arm, pause, owner=owner, now=now)
        if claim is not None:
            return claim
    return None


def _claim_of(arm: OpenArm, pause: Pause | None, *, owner: str, now: datetime) -> Claim | None:
    arm_id = arm.arm_id
    for pk, previous in (
        Chunk.objects.filter(free(now), in_turn(), arm=arm_id).order_by("id").values_list("id", "lease_owner")[:_TRIES]
    ):
        with transaction.atomic():
            taken = Chunk.objects.filter(free(now), pk=pk, lease_owner=previous).update(
                lease_owner=owner, lease_expires_at=lease_until(now), places=0
            )
            if not taken:
                continue
            if pause is not None and not begin_probe(pause, now=now):
                transaction.set_rollback(True)
                return None
            if previous:
                # The former owner died or stalled. What it had sent may have been billed: its money stays reserved.
                Attempt.objects.filter(arm_id=arm_id, state=AttemptState.SENT, lease_owner=previous).update(
                    state=AttemptState.ABANDONED
                )
            # Workers that woke together have all seen the same arm waiting longest: one of them was right.
            if not RunArm.objects.filter(pk=arm_id, served_at=arm.served_at).update(served_at=now):
                raise _Overtaken
            ReplayRun.objects.filter(arms=arm_id, status=RunStatus.PENDING).update(
                status=RunStatus.RUNNING, started_at=now, progressed_at=now
            )
        chunk = Chunk.objects.select_related(
            "arm__run__plan_version__plan__workload__team", "arm__endpoint__model__vendor", "arm__model"
        ).get(pk=pk)
        reached("claim")
        return Claim(chunk=chunk, arm=chunk.arm, run=chunk.arm.run, owner=owner, probes=pause is not None)
    return None


def release(claim: Claim, *, done: bool) -> bool:
    """Give the chunk back, finished or not; False if it was no longer ours."""
    return bool(
        Chunk.objects.filter(pk=claim.chunk.pk, lease_owner=claim.owner, state=ChunkState.PENDING).update(
            state=ChunkState.DONE if done else ChunkState.PENDING,
            # An unfinished chunk keeps its last owner's name: the next one settles what that owner left open.
            lease_owner=claim.owner,
            lease_expires_at=None,
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
    waits: bool  # the vendor is left alone


def hold(claim: Claim, *, gate_id: int | None, now: datetime) -> Held:
    """Look, and fence what follows in this transaction: nobody takes the chunk before it ends."""
    at = connection.ops.adapt_datetimefield_value
    soon = at(now + timedelta(seconds=setting("LEASE_SECONDS") * 2 / 3))
    row = fetch_row(
        _HOLD if connection.vendor == "sqlite" else f"{_HOLD} FOR UPDATE OF chunk",
        (soon, at(now), gate_id, claim.run.plan_version.plan.workload.team_id, claim.chunk.pk),
    )
    assert row is not None
    owner, state, to_renew, status, waits, agreement_id = row
    ours = owner == claim.owner and state == ChunkState.PENDING
    return Held(ours, bool(to_renew), RunStatus(status), agreement_id, bool(waits))


_HELD_FROM = f"""
    FROM {table(Chunk)} AS chunk
    JOIN {table(RunArm)} AS arm ON arm.id = chunk.arm_id
    JOIN {table(ReplayRun)} AS run ON run.id = arm.run_id
    LEFT JOIN {table(DataAgreement)} AS agreement ON agreement.team_id = %s AND agreement.ended_at IS NULL
"""
_HOLD = f"""
    SELECT chunk.lease_owner, chunk.state, chunk.lease_expires_at < %s, run.status,
        (SELECT gate.not_before > %s FROM {table(VendorGate)} AS gate WHERE gate.id = %s), agreement.id
    {_HELD_FROM}
    WHERE chunk.id = %s
"""  # noqa: S608 - the tables' names are ours


def expect_held(claim: Claim, held: Held, *, gate_id: int | None, now: datetime) -> None:
    """Among the changes that go out at once: make none unless everything is as ``held`` says, and calls may be sent."""
    at = connection.ops.adapt_datetimefield_value
    expect_row(
        _STILL_HELD,
        (
            claim.run.plan_version.plan.workload.team_id,
            claim.chunk.pk,
            claim.owner,
            str(ChunkState.PENDING),
            str(RunStatus.RUNNING),
            held.agreement_id,
            claim.probes,
            gate_id,
            at(now),
        ),
    )


_STILL_HELD = f"""
    SELECT chunk.id {_HELD_FROM}
    WHERE chunk.id = %s AND chunk.lease_owner = %s AND chunk.state = %s AND run.status = %s
        AND agreement.id IS NOT DISTINCT FROM %s
        AND (%s OR NOT EXISTS (SELECT 1 FROM {table(VendorGate)} AS gate WHERE gate.id = %s AND gate.not_before > %s))
    FOR UPDATE OF chunk
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


def lost_calls(claim: Claim) -> dict[int, int]:
    """How many calls for each sample were lost with their workers, by this arm and the chunk's repeat."""
    lost = Attempt.objects.filter(
        arm=claim.arm,
        repeat=claim.chunk.repeat,
        state=AttemptState.ABANDONED,
        sample_id__in=[member.sample_id for member in open_members(claim)],
    )
    return dict(lost.values_list("sample_id").annotate(calls=Count("id")))


def load_work(claim: Claim, asked: Mapping[int, CompletionRequest] | None = None) -> list[Work]:
    """What is left of the chunk, with the requests as this arm sends them; ``asked``: with those, by sample."""
    members = open_members(claim)
    sent: dict[int, tuple[int, int]] = {}
    waiting_since: dict[int, datetime] = {}
    earlier = Attempt.objects.filter(
        arm=claim.arm, repeat=claim.chunk.repeat, sample_id__in=[member.sample_id for member in members]
    )
    now = timezone.now()
    # A wait that ended long ago (the run was stopped meanwhile, say) is none of this vendor's answers to it now.
    recent = now - timedelta(seconds=2 * setting("RATE_LIMIT_PATIENCE_SECONDS"))
    for sample_id, outcome, sent_at in earlier.values_list("sample_id", "outcome", "sent_at"):
        calls, failures = sent.get(sample_id or 0, (0, 0))
        sent[sample_id or 0] = calls + 1, failures + (outcome not in _NO_FAILURE)
        if outcome == Outcome.RATE_LIMITED and sent_at > recent:
            waiting_since[sample_id or 0] = min(sent_at, waiting_since.get(sample_id or 0, now))
    works: list[Work] = []
    for first in range(0, len(members), _LOAD_SLICE):
        part = members[first : first + _LOAD_SLICE]
        contents = {} if asked is not None else SampleContent.objects.in_bulk([member.sample_id for member in part])
        works += [
            Work(
                sample_id=member.sample_id,
                position=member.position,
                repeat=claim.chunk.repeat,
                request=CompletionRequest(adapted(contents[member.sample_id].request or {}, claim.arm.request))
                if asked is None
                else asked[member.sample_id],
                attempts=sent.get(member.sample_id, (0, 0))[0],
                failures=sent.get(member.sample_id, (0, 0))[1],
                waited_seconds=(now - waiting_since.get(member.sample_id, now)).total_seconds(),
            )
            for member in part
        ]
    return works
