"""One chunk at a time, by whoever has time.

Public surface: ``work_on_chunk``, ``work_once``, ``Stop``, ``open_runs``.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence

from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone

from evaluations.conf import setting
from evaluations.enums import PAUSES_VENDOR, STOPS_ARM, ArmRole, AttemptState, Outcome, PauseReason, RunStatus
from evaluations.models import Attempt, Endpoint, ReplayRun, RunArm
from evaluations.providers.base import CompletionRequest, EndpointConfig
from evaluations.providers.credentials import CredentialMissing, read_credential
from evaluations.providers.egress import Egress
from evaluations.providers.egress_policy import EgressPolicy
from evaluations.providers.registry import PROVIDERS
from evaluations.providers.requests import limit_to_send
from evaluations.replay.engine import ChunkEnd, RetryRule, run_chunk
from evaluations.replay.ledger import Work
from evaluations.replay.pacing import Learned, Pace
from evaluations.selectors.queue import paused_endpoints
from evaluations.services.answers import give_up_on, record_recorded_answers
from evaluations.services.budget import cap_reached
from evaluations.services.judge_requests import questions
from evaluations.services.judging import close_unanswered
from evaluations.services.leases import Claim, claim_chunk, load_work, lost_calls, open_members, release
from evaluations.services.ledger import DatabaseLedger, close_thread_connections
from evaluations.services.pacing import DatabaseMeter, pause_seconds, show_pause
from evaluations.services.replays import end_run, note_pause, settle_run
from evaluations.services.run_arms import prices_of
from evaluations.services.storage import has_room, show_full

Stop = Callable[[], bool]

_LOOKED_AT = 20  # requests of a chunk, for the size of the others
_CHARACTERS_PER_TOKEN = 4
# By endpoint: the pace that a chunk of this process ended with.
_learned: dict[int, Learned] = {}


def never() -> bool:
    return False


def new_owner() -> str:
    """A name for one claim: a lease is never mistaken for an earlier one of the same process."""
    return f"{socket.gethostname()[:20]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def work_once(*, run: ReplayRun | None = None, stopping: Stop = never) -> ReplayRun | None:
    """Work on one chunk, and end its run where that was the last one."""
    worked = work_on_chunk(run=run, stopping=stopping)
    if worked is not None:
        settle_run(run=worked, at=timezone.now())
    return worked


def work_on_chunk(*, run: ReplayRun | None = None, stopping: Stop = never) -> ReplayRun | None:
    """Claim one chunk (of ``run``, or of any) and work on it; what it leaves is for ``settle_run``.

    Returns the run that was worked on; None if there is nothing to claim, or no room for answers.
    """
    if not has_room():
        if run is not None:
            show_full(run)
        return None
    claim = claim_chunk(owner=new_owner(), now=timezone.now(), run=run)
    if claim is None:
        return None
    if claim.arm.recorded:
        record_recorded_answers(claim, prices_of(claim.arm), now=timezone.now())
        release(claim, done=True)
    else:
        _call(claim, stopping)
    return claim.run


def _call(claim: Claim, stopping: Stop) -> None:
    endpoint = claim.arm.endpoint
    assert endpoint is not None
    try:
        config = endpoint_config(endpoint)
    except CredentialMissing as error:
        release(claim, done=False)
        _stop_arm(claim, Outcome.AUTH, str(error))
        return
    asked = _asked(claim)
    works, lost = load_work(claim, asked), lost_calls(claim)
    if hopeless := [work for work in works if _is_hopeless(work, lost)]:
        give_up_on(claim, hopeless, now=timezone.now())
        works = [work for work in works if not _is_hopeless(work, lost)]
    if claim.probes:
        # An outage is no sample's fault: the probes take turns.
        works.sort(key=lambda work: work.failures)
    end = ChunkEnd.DONE
    for part in _parts(works, lost):
        if end is ChunkEnd.DONE:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                end = runner.run(_replay(claim, config, endpoint, part, stopping))
    # This thread's connection has been idle for long; the database may have been restarted.
    close_old_connections()
    release(claim, done=end is ChunkEnd.DONE)
    if end is ChunkEnd.STOPPED and not has_room():
        show_full(claim.run)
    elif end is ChunkEnd.BUDGET:
        now, team = timezone.now(), claim.run.plan_version.plan.workload.team
        reason = cap_reached(run=claim.run, team=team, at=now)
        end_run(run=claim.run, status=RunStatus.STOPPED_BY_BUDGET, reason=reason, at=now)
    elif end is ChunkEnd.PAUSED:
        _show_pause(claim, endpoint)
    elif end is ChunkEnd.ARM_STOPPED:
        last = (
            Attempt.objects.filter(arm=claim.arm, state=AttemptState.SETTLED, outcome__in=STOPS_ARM - PAUSES_VENDOR)
            .order_by("-settled_at")
            .first()
        )
        _stop_arm(claim, last.outcome if last else Outcome.AUTH, "")


def _asked(claim: Claim) -> dict[int, CompletionRequest] | None:
    """What a judge is asked, by sample; None: the arm answers the samples' own requests."""
    if claim.arm.role is not ArmRole.JUDGE:
        return None
    asked = questions(claim.arm, round_=claim.chunk.repeat, members=open_members(claim))
    close_unanswered(claim, asked)
    return asked


