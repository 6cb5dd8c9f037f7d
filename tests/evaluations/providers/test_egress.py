"""The one door for outgoing HTTP, against a vendor on loopback that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from typing import Any

import pytest

from evaluations.enums import Outcome
from evaluations.providers.base import WireRequest, WireResponse
from evaluations.providers.egress import Egress, EgressPolicy, EgressRefused, TransportError
from tests.evaluations.providers.loopback import Handler, Received, Vendor, answering, response, vendor


def _request(url: str, **headers: str) -> WireRequest:
    return WireRequest("POST", url, headers, b'{"a":1}', stream=False)


def _send(handler: Handler, *, deadline_seconds: float = 5.0, **options: Any) -> tuple[WireResponse, Vendor]:
    async def run() -> tuple[WireResponse, Vendor]:
        async with vendor(handler) as running, Egress(running.policy, **options) as egress:
            request = _request(f"{running.url}/v1/x", Authorization="Bearer key")
            return await egress.send(request, deadline_seconds=deadline_seconds), running

    return asyncio.run(run())


def _fail(handler: Handler, *, deadline_seconds: float = 5.0, **options: Any) -> TransportError:
    with pytest.raises(TransportError) as failed:
        _send(handler, deadline_seconds=deadline_seconds, **options)
    return failed.value


def test_a_response_comes_back_as_it_was_sent() -> None:
    answer, running = _send(answering(200, b'{"ok":1}', X_Request_Id="r-1"))
    assert (answer.status, answer.body, answer.headers["x-request-id"]) == (200, b'{"ok":1}', "r-1")
    [received] = running.received
    assert received.line == "POST /v1/x HTTP/1.1"
    assert received.body == b'{"a":1}'
    assert received.headers["authorization"] == "Bearer key"
    assert received.headers["accept-encoding"] == "identity"
    assert "cookie" not in received.headers


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    answer, _ = _send(answering(200, b"{}"))
    assert answer.status == 200


def test_a_redirect_is_a_response_and_is_not_followed() -> None:
    async def run() -> tuple[WireResponse, int]:
        async with vendor(answering(200, b"{}")) as other:
            redirect = answering(307, b"", location=f"{other.url}/elsewhere")
            async with vendor(redirect) as running, Egress(running.policy) as egress:
                answer = await egress.send(_request(f"{running.url}/x"), deadline_seconds=5)
            return answer, len(other.received)

    answer, followed = asyncio.run(run())
    assert (answer.status, followed) == (307, 0)


def test_a_body_that_drips_ends_at_the_deadline() -> None:
    async def drip(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    started = time.perf_counter()
    failure = _fail(drip, deadline_seconds=0.4)
    assert failure.outcome is Outcome.TIMEOUT
    assert 0.35 < time.perf_counter() - started < 2.0


def test_a_header_that_never_comes_ends_at_the_deadline() -> None:
    async def silent(received: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    assert _fail(silent, deadline_seconds=0.2).outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_is_too_large(declared: bool) -> None:
    async def large(received: Received, writer: asyncio.StreamWriter) -> None:
        length = b"content-length: 2000\r\n" if declared else b""
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + length + b"\r\n" + b"x" * 2000)
        await writer.drain()

    assert _fail(large, max_body_bytes=1999).outcome is Outcome.TOO_LARGE


def test_a_body_of_exactly_the_cap_is_read() -> None:
    answer, _ = _send(answering(200, b"x" * 2000), max_body_bytes=2000)
    assert len(answer.body) == 2000


def test_a_gzip_bomb_is_too_large_and_never_unpacked() -> None:
    import tracemalloc

    bomb = gzip.compress(b"\0" * 80_000_000)
    tracemalloc.start()
    failure = _fail(answering(200, bomb, content_encoding="gzip"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert failure.outcome is Outcome.TOO_LARGE
    assert peak < 30_000_000


def test_compression_that_was_not_asked_for_is_read_if_it_is_gzip() -> None:
    answer, _ = _send(answering(200, gzip.compress(b'{"ok":1}'), content_encoding="gzip"))
    assert answer.body == b'{"ok":1}'
    failure = _fail(answering(200, b"whatever", content_encoding="br"))
    assert failure.outcome is Outcome.BAD_RESPONSE
    failure = _fail(answering(200, b"not gzip at all", content_encoding="gzip"))
    assert failure.outcome is Outcome.BAD_RESPONSE


def test_a_body_shorter_than_declared_is_a_bad_response() -> None:
    async def cut(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a":')
        await writer.drain()

    assert _fail(cut).outcome is Outcome.BAD_RESPONSE


def test_what_is_not_http_is_a_bad_response() -> None:
    async def nonsense(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example.com ESMTP\r\n\r\n")
        await writer.drain()

    assert _fail(nonsense).outcome is Outcome.BAD_RESPONSE


def test_a_closed_connection_is_unreachable() -> None:
    async def hang_up(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert _fail(hang_up).outcome is Outcome.UNREACHABLE


def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async def run() -> None:
            policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": f"127.0.0.1:{port}"})
            async with Egress(policy) as egress:
                await egress.send(_request(f"http://127.0.0.1:{port}/"), deadline_seconds=5)

        with pytest.raises(TransportError, match=f"127.0.0.1:{port}") as failed:
            asyncio.run(run())
    assert failed.value.outcome is Outcome.UNREACHABLE
    assert not isinstance(failed.value, EgressRefused)


def test_a_connection_that_hangs_is_given_up_before_the_deadline() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]  # they fill the queue that nobody empties
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))

        async def run() -> None:
            policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": f"127.0.0.1:{port}"})
            async with Egress(policy, connect_timeout_seconds=0.2) as egress:
                await egress.send(_request(f"http://127.0.0.1:{port}/"), deadline_seconds=5)

        with pytest.raises(TransportError, match=r"within 0\.2 s") as failed:
            asyncio.run(run())
        for client in waiting:
            client.close()
    assert failed.value.outcome is Outcome.UNREACHABLE


def _resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name leads to ``addresses``; returns the hosts that were asked for."""
    asked: list[str] = []

    async def getaddrinfo(self: object, host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (address, port)) for kind, address in zip(kinds, addresses, strict=True)
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


