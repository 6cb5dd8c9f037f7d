"""A vendor on loopback for one test: a raw TCP server, so that it can misbehave in every way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from evaluations.providers.base import CompletionRequest, EndpointConfig, WireResponse
from evaluations.providers.egress import EgressPolicy

Handler = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]

HELLO = CompletionRequest({"messages": [{"role": "user", "content": "Hello"}]})


@dataclass(frozen=True)
class Received:
    """One request as it arrived; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Vendor:
    port: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def policy(self) -> EgressPolicy:
        return EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": f"127.0.0.1:{self.port}"})

    def endpoint(self, protocol: str, **more: Any) -> EndpointConfig:
        values: dict[str, Any] = {"base_url": self.url, "credential": "sk-canary-0123456789", "deadline_seconds": 5.0}
        return EndpointConfig(slug="test", protocol=protocol, wire_model="model-1", **(values | more))


@asynccontextmanager
async def vendor(handler: Handler) -> AsyncIterator[Vendor]:
    """Serve ``handler`` on a free port; one request a connection."""
    running = Vendor()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (item.partition(": ") for item in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            received = Received(line, headers, body)
            running.received.append(received)
            await handler(received, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def response(status: int, body: bytes, **headers: str) -> bytes:
    """A whole HTTP response; keyword ``content_type`` becomes the header ``content-type``."""
    given = {"content_type": "application/json", "content_length": str(len(body)), "connection": "close"} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + body


def answering(status: int, body: bytes, **headers: str) -> Handler:
    async def handler(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, body, **headers))
        await writer.drain()

    return handler


def streaming(*chunks: bytes, pause_seconds: float = 0.0) -> Handler:
    """An event stream that ends by closing the connection."""

    async def handler(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return handler


class CannedStream:
    """A transport without a network: it streams fixed chunks."""

    status = 200
    headers = {"content-type": "text/event-stream"}

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    async def send(self, request: object, *, deadline_seconds: float) -> WireResponse:
        raise AssertionError("a streamed call is not sent whole")

    def stream(self, request: object, *, deadline_seconds: float) -> CannedStream:
        return self

    async def __aenter__(self) -> CannedStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    async def read(self) -> bytes:
        return b"".join(self._chunks)