def _is_hopeless(work: Work, lost: Mapping[int, int]) -> bool:
    most: int = setting("MAX_LOST_CALLS")
    return lost.get(work.sample_id, 0) >= most or bool(work.failures >= setting("MAX_ATTEMPTS"))


def _parts(works: list[Work], lost: Mapping[int, int]) -> list[list[Work]]:
    """Together, and after them one by one those whose next lost call would be the last.

    If one of them is what takes its worker down, it takes no other call with it, and is known.
    """
    suspects = [work for work in works if lost.get(work.sample_id, 0) == setting("MAX_LOST_CALLS") - 1]
    others = [work for work in works if lost.get(work.sample_id, 0) < setting("MAX_LOST_CALLS") - 1]
    return [part for part in (others, *([work] for work in suspects)) if part]


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: a third less time a call. None: Python's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _stop_arm(claim: Claim, outcome: Outcome, detail: str) -> None:
    RunArm.objects.filter(pk=claim.arm.pk).update(stopped_outcome=outcome)
    reason = f"{outcome}: {detail}" if detail else str(outcome)
    end_run(run=claim.run, status=RunStatus.FAILED, reason=reason, at=timezone.now())


def _show_pause(claim: Claim, endpoint: Endpoint) -> None:
    pause = paused_endpoints(timezone.now()).get(endpoint.pk)
    if pause is not None and pause.reason is not None and show_pause(claim.run, pause.reason):
        note_pause(run=claim.run, reason=pause.reason, until=pause.until, at=timezone.now())


async def _replay(
    claim: Claim, config: EndpointConfig, endpoint: Endpoint, works: list[Work], stopping: Stop
) -> ChunkEnd:
    ledger = DatabaseLedger(claim=claim, endpoint=endpoint, prices=prices_of(claim.arm))
    pace = Pace(
        max_concurrency=min(endpoint.max_concurrency, len(works)),
        requests_limited=endpoint.requests_per_minute is not None,
        tokens_limited=endpoint.tokens_per_minute is not None,
        call_tokens=expected_tokens(works, endpoint),
        probing=claim.probes,
        probe_seconds=pause_seconds(PauseReason.VENDOR_PAUSED),
        quota_pause_seconds=pause_seconds(PauseReason.QUOTA_EXHAUSTED),
    )
    pace.recall(_learned.get(endpoint.pk))
    async with Egress(EgressPolicy.from_environment(os.environ)) as transport:
        end = await run_chunk(
            works,
            provider=PROVIDERS.get(config.protocol),
            endpoint=config,
            transport=transport,
            ledger=ledger,
            meter=DatabaseMeter(claim=claim, endpoint=endpoint),
            pace=pace,
            retry=RetryRule(
                max_attempts=setting("MAX_ATTEMPTS"),
                rate_limit_patience_seconds=setting("RATE_LIMIT_PATIENCE_SECONDS"),
            ),
            stopping=lambda: stopping() or not has_room(),
            drain_seconds=setting("DRAIN_SECONDS"),
            heartbeat_seconds=setting("LEASE_SECONDS") / 3,
            finalise=close_thread_connections,
            seed=claim.chunk.pk,
        )
    _learned[endpoint.pk] = pace.learned()
    return end


def expected_tokens(works: Sequence[Work], endpoint: Endpoint) -> float:
    """Of one call, before any was answered: its size, and all that it may write."""
    taken = works[:_LOOKED_AT]
    otherwise = setting("DEFAULT_OUTPUT_LIMIT")
    most = sum(limit_to_send(work.request.body, endpoint.parameters, otherwise) for work in taken)
    size = sum(len(json.dumps(work.request.body, ensure_ascii=False)) for work in taken)
    return max(1.0, (size / _CHARACTERS_PER_TOKEN + most) / max(1, len(taken)))


def endpoint_config(endpoint: Endpoint) -> EndpointConfig:
    """The endpoint as providers see it, with its key read now. Raises ``CredentialMissing``."""
    return EndpointConfig(
        slug=endpoint.slug,
        protocol=endpoint.protocol,
        base_url=endpoint.base_url,
        wire_model=endpoint.wire_model,
        credential=read_credential(endpoint.credential_env or None, endpoint.credential_file or None),
        region=endpoint.region or None,
        deadline_seconds=endpoint.deadline_seconds,
        stream=endpoint.stream,
        parameters=endpoint.parameters,
        output_limit=setting("DEFAULT_OUTPUT_LIMIT"),
        options=endpoint.options,
    )


def open_runs() -> list[ReplayRun]:
    """Runs that a sweep looks after: not ended, or ended and not yet read."""
    unread = Q(judges=None, decision="") | Q(judges__isnull=False, judged__isnull=True)
    return list(ReplayRun.objects.filter(unread).order_by("id"))
