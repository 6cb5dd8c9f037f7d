"""What a provider is: the translation between one neutral request and one vendor's HTTP dialect.

Public surface: ``CompletionRequest``, ``EndpointConfig``, ``WireRequest``, ``WireResponse``, ``Transport``, ``Usage``,
``Timing``, ``RateHint``, ``ParameterChange``, ``CompletionResult`` and the ``Provider`` protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from evaluations.enums import FinishReason, Outcome

JSON = dict[str, Any]
Action = Literal["renamed", "dropped", "clamped", "added", "replaced"]


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where and how a model is reached. ``credential`` is read at call time and never stored."""

    slug: str
    protocol: str
    base_url: str
    wire_model: str  # the name sent on the wire; the resolved name comes back as served_model
    credential: str | None = field(default=None, repr=False)
    region: str | None = None
    deadline_seconds: float = 120.0  # total, for one call including its body
    stream: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)  # for every request, in OpenAI chat names; None: drop
    output_limit: int = 4096  # tokens; sent, and reserved, where request and parameters name none
    options: Mapping[str, Any] = field(default_factory=dict)  # provider specific switches, for example api_version


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One production request in OpenAI chat form, with the arm's adaptations already merged in.

    ``body`` holds ``messages`` and any of ``tools``, ``tool_choice``, ``response_format``, ``temperature``, ``top_p``,
    ``max_completion_tokens``, ``stop``, ``seed``, ``reasoning_effort``, ...; never ``model`` or ``stream``.
    """

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """A request parameter that did not reach the vendor as it was captured."""

    parameter: str
    action: Action
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request, ready to send. ``url`` never contains a credential; ``headers`` may."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    stream: bool
    changes: tuple[ParameterChange, ...] = ()


@dataclass(frozen=True, slots=True)
class WireResponse:
    """One HTTP response as received. ``headers`` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts with one meaning for every vendor. ``None`` = the vendor did not say; unknown is not zero.

    Total input = ``input_uncached + cache_read + cache_write``, and beside it ``input_tool_use``. ``output_total``
    includes reasoning.
    """

    input_uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output_total: int | None = None
    output_visible: int | None = None
    reasoning: int | None = None
    input_tool_use: int | None = None  # what the vendor's own tools put before the model: billed as input
    cache_write_1h: int | None = None  # of ``cache_write``: kept for an hour, which vendors price apart
    audio_input: int | None = None  # of all input tokens, cached ones included
    audio_cache_read: int | None = None  # of ``cache_read``
    audio_output: int | None = None  # of ``output_total``
    image_output: int | None = None  # of ``output_total``: generated images
    priced_apart: int | None = None  # of ``output_total``: generated video, for which no price row has a price
    service_tier: str = ""  # how the vendor served the call (flex, priority, batch, ...); '': its standard, or not said
    raw: Mapping[str, Any] | None = None  # the vendor's usage object; a service tier said beside it is put into it


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds since the request was sent."""

    latency_ms: float
    ttft_ms: float | None = None  # time to the first *visible* token; streamed calls only


@dataclass(frozen=True, slots=True)
class RateHint:
    """What the rate-limit headers of one response said. ``None`` = not said; vendors send -1 for the same."""

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset_s: float | None = None  # seconds until the allowance is full again
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """How one call ended: an answer or a named failure. Never an exception."""

    outcome: Outcome
    text: str | None = None  # visible text; partial when the outcome is a cut
    message: JSON | None = None  # the assistant message in OpenAI chat form (tool_calls included), never reasoning
    finish_reason: FinishReason | None = None
    vendor_finish_reason: str | None = None
    served_model: str | None = None
    request_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    timing: Timing | None = None
    http_status: int | None = None
    error: str | None = None  # short and free of credentials
    retry_after_seconds: float | None = None
    rate: RateHint | None = None  # None: the response carried no rate-limit headers
    changes: tuple[ParameterChange, ...] = ()


class StreamingResponse(Protocol):
    """A response whose body is still arriving."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]: ...

    async def read(self) -> bytes: ...


class Transport(Protocol):
    """The one door for outgoing HTTP (``egress.py``): deadline, byte cap, address check, no redirects.

    Raises ``egress.TransportError`` carrying an ``Outcome`` for everything that is not an HTTP response.
    """

    async def send(self, request: WireRequest, *, deadline_seconds: float) -> WireResponse: ...

    def stream(
        self, request: WireRequest, *, deadline_seconds: float
    ) -> AbstractAsyncContextManager[StreamingResponse]:
        """The response as it arrives; the deadline runs until the context is left."""


class Provider(Protocol):
    """One vendor dialect. Values, not classes with state: one instance serves every call."""

    key: str
    version: str

    def prepare(self, request: CompletionRequest, endpoint: EndpointConfig) -> WireRequest:
        """Translate; pure. Every renamed, dropped, clamped, added or replaced parameter is listed in ``changes``.

        Raises ``requests.Untranslatable`` for what the dialect cannot say; ``complete`` makes it ``rejected_input``.
        """

    def parse(self, response: WireResponse) -> CompletionResult:
        """Read a non-streamed response; pure; any bytes give a result, never an exception."""

    async def complete(
        self, request: CompletionRequest, *, endpoint: EndpointConfig, transport: Transport
    ) -> CompletionResult:
        """Send one request and return how it ended. No retries here: the engine owns the one retry budget."""
