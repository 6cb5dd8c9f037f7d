"""The simulated vendors over HTTP. Public surface: ``build_app``, ``serve``, ``run``, ``SimulatedVendors``.

All dialects on one port, on loopback. ``GET /__bill`` is the vendors' own bill, ``POST /__reset`` starts it anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from evaluations.simulator.behaviours import UNBILLED_FAULTS
from evaluations.simulator.config import SimulatorConfig
from evaluations.simulator.dialects.anthropic_messages import AnthropicMessages
from evaluations.simulator.dialects.base import JSON, BadRequest, Call, Dialect, Failure, Reply, dumps
from evaluations.simulator.dialects.gemini_generate import GeminiGenerate, VertexGenerate
from evaluations.simulator.dialects.mai_chat import MAIChat
from evaluations.simulator.dialects.openai_chat import AzureChat, OpenAIChat
from evaluations.simulator.dialects.openai_responses import AzureResponses, OpenAIResponses
from evaluations.simulator.transport import Wire, send
from evaluations.simulator.vendors import Admission, Vendors

_T = TypeVar("_T")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

VENDORS: web.AppKey[Vendors] = web.AppKey("vendors", Vendors)
_LARGEST_REQUEST = 64 * 1024 * 1024
_FIRST_TOKEN_SHARE = 0.3  # of a stream's latency passes before its first event

_VERTEX = "/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}"
_ROUTES: tuple[tuple[str, Dialect, bool], ...] = (
    ("/v1/chat/completions", OpenAIChat(), False),
    ("/v1/responses", OpenAIResponses(), False),
    ("/openai/v1/chat/completions", AzureChat(), False),
    ("/openai/v1/responses", AzureResponses(), False),
    ("/openai/deployments/{model}/chat/completions", AzureChat(), False),
    ("/mai/v1/chat/completions", MAIChat(), False),
    ("/v1/messages", AnthropicMessages(), False),
    ("/anthropic/v1/messages", AnthropicMessages(), False),
    ("/v1beta/models/{model}:generateContent", GeminiGenerate(), False),
    ("/v1beta/models/{model}:streamGenerateContent", GeminiGenerate(), True),
    (f"{_VERTEX}:generateContent", VertexGenerate(), False),
    (f"{_VERTEX}:streamGenerateContent", VertexGenerate(), True),
)


def build_app(config: SimulatorConfig) -> web.Application:
    """The aiohttp application that serves every dialect."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app[VENDORS] = Vendors(config)
    for path, dialect, stream in _ROUTES:
        app.router.add_post(path, _handler(dialect, stream))
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/models/{model}", _model)
    app.router.add_get("/__bill", _bill)
    app.router.add_post("/__reset", _reset)
    return app


def _handler(dialect: Dialect, stream: bool) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        vendors = request.app[VENDORS]
        bill = vendors.bill
        bill.requests += 1
        bill.in_flight += 1
        bill.in_flight_peak = max(bill.in_flight_peak, bill.in_flight)
        try:
            return await _answer(request, vendors, dialect, stream)
        finally:
            bill.in_flight -= 1

    return handle


async def _answer(request: web.Request, vendors: Vendors, dialect: Dialect, stream: bool) -> web.StreamResponse:
    raw = await request.read()
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    try:
        if vendors.config.require_key and not dialect.authorised(request.headers):
            return _refusal(dialect, Failure("auth"), digest)
        call = _read(dialect, raw, request.match_info.get("model"), stream)
    except BadRequest as error:
        return _refusal(dialect, Failure("bad_request", str(error)), digest)
    now = datetime.now(UTC)
    admission = vendors.admit(call, tells_wait=dialect.tells_wait, now=time.monotonic(), today=now.date())
    await asyncio.sleep(admission.latency_ms / 1000 * (_FIRST_TOKEN_SHARE if call.stream else 1))
    reply = admission.outcome
    if isinstance(reply, Failure):
        return _refusal(dialect, reply, digest)
    wire = _wire(dialect, call, replace(reply, created_at=int(now.timestamp())), admission, digest)
    if isinstance(wire, Failure):
        return _refusal(dialect, wire, digest)
    if admission.fault not in UNBILLED_FAULTS:
        vendors.bill.model(call.model).charge(digest, reply.input_tokens, reply.output_tokens)
    return await send(request, wire, admission.fault)


def _read(dialect: Dialect, raw: bytes, model: str | None, stream: bool) -> Call:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    try:
        return dialect.read(body, model=model, stream=stream)
    except (AttributeError, KeyError, TypeError):
        raise BadRequest("A parameter has the wrong type.") from None


