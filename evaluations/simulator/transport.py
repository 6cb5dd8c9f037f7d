"""Answers on the wire, whole or broken on purpose. Public surface: ``Wire``, ``send``."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from aiohttp import web

_DRIP_SECONDS = 0.5
_MEBIBYTE = b" " * 1024 * 1024
_PAGE = b"<html><head><title>Gateway</title></head><body>Please come back later.</body></html>"
_METADATA = "http://169.254.169.254/latest/meta-data/"  # where a client that follows redirects would leak its key
INVALID_UTF8 = "\x01"  # stands for bytes that are no text; JSON has no way to say them


@dataclass(frozen=True, slots=True)
class Wire:
    """A good answer before it is spoiled: one part, or one part an event."""

    parts: Sequence[bytes]
    error: bytes  # the same vendor's error body, for errors that come with status 200
    stream: bool
    headers: dict[str, str] = field(default_factory=dict)
    spread_ms: float = 0.0  # time over which the events of a stream are spread

    @property
    def content_type(self) -> str:
        return "text/event-stream" if self.stream else "application/json"


async def send(request: web.Request, wire: Wire, fault: str | None) -> web.StreamResponse:
    """Send the answer, broken as ``fault`` says (``behaviours.TRANSPORT_FAULTS``)."""
    match fault:
        case "reset":
            return _raw(request, b"")
        case "hang":
            await asyncio.sleep(3600)
        case "cut_body":
            body = b"".join(wire.parts)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {wire.content_type}\r\nConnection: close\r\n\r\n"
            return _raw(request, head.encode() + body[: len(body) // 2])
        case "html_page" | "bad_gateway":
            return web.Response(status=200 if fault == "html_page" else 502, body=_PAGE, content_type="text/html")
        case "redirect":
            return web.Response(status=307, headers={"Location": _METADATA})
        case "gzip_bomb":
            headers = {"Content-Encoding": "gzip", "Content-Type": wire.content_type}
            return web.Response(body=_bomb(), headers=headers)
        case "huge_body":
            return await _stream(request, wire, [*[_MEBIBYTE] * 50, *wire.parts])
        case "drip":
            single = [bytes([byte]) for byte in b"".join(wire.parts)]
            return await _stream(request, wire, single, pause_seconds=_DRIP_SECONDS)
        case "stream_cut":
            if not wire.stream:
                return await send(request, wire, "cut_body")
            return await _events(request, wire, wire.parts[: max(1, len(wire.parts) // 2)])
        case "error_in_200":
            parts = [*wire.parts[:2], b"event: error\ndata: " + wire.error + b"\n\n"] if wire.stream else [wire.error]
            return await _whole(request, wire, parts)
        case "broken_json":
            return await _whole(request, wire, [part[: len(part) // 2] + b"\n\n" for part in wire.parts])
        case "invalid_utf8":
            return await _whole(request, wire, [part.replace(b"\\u0001", b"\xff\xfe") for part in wire.parts])
    return await _whole(request, wire, wire.parts)


async def _whole(request: web.Request, wire: Wire, parts: Sequence[bytes]) -> web.StreamResponse:
    if wire.stream:
        return await _events(request, wire, parts)
    return web.Response(body=b"".join(parts), headers=wire.headers, content_type=wire.content_type)


async def _events(request: web.Request, wire: Wire, parts: Sequence[bytes]) -> web.StreamResponse:
    return await _stream(request, wire, parts, pause_seconds=wire.spread_ms / 1000 / max(1, len(parts)))


async def _stream(
    request: web.Request, wire: Wire, parts: Sequence[bytes], *, pause_seconds: float = 0.0
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**wire.headers, "Content-Type": wire.content_type})
    await response.prepare(request)
    try:
        for part in parts:
            await response.write(part)
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
        await response.write_eof()
    except ConnectionError:
        pass  # the caller had enough; what was answered stays on the bill
    return response


def _raw(request: web.Request, data: bytes) -> web.StreamResponse:
    """Write ``data`` past the HTTP library and end the connection; without data it is reset."""
    if request.transport is not None:
        if data:
            request.transport.write(data)
            request.transport.close()
        else:
            request.transport.abort()
    return web.Response()


@cache
def _bomb() -> bytes:
    """128 MiB of blanks in about as many kilobytes."""
    squeeze = zlib.compressobj(level=9, wbits=31)
    return b"".join([*(squeeze.compress(_MEBIBYTE) for _ in range(128)), squeeze.flush()])
