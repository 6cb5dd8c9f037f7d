"""What all HTTP dialects share: send, time, classify, and read a stream as if it had been one response.

Public surface: ``HttpProvider``, ``Assembler``. A dialect supplies ``prepare``, ``read_body`` and an ``Assembler`` that
rebuilds, from the events of a stream, the body of the non-streamed response.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from evaluations.enums import Outcome
from evaluations.providers.base import (
    JSON,
    CompletionRequest,
    CompletionResult,
    EndpointConfig,
    Timing,
    Transport,
    WireRequest,
    WireResponse,
)
from evaluations.providers.egress_policy import TransportError
from evaluations.providers.errors import classify, shorten
from evaluations.providers.requests import Untranslatable
from evaluations.providers.sse import Event, EventParser
from evaluations.providers.waits import NO_HINT, rate_headers
from evaluations.providers.wirejson import decode, name, obj

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id")


class Assembler(Protocol):
    """Rebuilds one response from its events. ``feed`` never raises."""

    visible: bool  # something the user would see has arrived: text, a refusal or a tool call
    complete: bool  # the vendor said that the answer ended
    error: JSON | None  # an error that arrived in mid-stream

    def feed(self, event: Event) -> None: ...

    def body(self) -> JSON:
        """What has arrived so far, in the form of the non-streamed response."""


class HttpProvider(ABC):
    """One vendor dialect over HTTP. Stateless: one instance serves every call."""

    key: str
    version: str

    @abstractmethod
    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        """Translate; pure. Raises ``Untranslatable``."""

    @abstractmethod
    def read_body(self, body: JSON) -> CompletionResult | None:
        """Read a successful response; ``None`` when the JSON is not an answer of this dialect."""

    @abstractmethod
    def assembler(self) -> Assembler: ...

    def parse(self, response: WireResponse) -> CompletionResult:
        """Read a non-streamed response; pure; any bytes give a result, never an exception."""
        try:
            body = decode(response.body)
        except ValueError:
            body = None
        if not 200 <= response.status < 300 or obj(body).get("error"):
            return self._failure(response.status, response.headers, body)
        result = self.read_body(body) if isinstance(body, dict) else None
        if result is None:
            kind = response.headers.get("content-type", "unnamed content")
            result = CompletionResult(
                outcome=Outcome.BAD_RESPONSE, error=shorten(f"the response ({kind}) is not an answer of {self.key}")
            )
        return self._with_headers(result, response.status, response.headers)

    async def complete(
        self, request: CompletionRequest, *, endpoint: EndpointConfig, transport: Transport
    ) -> CompletionResult:
        """Send one request and return how it ended."""
        try:
            wire = self.prepare(request, endpoint)
        except Untranslatable as error:
            return CompletionResult(outcome=Outcome.REJECTED_INPUT, error=shorten(str(error), endpoint.credential))
        started = time.perf_counter()
        ttft_ms = None
        try:
            if wire.stream:
                result, ttft_ms = await self._stream(wire, endpoint, transport, started)
            else:
                result = self.parse(await transport.send(wire, deadline_seconds=endpoint.deadline_seconds))
        except TransportError as error:
            result = CompletionResult(outcome=error.outcome, error=str(error))
        timing = Timing(latency_ms=_since(started), ttft_ms=ttft_ms)
        message = None if result.error is None else shorten(result.error, endpoint.credential)
        return replace(result, timing=timing, error=message, changes=wire.changes)

    async def _stream(
        self, wire: WireRequest, endpoint: EndpointConfig, transport: Transport, started: float
    ) -> tuple[CompletionResult, float | None]:
        assembler, events = self.assembler(), EventParser()
        status, headers, ttft_ms = 0, dict[str, str](), None
        broken: TransportError | None = None
        try:
            async with transport.stream(wire, deadline_seconds=endpoint.deadline_seconds) as response:
                status, headers = response.status, dict(response.headers)
                if status != 200 or "event-stream" not in headers.get("content-type", ""):
                    return self.parse(WireResponse(status, headers, await response.read())), None
                async for chunk in response.chunks():
                    for event in events.feed(chunk):
                        assembler.feed(event)
                    if ttft_ms is None and assembler.visible:
                        ttft_ms = _since(started)
        except TransportError as error:
            if not status:
                raise
            broken = error
        for event in events.close():
            assembler.feed(event)
        return self._assembled(assembler, status, headers, broken), ttft_ms

    def _assembled(
        self, assembler: Assembler, status: int, headers: Mapping[str, str], broken: TransportError | None
    ) -> CompletionResult:
        """How a stream ended. An answer whose end was seen is whole, even if the connection broke after it."""
        body = assembler.body()
        partial = self.read_body(body) or CompletionResult(outcome=Outcome.STREAM_CUT)
        if assembler.error is not None:
            failure = self._failure(status, headers, assembler.error)
            return replace(failure, **_kept(partial))
        if not assembler.complete:
            outcome, reason = Outcome.STREAM_CUT, "the stream ended before the answer did"
            if broken is not None and broken.outcome in (Outcome.TIMEOUT, Outcome.TOO_LARGE):
                outcome, reason = broken.outcome, str(broken)
            partial = replace(partial, outcome=outcome, error=reason)
        return self._with_headers(partial, status, headers)

    def _failure(self, status: int, headers: Mapping[str, str], body: Any) -> CompletionResult:
        found = classify(status, headers, body)
        result = CompletionResult(
            outcome=found.outcome, error=found.message, retry_after_seconds=found.retry_after_seconds
        )
        return self._with_headers(result, status, headers)

    @staticmethod
    def _with_headers(result: CompletionResult, status: int, headers: Mapping[str, str]) -> CompletionResult:
        hint = rate_headers(headers)
        request_id = next((headers[header] for header in _REQUEST_ID_HEADERS if header in headers), None)
        return replace(
            result,
            http_status=status,
            request_id=name(request_id) or result.request_id,
            rate=None if hint == NO_HINT else hint,
        )


def _kept(partial: CompletionResult) -> dict[str, Any]:
    """What a failed stream had delivered: it is shown, and its tokens are billed."""
    return {key: getattr(partial, key) for key in ("text", "message", "served_model", "usage")}


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
