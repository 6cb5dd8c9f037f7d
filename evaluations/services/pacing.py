"""One vendor, many workers: pauses, probes, places and the minute's allowance, shared through the database.

Public surface: ``DatabaseMeter``, ``begin_probe``, ``lift_pauses``, ``show_pause``, ``clear_pause``, ``gate_of``.

One code path for SQLite and PostgreSQL: rows that are locked, looked at and changed in one short transaction, a few
times a second for each worker and never for a call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from evaluations.conf import setting
from evaluations.enums import ChunkState, PauseReason, RunStatus
from evaluations.models import Chunk, Endpoint, EndpointPace, ReplayRun, VendorGate
from evaluations.models.pacing import gate_key
from evaluations.replay.meter import Grant, Report, Slots
from evaluations.replay.pacing import FAILURES_TO_PAUSE
from evaluations.selectors.queue import Pause, paused_endpoints

if TYPE_CHECKING:
    from evaluations.services.leases import Claim

# The minute is given out this far ahead, whoever asks for how much.
_AHEAD_SECONDS = 1.0
_KEEP_EVERY = timedelta(seconds=5)
_FOUND_LATELY = timedelta(seconds=60)


def gate_of(endpoint: Endpoint) -> VendorGate:
    vendor_id, credential, host = gate_key(
        vendor_id=endpoint.model.vendor_id,
        credential_env=endpoint.credential_env,
        credential_file=endpoint.credential_file,
        base_url=endpoint.base_url,
    )
    gates = VendorGate.objects.filter(vendor=vendor_id, credential=credential, host=host)
    if not gates.exists():
        new = VendorGate(vendor_id=vendor_id, credential=credential, host=host)
        VendorGate.objects.bulk_create([new], ignore_conflicts=True)
    return gates.get()


def begin_probe(pause: Pause, *, now: datetime) -> bool:
    """Take the one call that a pause lets through: nobody else does before the next one is due."""
    assert pause.reason is not None
    return bool(
        VendorGate.objects.filter(pk=pause.gate_id, not_before=pause.until, reason=pause.reason).update(
            not_before=now + timedelta(seconds=pause_seconds(pause.reason))
        )
    )


def pause_seconds(reason: PauseReason) -> float:
    """Between two probes, at the least."""
    return float(setting("QUOTA_PAUSE_SECONDS" if reason is PauseReason.QUOTA_EXHAUSTED else "PROBE_SECONDS"))


def lift_pauses(endpoints: Iterable[Endpoint]) -> list[PauseReason]:
    """Call these vendors again as if they had never been paused; returns why they were."""
    lifted = []
    for endpoint in endpoints:
        gate = gate_of(endpoint)
        if gate.reason:
            lifted.append(gate.reason)
            VendorGate.objects.filter(pk=gate.pk).update(reason="", not_before=None, failures=0)
    return lifted


def show_pause(run: ReplayRun, reason: PauseReason) -> bool:
    """A run that waits goes on running, and says for what; True if it did not say so before."""
    return bool(
        ReplayRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING)
        .exclude(status_reason=reason)
        .update(status_reason=reason, version=F("version") + 1)
    )


def clear_pause(run: ReplayRun, *, now: datetime) -> None:
    """It moves again: no arm of it waits."""
    if not paused_endpoints(now).keys() & set(run.arms.values_list("endpoint_id", flat=True)):
        ReplayRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).exclude(status_reason="").update(
            status_reason="", version=F("version") + 1
        )


@dataclass
class DatabaseMeter:
    """The engine's ``Meter`` for one claim. Lives in the ledger's thread."""

    claim: Claim
    endpoint: Endpoint
    clock: Callable[[], datetime] = timezone.now
    _gate_id: int | None = field(default=None, init=False)
    _last: Grant = field(default_factory=lambda: Grant(places=0), init=False)
    _untold: Report | None = field(default=None, init=False)
    _kept_at: datetime | None = field(default=None, init=False)
    _shown: bool = field(default=False, init=False)

    def exchange(self, report: Report) -> Grant:
        """A database that is away costs an exchange: what was granted stays granted, and the news are told later."""
        if self._untold is not None:
            report = _joined(self._untold, report)
        try:
            grant = self._exchange(report)
        except (OperationalError, InterfaceError, InternalError):
            connection.close()
            self._untold = report if report.is_news else None
            slots = None if self._last.requests is None else Slots(0.0, 1.0, 0)
            return replace(self._last, requests=slots, tokens=None if self._last.tokens is None else 0.0)
        self._untold = None
        self._last = grant
        return grant

    def _exchange(self, report: Report) -> Grant:
        now = self.clock()
        gate = self._gate(report, now)
        self._show(report, now)
        paused = 0.0 if gate.not_before is None else (gate.not_before - now).total_seconds()
        pace = EndpointPace.objects.filter(endpoint=self.endpoint).first()
        grant = self._share(report, pace, now)
        found = pace is not None and pace.found_at is not None and now - pace.found_at < _FOUND_LATELY
        return replace(
            grant,
            paused_seconds=max(0.0, paused),
            reason=gate.reason or None,
            failures=gate.failures,
            rate=pace.found_rate if pace is not None and found else None,
            call_tokens=None if pace is None else pace.call_tokens,
        )

    # The vendor, with this key.

    def _gate(self, report: Report, now: datetime) -> VendorGate:
        if self._gate_id is None:
            self._gate_id = gate_of(self.endpoint).pk
        if not (report.is_news or report.answered):
            return VendorGate.objects.get(pk=self._gate_id)
        with transaction.atomic():
            gate = VendorGate.objects.select_for_update().get(pk=self._gate_id)
            before = (gate.not_before, gate.reason, gate.failures)
            self._tell(gate, report, now)
            if before != (gate.not_before, gate.reason, gate.failures):
                gate.save(update_fields=["not_before", "reason", "failures"])
        return gate

    @staticmethod
    def _tell(gate: VendorGate, report: Report, now: datetime) -> None:
        is_open = not gate.reason or not gate.reason.probed
        if report.probed:
            gate.reason, gate.not_before, gate.failures, is_open = None, None, 0, True
        elif report.answered and is_open:
            gate.failures = 0
        gate.failures += report.failures
        reason, seconds = report.pause_reason, report.pause_seconds
        if reason is None and is_open and gate.failures >= FAILURES_TO_PAUSE:
            reason, seconds = PauseReason.VENDOR_PAUSED, pause_seconds(PauseReason.VENDOR_PAUSED)
        if reason is None:
            return
        if is_open or reason is PauseReason.QUOTA_EXHAUSTED:
            gate.reason = reason
        until = now + timedelta(seconds=seconds)
        gate.not_before = until if gate.not_before is None else max(gate.not_before, until)

    def _show(self, report: Report, now: datetime) -> None:
        """On the run, once a chunk: it moves again."""
        if report.flowing and not self._shown:
            self._shown = True
            if self.claim.run.status_reason:
                clear_pause(self.claim.run, now=now)

    # The endpoint: its places, and its minute.

    def _share(self, report: Report, pace: EndpointPace | None, now: datetime) -> Grant:
        live = list(
            Chunk.objects.filter(
                arm__endpoint=self.endpoint, state=ChunkState.PENDING, lease_expires_at__gt=now
            ).values_list("id", "places")
        )
        live.sort()
        mine = next((i for i, (pk, _) in enumerate(live) if pk == self.claim.chunk.pk), None)
        if mine is None:
            return Grant(places=0)
        if not self._needs_lock(report, pace, live, mine, now):
            return Grant(places=live[mine][1])
        with transaction.atomic():
            pace = self._locked_pace()
            return self._grant(report, pace, now)

    def _needs_lock(
        self, report: Report, pace: EndpointPace | None, live: list[tuple[int, int]], mine: int, now: datetime
    ) -> bool:
        if pace is None or self._limits(pace, report) != (None, None):
            return True
        if self._is_due(report, pace, now):
            return True
        share, places = self._fair(live, mine, report.want), live[mine][1]
        return share != places or max(report.held, report.in_flight) != places

    def _is_due(self, report: Report, pace: EndpointPace, now: datetime) -> bool:
        """Whether to keep what was learned: now and then, and at once where nothing is known yet."""
        if self._kept_at is None or now - self._kept_at >= _KEEP_EVERY:
            return True
        return pace.call_seconds is None and report.call_seconds is not None

    def _fair(self, live: list[tuple[int, int]], mine: int, want: int) -> int:
        most, n = self.endpoint.max_concurrency, len(live)
        return min(want, most // n + (mine < most % n))

    def _limits(self, pace: EndpointPace, report: Report) -> tuple[int | None, int | None]:
        """A minute's requests and tokens: as the endpoint says, else as the vendor does."""
        return (
            self.endpoint.requests_per_minute or report.stated_requests_per_minute or pace.stated_requests_per_minute,
            self.endpoint.tokens_per_minute or report.stated_tokens_per_minute or pace.stated_tokens_per_minute,
        )

    def _locked_pace(self) -> EndpointPace:
        rows = EndpointPace.objects.select_for_update().filter(endpoint=self.endpoint)
        if (pace := rows.first()) is None:
            EndpointPace.objects.bulk_create([EndpointPace(endpoint=self.endpoint)], ignore_conflicts=True)
            pace = rows.get()
        return pace

    def _grant(self, report: Report, pace: EndpointPace, now: datetime) -> Grant:
        live = sorted(
            Chunk.objects.filter(
                arm__endpoint=self.endpoint, state=ChunkState.PENDING, lease_expires_at__gt=now
            ).values_list("id", "places")
        )
        mine = next((i for i, (pk, _) in enumerate(live) if pk == self.claim.chunk.pk), None)
        if mine is None:
            return Grant(places=0)
        held = max(report.held, report.in_flight)
        free = self.endpoint.max_concurrency - sum(places for i, (_, places) in enumerate(live) if i != mine)
        fair = self._fair(live, mine, report.want)
        places = max(0, min(fair, free))
        # What is taken back stays ours until the next report says that it is not used any more.
        if max(places, held) != live[mine][1]:
            Chunk.objects.filter(pk=self.claim.chunk.pk, lease_owner=self.claim.owner).update(places=max(places, held))
        requests_per_minute, tokens_per_minute = self._limits(pace, report)
        slots = tokens = None
        if requests_per_minute:
            slots = _slots(pace, requests_per_minute, report.requests, now, workers=len(live))
        if tokens_per_minute:
            tokens = _tokens(pace, tokens_per_minute, report.tokens, report.call_tokens or 1.0, now, workers=len(live))
        self._keep(pace, report, now, given=bool(requests_per_minute or tokens_per_minute))
        crowded = (
            report.want > 0
            and self.endpoint.max_concurrency // len(live) + (mine < self.endpoint.max_concurrency % len(live)) == 0
        )
        return Grant(places=places, crowded=crowded, requests=slots, tokens=tokens)

    def _keep(self, pace: EndpointPace, report: Report, now: datetime, *, given: bool) -> None:
        """What the next chunk, or another worker, begins with."""
        stated = report.stated_requests_per_minute, report.stated_tokens_per_minute
        new = (stated[0] or pace.stated_requests_per_minute, stated[1] or pace.stated_tokens_per_minute)
        due = self._is_due(report, pace, now)
        if not given and not due and new == (pace.stated_requests_per_minute, pace.stated_tokens_per_minute):
            return
        pace.stated_requests_per_minute, pace.stated_tokens_per_minute = new
        if due:
            self._kept_at = now
            pace.call_seconds = report.call_seconds or pace.call_seconds
            if report.call_seconds is not None:
                pace.call_tokens = report.call_tokens or pace.call_tokens
            if report.rate is not None:
                pace.found_rate, pace.found_at = report.rate, now
        pace.save()


