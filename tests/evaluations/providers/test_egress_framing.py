"""How a body is framed and packed on the wire: lengths, chunks, trailers and encodings that do not fit (B16, B23)."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from evaluations.enums import Outcome
from evaluations.providers.base import WireRequest, WireResponse
from evaluations.providers.egress import Egress, TransportError
from tests.evaluations.providers.loopback import Received, vendor

BODY = b'{"ok": "' + b"yes " * 300 + b'"}'


def _get(raw: bytes, *, max_body_bytes: int = 100_000) -> WireResponse | TransportError:
    """The response to whatever bytes a server writes before it hangs up."""

    async def write(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    async def run() -> WireResponse:
        async with vendor(write) as running, Egress(running.policy, max_body_bytes=max_body_bytes) as egress:
            request = WireRequest("POST", f"{running.url}/x", {"Authorization": "Bearer key"}, b"{}", stream=False)
            return await egress.send(request, deadline_seconds=3)

    try:
        return asyncio.run(run())
    except TransportError as failure:
        return failure


def _head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", *lines, "", ""]).encode()


def _chunked(body: bytes, *, size: int = 100, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


CHUNKED = _head("Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + _chunked(BODY),
        CHUNKED + _chunked(BODY, size=1),
        CHUNKED + _chunked(BODY, end=b"0\r\nX-Usage: 1\r\nX-Other: 2\r\n\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + _head(f"Content-Length: {len(BODY)}") + BODY,
        _head(f"Content-Length: {len(BODY)}") + BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        _head("Connection: close") + BODY,
        _head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + _chunked(gzip.compress(BODY), size=7),
        _head("Content-Encoding: deflate", "Connection: close") + zlib.compress(BODY),
    ],
    ids=["chunks", "bytes", "trailers", "100-continue", "second-answer", "until-closed", "gzip-chunks", "deflate"],
)
def test_a_body_is_read_however_it_is_framed(raw: bytes) -> None:
    answer = _get(raw)
    assert isinstance(answer, WireResponse), answer
    assert answer.body == BODY


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + _chunked(BODY, end=b""),
        CHUNKED + _chunked(BODY)[:500],
        CHUNKED + b"zz\r\nnot a size\r\n0\r\n\r\n",
        CHUNKED + b"ffffffffffffffffffff\r\n" + BODY,
        _head(f"Content-Length: {len(BODY) + 1}") + BODY,
        _head("Content-Length: -5") + BODY,
        _head("Content-Length: 5", "Content-Length: 7") + BODY,
        _head("Content-Encoding: br", "Connection: close") + BODY,
        _head("Content-Encoding: gzip, gzip", "Connection: close") + gzip.compress(gzip.compress(BODY)),
        _head("Content-Encoding: gzip", "Connection: close") + BODY,
        _head("X-Padding: " + "x" * 100_000) + BODY,
        b"HTTP/1.1 twohundred OK\r\n\r\n" + BODY,
        b"HTTP/9.9 200 OK\r\n\r\n" + BODY,
    ],
    ids=[
        *("no-last-chunk", "cut-in-a-chunk", "no-size", "a-size-beyond-all", "shorter-than-its-length"),
        *("negative-length", "two-lengths", "brotli", "packed-twice", "not-packed", "long-header", "no-status"),
        "no-version",
    ],
)
def test_a_body_that_is_framed_wrongly_is_a_bad_response(raw: bytes) -> None:
    failure = _get(raw)
    assert isinstance(failure, TransportError), failure
    assert failure.outcome is Outcome.BAD_RESPONSE
    assert "Bearer" not in str(failure)


def test_chunks_without_an_end_stop_at_the_cap() -> None:
    failure = _get(CHUNKED + _chunked(b"x" * 200_000, end=b""))
    assert isinstance(failure, TransportError)
    assert failure.outcome is Outcome.TOO_LARGE


def test_a_bomb_in_chunks_is_never_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    failure = _get(_head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + _chunked(bomb, size=50))
    assert isinstance(failure, TransportError)
    assert failure.outcome is Outcome.TOO_LARGE


def test_a_packed_body_that_is_cut_gives_what_had_come() -> None:
    """With a length that fits, only what is inside can tell: the reader of the body finds broken JSON."""
    cut = gzip.compress(BODY)[:-20]
    answer = _get(_head("Content-Encoding: gzip", f"Content-Length: {len(cut)}") + cut)
    assert isinstance(answer, WireResponse)
    assert BODY.startswith(answer.body)
    assert len(answer.body) < len(BODY)