def _wire(dialect: Dialect, call: Call, reply: Reply, admission: Admission, digest: str) -> Wire | Failure:
    body = dialect.answer(call, reply)
    if isinstance(body, Failure) and not (call.stream and reply.finish == "content_filter"):
        return body
    parts = list(dialect.events(call, reply)) if call.stream else [dumps(body).encode()]
    _, _, error = dialect.failure(Failure("server_error"), f"req_{digest}")
    return Wire(
        parts=parts,
        error=dumps(error).encode(),
        stream=call.stream,
        headers=dialect.headers(f"req_{digest}", admission.limit),
        spread_ms=admission.latency_ms * (1 - _FIRST_TOKEN_SHARE),
    )


def _refusal(dialect: Dialect, failure: Failure, digest: str) -> web.Response:
    status, headers, body = dialect.failure(failure, f"req_{digest}")
    return web.json_response(text=dumps(body), status=status, headers=headers)


def _model_document(vendors: Vendors, name: str) -> JSON:
    behaviour = vendors.config.behaviour(name)
    shutdown_on = behaviour.shutdown_on.isoformat() if behaviour and behaviour.shutdown_on else None
    return {"id": name, "object": "model", "created": 0, "owned_by": "simulator", "shutdown_date": shutdown_on}


async def _models(request: web.Request) -> web.StreamResponse:
    vendors = request.app[VENDORS]
    if vendors.config.require_key and not OpenAIChat().authorised(request.headers):
        return _refusal(OpenAIChat(), Failure("auth"), "models")
    data = [_model_document(vendors, name) for name in vendors.config.names()]
    return web.json_response({"object": "list", "data": data})


async def _model(request: web.Request) -> web.StreamResponse:
    vendors = request.app[VENDORS]
    name = request.match_info["model"]
    if vendors.config.require_key and not OpenAIChat().authorised(request.headers):
        return _refusal(OpenAIChat(), Failure("auth"), "models")
    if vendors.config.behaviour(name) is None and name not in vendors.config.recordings.models:
        return _refusal(OpenAIChat(), Failure("model_not_found"), "models")
    return web.json_response(_model_document(vendors, name))


async def _bill(request: web.Request) -> web.StreamResponse:
    return web.json_response(request.app[VENDORS].bill.document())


async def _reset(request: web.Request) -> web.StreamResponse:
    request.app[VENDORS].reset()
    return web.json_response({})


@asynccontextmanager
async def _listening(config: SimulatorConfig, host: str, port: int) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(build_app(config), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=2048).start()
        yield runner
    finally:
        await runner.cleanup()


async def serve(config: SimulatorConfig, host: str = "127.0.0.1", port: int = 9100) -> None:
    """Serve until cancelled. Raises ``OSError`` when the port is taken."""
    async with _listening(config, host, port):
        await asyncio.Event().wait()


def run(config: SimulatorConfig, host: str = "127.0.0.1", port: int = 9100) -> None:
    """Serve in the foreground until Ctrl-C. Raises ``OSError`` when the port is taken."""
    try:
        asyncio.run(serve(config, host, port))
    except KeyboardInterrupt:
        return


class SimulatedVendors:
    """The vendors in a thread of this process, for tests and the demo: ``with SimulatedVendors(config) as vendors:``.

    ``url`` is the base address, without a path; ``port`` 0 means any free one. Entering raises ``OSError`` when
    the port is taken.
    """

    url: str

    def __init__(self, config: SimulatorConfig, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._config, self._host, self._port = config, host, port
        self._ready: Future[None] = Future()

    def bill(self) -> dict[str, Any]:
        """The vendors' own bill, as in ``GET /__bill``."""
        return self._call(lambda vendors: vendors.bill.document())

    def bill_by_request(self) -> dict[str, dict[str, int]]:
        """How often each request was billed, by model and the id that its answer carried."""
        return self._call(
            lambda vendors: {
                name: {f"req_{key}": times for key, times in part.times_billed.items()}
                for name, part in vendors.bill.models.items()
            }
        )

    def reset(self) -> None:
        """Start the bill anew and forget attempts and rate limits."""
        self._call(Vendors.reset)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="simulated-vendors", daemon=True)
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with _listening(self._config, self._host, self._port) as runner:
            self.url = f"http://{self._host}:{runner.addresses[0][1]}"
            self._vendors = runner.app[VENDORS]
            self._ready.set_result(None)
            await self._stop.wait()

    def _call(self, function: Callable[[Vendors], _T]) -> _T:
        async def inside() -> _T:
            return function(self._vendors)

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(timeout=10)