def _slots(pace: EndpointPace, per_minute: int, asked: int, now: datetime, *, workers: int) -> Slots:
    """Times for calls, one after the other over all workers; what nobody asked for in time is lost."""
    every = 60.0 / per_minute
    first = now if pace.requests_until is None else max(pace.requests_until, now)
    ahead = (first - now).total_seconds()
    room = max(int((_AHEAD_SECONDS - ahead) / every), 1 if ahead <= 0 else 0)
    n = max(0, min(asked, room, math.ceil(_AHEAD_SECONDS / every / workers)))
    if n:
        pace.requests_until = first + timedelta(seconds=n * every)
    return Slots(ahead, every, n)


def _tokens(
    pace: EndpointPace, per_minute: int, asked: float, of_one_call: float, now: datetime, *, workers: int
) -> float:
    per_second = per_minute / 60.0
    first = now if pace.tokens_until is None else max(pace.tokens_until, now)
    ahead = (first - now).total_seconds()
    room = max((_AHEAD_SECONDS - ahead) * per_second, of_one_call if ahead <= 0 else 0.0)
    n = max(0.0, min(asked, room, max(per_second * _AHEAD_SECONDS / workers, of_one_call)))
    if n:
        pace.tokens_until = first + timedelta(seconds=n / per_second)
    return n


def _joined(earlier: Report, later: Report) -> Report:
    """Two reports as one: the first was not heard."""
    longer = max(earlier, later, key=lambda report: report.pause_seconds)
    return replace(
        later,
        answered=earlier.answered or later.answered,
        failures=later.failures if later.answered else earlier.failures + later.failures,
        pause_seconds=longer.pause_seconds,
        pause_reason=longer.pause_reason,
        probed=earlier.probed or later.probed,
    )