def _call(url: str, policy: EgressPolicy | None = None) -> WireResponse:
    async def run() -> WireResponse:
        async with Egress(policy or EgressPolicy()) as egress:
            return await egress.send(_request(url), deadline_seconds=5)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("93.184.216.34", "10.0.0.1"),
        ("93.184.216.34", "::1"),
        ("64:ff9b::a9fe:a9fe",),
        ("::ffff:127.0.0.1",),
    ],
)
def test_a_name_is_refused_when_any_of_its_addresses_is(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    """B53: a name that is public when the endpoint is saved and private when it is called."""
    asked = _resolving(monkeypatch, *addresses)
    with pytest.raises(EgressRefused, match=r"rebind\.example\.com"):
        _call("https://rebind.example.com/v1")
    assert asked == ["rebind.example.com"]


def test_a_name_without_address_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch)
    with pytest.raises(TransportError, match=r"nowhere\.example\.com does not resolve") as failed:
        _call("https://nowhere.example.com/v1")
    assert failed.value.outcome is Outcome.UNREACHABLE


def test_a_listed_name_is_reached_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch, "127.0.0.1")

    async def run() -> tuple[WireResponse, Vendor]:
        async with vendor(answering(200, b"{}")) as running:
            policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": f"vllm.internal:{running.port}"})
            async with Egress(policy) as egress:
                request = _request(f"http://vllm.internal:{running.port}/v1")
                return await egress.send(request, deadline_seconds=5), running

    answer, running = asyncio.run(run())
    assert answer.status == 200
    assert running.received[0].headers["host"] == f"vllm.internal:{running.port}"


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://127.1/", "https://user:pass@example.com/", "file:///x"])
def test_nothing_is_sent_to_a_refused_url(url: str) -> None:
    with pytest.raises(EgressRefused):
        _call(url)


def test_the_configured_proxy_is_used_except_for_listed_doors() -> None:
    async def run() -> tuple[list[str], list[str]]:
        async with vendor(answering(200, b"{}")) as proxy, vendor(answering(200, b"{}")) as door:
            policy = EgressPolicy.from_environment(
                {"PILOTS_EGRESS_ALLOW": f"127.0.0.1:{door.port}", "PILOTS_EGRESS_PROXY": proxy.url}
            )
            async with Egress(policy) as egress:
                await egress.send(_request(f"{door.url}/direct"), deadline_seconds=5)
                with pytest.raises(TransportError):  # the fake proxy cannot tunnel
                    await egress.send(_request("https://api.example.com/v1"), deadline_seconds=5)
            return [r.line for r in proxy.received], [r.line for r in door.received]

    proxied, direct = asyncio.run(run())
    assert proxied == ["CONNECT api.example.com:443 HTTP/1.1"]
    assert direct == ["POST /direct HTTP/1.1"]


def test_a_key_that_no_header_can_carry_is_our_own_error() -> None:
    async def run() -> None:
        async with vendor(answering(200, b"{}")) as running, Egress(running.policy) as egress:
            request = _request(running.url, Authorization="Bearer a\r\nb")
            await egress.send(request, deadline_seconds=5)

    with pytest.raises(TransportError) as failed:
        asyncio.run(run())
    assert failed.value.outcome is Outcome.HARNESS_ERROR
    assert "Bearer" not in str(failed.value)


def test_connections_are_kept_and_bounded() -> None:
    connections = 0

    async def run() -> int:
        nonlocal connections

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(7)
                    await asyncio.sleep(0.001)
                    writer.write(response(200, b"{}", connection="keep-alive"))
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": f"127.0.0.1:{port}"})
        async with Egress(policy, limit_per_host=3) as egress:
            request = _request(f"http://127.0.0.1:{port}/")
            answers = await asyncio.gather(*(egress.send(request, deadline_seconds=5) for _ in range(30)))
        await asyncio.sleep(0)
        server.close()
        return sum(answer.status == 200 for answer in answers)

    assert (asyncio.run(run()), connections) == (30, 3)


def test_using_it_outside_its_block_is_a_programming_error() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(Egress(EgressPolicy()).send(_request("https://example.com"), deadline_seconds=1))
